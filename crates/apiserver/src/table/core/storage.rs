//! Volumes.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells::{age, elements, name, or};

/// The modes in which a volume can be used, in their short forms.
fn modes(value: &Value) -> Value {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| elements(value).any(|one| one == mode);
    let short: Vec<&str> = SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    short.join(",").into()
}

pub(super) fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let is_bound = spec["volumeName"].as_str().is_some_and(|name| !name.is_empty());
    let phase = if crate::meta::is_terminating(object) { &json!("Terminating") } else { &status["phase"] };
    let bound = |value: Value| if is_bound { value } else { "".into() };
    vec![
        name(object),
        or(phase, ""),
        or(&spec["volumeName"], ""),
        bound(or(&status["capacity"]["storage"], "")),
        bound(modes(&status["accessModes"])),
        or(&spec["storageClassName"], ""),
        or(&spec["volumeAttributesClassName"], "<unset>"),
        age(object, now),
        or(&spec["volumeMode"], "<unset>"),
    ]
}

pub(super) fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = if crate::meta::is_terminating(object) { &json!("Terminating") } else { &status["phase"] };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let claim = match &spec["claimRef"] {
        Value::Null => String::new(),
        claim => format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])),
    };
    vec![
        name(object),
        or(&spec["capacity"]["storage"], ""),
        modes(&spec["accessModes"]),
        or(&spec["persistentVolumeReclaimPolicy"], ""),
        or(phase, ""),
        claim.into(),
        or(&spec["storageClassName"], ""),
        or(&spec["volumeAttributesClassName"], "<unset>"),
        or(&status["reason"], ""),
        age(object, now),
        or(&spec["volumeMode"], "<unset>"),
    ]
}

pub(super) fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    let mut shown = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if object["metadata"]["annotations"][DEFAULT] == "true" {
        shown.push_str(" (default)");
    }
    vec![
        shown.into(),
        or(&object["provisioner"], ""),
        or(&object["reclaimPolicy"], "Delete"),
        or(&object["volumeBindingMode"], "Immediate"),
        (object["allowVolumeExpansion"] == true).into(),
        age(object, now),
    ]
}
