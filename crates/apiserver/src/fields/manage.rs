//! `managedFields` after a write, and what an apply makes of an object.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    Set,
    diff::{compare, paths},
    merge::{merge, remove},
};
use crate::{
    error::{ApiError, Result},
    kinds, meta,
    registry::object_meta_schema,
    schema::{Fields, Kind, Schema},
    verbs::{Call, Part},
};

/// What is everybody's or the server's, and no manager's.
const NOBODYS: [&[&str]; 10] = [
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

/// Somebody who manages fields.
#[derive(Clone, Debug)]
struct Manager {
    name: String,
    applies: bool,
    api_version: String,
    subresource: String,
    time: Value,
    fields: Set,
}

impl Manager {
    fn of(call: &Call, applies: bool) -> Self {
        Self {
            name: if call.manager.is_empty() { "unknown".to_owned() } else { call.manager.clone() },
            applies,
            api_version: call.api_version(),
            subresource: call.part.subresource().to_owned(),
            time: Value::Null,
            fields: Set::default(),
        }
    }

    fn read(entry: &Value) -> Self {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("manager"),
            applies: entry["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: entry["time"].clone(),
            fields: Set::read(&entry["fieldsV1"]),
        }
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.fields.write(),
        });
        if self.time.is_null()
            && let Value::Object(fields) = &mut entry
        {
            fields.remove("time");
        }
        if !self.subresource.is_empty() {
            entry["subresource"] = (*self.subresource).into();
        }
        entry
    }

    /// An applier is the same in every version.
    fn is(&self, other: &Self) -> bool {
        self.name == other.name
            && self.applies == other.applies
            && self.subresource == other.subresource
            && (self.applies || self.api_version == other.api_version)
    }

    /// As messages name it.
    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.applies {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }
}

fn managers(object: &Value) -> Vec<Manager> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten().map(Manager::read).collect()
}

/// Forgets those who have written in another group, where the fields have other names.
fn forget_strangers(call: &Call, managers: &mut Vec<Manager>) {
    let group = |api_version: &str| api_version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
    managers.retain(|manager| group(&manager.api_version) == *call.resource.group);
}

fn write(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.fields.is_empty());
    managers.sort_by(|a, b| {
        let key = |m: &Manager| {
            (
                !m.applies,
                m.time.as_str().unwrap_or_default().to_owned(),
                m.name.clone(),
                m.api_version.clone(),
                m.subresource.clone(),
            )
        };
        key(a).cmp(&key(b))
    });
    let metadata = meta::of(object);
    if managers.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".to_owned(), managers.iter().map(Manager::write).collect());
    }
}

/// The schema of whole objects of the call's type.
fn whole(call: &Call) -> Schema {
    let mut known = match &call.version().schema.kind {
        Kind::Object(fields) => fields.known.clone(),
        _ => std::collections::BTreeMap::new(),
    };
    known.insert("metadata".into(), object_meta_schema());
    for name in ["apiVersion", "kind"] {
        known
            .entry(name.into())
            .or_insert_with(|| Arc::new(Schema { kind: Kind::String, ..Schema::default() }));
    }
    Schema { kind: Kind::Object(Fields { known, ..Fields::default() }), ..Schema::default() }
}

/// What an object of a core kind has before anything is set: its structures.
fn empty(call: &Call) -> Value {
    let mut empty = kinds::always(&call.resource);
    empty["metadata"] = json!({});
    if call.resource.habits.core
        && let Kind::Object(fields) = &call.version().schema.kind
    {
        for name in ["spec", "status"] {
            if let Some(schema) = fields.known.get(name) {
                empty[name] = structures(schema);
            }
        }
    }
    empty
}

/// The structures that a structure always has.
fn structures(schema: &Schema) -> Value {
    let mut all = serde_json::Map::new();
    if let (Kind::Object(fields), Some(checks)) = (&schema.kind, &schema.checks) {
        for name in &checks.required {
            if let Some(inner) = fields.known.get(name)
                && matches!(&inner.kind, Kind::Object(fields) if !fields.known.is_empty() && !fields.atomic)
            {
                all.insert((**name).to_owned(), structures(inner));
            }
        }
    }
    Value::Object(all)
}

fn strip(mut set: Set) -> Set {
    for path in NOBODYS {
        set.cut(path);
    }
    if let Some(metadata) = set.below.get_mut("f:metadata") {
        metadata.member = false;
        if metadata.is_empty() {
            set.below.remove("f:metadata");
        }
    }
    set
}

/// Notes what a create, update or patch has changed, and by whom.
pub(crate) fn written(call: &Call, old: Option<&Value>, object: &mut Value, now: &Value) {
    let schema = whole(call);
    let before = old.cloned().unwrap_or_else(|| empty(call));
    let difference = compare(&schema, Some(&before), Some(object));
    let mut taken = difference.added;
    taken.union(&difference.modified);
    let mut taken = strip(taken);
    if call.part == Part::Whole && call.version().status {
        taken.cut(&["f:status"]);
    }
    if &*call.resource.id == "namespaces" {
        // The server's own finalizer, which nobody else can set.
        taken.cut(&["f:spec"]);
    }
    let mut managers = old.map(managers).unwrap_or_default();
    if old.is_some() && managers.is_empty() {
        // Who changes what nobody manages is not noted either.
        return write(object, managers);
    }
    forget_strangers(call, &mut managers);
    for manager in &mut managers {
        manager.fields = manager.fields.without(&taken).without(&difference.removed);
    }
    if !taken.is_empty() {
        let mut me = Manager::of(call, false);
        // As kube-apiserver, which notes no time for a scale.
        me.time = if call.part == Part::Scale { Value::Null } else { now.clone() };
        match managers.iter_mut().find(|manager| manager.is(&me)) {
            Some(manager) => {
                manager.fields.union(&taken);
                manager.time = me.time;
            }
            None => managers.push(Manager { fields: taken, ..me }),
        }
    }
    write(object, managers);
}

/// The state that an apply makes of `old`, which may be absent.
///
/// # Errors
/// Others manage what is applied with another value, unless the call forces it.
pub(crate) fn apply(call: &Call, old: Option<&Value>, applied: &Value, now: &Value) -> Result<Value> {
    if applied["metadata"]
        .get("managedFields")
        .is_some_and(|managed| managed.as_array().is_none_or(|all| !all.is_empty()))
    {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    let schema = whole(call);
    let before = old.cloned().unwrap_or_else(|| empty(call));
    let mut config = applied.clone();
    meta::of(&mut config).remove("resourceVersion");
    drop_nulls(&mut config);
    keep_part(call, &mut config);
    let mut object = before.clone();
    merge(&schema, &mut object, &config);
    let wants = paths(&schema, &config);
    let mut managers = old.map(managers).unwrap_or_default();
    forget_strangers(call, &mut managers);
    let me = Manager::of(call, true);
    let last = managers.iter().find(|manager| manager.is(&me)).cloned();
    managers.retain(|manager| !manager.is(&me));
    if let Some(last) = &last {
        let mut wanted = wants.clone();
        managers.iter().for_each(|manager| wanted.union(&manager.fields));
        remove(&schema, &mut object, &last.fields, &wanted);
    }
    let difference = compare(&schema, Some(&before), Some(&object));
    let mut changed = difference.added;
    changed.union(&difference.modified);
    let mut conflicts = Vec::new();
    for manager in &mut managers {
        let common = manager.fields.common(&changed);
        if !common.is_empty() {
            conflicts.push((manager.shown(), common.shown()));
        }
        manager.fields = manager.fields.without(&changed).without(&difference.removed);
    }
    if !conflicts.is_empty() && !call.params.force {
        return Err(conflict(&conflicts));
    }
    let mut fields = strip(wants);
    match call.part {
        Part::Whole | Part::Scale => {}
        Part::Status => fields.below.retain(|name, _| name == "f:status"),
    }
    // An apply that changes nothing has no time of its own.
    let same = changed.is_empty() && difference.removed.is_empty();
    let time = if same { last.map(|last| last.time).unwrap_or_default() } else { now.clone() };
    managers.push(Manager { fields, time, ..me });
    write(&mut object, managers);
    // Who names the version that is to be changed is told if it is another one by now.
    let version = meta::text(applied, "resourceVersion");
    if !version.is_empty() {
        meta::of(&mut object).insert("resourceVersion".to_owned(), version.into());
    }
    Ok(object)
}

/// What an apply is not about is not applied: the status of an object, or all but the status.
fn keep_part(call: &Call, config: &mut Value) {
    let Value::Object(fields) = config else { return };
    match call.part {
        Part::Whole if call.version().status => drop(fields.remove("status")),
        Part::Status if !call.resource.habits.core => {
            fields.retain(|name, _| matches!(&**name, "apiVersion" | "kind" | "metadata" | "status"));
        }
        Part::Whole | Part::Status | Part::Scale => {}
    }
}

/// A null that is applied is nothing that is wanted.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(drop_nulls);
    }
}

fn conflict(conflicts: &[(String, Vec<String>)]) -> ApiError {
    let count: usize = conflicts.iter().map(|(_, paths)| paths.len()).sum();
    let noun = |count: usize| if count == 1 { "conflict" } else { "conflicts" };
    let parts: Vec<String> = conflicts
        .iter()
        .map(|(manager, paths)| match paths.as_slice() {
            [path] => format!("conflict with {manager}: {path}"),
            paths => format!("conflicts with {manager}:\n- {}", paths.join("\n- ")),
        })
        .collect();
    let message = format!("Apply failed with {count} {}: {}", noun(count), parts.join("\n"));
    let causes: Vec<(String, String)> = conflicts
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| (format!("conflict with {manager}"), path.clone()))
        })
        .collect();
    ApiError::apply_conflict(message, &causes)
}
