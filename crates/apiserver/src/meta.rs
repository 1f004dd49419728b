//! Reading and writing `metadata`, and the rules for names, labels and annotations.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde_json::{Map, Value};

use crate::{
    error::FieldError,
    store::{FOREGROUND, ORPHAN},
};

/// Longest `metadata.annotations`, keys and values together, in bytes.
const ANNOTATIONS: usize = 256 << 10;
/// Finalizers without a domain.
const STANDARD_FINALIZERS: [&str; 3] = ["foregroundDeletion", "orphan", "kubernetes"];
/// A name that objects of most kinds must have.
pub(crate) const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
     and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
     and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
     must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
     validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// Most levels of an object. `managedFields` repeat them with a few more, and what is kept has to be readable as JSON,
/// which has its own limit of 128.
pub(crate) const DEEPEST: usize = 100;

/// Whether a value has more levels than these.
pub(crate) fn is_deeper_than(value: &Value, levels: usize) -> bool {
    let mut next = vec![(value, 1)];
    while let Some((value, level)) = next.pop() {
        if level > levels {
            return true;
        }
        match value {
            Value::Object(fields) => next.extend(fields.values().map(|field| (field, level + 1))),
            Value::Array(elements) => next.extend(elements.iter().map(|element| (element, level + 1))),
            _ => {}
        }
    }
    false
}

/// A time as `metadata` has it: UTC, whole seconds.
pub(crate) fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A text of `metadata`; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

/// `metadata`, made where it is missing or not an object.
pub(crate) fn of(object: &mut Value) -> &mut Map<String, Value> {
    let metadata = &mut object["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    match metadata {
        Value::Object(fields) => fields,
        _ => unreachable!("it was made an object just now"),
    }
}

/// Gives a field of `metadata` the value that it has in another object, or takes it away.
pub(crate) fn copy(from: &Value, to: &mut Value, field: &str) {
    match from["metadata"].get(field) {
        Some(value) => of(to).insert(field.to_owned(), value.clone()),
        None => of(to).remove(field),
    };
}

pub(crate) fn is_terminating(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Adds a finalizer, once.
pub(crate) fn add_finalizer(object: &mut Value, finalizer: &str) {
    if !finalizers(object).contains(&finalizer) {
        let finalizers = of(object).entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = finalizers {
            all.push(finalizer.into());
        }
    }
}

/// Takes a finalizer away.
pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    if let Some(Value::Array(all)) = of(object).get_mut("finalizers") {
        all.retain(|one| one != finalizer);
        if all.is_empty() {
            of(object).remove("finalizers");
        }
    }
}

/// What names are allowed for a kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    /// A DNS subdomain of at most 253 characters.
    Subdomain,
    /// A DNS label of at most 63.
    Label,
    /// A path segment: anything but `.`, `..`, `/` and `%`.
    Segment,
}

impl NameRule {
    pub(crate) fn of(resource: &str) -> Self {
        match resource {
            "namespaces" => Self::Label,
            _ if resource.ends_with(".rbac.authorization.k8s.io") => Self::Segment,
            _ => Self::Subdomain,
        }
    }

    /// What is wrong with the name.
    pub(crate) fn refuse(self, name: &str) -> Option<String> {
        let too_long =
            |max: usize| (name.len() > max).then(|| format!("must be no more than {max} characters"));
        match self {
            Self::Subdomain => too_long(253).or_else(|| (!is_subdomain(name)).then(|| SUBDOMAIN.to_owned())),
            Self::Label if name.contains('.') => Some("must not contain dots".to_owned()),
            Self::Label => too_long(63).or_else(|| (!is_label(name)).then(|| LABEL.to_owned())),
            Self::Segment if matches!(name, "." | "..") => Some(format!("may not be '{name}'")),
            Self::Segment => {
                ['/', '%'].iter().find(|c| name.contains(**c)).map(|c| format!("may not contain '{c}'"))
            }
        }
    }
}

/// What `metadata` gets wrong, of a core kind or another.
pub(crate) fn check(object: &Value, rule: NameRule, core: bool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = text(object, "name");
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else if let Some(why) = rule.refuse(name) {
        errors.push(FieldError::invalid("metadata.name", &name.into(), &why));
    }
    let maps = |field: &str| object["metadata"][field].as_object().into_iter().flatten();
    for (key, value) in maps("labels") {
        errors.extend(
            refuse_key(key)
                .into_iter()
                .map(|why| FieldError::invalid("metadata.labels", &(&**key).into(), &why)),
        );
        errors.extend(
            refuse_label_value(value.as_str().unwrap_or_default())
                .map(|why| FieldError::invalid("metadata.labels", value, &why)),
        );
    }
    let mut size = 0;
    for (key, value) in maps("annotations") {
        size += key.len() + value.as_str().map_or(0, str::len);
        // Annotations were once allowed in upper case, and still are.
        let why = refuse_key(&key.to_lowercase());
        errors.extend(
            why.into_iter().map(|why| FieldError::invalid("metadata.annotations", &(&**key).into(), &why)),
        );
    }
    if size > ANNOTATIONS {
        let detail = format!("may not be more than {ANNOTATIONS} bytes");
        errors.push(FieldError::new(
            crate::error::Why::TooLong,
            "metadata.annotations",
            &Value::Null,
            &detail,
        ));
    }
    for (index, finalizer) in finalizers(object).into_iter().enumerate() {
        let shown = finalizer.into();
        let errors_of = refuse_key(finalizer);
        errors.extend(errors_of.iter().map(|why| FieldError::invalid("metadata.finalizers", &shown, why)));
        if core && !finalizer.contains('/') && !STANDARD_FINALIZERS.contains(&finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(FieldError::invalid(format!("metadata.finalizers[{index}]"), &shown, why));
        }
    }
    if [FOREGROUND, ORPHAN].iter().all(|one| finalizers(object).contains(one)) {
        let why = format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set");
        errors.push(FieldError::invalid("metadata.finalizers", &object["metadata"]["finalizers"], &why));
    }
    errors.extend(check_owners(object));
    errors
}

fn check_owners(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut controller = None;
    let text = |owner: &Value, field: &str| owner[field].as_str().unwrap_or_default().to_owned();
    let owners = object["metadata"]["ownerReferences"].as_array();
    for (index, owner) in owners.into_iter().flatten().enumerate() {
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let at = format!("metadata.ownerReferences[{index}].{field}");
                errors.push(FieldError::invalid(at, &"".into(), why));
            }
        }
        if owner["controller"] == true {
            let named = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            match &controller {
                None => controller = Some(named),
                Some(first) => {
                    let why = format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} \
                         and {named}"
                    );
                    errors.push(FieldError::shown("metadata.ownerReferences", &shown_owners(object), &why));
                }
            }
        }
    }
    errors
}

/// Owners in the order of fields that kube-apiserver shows them in.
fn shown_owners(object: &Value) -> String {
    let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let shown = |owner: &Value| {
        let fields = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
        let fields = fields.iter().filter_map(|name| Some(format!("\"{name}\":{}", owner.get(name)?)));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    };
    format!("[{}]", owners.map(shown).collect::<Vec<_>>().join(","))
}

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

fn is_label(text: &str) -> bool {
    static PATTERN: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").ok());
    matches(&PATTERN, text)
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// What is wrong with the key of a label or annotation.
pub(crate) fn refuse_key(key: &str) -> Vec<String> {
    static NAME: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new("^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$").ok());
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.contains('/') {
        let shape = QUALIFIED.trim_start_matches("name part ");
        return vec![format!(
            "a valid label key {shape} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    let mut errors = Vec::new();
    match prefix {
        Some("") => errors.push("prefix part must be non-empty".to_owned()),
        Some(prefix) if prefix.len() > 253 => {
            errors.push("prefix part must be no more than 253 bytes".to_owned());
        }
        Some(prefix) if !is_subdomain(prefix) => errors.push(format!("prefix part {SUBDOMAIN}")),
        _ => {}
    }
    if name.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if name.len() > 63 {
        errors.push("name part must be no more than 63 bytes".to_owned());
    }
    if !matches(&NAME, name) {
        errors.push(QUALIFIED.to_owned());
    }
    errors
}

/// What is wrong with the value of a label.
pub(crate) fn refuse_label_value(value: &str) -> Option<String> {
    static VALUE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$").ok());
    if value.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!matches(&VALUE, value)).then(|| LABEL_VALUE.to_owned())
}
