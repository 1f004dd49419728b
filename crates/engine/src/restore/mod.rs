//! Restore: what becomes of each object of a backup, and in which order.
//!
//! Everything here but `run` is pure: the clock and what is known of the cluster are parameters, objects are
//! JSON. An archive is untrusted, so a field of the wrong type reads as absent and nothing panics. Start
//! reading at [`prepare()`] (spec to [`Plan`]) and [`transform()`] (object of a backup to what is created);
//! [`resolve`] decides where the object is there already.

mod actions;
mod conflict;
mod hooks;
mod mapping;
mod modifiers;
mod object;
mod patterns;
mod plan;
mod policy;
mod prepare;
mod reset;
pub mod run;
mod transform;
mod volumes;

#[cfg(test)]
mod testing;

pub use actions::ActionError;
pub use conflict::{Conflict, resolve};
pub use hooks::ExecHook;
pub use mapping::{
    ACTION, Config, IMAGE_LABEL, Images, PLUGIN_CONFIG_LABEL, STORAGE_CLASS_LABEL, StorageClasses,
};
pub use plan::{CRDS, Excluded, Plan, Policy};
pub use policy::policy_named;
pub use prepare::{Facts, NEVER_RESTORED, Prepared, modifiers_named, prepare};
pub use reset::namespace;
pub use transform::{Context, ItemRef, Made, Skip, TransformError, Transformed, transform};
pub use volumes::{BackupMethod, DataLeftOut, NoData, VolumeFacts, Volumes};
