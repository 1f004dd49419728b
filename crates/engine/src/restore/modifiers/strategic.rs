//! Strategic merge patches: merge patches that merge some lists of built-in kinds element by element.
//!
//! Which lists, and by which key, are facts of the Kubernetes API (`patchStrategy` and `patchMergeKey`). Fields that
//! a kind doesn't have are left to the API server.

use serde_json::{Map, Value};

use super::super::object;

/// What tells how to patch, in the patch.
const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
/// The one directive that is refused: only clients that compute patches write it.
pub(super) const SET_ORDER: &str = "$setElementOrder/";

/// Groups of built-in kinds that a restore may meet, beside the core group.
const GROUPS: [&str; 19] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Why a patch does not fit an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StrategicError {
    /// Velero's words.
    #[error("no kind {kind:?} is registered for version {version:?}; use mergePatches for custom resources")]
    UnknownKind { kind: String, version: String },
    /// An element that is to be merged and doesn't say with which.
    #[error("an element of the list {list:?} does not contain declared merge key: {key}")]
    NoMergeKey { list: String, key: &'static str },
    /// A directive that is none.
    #[error("invalid value of {directive} in {field:?}; use {valid}")]
    Directive { directive: &'static str, field: String, valid: &'static str },
}

/// How a field is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// Lists are replaced, maps merged: what holds unless said otherwise.
    Default,
    /// Lists of objects are merged by this key.
    ByKey(&'static str),
    /// Lists of texts are joined.
    Union,
    /// Maps are replaced.
    Replace,
}

/// Where a kind has the spec of a pod, if it has one.
fn pod_spec(kind: &str) -> Option<&'static [&'static str]> {
    match kind {
        "Pod" => Some(&["spec"]),
        "PodTemplate" => Some(&["template", "spec"]),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "ReplicationController" | "Job" => {
            Some(&["spec", "template", "spec"])
        }
        "CronJob" => Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
        _ => None,
    }
}

/// How the field at a path of keys (elements of lists add none) is patched, from the types of Kubernetes 1.33.
fn strategy(kind: &str, path: &[&str]) -> Strategy {
    if let Some(rest) = pod_spec(kind).and_then(|spec| path.strip_prefix(spec)) {
        return of_pod_spec(rest);
    }
    match (kind, path) {
        (_, [.., "metadata", "finalizers"]) => Strategy::Union,
        (_, [.., "metadata", "ownerReferences"]) => Strategy::ByKey("uid"),
        ("Service", ["spec", "ports"]) => Strategy::ByKey("port"),
        ("ServiceAccount", ["secrets"])
        | ("MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration", ["webhooks"])
        | ("ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy", ["spec", "variables"]) => {
            Strategy::ByKey("name")
        }
        ("PodDisruptionBudget", ["spec", "selector"]) => Strategy::Replace,
        _ => Strategy::Default,
    }
}

fn of_pod_spec(path: &[&str]) -> Strategy {
    match path {
        [
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "imagePullSecrets"
            | "resourceClaims"
            | "schedulingGates",
        ] => Strategy::ByKey("name"),
        ["hostAliases"] => Strategy::ByKey("ip"),
        ["topologySpreadConstraints"] => Strategy::ByKey("topologyKey"),
        ["containers" | "initContainers" | "ephemeralContainers", field] => match *field {
            "ports" => Strategy::ByKey("containerPort"),
            "env" => Strategy::ByKey("name"),
            "volumeMounts" => Strategy::ByKey("mountPath"),
            "volumeDevices" => Strategy::ByKey("devicePath"),
            _ => Strategy::Default,
        },
        // Of the claim that an ephemeral volume makes.
        [.., "metadata", "finalizers"] => Strategy::Union,
        _ => Strategy::Default,
    }
}

/// Applies a patch; after an error the object is in an unknown state.
pub(crate) fn apply(object: &mut Value, patch: &Value) -> Result<(), StrategicError> {
    let version = object::text(object, &["apiVersion"]).unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let kind = object::kind(object).to_owned();
    if !(group.is_empty() || GROUPS.contains(&group)) {
        return Err(StrategicError::UnknownKind { kind, version: version.to_owned() });
    }
    let mut path = Vec::new();
    Walk { kind: &kind }.value(object, patch, &mut path)
}

/// One patch on its way through an object.
struct Walk<'k> {
    kind: &'k str,
}

impl Walk<'_> {
    fn value<'p>(
        &self,
        target: &mut Value,
        patch: &'p Value,
        path: &mut Vec<&'p str>,
    ) -> Result<(), StrategicError> {
        match (&mut *target, patch) {
            (Value::Object(target), Value::Object(patch)) => self.map(target, patch, path),
            (Value::Array(target), Value::Array(patch)) => match strategy(self.kind, path) {
                Strategy::ByKey(key) => self.objects(target, patch, key, path),
                Strategy::Union => {
                    union(target, patch);
                    Ok(())
                }
                Strategy::Default | Strategy::Replace => {
                    target.clone_from(patch);
                    Ok(())
                }
            },
            (target, patch) => {
                *target = new(patch).unwrap_or(Value::Null);
                Ok(())
            }
        }
    }

    fn map<'p>(
        &self,
        target: &mut Map<String, Value>,
        patch: &'p Map<String, Value>,
        path: &mut Vec<&'p str>,
    ) -> Result<(), StrategicError> {
        let field = || path.join(".");
        match patch.get(DIRECTIVE).map(Value::as_str) {
            None => {}
            Some(Some("replace")) => {
                *target = patch.clone();
                target.remove(DIRECTIVE);
                return Ok(());
            }
            Some(Some("delete")) => {
                target.clear();
                return Ok(());
            }
            Some(_) => {
                return Err(StrategicError::Directive {
                    directive: DIRECTIVE,
                    field: field(),
                    valid: "replace or delete",
                });
            }
        }
        if let Some(retained) = patch.get(RETAIN_KEYS) {
            let retained = retained.as_array().map(Vec::as_slice).unwrap_or_default();
            let is_retained = |key: &str| retained.iter().any(|own| own.as_str() == Some(key));
            let named =
                |(key, value): (&String, &Value)| value.is_null() || key.starts_with('$') || is_retained(key);
            if !patch.iter().all(named) {
                return Err(StrategicError::Directive {
                    directive: RETAIN_KEYS,
                    field: field(),
                    valid: "a list that names each field of the patch",
                });
            }
            target.retain(|key, _| is_retained(key));
        }
        for (key, value) in patch {
            if let Some(list) = key.strip_prefix(DELETE_FROM_LIST) {
                let gone = value.as_array().map(Vec::as_slice).unwrap_or_default();
                if let Some(own) = target.get_mut(list).and_then(Value::as_array_mut) {
                    own.retain(|element| !gone.contains(element));
                }
            } else if value.is_null() {
                target.remove(key);
            } else if !key.starts_with('$') {
                self.field(target, key, value, path)?;
            }
        }
        Ok(())
    }

    fn field<'p>(
        &self,
        target: &mut Map<String, Value>,
        key: &'p str,
        value: &'p Value,
        path: &mut Vec<&'p str>,
    ) -> Result<(), StrategicError> {
        path.push(key);
        let replaced = value.is_object() && strategy(self.kind, path) == Strategy::Replace;
        let done = match target.get_mut(key) {
            Some(own) if !replaced => self.value(own, value, path),
            _ => {
                target.remove(key);
                target.extend(new(value).map(|value| (key.to_owned(), value)));
                Ok(())
            }
        };
        path.pop();
        done
    }

    fn objects<'p>(
        &self,
        target: &mut Vec<Value>,
        patch: &'p [Value],
        key: &'static str,
        path: &mut Vec<&'p str>,
    ) -> Result<(), StrategicError> {
        let mut before: Vec<Value> = std::mem::take(target);
        let (mut elements, mut replace) = (Vec::new(), false);
        for element in patch {
            let id = element.get(key).ok_or_else(|| StrategicError::NoMergeKey { list: path.join("."), key });
            match element.get(DIRECTIVE).map(Value::as_str) {
                None => elements.push((id?, element)),
                Some(Some("replace")) => replace = true,
                Some(Some("delete")) => {
                    let id = id?;
                    before.retain(|own| own.get(key) != Some(id));
                }
                Some(_) => {
                    let (directive, field) = (DIRECTIVE, path.join("."));
                    return Err(StrategicError::Directive { directive, field, valid: "replace or delete" });
                }
            }
        }
        if replace {
            before.clear();
        }
        let order: Vec<Value> = before.iter().map(|own| own.get(key).cloned().unwrap_or_default()).collect();
        let mut patched = Vec::new();
        for (id, element) in elements {
            match before.iter().position(|own| own.get(key) == Some(id)) {
                Some(place) => {
                    let mut own = before.remove(place);
                    self.value(&mut own, element, path)?;
                    patched.push(own);
                }
                None => patched.extend(new(element)),
            }
        }
        let place = |own: &Value| order.iter().position(|id| own.get(key) == Some(id));
        *target = interleave(before, patched, place);
        Ok(())
    }
}

/// Texts of the patch that are missing, in the order of [`interleave`].
fn union(target: &mut Vec<Value>, patch: &[Value]) {
    let order = std::mem::take(target);
    let own = order.iter().filter(|element| !patch.contains(element)).cloned().collect();
    let mut new: Vec<Value> = Vec::new();
    for element in patch {
        if !new.contains(element) {
            new.push(element.clone());
        }
    }
    *target = interleave(own, new, |element| order.iter().position(|known| known == element));
}

/// Joins what only the object has and what the patch has, each in its own order: one of the object's comes first only
/// if it stood before the next one of the patch's, so that new elements come first, as in Kubernetes.
fn interleave(own: Vec<Value>, patched: Vec<Value>, place: impl Fn(&Value) -> Option<usize>) -> Vec<Value> {
    let mut joined = Vec::with_capacity(own.len() + patched.len());
    let mut own = own.into_iter().peekable();
    for element in patched {
        if let Some(at) = place(&element) {
            while let Some(first) = own.next_if(|first| place(first).is_some_and(|own| own < at)) {
                joined.push(first);
            }
        }
        joined.push(element);
    }
    joined.extend(own);
    joined
}

/// A value that is new, without nulls and directives; none if it is itself a directive.
fn new(value: &Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(DIRECTIVE) => None,
        Value::Object(map) => {
            let fields = map.iter().filter(|(key, value)| !(value.is_null() || key.starts_with('$')));
            Some(Value::Object(fields.filter_map(|(key, value)| Some((key.clone(), new(value)?))).collect()))
        }
        Value::Array(list) => Some(list.iter().filter_map(new).collect()),
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests;
