//! Label and field selectors of lists and watches.

use serde_json::Value;

use crate::{
    error::{ApiError, Result},
    meta,
    registry::Resource,
    store::{Key, Object},
};

/// Which objects a list or watch is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<Requirement>,
}

#[derive(Clone, Debug)]
struct Requirement {
    key: String,
    wants: Wants,
}

#[derive(Clone, Debug)]
enum Wants {
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Present,
    Absent,
}

/// Fields beyond name and namespace that a core kind can be selected by, and where they are.
const FIELDS: [(&str, &[&str]); 8] = [
    (
        "pods",
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
    ),
    ("secrets", &["type"]),
    ("namespaces", &["status.phase"]),
    ("nodes", &["spec.unschedulable"]),
    ("jobs.batch", &["status.successful"]),
    ("replicasets.apps", &["status.replicas"]),
    (
        "events",
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
    ),
    (
        "events.events.k8s.io",
        &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
    ),
];

impl Selection {
    pub(crate) fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self> {
        let labels = parse_labels(labels)
            .map_err(|why| ApiError::bad_request(format!("unable to parse requirement: {why}")))?;
        Ok(Self { labels, fields: parse_fields(resource, fields)? })
    }

    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Reads the object's text only where something beyond labels and names is asked.
    pub(crate) fn matches(&self, key: &Key, object: &Object) -> bool {
        let labels = |requirement: &Requirement| requirement.is_met(object.meta().label(&requirement.key));
        if !self.labels.iter().all(labels) {
            return false;
        }
        let mut parsed = None;
        self.fields.iter().all(|requirement| match &*requirement.key {
            "metadata.name" => requirement.is_met(Some(key.name())),
            "metadata.namespace" => requirement.is_met(Some(key.namespace().unwrap_or_default())),
            path => {
                let object = parsed.get_or_insert_with(|| object.parse());
                requirement.is_met(Some(&field(object, path)))
            }
        })
    }
}

fn field(object: &Value, path: &str) -> String {
    if path == "source" {
        // Who reports an event is named in one of two places.
        let component = field(object, "source.component");
        return if component.is_empty() { field(object, "reportingComponent") } else { component };
    }
    let value = path.split('.').fold(object, |value, part| &value[part]);
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A label selector that an object has, as lists take it.
pub(crate) fn text(selector: &Value) -> String {
    let labels = selector["matchLabels"].as_object().into_iter().flatten();
    let mut parts: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    for one in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = one["key"].as_str().unwrap_or_default();
        let values: Vec<_> =
            one["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let values = values.join(",");
        parts.push(match one["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",")
}

/// Where the field of this path is in what is kept.
fn kept_path(resource: &Resource, path: &str) -> String {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let first = resource.guise.kept_name(first);
    rest.map_or_else(|| first.to_owned(), |rest| format!("{first}.{rest}"))
}

impl Requirement {
    fn is_met(&self, value: Option<&str>) -> bool {
        let has = |values: &[String], value: &str| values.iter().any(|one| one == value);
        match (&self.wants, value) {
            (Wants::OneOf(values), Some(value)) => has(values, value),
            (Wants::NoneOf(values), Some(value)) => !has(values, value),
            (Wants::Present, value) => value.is_some(),
            (Wants::Absent, value) => value.is_none(),
            (Wants::OneOf(_), None) => false,
            (Wants::NoneOf(_), None) => true,
        }
    }
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<Requirement>> {
    let known = FIELDS.iter().find(|(id, _)| **id == *resource.id).map_or(&[][..], |(_, fields)| fields);
    let mut all = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (key, value, wanted) = if let Some((key, value)) = part.split_once("!=") {
            (key, value, false)
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            (key, value, true)
        } else {
            let why = format!("invalid selector: '{text}'; can't understand '{part}'");
            return Err(ApiError::bad_request(why));
        };
        if !matches!(key, "metadata.name" | "metadata.namespace") && !known.contains(&key) {
            return Err(ApiError::bad_request(format!("field label not supported: {key}")));
        }
        let values = vec![value.to_owned()];
        let wants = if wanted { Wants::OneOf(values) } else { Wants::NoneOf(values) };
        all.push(Requirement { key: kept_path(resource, key), wants });
    }
    Ok(all)
}

/// Splits at commas that are not inside parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    parts(text).into_iter().map(|part| parse_label(part.trim())).collect()
}

fn parse_label(part: &str) -> Result<Requirement, String> {
    let (key, wants) = split_label(part)?;
    if let Some(why) = meta::refuse_key(key).first() {
        return Err(format!("<nil>: Invalid value: \"{key}\": {why}"));
    }
    if let Wants::OneOf(values) | Wants::NoneOf(values) = &wants {
        for (index, value) in values.iter().enumerate() {
            if let Some(why) = meta::refuse_label_value(value) {
                return Err(format!("values[{index}][{key}]: Invalid value: \"{value}\": {why}"));
            }
        }
    }
    Ok(Requirement { key: key.to_owned(), wants })
}

fn split_label(part: &str) -> Result<(&str, Wants), String> {
    if let Some(key) = part.strip_prefix('!') {
        return Ok((key.trim(), Wants::Absent));
    }
    if let Some(list) = part.strip_suffix(')') {
        let (head, values) =
            list.split_once('(').ok_or_else(|| format!("found '{part}', expected: identifier"))?;
        let values = values.split(',').map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => Ok((key, Wants::OneOf(values))),
            (Some(key), Some("notin"), None) => Ok((key, Wants::NoneOf(values))),
            _ => Err(format!("found '{part}', expected: in, notin, =, ==, !=, gt, lt")),
        };
    }
    let one = |value: &str| vec![value.trim().to_owned()];
    if let Some((key, value)) = part.split_once("!=") {
        return Ok((key.trim(), Wants::NoneOf(one(value))));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok((key.trim(), Wants::OneOf(one(value))));
    }
    if let Some((_, rest)) = part.split_once(char::is_whitespace) {
        return Err(format!("found '{}', expected: in, notin, =, ==, !=, gt, lt", rest.trim()));
    }
    if part.is_empty() {
        return Err("found '', expected: !, identifier, or 'end of string'".to_owned());
    }
    Ok((part, Wants::Present))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        registry::Types,
        store::{Content, Store},
    };

    fn select(labels: &str, fields: &str) -> Result<Selection> {
        Selection::parse(&Types::default().by_id("secrets").unwrap(), labels, fields)
    }

    fn selects(labels: &str, fields: &str) -> bool {
        let object =
            json!({"metadata": {"name": "x", "labels": {"app": "web", "tier": "a"}}, "type": "Opaque"});
        let key = Key::new(&"secrets".into(), "default/x");
        let mut store = Store::default();
        let object = store.put(&key, Content::new(object));
        select(labels, fields).unwrap().matches(&key, &object)
    }

    #[test]
    fn labels_are_selected_by_equality_sets_and_presence() {
        for (labels, expected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier!=b", true),
            ("app!=web", false),
            ("app in (web,db)", true),
            ("app notin (web, db)", false),
            ("other notin (web)", true),
            ("tier", true),
            ("!tier", false),
            ("!other", true),
            ("other", false),
        ] {
            assert_eq!(selects(labels, ""), expected, "{labels}");
        }
    }

    #[test]
    fn fields_are_selected_by_equality() {
        assert!(selects("", "metadata.name=x,type=Opaque"));
        assert!(!selects("", "metadata.name!=x"));
    }

    #[test]
    fn a_selector_is_written_as_lists_take_it() {
        let expressions = |operator: &str| {
            json!({"matchLabels": {"b": "2", "a": "1"},
                   "matchExpressions": [{"key": "c", "operator": operator, "values": ["x", "y"]}]})
        };
        for (operator, written) in [
            ("In", "a=1,b=2,c in (x,y)"),
            ("NotIn", "a=1,b=2,c notin (x,y)"),
            ("Exists", "a=1,b=2,c"),
            ("DoesNotExist", "!c,a=1,b=2"),
        ] {
            assert_eq!(text(&expressions(operator)), written);
        }
        assert_eq!(text(&json!({})), "");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (labels, fields) in
            [("a b", ""), ("app in web)", ""), ("-=x", ""), ("", "spec.x=1"), ("", "name")]
        {
            assert_eq!(select(labels, fields).unwrap_err().code, 400, "{labels} {fields}");
        }
    }
}
