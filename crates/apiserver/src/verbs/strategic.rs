//! Strategic merge patches: merge patches that know by which field the elements of a list are told apart.

use serde_json::{Map, Value};

use crate::schema::{Elements, Kind, Schema};

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// Changes a value by a patch.
///
/// # Errors
/// The patch has an unknown directive, or an element without the field that tells it apart.
pub(super) fn merge(schema: Option<&Schema>, value: &mut Value, patch: &Value) -> Result<(), String> {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return Ok(());
    };
    match patch.get(DIRECTIVE).and_then(Value::as_str) {
        None | Some("merge") => {}
        Some("replace") => {
            *value = Value::Object(patch.iter().filter(|(key, _)| *key != DIRECTIVE).map(own).collect());
            return Ok(());
        }
        Some("delete") => {
            *value = Value::Object(Map::new());
            return Ok(());
        }
        Some(other) => return Err(format!("Unknown patch type found: {other}")),
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(fields) = value else { return Ok(()) };
    for (key, change) in patch {
        if key == DIRECTIVE || key.starts_with(ORDER) {
            continue;
        }
        if key == RETAIN {
            let kept: Vec<&str> = change.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            fields.retain(|name, _| kept.contains(&&**name));
        } else if let Some(list) = key.strip_prefix(DELETE) {
            if let (Some(Value::Array(elements)), Value::Array(gone)) = (fields.get_mut(list), change) {
                elements.retain(|element| !gone.contains(element));
            }
        } else if change.is_null() {
            fields.remove(key);
        } else {
            let shape = field(schema, key);
            merge_field(shape, fields.entry(key.clone()).or_insert(Value::Null), change)?;
        }
    }
    for (key, order) in patch.iter().filter_map(|(key, order)| Some((key.strip_prefix(ORDER)?, order))) {
        if let (Some(Value::Array(elements)), Value::Array(order)) = (fields.get_mut(key), order) {
            arrange(field(schema, key), elements, order);
        }
    }
    Ok(())
}

fn own((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn field<'a>(schema: Option<&'a Schema>, name: &str) -> Option<&'a Schema> {
    match &schema?.kind {
        Kind::Object(fields) => fields.get(name).map(|schema| &**schema),
        _ => None,
    }
}

fn merge_field(schema: Option<&Schema>, value: &mut Value, change: &Value) -> Result<(), String> {
    match (schema.map(|schema| &schema.kind), change) {
        (Some(Kind::Object(fields)), Value::Object(_)) if fields.strategy.replace => {
            *value = change.clone();
            Ok(())
        }
        (_, Value::Object(_)) => merge(schema, value, change),
        (Some(Kind::Array(shape)), Value::Array(changes)) if shape.strategy.merge => {
            merge_list(shape, value, changes)
        }
        _ => {
            *value = change.clone();
            Ok(())
        }
    }
}

fn merge_list(shape: &Elements, value: &mut Value, changes: &[Value]) -> Result<(), String> {
    if !value.is_array() {
        *value = Value::Array(Vec::new());
    }
    let Value::Array(elements) = value else { return Ok(()) };
    let Some(key) = shape.merge_key.as_deref() else {
        for change in changes {
            if !elements.contains(change) {
                elements.push(change.clone());
            }
        }
        return Ok(());
    };
    if changes.iter().any(|change| change[DIRECTIVE] == "replace" && change.get(key).is_none()) {
        let rest = changes.iter().filter(|change| change.get(DIRECTIVE).is_none());
        *elements = rest.cloned().collect();
        return Ok(());
    }
    for change in changes {
        let Some(name) = change.get(key) else {
            return Err(format!("map: {change} does not contain declared merge key: {key}"));
        };
        let place = elements.iter().position(|element| element.get(key) == Some(name));
        match (place, change[DIRECTIVE].as_str()) {
            (Some(place), Some("delete")) => drop(elements.remove(place)),
            (None, Some("delete")) => {}
            (Some(place), _) => merge(Some(&shape.item), &mut elements[place], change)?,
            (None, _) => {
                let mut element = Value::Object(Map::new());
                merge(Some(&shape.item), &mut element, change)?;
                elements.push(element);
            }
        }
    }
    Ok(())
}

/// Puts the elements that an order names into that order; others stay behind those that they followed.
fn arrange(schema: Option<&Schema>, elements: &mut [Value], order: &[Value]) {
    let key = match schema.map(|schema| &schema.kind) {
        Some(Kind::Array(shape)) => shape.merge_key.as_deref(),
        _ => None,
    };
    let rank = |element: &Value| {
        let is_it = |wanted: &Value| key.map_or(element == wanted, |key| element.get(key) == wanted.get(key));
        order.iter().position(is_it)
    };
    let mut last = 0;
    let ranks: Vec<usize> = elements
        .iter()
        .map(|element| {
            last = rank(element).unwrap_or(last);
            last
        })
        .collect();
    let mut ranked: Vec<(usize, Value)> = ranks.into_iter().zip(elements.iter().cloned()).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    for (place, (_, element)) in elements.iter_mut().zip(ranked) {
        *place = element;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::parse;

    fn pod() -> Schema {
        parse(&json!({"type": "object", "properties": {
            "containers": {"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "name",
                           "items": {"type": "object", "properties": {"name": {"type": "string"}, "image": {"type": "string"}}}},
            "finalizers": {"type": "array", "x-kubernetes-patch-strategy": "merge", "items": {"type": "string"}},
            "args": {"type": "array", "items": {"type": "string"}},
        }}))
    }

    fn merged(value: Value, patch: &Value) -> Value {
        let mut value = value;
        merge(Some(&pod()), &mut value, patch).unwrap();
        value
    }

    #[test]
    fn elements_are_merged_by_their_key() {
        let value = json!({"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]});
        let patch = json!({"containers": [{"name": "b", "image": "2"}, {"name": "c"}]});
        let expected = json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"}]);
        assert_eq!(merged(value, &patch)["containers"], expected);
    }

    #[test]
    fn an_element_is_deleted_by_directive() {
        let value = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let patch = json!({"containers": [{"name": "a", "$patch": "delete"}]});
        assert_eq!(merged(value, &patch)["containers"], json!([{"name": "b"}]));
    }

    #[test]
    fn a_list_is_replaced_by_directive() {
        let value = json!({"containers": [{"name": "a"}]});
        let patch = json!({"containers": [{"$patch": "replace"}, {"name": "z"}]});
        assert_eq!(merged(value, &patch)["containers"], json!([{"name": "z"}]));
    }

    #[test]
    fn plain_values_are_added_once_and_deleted_by_list() {
        let value = json!({"finalizers": ["a", "b"]});
        let patch = json!({"finalizers": ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"]});
        assert_eq!(merged(value, &patch)["finalizers"], json!(["b", "c"]));
    }

    #[test]
    fn an_order_is_kept() {
        let value = json!({"containers": [{"name": "a"}, {"name": "b"}]});
        let patch = json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": []});
        assert_eq!(merged(value, &patch)["containers"], json!([{"name": "b"}, {"name": "a"}]));
    }

    #[test]
    fn a_list_without_strategy_is_replaced() {
        assert_eq!(merged(json!({"args": ["a"]}), &json!({"args": ["b"]}))["args"], json!(["b"]));
    }

    #[test]
    fn an_element_without_its_key_is_refused() {
        let mut value = json!({});
        assert!(merge(Some(&pod()), &mut value, &json!({"containers": [{"image": "x"}]})).is_err());
    }
}
