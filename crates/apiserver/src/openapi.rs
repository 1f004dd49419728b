//! What the types look like, for clients that ask: an index, and an OpenAPI v3 document for each group and version; and
//! the document of OpenAPI v2.
//!
//! Made when they are asked for, of the table of facts and of the definitions as they were sent; nothing is kept. Core
//! kinds have no descriptions.

pub(crate) mod v2;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    cluster::State,
    error::{ApiError, Result},
    registry::{CRDS, OBJECT_META, Resource, Version, raw_schemas},
    store::{Key, Range},
};

const TITLE: &str = "Kubernetes";
const VERSION: &str = "v1.36.3";
const REFERENCE: &str = "#/components/schemas/";
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// The documents that there are: `api/v1`, `apis/apps/v1` and so on.
pub(crate) fn index(state: &State) -> Value {
    let mut paths = Map::new();
    for resource in state.types.all() {
        for version in resource.versions.iter().filter(|version| version.served) {
            let path = path_of(&resource.group, &version.name);
            let hash = hash(state, &resource.group);
            let url = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// Changes whenever the document does.
fn hash(state: &State, group: &str) -> String {
    let resource = CRDS.into();
    let definitions = state.store.list(Range { resource: &resource, prefix: "", after: "" });
    let of_group = definitions.filter(|(key, _)| key.path.split_once('.').is_some_and(|(_, of)| of == group));
    let revisions: Vec<String> = of_group.map(|(_, object)| object.revision.to_string()).collect();
    let digest = Sha256::digest(format!("{}{group}{}", env!("CARGO_PKG_VERSION"), revisions.join(",")));
    digest.iter().take(16).fold(String::new(), |text, byte| format!("{text}{byte:02X}"))
}

/// The document of a group and version: `api/v1` or `apis/apps/v1`.
///
/// # Errors
/// There is no such group and version.
pub(crate) fn document(state: &State, path: &str) -> Result<Value> {
    let is_it = |resource: &Resource, version: &Version| {
        version.served && path_of(&resource.group, &version.name) == path
    };
    let mut found: Vec<(&Resource, &Version)> = Vec::new();
    for resource in state.types.all() {
        found.extend(
            resource.versions.iter().filter(|one| is_it(resource, one)).map(|one| (&**resource, one)),
        );
    }
    if found.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let mut schemas = Schemas::default();
    let mut paths = Map::new();
    for (resource, version) in found {
        let name = schemas.add_kind(state, resource, version);
        add_paths(&mut paths, resource, version, &name);
    }
    schemas.close();
    Ok(json!({
        "openapi": "3.0.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths,
        "components": {"schemas": schemas.all},
    }))
}

/// The schemas of one document.
#[derive(Default)]
struct Schemas {
    all: Map<String, Value>,
    /// Names that are referred to.
    wanted: Vec<String>,
}

impl Schemas {
    /// Adds the schema of a kind; its name.
    fn add_kind(&mut self, state: &State, resource: &Resource, version: &Version) -> String {
        let kind = json!({"group": &*resource.group, "version": &*version.name, "kind": &*resource.kind});
        let (name, mut schema) = match &version.fact {
            Some(name) => (name.to_string(), raw_schemas().get(&**name).cloned().unwrap_or_default()),
            None => (custom_name(resource, version), custom_schema(state, resource, version)),
        };
        self.refer(&mut schema);
        schema["x-kubernetes-group-version-kind"] = json!([kind]);
        self.all.insert(name.clone(), schema);
        name
    }

    /// Adds everything that is referred to.
    fn close(&mut self) {
        while let Some(name) = self.wanted.pop() {
            if self.all.contains_key(&name) {
                continue;
            }
            let mut schema = raw_schemas().get(&name).cloned().unwrap_or_else(|| json!({}));
            self.refer(&mut schema);
            self.all.insert(name, schema);
        }
    }

    /// Makes references of names, as a document writes them.
    fn refer(&mut self, schema: &mut Value) {
        match schema {
            Value::Object(fields) => {
                if let Some(Value::String(name)) = fields.get_mut("$ref")
                    && !name.starts_with('#')
                {
                    self.wanted.push(name.clone());
                    *name = format!("{REFERENCE}{name}");
                }
                fields.values_mut().for_each(|field| self.refer(field));
            }
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.refer(element)),
            _ => {}
        }
    }
}

/// `com.example.v1.Widget` of `example.com`.
fn custom_name(resource: &Resource, version: &Version) -> String {
    let group: Vec<&str> = resource.group.rsplit('.').collect();
    format!("{}.{}.{}", group.join("."), version.name, resource.kind)
}

/// The schema as its definition has it, with what every object has.
fn custom_schema(state: &State, resource: &Resource, version: &Version) -> Value {
    let definition = state.store.get(&Key::new(&CRDS.into(), &*resource.id)).map(|object| object.parse());
    let definition = definition.unwrap_or_default();
    let versions = definition["spec"]["versions"].as_array();
    let own = versions.into_iter().flatten().find(|one| one["name"] == *version.name);
    let mut schema = own.map_or_else(|| json!({}), |own| own["schema"]["openAPIV3Schema"].clone());
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = json!({"allOf": [{"$ref": OBJECT_META}]});
    schema
}

/// The paths of a kind, as far as clients look into them: which kind they are of, and what can be asked.
fn add_paths(paths: &mut Map<String, Value>, resource: &Resource, version: &Version, schema: &str) {
    let kind = json!({"group": &*resource.group, "version": &*version.name, "kind": &*resource.kind});
    let root = format!("/{}", path_of(&resource.group, &version.name));
    let place = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let body = json!({"$ref": format!("{REFERENCE}{schema}")});
    let answer = json!({"description": "OK", "content": {"application/json": {"schema": body}}});
    let operation = |action: &str, parameters: &[&str]| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        json!({"x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind,
               "parameters": parameters, "responses": {"200": answer}})
    };
    let writes = ["dryRun", "fieldManager", "fieldValidation"];
    let sending = |mut operation: Value, types: &[&str], schema: &Value| {
        let content: Map<String, Value> =
            types.iter().map(|kind| ((*kind).to_owned(), json!({"schema": schema}))).collect();
        operation["requestBody"] = json!({"content": content, "required": true});
        operation
    };
    let patches = if resource.habits.core { &PATCHES[..] } else { &PATCHES[..3] };
    let json = ["application/json"];
    let lists = ["continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "watch"];
    let collection = json!({
        "get": operation("list", &lists),
        "post": sending(operation("post", &writes), &json, &body),
    });
    let one = json!({
        "get": operation("get", &[]),
        "put": sending(operation("put", &writes), &json, &body),
        "patch": sending(operation("patch", &["dryRun", "fieldManager", "fieldValidation", "force"]), patches, &json!({"type": "object"})),
        "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
    });
    let plural = &resource.plural;
    if version.status {
        let part = json!({"get": one["get"], "put": one["put"], "patch": one["patch"]});
        paths.insert(format!("{root}{place}/{plural}/{{name}}/status"), part);
    }
    paths.insert(format!("{root}{place}/{plural}"), collection);
    paths.insert(format!("{root}{place}/{plural}/{{name}}"), one);
}
