//! What a restore changes in objects of certain types, as the built-in restore item actions of Velero 1.18.
//!
//! For one type the actions run in the order of their names, as Velero's plugin server lists them. Left out,
//! because this engine moves no volume data: `dataupload`, `pod-volume-restore` but for its cleaning up, and the
//! CSI actions, which Velero too leaves out unless the feature `EnableCSI` is on.

mod cluster;
mod pod;
mod rbac;
mod secret;
mod service;
mod storage;
mod workload;

use serde_json::Value;

use super::transform::{Context, Transformed};

pub(crate) use secret::is_account_token;

/// What an action works on.
pub(crate) struct Work<'a> {
    pub(crate) context: &'a Context,
    /// The status of the object in the backup.
    pub(crate) status: Option<&'a Value>,
    /// The managed fields of the object in the backup.
    pub(crate) managed_fields: Option<&'a Value>,
    /// Namespace in the backup; empty if cluster-scoped.
    pub(crate) source: &'a str,
    /// Namespace that it goes to.
    pub(crate) target: &'a str,
    /// The object, reset, and what else is known to be done.
    pub(crate) made: Transformed,
}

/// Why an action refuses an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Two ConfigMaps for one action.
    #[error("found more than one ConfigMap matching label selector {selector:?}: [{names}]")]
    ManyConfigMaps {
        /// The selector.
        selector: String,
        /// Their names.
        names: String,
    },
    /// A mapping to a StorageClass that is not in the cluster.
    #[error(
        "error getting storage class {class} from API: storageclasses.storage.k8s.io {class:?} not found"
    )]
    NoStorageClass {
        /// Its name.
        class: String,
    },
    /// An annotation that tells which node ports were asked for, and cannot be read.
    #[error("the annotation kubectl.kubernetes.io/last-applied-configuration is not JSON: {fault}")]
    LastApplied {
        /// Where.
        fault: String,
    },
}

type Action = fn(&mut Work<'_>) -> Result<(), ActionError>;

/// The actions of each type, in Velero's order.
const ACTIONS: &[(&str, &[Action])] = &[
    ("clusterrolebindings.rbac.authorization.k8s.io", &[rbac::map_subjects]),
    ("cronjobs.batch", &[workload::change_images]),
    ("customresourcedefinitions.apiextensions.k8s.io", &[cluster::preserve_unknown_fields]),
    ("daemonsets.apps", &[workload::change_images]),
    ("deployments.apps", &[workload::change_images]),
    ("jobs.batch", &[workload::change_images, workload::forget_controller]),
    ("mutatingwebhookconfigurations.admissionregistration.k8s.io", &[cluster::side_effects]),
    ("persistentvolumeclaims", &[storage::change_class, storage::unbind_claim]),
    ("persistentvolumes", &[storage::unbind_volume, storage::change_class]),
    ("pods", &[pod::add_claims, workload::change_images, pod::add_init_containers, pod::reset, pod::no_wait]),
    ("replicasets.apps", &[workload::change_images]),
    ("replicationcontrollers", &[workload::change_images]),
    ("rolebindings.rbac.authorization.k8s.io", &[rbac::map_subjects]),
    ("secrets", &[secret::reset]),
    ("serviceaccounts", &[secret::forget_token]),
    ("services", &[service::reset]),
    ("statefulsets.apps", &[workload::change_images, storage::change_template_classes]),
    ("validatingwebhookconfigurations.admissionregistration.k8s.io", &[cluster::side_effects]),
];

/// Runs the actions of a type.
pub(crate) fn run(resource: &str, work: &mut Work<'_>) -> Result<(), ActionError> {
    let own = ACTIONS.iter().find(|(of, _)| *of == resource).map_or(&[][..], |(_, actions)| *actions);
    own.iter().try_for_each(|action| action(work))
}

#[cfg(test)]
mod tests;
