//! What differs from run to run, replaced by what does not.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// Stands for a version that goes on by what others write.
const CURRENT: &str = "<current>";

/// Longest text that is recorded as it is, in bytes.
const LONG: usize = 20_000;

/// UIDs, times, generated names, and numbers of versions inside texts.
static PATTERNS: LazyLock<[Option<Regex>; 7]> = LazyLock::new(|| {
    [
        "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
        "generated-[a-z0-9]{5}",
        r"((?:resourceVersion=|continue=|resource version: |too old resource version: \d+ |current: |object meta: |ResourceVersion in precondition: |ResourceVersion in record |larger than max )\(?)[0-9A-Za-z]+",
        // Where the server keeps an object in its etcd.
        "Key: [^,]*",
        // What a JSON decoder says is its own affair; that it refuses is not.
        r"(?s)((?:json parse error|error decoding YAML|yaml|error decoding patch|but isn't|compilation failed|continue key is not valid): |cannot be handled as an? \w+: (?:[^s]))(.*)$",
        // In which form a rule or a list of versions is shown.
        r#"Invalid value: (?:\{"[Rr]ule":.*?\}|\[\{.*?\}\]): (compilation|oldSelf|must have exactly)"#,
    ]
    .map(|pattern| Regex::new(pattern).ok())
});

fn replaced(pattern: &Option<Regex>, text: &str, by: impl FnMut(&Captures<'_>) -> String) -> String {
    pattern.as_ref().map_or_else(|| text.to_owned(), |pattern| pattern.replace_all(text, by).into_owned())
}

/// Stands for what differs from run to run: UIDs, versions, times, generated names.
#[derive(Default)]
pub(super) struct Names {
    uids: Vec<String>,
    versions: Vec<String>,
}

impl Names {
    pub(super) fn normal(&mut self, value: &Value, key: &str) -> Value {
        match value {
            Value::Object(fields) => {
                let is_list = fields.contains_key("items") || fields.contains_key("rows");
                let is_bookmark = fields.get("type").is_some_and(|kind| kind == "BOOKMARK");
                fields
                    .iter()
                    .map(|(name, field)| {
                        let mut field = field.clone();
                        if is_list && name == "metadata" {
                            field["resourceVersion"] = CURRENT.into();
                        }
                        if is_bookmark && name == "object" {
                            field["metadata"]["resourceVersion"] = CURRENT.into();
                        }
                        let field = self.normal(&field, name);
                        (self.text(name), field)
                    })
                    .collect()
            }
            // What a column is about is documentation.
            Value::Array(columns) if key == "columnDefinitions" => columns
                .iter()
                .map(|column| {
                    let mut column = column.clone();
                    column["description"] = "<words>".into();
                    column
                })
                .collect(),
            Value::String(age) if key == "cells" && is_age(age) => "<age>".into(),
            // Sorted by a time of whole seconds, by which two servers differ.
            Value::Array(elements) if key == "managedFields" => {
                let mut sorted: Vec<&Value> = elements.iter().collect();
                sorted.sort_by_key(|one| (one["manager"].to_string(), one["operation"].to_string()));
                sorted.into_iter().map(|element| self.normal(element, "")).collect()
            }
            Value::Array(elements) => elements.iter().map(|element| self.normal(element, key)).collect(),
            Value::String(_) if key == "continue" => "<token>".into(),
            Value::String(version) if key == "resourceVersion" && version != CURRENT => {
                self.version(version).into()
            }
            Value::String(text) => self.text(text).into(),
            other => other.clone(),
        }
    }

    fn version(&mut self, version: &str) -> String {
        format!("<version {}>", place(&mut self.versions, version))
    }

    fn text(&mut self, text: &str) -> String {
        if text.len() > LONG {
            return format!("<{} bytes>", text.len());
        }
        let [uid, time, generated, number, key, words, shown] = &*PATTERNS;
        let text =
            replaced(uid, text, |found: &Captures<'_>| format!("<uid {}>", place(&mut self.uids, &found[0])));
        let text = replaced(time, &text, |_| "<time>".to_owned());
        let text = replaced(generated, &text, |_| "generated-<letters>".to_owned());
        let text = replaced(number, &text, |found| format!("{}<number>", &found[1]));
        let text = replaced(key, &text, |_| "Key: <key>".to_owned());
        let text = replaced(shown, &text, |found| format!("Invalid value: <shown>: {}", &found[1]));
        replaced(words, &text, |found| format!("{}<words>", found[1].trim_end_matches(|c| c != ' ')))
    }
}

fn is_age(text: &str) -> bool {
    text.strip_suffix('s').is_some_and(|seconds| seconds.parse::<u32>().is_ok())
}

/// The number of a text, counted by first appearance.
fn place(seen: &mut Vec<String>, text: &str) -> usize {
    let found = seen.iter().position(|one| one == text);
    1 + found.unwrap_or_else(|| {
        seen.push(text.to_owned());
        seen.len() - 1
    })
}
