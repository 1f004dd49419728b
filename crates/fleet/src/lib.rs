//! The hub's controllers: clusters, fleets, backups, restores, migrations.
//!
//! Each controller is a folder that reads as a sentence: observe → validate → plan → apply → report.
//! What they know comes from watches ([`hub`] for the hub's objects, `kurator_member` for the
//! members'); [`route`] says which change wakes which object; [`writes`] keeps a slow member from
//! holding anything up. Start at [`run`].
//!
//! Invariants:
//! - nothing is created in a member unless its absence is known;
//! - what has finished is never run again;
//! - a member that is out of reach delays no other and nothing is undone in it.

mod assemble;
mod backup;
mod cluster;
mod controllers;
mod ctx;
mod destination;
mod error;
mod events;
mod fleet;
mod heartbeat;
mod hub;
mod location;
mod members;
mod metrics;
mod migrate;
mod mount;
mod pace;
mod proof;
mod released;
mod restore;
mod route;
mod run;
mod served;
mod standing;
#[cfg(test)]
mod testing;
mod text;
mod twins;
mod usage;
mod wake;
mod writes;

pub use assemble::Setup;
pub use controllers::{StartError, run};
pub use ctx::Options;
pub use metrics::Metrics;
pub use restore::problems as restore_problems;
pub use served::{Served, ServedMembers, Standing};
