//! CustomResourceDefinitions: what is filled in and refused, and what their status says.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    error::{FieldError, Why},
    schema::Rules,
};

/// The type of the definitions themselves.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Fills in the names that a definition may leave out, and the status that a new one has.
pub(crate) fn complete(definition: &mut Value) {
    let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
    if let Value::Object(names) = &mut definition["spec"]["names"] {
        names.entry("singular").or_insert_with(|| kind.to_lowercase().into());
        names.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    }
    if let Value::Object(spec) = &mut definition["spec"] {
        spec.entry("conversion").or_insert_with(|| json!({"strategy": "None"}));
    }
}

/// What the definition gets wrong.
pub(crate) fn check(definition: &Value) -> Vec<FieldError> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let name = text(&definition["metadata"]["name"]);
    let mut errors = Vec::new();
    if name != format!("{plural}.{group}") {
        let detail = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", &name.into(), detail));
    }
    if group.is_empty() {
        errors.push(FieldError::required("spec.group", ""));
    }
    if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        let detail = "supported values: \"Cluster\", \"Namespaced\"";
        errors.push(FieldError::new(Why::NotSupported, "spec.scope", &spec["scope"], detail));
    }
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &spec["versions"], detail));
    }
    for (index, version) in versions.iter().enumerate() {
        let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
        let schema = &version["schema"]["openAPIV3Schema"];
        if !schema.is_object() {
            errors.push(FieldError::required(field, "schemas are required"));
            continue;
        }
        if schema["type"] != "object" {
            let detail = "must be object at the root";
            errors.push(FieldError::invalid(format!("{field}.type"), &schema["type"], detail));
        }
        for fault in Rules::compile(schema).iter().flat_map(Rules::faults) {
            errors.push(FieldError::invalid(
                format!("{field}.x-kubernetes-validations"),
                &Value::Null,
                &fault,
            ));
        }
    }
    errors
}

/// Says that the objects of a definition are being deleted.
pub(crate) fn terminate(definition: &mut Value, now: Timestamp) {
    let condition = json!({
        "type": "Terminating", "status": "True", "lastTransitionTime": crate::meta::time(now),
        "reason": "InstanceDeletionPending", "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
    });
    if let Some(Value::Array(conditions)) = definition["status"].get_mut("conditions") {
        conditions.push(condition);
    }
}

/// The versions in which objects are kept.
pub(crate) fn stored(definition: &Value) -> Value {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|version| version["storage"] == true).map(|version| version["name"].clone()).collect()
}

/// The status of a definition whose names are taken and whose type is served.
pub(crate) fn status_of(definition: &Value, now: Timestamp) -> Value {
    let names = definition["spec"]["names"].clone();
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "lastTransitionTime": crate::meta::time(now), "reason": reason,
               "message": message})
    };
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": names,
        "storedVersions": stored(definition),
    })
}
