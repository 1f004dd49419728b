//! The built-in engine: executes the velero.io objects of one cluster as Velero does, from outside it.
//!
//! Reads and writes Velero's format, so that either can restore what the other stored. Start reading at
//! [`backup`] and [`restore`]; [`types`] is what both know of a cluster's API, [`call`] and [`list`]
//! are how they talk to it.

pub mod backup;
mod blocking;
pub mod budget;
pub mod call;
pub mod discover;
mod exec;
mod files;
mod fresh;
pub mod glob;
mod hooks;
pub mod labels;
pub mod list;
pub mod object;
pub mod progress;
pub mod report;
pub mod restore;
pub mod runs;
pub mod server;
#[cfg(test)]
mod testing;
pub mod types;
mod weight;
mod yaml;
