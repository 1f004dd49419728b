//! Backup: which objects are taken, and how they come into the store.

pub mod hooks;
pub mod policy;
pub mod prepare;
pub mod related;
pub mod run;
pub mod select;
