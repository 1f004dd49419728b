//! What the server does for single core kinds, beyond what is true of all.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::{
    error::{FieldError, Why},
    meta,
    registry::{CRDS, Resource, crd},
    verbs::Part,
};

/// The label by which a namespace is selected by name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Sets what only the server decides about a new object.
pub(crate) fn prepare(resource: &Resource, object: &mut Value) {
    let status = match &*resource.id {
        "namespaces" => {
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            json!({"phase": "Active"})
        }
        "pods" => json!({"phase": "Pending", "qosClass": "BestEffort"}),
        "persistentvolumeclaims" | "persistentvolumes" => json!({"phase": "Pending"}),
        "services" | "ingresses.networking.k8s.io" => json!({"loadBalancer": {}}),
        CRDS => {
            json!({"conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": crd::stored(object)})
        }
        _ if resource.habits.core && resource.versions.iter().any(|version| version.status) => json!({}),
        _ => return,
    };
    object["status"] = status;
}

/// Fills in what a kind has without being told.
pub(crate) fn complete(resource: &Resource, object: &mut Value) {
    if let (Value::Object(object), Value::Object(always)) = (&mut *object, always(resource)) {
        for (field, value) in always {
            object.entry(field).or_insert(value);
        }
    }
    match &*resource.id {
        CRDS => crd::complete(object),
        "secrets" => {
            complete_secret(object);
        }
        "namespaces" => {
            let name = meta::text(object, "name").to_owned();
            let labels = meta::of(object).entry("labels").or_insert_with(|| json!({}));
            labels[NAMESPACE_NAME] = name.into();
        }
        _ => {}
    }
}

/// What objects of a kind have even where nobody says it, beyond what their schema tells.
pub(crate) fn always(resource: &Resource) -> Value {
    let mut fields = match &*resource.kept {
        "events" => json!({"source": {}, "firstTimestamp": null, "lastTimestamp": null, "eventTime": null}),
        _ => json!({}),
    };
    resource.guise.show(&mut fields);
    fields
}

/// `stringData` is for writing only: it becomes `data`.
fn complete_secret(object: &mut Value) {
    let Value::Object(fields) = object else { return };
    fields.entry("type").or_insert_with(|| "Opaque".into());
    if let Some(Value::Object(texts)) = fields.remove("stringData") {
        let data = fields.entry("data").or_insert_with(|| json!({}));
        for (key, text) in texts {
            data[key] = BASE64_STANDARD.encode(text.as_str().unwrap_or_default()).into();
        }
    }
}

/// Gives back what an update of the kind can't change.
pub(crate) fn keep(resource: &Resource, part: Part, old: &Value, object: &mut Value) {
    match &*resource.id {
        "namespaces" if part == Part::Whole => object["spec"] = old["spec"].clone(),
        CRDS if part == Part::Whole => crd::keep_stored(old, object),
        _ => {}
    }
}

/// What is wrong with an object of the kind, or with the change from `old`.
pub(crate) fn check(resource: &Resource, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    match &*resource.id {
        CRDS => crd::check(object),
        "configmaps" | "secrets" => check_data(object, old),
        "namespaces" if object["status"]["phase"] == "Terminating" && !meta::is_terminating(object) => {
            let detail = "may only be 'Active' if `deletionTimestamp` is empty";
            vec![FieldError::invalid("status.Phase", &object["status"]["phase"], detail)]
        }
        _ => Vec::new(),
    }
}

fn check_data(object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for field in ["data", "binaryData"] {
        for key in object[field].as_object().into_iter().flatten().map(|(key, _)| key) {
            let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if key.is_empty() || !key.chars().all(named) {
                let detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                              'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                              '[-._a-zA-Z0-9]+')";
                errors.push(FieldError::invalid(format!("{field}[{key}]"), &(&**key).into(), detail));
            }
        }
    }
    let Some(old) = old.filter(|old| old["immutable"] == true) else { return errors };
    let fixed = |field: &str| {
        FieldError::new(Why::Forbidden, field, &Value::Null, "field is immutable when `immutable` is set")
    };
    if object["immutable"] != true {
        errors.push(fixed("immutable"));
    }
    errors.extend(["data", "binaryData"].into_iter().filter(|field| object[field] != old[field]).map(fixed));
    errors
}
