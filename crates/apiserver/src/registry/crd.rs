//! CustomResourceDefinitions: what is filled in and refused, and what their status says.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::structural;
use crate::{
    error::{FieldError, Why},
    meta::NameRule,
    shared,
    table::JsonPath,
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
    } else if let Some(why) = NameRule::Subdomain.refuse(&group) {
        errors.push(FieldError::invalid("spec.group", &group.into(), &why));
    } else if !group.contains('.') {
        let detail = "should be a domain with at least one dot";
        errors.push(FieldError::invalid("spec.group", &group.into(), detail));
    }
    if !matches!(spec["scope"].as_str(), Some("Namespaced" | "Cluster")) {
        let detail = "supported values: \"Cluster\", \"Namespaced\"";
        errors.push(FieldError::new(Why::NotSupported, "spec.scope", &spec["scope"], detail));
    }
    check_versions(spec, &mut errors);
    errors
}

/// Where the parts of versions are that are the same in all of them: beside the versions, where they once were.
fn place(versions: &[Value], index: usize, part: &str, pointer: &str) -> Option<String> {
    let of = |version: &Value| version.pointer(pointer).cloned();
    let same = versions.iter().all(|version| of(version) == versions.first().and_then(of));
    match (same, index) {
        (true, 0) => Some(format!("spec.{part}")),
        (true, _) => None,
        (false, _) => {
            let part = if part == "validation" { "schema" } else { part };
            Some(format!("spec.versions[{index}].{part}"))
        }
    }
}

fn check_versions(spec: &Value, errors: &mut Vec<FieldError>) {
    let versions = spec["versions"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, version) in versions.iter().enumerate() {
        if !version["schema"]["openAPIV3Schema"].is_object() {
            let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
            errors.push(FieldError::required(field, ""));
        }
    }
    for (index, version) in versions.iter().enumerate() {
        let name = version["name"].as_str().unwrap_or_default();
        if let Some(why) = refuse_label(name) {
            errors.push(FieldError::invalid(format!("spec.versions[{index}].name"), &name.into(), &why));
        }
    }
    let names: BTreeSet<&str> = versions.iter().filter_map(|version| version["name"].as_str()).collect();
    if names.len() < versions.len() {
        let detail = "must contain unique version names";
        errors.push(FieldError::invalid("spec.versions", &spec["versions"], detail));
    }
    let stored = versions.iter().filter(|version| version["storage"] == true).count();
    if stored != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid("spec.versions", &spec["versions"], detail));
    }
    if let Some(first) = versions.first().and_then(|version| version["name"].as_str())
        && let Some(why) = refuse_label(first)
    {
        errors.push(FieldError::invalid("spec.version", &first.into(), &why));
    }
    check_names(&spec["names"], errors);
    // What another cluster serves was checked there; the schemas are most of the work.
    if !shared::has_resource(&spec.to_string()) {
        for (index, version) in versions.iter().enumerate() {
            check_version(versions, index, version, errors);
        }
    }
    if stored == 0 {
        let detail = "must have at least one stored version";
        errors.push(FieldError::invalid("status.storedVersions", &Value::Null, detail));
    }
}

fn check_version(versions: &[Value], index: usize, version: &Value, errors: &mut Vec<FieldError>) {
    let schema = &version["schema"]["openAPIV3Schema"];
    if let Some(at) = place(versions, index, "validation", "/schema").filter(|_| schema.is_object()) {
        let at = format!("{at}.openAPIV3Schema");
        if version["subresources"]["status"].is_object() && schema["type"] != "object" {
            let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            errors.push(FieldError::invalid(format!("{at}.type"), &schema["type"], detail));
        }
        errors.extend(structural::check(schema, &at));
    }
    if let Some(at) = place(versions, index, "subresources", "/subresources")
        && version["subresources"]["scale"].is_object()
    {
        let scale = &version["subresources"]["scale"];
        for (field, root) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
            let path = scale[field].as_str().unwrap_or_default();
            let field = format!("{at}.scale.{field}");
            if path.is_empty() {
                errors.push(FieldError::required(field, ""));
            } else if !path.starts_with('.') {
                let detail = "must be a simple json path starting with .";
                errors.push(FieldError::invalid(field, &path.into(), detail));
            } else if !path.starts_with(root) {
                let detail = format!("should be a json path under {}", root.trim_end_matches('.'));
                errors.push(FieldError::invalid(field, &path.into(), &detail));
            }
        }
    }
    if let Some(at) = place(versions, index, "additionalPrinterColumns", "/additionalPrinterColumns") {
        for (column, raw) in version["additionalPrinterColumns"].as_array().into_iter().flatten().enumerate()
        {
            check_column(raw, &format!("{at}[{column}]"), errors);
        }
    }
}

fn check_column(column: &Value, at: &str, errors: &mut Vec<FieldError>) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    if column["name"].as_str().unwrap_or_default().is_empty() {
        errors.push(FieldError::required(format!("{at}.name"), ""));
    }
    match column["type"].as_str().unwrap_or_default() {
        "" => errors.push(FieldError::required(
            format!("{at}.type"),
            "must be one of boolean,date,integer,number,string",
        )),
        kind if !TYPES.contains(&kind) => {
            let detail = "must be one of boolean,date,integer,number,string";
            errors.push(FieldError::invalid(format!("{at}.type"), &kind.into(), detail));
        }
        _ => {}
    }
    let path = column["jsonPath"].as_str().unwrap_or_default();
    if path.is_empty() {
        errors.push(FieldError::required(format!("{at}.jsonPath"), ""));
    } else if JsonPath::parse(path).is_none() {
        let detail = "is an invalid json path";
        errors.push(FieldError::invalid(format!("{at}.jsonPath"), &path.into(), detail));
    }
}

fn check_names(names: &Value, errors: &mut Vec<FieldError>) {
    for field in ["plural", "singular", "kind", "listKind"] {
        let name = names[field].as_str().unwrap_or_default();
        let at = format!("spec.names.{field}");
        let is_kind = matches!(field, "kind" | "listKind");
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else if is_kind && let Some(why) = refuse_label(&name.to_lowercase()) {
            let detail = format!("may have mixed case, but should otherwise match: {why}");
            errors.push(FieldError::invalid(at, &name.into(), &detail));
        } else if !is_kind && let Some(why) = refuse_label(name) {
            errors.push(FieldError::invalid(at, &name.into(), &why));
        }
    }
    for field in ["shortNames", "categories"] {
        let all = names[field].as_array().into_iter().flatten().enumerate();
        for (index, name) in all.filter_map(|(index, name)| Some((index, name.as_str()?))) {
            if let Some(why) = refuse_label(name) {
                errors.push(FieldError::invalid(format!("spec.names.{field}[{index}]"), &name.into(), &why));
            }
        }
    }
    if !names["kind"].is_null() && names["kind"] == names["listKind"] {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid("spec.names.listKind", &names["listKind"], detail));
    }
}

/// What is wrong with a name that has to be a label that starts with a letter.
fn refuse_label(name: &str) -> Option<String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(is_inner);
    (!fits).then(|| {
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
         character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is \
         '[a-z]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
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

/// Adds the version in which objects are kept from now on to those in which some may be kept.
pub(crate) fn keep_stored(old: &Value, definition: &mut Value) {
    definition["status"] = old["status"].clone();
    let Value::Array(now) = stored(definition) else { return };
    if let Some(Value::Array(all)) = definition["status"].get_mut("storedVersions") {
        let new: Vec<Value> = now.into_iter().filter(|version| !all.contains(version)).collect();
        all.extend(new);
    }
}

/// The versions in which objects are kept.
pub(crate) fn stored(definition: &Value) -> Value {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    versions.filter(|version| version["storage"] == true).map(|version| version["name"].clone()).collect()
}

/// Whether the type of the definition is served.
pub(crate) fn is_established(definition: &Value) -> bool {
    let conditions = definition["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Established" && one["status"] == "True")
}

/// Accepts the names of a definition, as far as nobody in its group has them, and says so in its status.
pub(crate) fn accept(definition: &mut Value, is_taken: impl Fn(&str, &str) -> bool, now: Timestamp) {
    let (names, group) = (definition["spec"]["names"].clone(), definition["spec"]["group"].clone());
    let is_taken = |name: &&str| is_taken(group.as_str().unwrap_or_default(), name);
    let mut accepted = definition["status"]["acceptedNames"].clone();
    let mut conflict = None;
    for (field, reason) in [
        ("plural", "PluralConflict"),
        ("singular", "SingularConflict"),
        ("shortNames", "ShortNamesConflict"),
        ("kind", "KindConflict"),
        ("listKind", "ListKindConflict"),
    ] {
        let wanted: Vec<&str> = match &names[field] {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        let taken = wanted.into_iter().filter(is_taken).map(|name| format!("{name:?} is already in use"));
        let taken: Vec<String> = taken.collect();
        if taken.is_empty() {
            match names.get(field) {
                Some(value) => accepted[field] = value.clone(),
                None => drop(accepted.as_object_mut().and_then(|accepted| accepted.remove(field))),
            }
        } else {
            let message =
                if let [one] = &taken[..] { one.clone() } else { format!("[{}]", taken.join(", ")) };
            conflict = Some((reason, message));
        }
    }
    if let Some(categories) = names.get("categories") {
        accepted["categories"] = categories.clone();
    }
    definition["status"]["acceptedNames"] = accepted;
    let established = is_established(definition);
    match conflict {
        None => {
            set_condition(definition, "NamesAccepted", true, "NoConflicts", "no conflicts found", now);
            let message = "the initial names have been accepted";
            set_condition(definition, "Established", true, "InitialNamesAccepted", message, now);
        }
        Some((reason, message)) => {
            set_condition(definition, "NamesAccepted", false, reason, &message, now);
            if !established {
                let message = "not all names are accepted";
                set_condition(definition, "Established", false, "NotAccepted", message, now);
            }
        }
    }
}

/// Sets a condition; its time is that of the last change of its status.
fn set_condition(definition: &mut Value, kind: &str, is: bool, reason: &str, message: &str, now: Timestamp) {
    let status = if is { "True" } else { "False" };
    let mut condition = json!({"type": kind, "status": status, "lastTransitionTime": crate::meta::time(now),
                               "reason": reason, "message": message});
    let conditions = &mut definition["status"]["conditions"];
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Value::Array(conditions) = conditions else { return };
    match conditions.iter_mut().find(|one| one["type"] == kind) {
        Some(there) if there["status"] == status && there["reason"] == reason => {
            condition["lastTransitionTime"] = there["lastTransitionTime"].clone();
            *there = condition;
        }
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
}
