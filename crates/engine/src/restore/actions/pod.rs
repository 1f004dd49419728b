//! Pods: their node, their token, what they need, and the init containers that hooks give them.

use serde_json::Value;

use super::super::hooks;
use super::super::object;
use super::super::transform::ItemRef;
use super::{ActionError, Work};

/// `velero.io/add-pvc-from-pod`: its claims are restored before it.
pub(super) fn add_claims(work: &mut Work<'_>) -> Result<(), ActionError> {
    let volumes = object::list(&work.made.object, &["spec", "volumes"]);
    let claims =
        volumes.iter().filter_map(|volume| object::text(volume, &["persistentVolumeClaim", "claimName"]));
    work.made.related.extend(claims.map(|name| ItemRef {
        resource: "persistentvolumeclaims".to_owned(),
        namespace: Some(work.source.to_owned()),
        name: name.to_owned(),
    }));
    Ok(())
}

/// `velero.io/init-restore-hook`: before the pod's own init containers. Which namespaces a hook applies to is
/// asked of the one that the pod goes to.
pub(super) fn add_init_containers(work: &mut Work<'_>) -> Result<(), ActionError> {
    let plan = &work.context.plan;
    let pod = &mut work.made.object;
    let seed = format!("{} {} {}", plan.restore, work.target, object::name(pod));
    let mut containers = hooks::init_containers(pod, work.target, &plan.hooks, &seed);
    if !containers.is_empty()
        && let Some(spec) = object::map_mut(pod, &["spec"])
    {
        let own = spec.remove("initContainers");
        containers.extend(own.and_then(|own| own.as_array().cloned()).unwrap_or_default());
        spec.insert("initContainers".to_owned(), containers.into());
    }
    Ok(())
}

/// `velero.io/pod`: not bound to a node, its priority and token given anew; its PriorityClass before it.
pub(super) fn reset(work: &mut Work<'_>) -> Result<(), ActionError> {
    let pod = &mut work.made.object;
    object::remove(pod, &["spec", "nodeName"]);
    object::remove(pod, &["spec", "priority"]);
    let account = object::text(pod, &["spec", "serviceAccountName"]).unwrap_or_default();
    let prefix = format!("{account}-token-");
    let Some(spec) = object::at_mut(pod, &["spec"]) else { return Ok(()) };
    keep(spec, "volumes", |volume| !begins(volume, &prefix));
    for list in ["containers", "initContainers"] {
        for container in object::list_mut(spec, &[list]).into_iter().flatten() {
            keep(container, "volumeMounts", |mount| !begins(mount, &prefix));
        }
    }
    let class = object::text(spec, &["priorityClassName"]).filter(|name| !name.is_empty());
    work.made.related.extend(class.map(|name| ItemRef {
        resource: "priorityclasses.scheduling.k8s.io".to_owned(),
        namespace: None,
        name: name.to_owned(),
    }));
    Ok(())
}

/// `velero.io/pod-volume-restore`, as far as no data is restored: an init container that an earlier restore put in
/// to wait for it would wait for ever.
pub(super) fn no_wait(work: &mut Work<'_>) -> Result<(), ActionError> {
    if let Some(spec) = object::at_mut(&mut work.made.object, &["spec"]) {
        keep(spec, "initContainers", |container| {
            !matches!(object::text(container, &["name"]), Some("restore-wait" | "restic-wait"))
        });
    }
    Ok(())
}

fn begins(named: &Value, prefix: &str) -> bool {
    object::text(named, &["name"]).is_some_and(|name| name.starts_with(prefix))
}

/// Drops the elements of a list that are not kept, and the list if none is left.
fn keep(parent: &mut Value, list: &str, kept: impl Fn(&Value) -> bool) {
    let Some(elements) = object::list_mut(parent, &[list]) else { return };
    elements.retain(kept);
    if elements.is_empty() {
        object::remove(parent, &[list]);
    }
}
