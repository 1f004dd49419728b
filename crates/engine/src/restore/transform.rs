//! What becomes of one object of a backup.
//!
//! reset, the actions of its type in Velero's order, the resource modifiers, the target namespace, the labels of
//! origin. Needs no order among objects: what becomes of volumes is decided before ([`Volumes::decide`]).

use kurator_api::names::{BACKUP_PLUGIN, ENGINE_LEASE, PLUGIN_LABEL};
use serde_json::Value;

use crate::labels::Labels as _;

use super::actions;
use super::hooks::{self, ExecHook};
use super::mapping::{Images, StorageClasses};
use super::object;
use super::plan::Plan;
use super::reset::{self, TakenOff};
use super::volumes::{DataLeftOut, NoData, Volumes};

/// What a transformation needs to know beside the object.
#[derive(Clone, Debug)]
pub struct Context {
    /// The Restore.
    pub plan: Plan,
    /// What becomes of PersistentVolumes.
    pub volumes: Volumes,
    /// Names of StorageClasses that are changed.
    pub storage_classes: StorageClasses,
    /// Names of images that are changed.
    pub images: Images,
}

/// An object in the backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemRef {
    /// Its type, such as `deployments.apps`.
    pub resource: String,
    /// Its namespace in the backup; none if it is cluster-scoped.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ItemRef {
    /// `deployments.apps/namespace/name`, as Velero names an object in its results.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.resource)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "/{namespace}")?;
        }
        write!(f, "/{}", self.name)
    }
}

/// Why an object of the backup is not restored although the Restore takes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// A pod that ended, a Job that is done.
    #[error("it is complete")]
    Completed,
    /// A kubelet made it from a file on its node.
    #[error("it is a mirror pod")]
    MirrorPod,
    /// The API server makes it itself.
    #[error("it is managed by Kubernetes")]
    Managed,
    /// A token that Kubernetes up to 1.23 made for a ServiceAccount.
    #[error("it is a token that belongs to a ServiceAccount")]
    AccountToken,
    /// A PersistentVolume that is left to the provisioner.
    #[error("it is provisioned again: {0}")]
    Provisioned(NoData),
    /// It says which engine works on the cluster that was backed up, and would say so of this one.
    #[error("it is the Lease of an engine")]
    EngineLease,
    /// It tells where a data mover put a snapshot, and this engine moves no data.
    #[error("it belongs to a data mover")]
    DataUpload,
}

impl Skip {
    /// Whether the restored-resource list has a line of it, as Velero's.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        !matches!(self, Self::Completed)
    }
}

/// An object that cannot be restored. Written into the errors of its namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// It has no metadata.
    #[error("error preparing {item}: metadata not found")]
    NoMetadata {
        /// The object, with the namespace that it goes to.
        item: ItemRef,
    },
    /// An action of its type refused it.
    #[error("error preparing {item}: {source}")]
    Action {
        /// The object, with the namespace that it goes to.
        item: ItemRef,
        /// Why.
        source: actions::ActionError,
    },
}

/// What to do with an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// Nothing.
    Skip(Skip),
    /// Create it.
    Create(Box<Transformed>),
}

/// An object that is ready to be created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transformed {
    /// What to create. Its `apiVersion` and `kind` tell the type; a resource modifier may have changed them.
    pub object: Value,
    /// The status to write when it was created.
    pub status: Option<Value>,
    /// The managed fields to write when it was created: only where somebody used server-side apply.
    pub managed_fields: Option<Value>,
    /// Objects that have to be restored before it, with the namespaces of the backup, if the Restore takes them
    /// ([`Plan::takes_related`]). One that is not in the backup is a warning.
    pub related: Vec<ItemRef>,
    /// Warnings for its namespace.
    pub warnings: Vec<String>,
    /// Errors for its namespace that don't keep it from being restored.
    pub errors: Vec<String>,
    /// Commands to run in the pod when it is up.
    pub hooks: Vec<ExecHook>,
    /// That the claim comes without its data; a warning once it was created.
    pub data_left_out: Option<DataLeftOut>,
}

/// What becomes of an object of the backup of this type (`deployments.apps`). Namespaces don't come here: what is
/// created of them is [`namespace`](super::namespace), on demand.
///
/// # Errors
///
/// Why it cannot be restored.
pub fn transform(object: Value, resource: &str, context: &Context) -> Result<Made, TransformError> {
    let plan = &context.plan;
    let mut object = object;
    if let Some(skip) = skipped(&object, resource, context) {
        return Ok(Made::Skip(skip));
    }
    let source = object::namespace(&object).map(str::to_owned);
    let target = source.as_deref().map(|namespace| plan.target(namespace).to_owned());
    let item = ItemRef {
        resource: resource.to_owned(),
        namespace: target.clone(),
        name: object::name(&object).to_owned(),
    };
    let TakenOff { status, managed_fields } = match reset::reset(&mut object) {
        Ok(taken) => taken,
        Err(reset::NoMetadata) => return Err(TransformError::NoMetadata { item }),
    };
    let mut work = actions::Work {
        context,
        status: status.as_ref(),
        managed_fields: managed_fields.as_ref(),
        source: source.as_deref().unwrap_or_default(),
        target: target.as_deref().unwrap_or_default(),
        made: Transformed { object, ..Transformed::default() },
    };
    if let Err(source) = actions::run(resource, &mut work) {
        return Err(TransformError::Action { item, source });
    }
    let mut made = work.made;
    if let Some(modifiers) = &plan.modifiers {
        made.errors = modifiers.apply(&mut made.object, resource);
    }
    if let Some(namespace) = &target
        && let Some(metadata) = object::map_mut(&mut made.object, &["metadata"])
    {
        metadata.insert("namespace".to_owned(), namespace.as_str().into());
    }
    reset::mark(&mut made.object, &plan.restore, &plan.backup);
    made.status = status.filter(|_| plan.takes_status(resource, &made.object));
    made.managed_fields = managed_fields.filter(holds_apply);
    if resource == "pods" {
        let (hooks, mut warnings) = hooks::exec_hooks(&made.object, &plan.hooks);
        made.hooks = hooks;
        made.warnings.append(&mut warnings);
    }
    Ok(Made::Create(Box::new(made)))
}

/// What is left out before anything else is looked at, as `restoreItem` of Velero 1.18; and what its actions
/// leave out.
fn skipped(object: &Value, resource: &str, context: &Context) -> Option<Skip> {
    let text = |path: &[&str]| object::text(object, path).unwrap_or_default();
    match resource {
        "pods" if matches!(text(&["status", "phase"]), "Succeeded" | "Failed") => Some(Skip::Completed),
        "pods" if !text(&["metadata", "annotations", "kubernetes.io/config.mirror"]).is_empty() => {
            Some(Skip::MirrorPod)
        }
        "jobs.batch" if !text(&["status", "completionTime"]).is_empty() => Some(Skip::Completed),
        "apiservices.apiregistration.k8s.io" => {
            let managed = object::labels(object).value("kube-aggregator.kubernetes.io/automanaged").is_some();
            managed.then_some(Skip::Managed)
        }
        "secrets" => actions::is_account_token(object).then_some(Skip::AccountToken),
        "persistentvolumes" => context.volumes.provisioned(object::name(object)).map(Skip::Provisioned),
        "leases.coordination.k8s.io" => {
            let is_ours = object::name(object) == ENGINE_LEASE
                && object::labels(object).value(PLUGIN_LABEL) == Some(BACKUP_PLUGIN);
            is_ours.then_some(Skip::EngineLease)
        }
        "datauploads.velero.io" => Some(Skip::DataUpload),
        _ => None,
    }
}

/// Whether an entry tells of a server-side apply. The entries of updates tell nothing that a creation doesn't.
fn holds_apply(managed_fields: &Value) -> bool {
    let is_apply = |entry: &Value| object::text(entry, &["operation"]) == Some("Apply");
    managed_fields.as_array().is_some_and(|entries| entries.iter().any(is_apply))
}

#[cfg(test)]
mod tests;
