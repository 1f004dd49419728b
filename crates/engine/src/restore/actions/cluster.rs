//! CustomResourceDefinitions and admission webhooks: repairs of what newer servers refuse.

use serde_json::Value;

use super::super::object;
use super::{ActionError, Work};

/// `velero.io/crd-preserve-fields`: v1 has no `preserveUnknownFields: true`; the schemas say it instead.
pub(super) fn preserve_unknown_fields(work: &mut Work<'_>) -> Result<(), ActionError> {
    let crd = &mut work.made.object;
    let old = object::at(crd, &["spec", "preserveUnknownFields"]) == Some(&Value::Bool(true));
    if object::text(crd, &["apiVersion"]) != Some("apiextensions.k8s.io/v1") || !old {
        return Ok(());
    }
    object::remove(crd, &["spec", "preserveUnknownFields"]);
    for version in object::list_mut(crd, &["spec", "versions"]).into_iter().flatten() {
        let schema = object::at_mut(version, &["schema", "openAPIV3Schema"]).and_then(Value::as_object_mut);
        if let Some(schema) = schema {
            schema.insert("x-kubernetes-preserve-unknown-fields".to_owned(), true.into());
        }
    }
    Ok(())
}

/// `velero.io/admission-webhook-configuration`: v1 knows `sideEffects` None and NoneOnDryRun alone.
pub(super) fn side_effects(work: &mut Work<'_>) -> Result<(), ActionError> {
    let configuration = &mut work.made.object;
    if object::text(configuration, &["apiVersion"]) != Some("admissionregistration.k8s.io/v1") {
        return Ok(());
    }
    for webhook in object::list_mut(configuration, &["webhooks"]).into_iter().flatten() {
        let valid = matches!(object::text(webhook, &["sideEffects"]), Some("None" | "NoneOnDryRun"));
        if let (false, Some(webhook)) = (valid, webhook.as_object_mut()) {
            webhook.insert("sideEffects".to_owned(), "None".into());
        }
    }
    Ok(())
}
