//! The built-in engine and Velero 1.18.3 on the same work: what they take, and what becomes of it.
//!
//! One cluster is backed up by both at once; two others restore the same archives, each with its own engine. Where the
//! two are meant to differ, `docs/decisions/0008` says why and the test says so by name.

mod backups;
mod differences;
mod live;
mod restores;
mod results;
mod scene;
mod settings;
mod stored;

type Outcome = anyhow::Result<()>;
