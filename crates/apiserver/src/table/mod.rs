//! Tables for people: what `kubectl get` prints.

mod age;
mod core;
mod path;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    http::{IncludeObject, metadata},
    registry::Column,
    verbs::{Call, Part},
};
pub(crate) use path::JsonPath;

/// A column of a core kind: its name, its type, and whether only wide tables have it.
type Heading = (&'static str, &'static str, bool);

/// How the objects of a kind are shown.
enum Layout<'a> {
    /// A core kind that people look at.
    Core(&'static core::Kind),
    /// The columns that a definition has.
    Custom(&'a [Column]),
    /// A core kind that nobody says more of.
    Plain,
}

/// The table of some objects.
pub(crate) fn of(call: &Call, objects: &[Value], list: &Value, now: Timestamp) -> Value {
    let shown = if call.part == Part::Scale { core::SCALES } else { &call.resource.kept };
    let layout = match core::kind(shown) {
        Some(kind) => Layout::Core(kind),
        None if call.resource.habits.core => Layout::Plain,
        None => Layout::Custom(&call.version().columns),
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let mut row = json!({"cells": layout.cells(&call.kept(object.clone()), now), "object": null});
            row["object"] = match call.params.include_object {
                IncludeObject::Nothing => Value::Null,
                IncludeObject::Metadata => metadata(object),
                IncludeObject::Whole => {
                    let mut object = object.clone();
                    object["kind"] = (*call.resource.kind).into();
                    object["apiVersion"] = call.api_version().into();
                    object
                }
            };
            row
        })
        .collect();
    let metadata = if list.is_null() {
        json!({"resourceVersion": objects.first().map(|object| &object["metadata"]["resourceVersion"])})
    } else {
        list.clone()
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": layout.headings(),
        // Of a kind that nobody says more of, no rows are not even an empty list.
        "rows": if rows.is_empty() && matches!(layout, Layout::Plain) { Value::Null } else { rows.into() },
    })
}

impl Layout<'_> {
    fn headings(&self) -> Vec<Value> {
        let heading = |name: &str, kind: &str, format: &str, description: &str, priority: i64| json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority});
        let name = heading("Name", "string", "name", "", 0);
        match self {
            Self::Plain => vec![name, heading("Created At", "date", "", "", 0)],
            Self::Core(kind) => kind
                .headings
                .iter()
                .map(|(name, kind, wide)| {
                    let format = if *name == "Name" { "name" } else { "" };
                    heading(name, kind, format, "", i64::from(*wide))
                })
                .collect(),
            Self::Custom([]) => vec![name, heading("Age", "date", "", "", 0)],
            Self::Custom(columns) => {
                let own =
                    |one: &Column| heading(&one.name, &one.kind, &one.format, &one.description, one.priority);
                std::iter::once(name).chain(columns.iter().map(own)).collect()
            }
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let name = || object["metadata"]["name"].clone();
        let created = &object["metadata"]["creationTimestamp"];
        match self {
            Self::Plain => vec![name(), created.clone()],
            Self::Core(kind) => (kind.cells)(object, now),
            Self::Custom([]) => vec![name(), age::since(created, now).into()],
            Self::Custom(columns) => {
                std::iter::once(name()).chain(columns.iter().map(|one| cell(one, object, now))).collect()
            }
        }
    }
}

/// What the path of a column leads to first, in the type of the column.
fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let found = column.path.as_ref().map(|path| path.find(object)).unwrap_or_default();
    let Some(found) = found.first() else { return Value::Null };
    match (&*column.kind, found) {
        ("string", Value::String(_)) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => {
            (*found).clone()
        }
        ("string", Value::Null) => "".into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(number)) => number
            .as_i64()
            .or_else(|| {
                number.as_f64().map(|float| float.trunc()).and_then(|float| format!("{float}").parse().ok())
            })
            .map_or(Value::Null, Value::from),
        ("date", time @ Value::String(_)) => age::since(time, now).into(),
        _ => Value::Null,
    }
}
