//! Mounts: what a cluster needs in order to restore a backup that lies where none of its own storage locations
//! reaches.
//!
//! A read-only location on that place with its credential, and a copy of the Backup, as Velero's own sync would make
//! it, with the records of its volumes. One location serves everything in a cluster that reads from one place.
//!
//! Invariants: the name of a location is in the status of whoever needs it before the location is made, so that it is
//! found again after a crash; nothing is made unless it is known to be absent, and nobody's Backup is overwritten;
//! what a location says comes from the hub's own data.

mod apply;
mod copy;
mod place;
mod prepare;
mod release;
mod render;
#[cfg(test)]
mod testing;
mod users;
mod waiting;

pub(crate) use apply::apply;
pub(crate) use copy::{Copy, Records, note_lost_volumes};
pub(crate) use place::{Source, endpoint_of, same_place};
pub(crate) use prepare::{Prepared, Wish, note_ways, prepare, usable};
pub(crate) use release::{Mounted, release, tidy};
pub(crate) use render::{metadata, name};
pub(crate) use waiting::Waiting;
