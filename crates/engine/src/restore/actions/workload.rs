//! Workloads: images that are changed, and what ties a Job to the one that was.

use serde_json::Value;

use super::super::mapping::Images;
use super::super::object;
use super::{ActionError, Work};

/// Where a kind has its pod's spec.
fn pod_spec(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &["spec"],
        "CronJob" => &["spec", "jobTemplate", "spec", "template", "spec"],
        _ => &["spec", "template", "spec"],
    }
}

/// `velero.io/change-image-name`: of containers and init containers.
pub(super) fn change_images(work: &mut Work<'_>) -> Result<(), ActionError> {
    let images = &work.context.images;
    images.check()?;
    let path = pod_spec(object::kind(&work.made.object));
    let Some(spec) = object::at_mut(&mut work.made.object, path) else { return Ok(()) };
    for list in ["containers", "initContainers"] {
        for container in object::list_mut(spec, &[list]).into_iter().flatten() {
            change_image(container, images)?;
        }
    }
    Ok(())
}

fn change_image(container: &mut Value, images: &Images) -> Result<(), ActionError> {
    let Some(image) = container.get_mut("image") else { return Ok(()) };
    if let Some(other) = images.changed(image.as_str().unwrap_or_default())? {
        *image = Value::String(other);
    }
    Ok(())
}

/// `velero.io/job`: a new Job gets a new UID, and its labels tell of it.
pub(super) fn forget_controller(work: &mut Work<'_>) -> Result<(), ActionError> {
    for labels in [&["spec", "selector", "matchLabels"][..], &["spec", "template", "metadata", "labels"]] {
        if let Some(labels) = object::at_mut(&mut work.made.object, labels).and_then(Value::as_object_mut) {
            labels.remove("controller-uid");
            labels.remove("batch.kubernetes.io/controller-uid");
        }
    }
    Ok(())
}
