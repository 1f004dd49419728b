//! Backup: which objects are taken, and how they come into the store.

pub mod run;
