//! Tables for people: what `kubectl get` prints.

use serde_json::{Value, json};

use crate::{http::metadata, registry::Column, verbs::Call};

/// The table of some objects.
pub(crate) fn of(call: &Call, objects: &[Value], list: &Value) -> Value {
    let columns = columns(call);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            json!({"name": &*column.name, "type": &*column.kind, "format": &*column.format,
                   "description": &*column.description, "priority": column.priority})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| cell(column, object)).collect();
            json!({"cells": cells, "object": metadata(object)})
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
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn columns(call: &Call) -> Vec<Column> {
    let column = |name: &str, kind: &str, format: &str, path: &str| Column {
        name: name.into(),
        kind: kind.into(),
        format: format.into(),
        description: "".into(),
        priority: 0,
        path: path.into(),
    };
    let mut columns = vec![column("Name", "string", "name", ".metadata.name")];
    let own = &call.version().columns;
    if own.is_empty() {
        columns.push(column("Age", "date", "", ".metadata.creationTimestamp"));
    }
    columns.extend(own.iter().cloned());
    columns
}

/// What the path of a column leads to: fields after dots, and elements by number.
fn cell(column: &Column, object: &Value) -> Value {
    let path = column.path.replace('[', ".").replace(']', "");
    let parts = path.split('.').filter(|part| !part.is_empty());
    parts
        .fold(object, |value, part| match part.parse::<usize>() {
            Ok(index) if value.is_array() => &value[index],
            _ => &value[part],
        })
        .clone()
}
