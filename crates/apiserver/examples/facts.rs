//! Writes the table of core kinds from the API descriptions in a checkout of Kubernetes:
//! `cargo run --example facts -- <kubernetes>/api > crates/apiserver/src/registry/facts.json`.
//!
//! Facts only: names, scopes, fields, types, list types and merge keys. Texts, formats for people and kinds that are
//! not stable stay behind.
#![expect(clippy::print_stdout, reason = "a command line speaks through its streams")]

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use serde_json::{Map, Value, json};

const REFERENCE: &str = "#/components/schemas/";

/// What of a schema the server uses.
const KEPT: [&str; 16] = [
    "type",
    "format",
    "items",
    "properties",
    "additionalProperties",
    "required",
    "default",
    "$ref",
    "allOf",
    "oneOf",
    "nullable",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key",
    "x-kubernetes-patch-strategy",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: facts <kubernetes>/api")?;
    let folder = Path::new(&folder);
    let mut kinds = Vec::new();
    let mut schemas = BTreeMap::new();
    for (file, document) in documents(folder)? {
        let found = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
        let discovery = discovery(folder, &file)?;
        for resource in discovery["resources"].as_array().into_iter().flatten() {
            kinds.extend(kind(resource, &discovery, &found, &document["paths"]));
        }
        schemas.extend(found);
    }
    kinds.sort_by_key(|kind| (kind["group"].to_string(), kind["plural"].to_string()));
    let mut wanted: Vec<String> =
        kinds.iter().filter_map(|k| k["schema"].as_str().map(str::to_owned)).collect();
    let mut kept = Map::new();
    while let Some(name) = wanted.pop() {
        if !kept.contains_key(&name)
            && let Some(schema) = schemas.get(&name)
        {
            let lean = lean(schema, &mut wanted);
            kept.insert(name, lean);
        }
    }
    println!("{{\"kinds\":[");
    println!("{}", kinds.iter().map(Value::to_string).collect::<Vec<_>>().join(",\n"));
    println!("],\"schemas\":{{");
    let lines: Vec<String> = kept.iter().map(|(name, schema)| format!("{}:{schema}", json!(name))).collect();
    println!("{}\n}}}}", lines.join(",\n"));
    Ok(())
}

/// The OpenAPI documents of stable versions, by file name.
fn documents(folder: &Path) -> Result<Vec<(String, Value)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder.join("openapi-spec/v3"))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(stem) = name.strip_suffix("_openapi.json") else { continue };
        let Some((_, version)) = stem.rsplit_once("__") else { continue };
        // Of a group with two versions, of which one would have to be converted into the other, the later one.
        if stem == "apis__autoscaling__v1" {
            continue;
        }
        if stem.starts_with("api") && version.strip_prefix('v').is_some_and(|n| n.parse::<u8>().is_ok()) {
            all.push((stem.to_owned(), serde_json::from_slice(&fs::read(&path)?)?));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn discovery(folder: &Path, stem: &str) -> Result<Value, Box<dyn Error>> {
    Ok(serde_json::from_slice(&fs::read(folder.join("discovery").join(format!("{stem}.json")))?)?)
}

/// A resource that objects are kept of: what can only be created is a question, not an object.
fn kind(resource: &Value, group: &Value, schemas: &Map<String, Value>, paths: &Value) -> Option<Value> {
    let plural = resource["name"].as_str()?;
    let has = |verb: &str| resource["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|v| v == verb));
    if plural.contains('/') || !has("list") || !has("create") {
        return None;
    }
    let (group, version) =
        group["groupVersion"].as_str()?.rsplit_once('/').unwrap_or(("", group["groupVersion"].as_str()?));
    let kind = resource["kind"].as_str()?;
    let is_it = |gvk: &Value| gvk["group"] == group && gvk["version"] == version && gvk["kind"] == kind;
    let schema = schemas.iter().find(|(_, schema)| {
        schema["x-kubernetes-group-version-kind"]
            .as_array()
            .is_some_and(|gvks| gvks.len() == 1 && is_it(&gvks[0]))
    })?;
    let subresource = |name: &str| {
        paths.as_object().is_some_and(|paths| {
            paths.keys().any(|path| path.ends_with(&format!("/{plural}/{{name}}/{name}")))
        })
    };
    Some(json!({
        "group": group,
        "version": version,
        "kind": kind,
        "plural": plural,
        "singular": resource["singularName"],
        "short": resource.get("shortNames").unwrap_or(&json!([])),
        "categories": resource.get("categories").unwrap_or(&json!([])),
        "namespaced": resource["namespaced"],
        "collection": has("deletecollection"),
        "status": subresource("status"),
        "schema": schema.0,
    }))
}

/// The schema without what is not used; the names of the schemas that it refers to are added to `wanted`.
fn lean(schema: &Value, wanted: &mut Vec<String>) -> Value {
    let Value::Object(schema) = schema else { return schema.clone() };
    let mut kept = Map::new();
    for (key, value) in schema.iter().filter(|(key, _)| KEPT.contains(&key.as_str())) {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(fields)) => {
                fields.iter().map(|(name, field)| (name.clone(), lean(field, wanted))).collect()
            }
            ("allOf" | "oneOf", Value::Array(all)) => all.iter().map(|one| lean(one, wanted)).collect(),
            ("items" | "additionalProperties", value) => lean(value, wanted),
            ("$ref", Value::String(reference)) => {
                let name = reference.trim_start_matches(REFERENCE).to_owned();
                wanted.push(name.clone());
                Value::String(name)
            }
            (_, value) => value.clone(),
        };
        kept.insert(key.clone(), value);
    }
    Value::Object(kept)
}
