//! PersistentVolumes, their claims and the templates of claims.

use serde_json::Value;

use super::super::object;
use super::super::transform::ItemRef;
use super::super::volumes::DataLeftOut;
use super::{ActionError, Work};

/// What the controllers of Kubernetes and Velero noted of a binding that is no more.
const OF_CLAIM: [&str; 7] = [
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "velero.io/volume-snapshot-name",
    "velero.io/data-upload-name",
];
const OF_VOLUME: [&str; 2] = ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"];

/// `velero.io/change-storage-class` of a claim or a volume.
pub(super) fn change_class(work: &mut Work<'_>) -> Result<(), ActionError> {
    work.context.storage_classes.check()?;
    match object::at_mut(&mut work.made.object, &["spec"]) {
        Some(spec) => change(spec, work.context),
        None => Ok(()),
    }
}

/// `velero.io/change-storage-class` of a StatefulSet.
pub(super) fn change_template_classes(work: &mut Work<'_>) -> Result<(), ActionError> {
    work.context.storage_classes.check()?;
    let templates = object::list_mut(&mut work.made.object, &["spec", "volumeClaimTemplates"]);
    let mut specs = templates.into_iter().flatten().filter_map(|template| template.get_mut("spec"));
    specs.try_for_each(|spec| change(spec, work.context))
}

fn change(spec: &mut Value, context: &super::Context) -> Result<(), ActionError> {
    let Some(class) = spec.get_mut("storageClassName") else { return Ok(()) };
    if let Some(other) = context.storage_classes.changed(class.as_str().unwrap_or_default())? {
        *class = Value::String(other.to_owned());
    }
    Ok(())
}

/// `velero.io/pvc` and the resetting of the binding: the claim is bound anew, to its volume if that is restored or
/// there, else to one that the provisioner makes. Its volume comes before it.
pub(super) fn unbind_claim(work: &mut Work<'_>) -> Result<(), ActionError> {
    let claim = &mut work.made.object;
    object::remove_annotations(claim, &OF_CLAIM);
    let volume = object::text(claim, &["spec", "volumeName"]).unwrap_or_default().to_owned();
    if volume.is_empty() {
        return Ok(());
    }
    let volumes = &work.context.volumes;
    if volumes.provisioned(&volume).is_some() {
        object::remove(claim, &["spec", "volumeName"]);
    }
    let bound = work.status.and_then(|status| object::text(status, &["phase"])) == Some("Bound");
    if bound {
        work.made.data_left_out = volumes.no_data(&volume).map(|reason| DataLeftOut {
            namespace: work.target.to_owned(),
            claim: object::name(claim).to_owned(),
            volume: volume.clone(),
            reason,
        });
        let resource = "persistentvolumes".to_owned();
        work.made.related.push(ItemRef { resource, namespace: None, name: volume });
    }
    Ok(())
}

/// A volume that is restored as it is waits for its claim, in the namespace that the claim goes to.
pub(super) fn unbind_volume(work: &mut Work<'_>) -> Result<(), ActionError> {
    let volume = &mut work.made.object;
    object::remove_annotations(volume, &OF_VOLUME);
    if let Some(claim) = object::at_mut(volume, &["spec", "claimRef"]) {
        object::remove(claim, &["uid"]);
        object::remove(claim, &["resourceVersion"]);
        if let Some(namespace) = claim.get_mut("namespace")
            && let Some(other) = namespace.as_str().and_then(|name| work.context.plan.mapping.get(name))
        {
            *namespace = Value::String(other.clone());
        }
    }
    Ok(())
}
