//! The type that a CustomResourceDefinition brings.

use std::sync::Arc;

use serde_json::Value;

use super::{Column, Guise, Habits, Resource, Scale, Version};
use crate::{
    schema::{Rules, parse},
    shared,
    table::JsonPath,
};

const HABITS: Habits = Habits {
    core: false,
    generation: true,
    returns_deleted: false,
    unconditional_update: false,
    create_on_update: false,
    delete_collection: true,
    orphans: false,
};

/// `plural.group`, or the plural of the core group.
pub(super) fn id(plural: &str, group: &str) -> String {
    if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
}

/// The type of a definition that was accepted; one for all clusters that have the same definition.
pub(super) fn resource(definition: &Value) -> Arc<Resource> {
    let spec = &definition["spec"];
    shared::resource(&spec.to_string(), || read(spec))
}

fn read(spec: &Value) -> Resource {
    let names = &spec["names"];
    let text = |value: &Value| -> Box<str> { value.as_str().unwrap_or_default().into() };
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let (group, plural) = (text(&spec["group"]), text(&names["plural"]));
    let mut versions: Vec<Version> = spec["versions"].as_array().into_iter().flatten().map(version).collect();
    versions.sort_by_key(|version| rank(&version.name));
    let id: Arc<str> = id(&plural, &group).into();
    Resource {
        kept: Arc::clone(&id),
        guise: Guise::of(&id),
        id,
        group,
        plural,
        singular: text(&names["singular"]),
        kind: text(&names["kind"]),
        list_kind: text(&names["listKind"]),
        short: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        versions,
        habits: HABITS,
    }
}

fn version(raw: &Value) -> Version {
    let schema = &raw["schema"]["openAPIV3Schema"];
    let column = |column: &Value| {
        let text = |name: &str| column[name].as_str().unwrap_or_default().into();
        Column {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column["priority"].as_i64().unwrap_or_default(),
            path: JsonPath::parse(column["jsonPath"].as_str().unwrap_or_default()),
        }
    };
    let scale = |scale: &Value| {
        let pointer = |path: &str| path.replace('.', "/").into();
        Some(Scale {
            wanted: pointer(scale["specReplicasPath"].as_str()?),
            present: pointer(scale["statusReplicasPath"].as_str()?),
            selector: scale["labelSelectorPath"].as_str().map(pointer),
            usual: 0,
        })
    };
    Version {
        name: raw["name"].as_str().unwrap_or_default().into(),
        served: raw["served"] == true,
        schema: Arc::new(parse(schema)),
        fact: None,
        rules: Rules::compile(schema),
        status: raw["subresources"]["status"].is_object(),
        scale: scale(&raw["subresources"]["scale"]),
        columns: raw["additionalPrinterColumns"].as_array().into_iter().flatten().map(column).collect(),
    }
}

/// Order of preference, as Kubernetes sorts versions: stable before beta before alpha, newest first, others last.
fn rank(version: &str) -> (u8, std::cmp::Reverse<(u32, u32)>, String) {
    let parts = || -> Option<(u8, u32, u32)> {
        let numbers = version.strip_prefix('v')?;
        let end = numbers.find(|c: char| !c.is_ascii_digit()).unwrap_or(numbers.len());
        let major = numbers[..end].parse().ok()?;
        let rest = &numbers[end..];
        if rest.is_empty() {
            return Some((0, major, 0));
        }
        let (class, minor) = match (rest.strip_prefix("beta"), rest.strip_prefix("alpha")) {
            (Some(minor), _) => (1, minor),
            (_, Some(minor)) => (2, minor),
            _ => return None,
        };
        Some((class, major, minor.parse().ok()?))
    };
    match parts() {
        Some((class, major, minor)) => (class, std::cmp::Reverse((major, minor)), String::new()),
        None => (3, std::cmp::Reverse((0, 0)), version.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn clusters_with_the_same_definition_share_its_type() {
        let definition = |uid: &str| json!({"metadata": {"uid": uid}, "spec": {"group": "example.com"}});
        let first = resource(&definition("1"));
        assert!(Arc::ptr_eq(&first, &resource(&definition("2"))));
    }

    #[test]
    fn versions_are_preferred_as_kubernetes_prefers_them() {
        let mut versions = ["foo1", "v1alpha1", "v2beta1", "v10", "v1", "v2beta2", "v2"];
        versions.sort_by_key(|version| rank(version));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta2", "v2beta1", "v1alpha1", "foo1"]);
    }
}
