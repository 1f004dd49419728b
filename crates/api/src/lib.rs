//! Typed resources of the Kurator API and of the velero.io member protocol, and every name and label.
//!
//! Pure data: no client, no clock, no runtime. What is here is a promise to somebody outside this
//! process: users' YAML, objects that Kurator stored, objects that Velero reads. So:
//!
//! - JSON names, groups and columns are Kurator's; additions are optional and have no schema default;
//! - whatever is unset is not serialised, so that server-side apply owns only what it means;
//! - decoding is lenient (unknown fields, `null`, an absent `spec`), judging is the controllers' job;
//! - what is not ours survives: velero.io objects keep fields and phases that this crate doesn't know.
//!
//! Start at [`backup`] for the shape of a kind, at [`crds`] for how the kinds become CRDs, and at
//! [`names`] for anything that is spelled the same in two clusters.

mod encoding;
mod kind;
mod schema;

pub mod backup;
pub mod cluster;
pub mod condition;
pub mod crds;
pub mod duration;
pub mod filter;
pub mod fleet;
pub mod migrate;
pub mod names;
pub mod reason;
pub mod restore;
pub mod selector;
pub mod velero;
