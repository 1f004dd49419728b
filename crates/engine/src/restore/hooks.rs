//! Restore hooks: init containers that a pod gets, and commands that run in it once it is up.
//!
//! A pod's own annotations win over the Restore's spec, for each of the two kinds alone, as in Velero 1.18.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kurator_api::duration::GoDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::labels::Selector;

use super::object::{self, LabelsOf};
use super::patterns::Patterns;

/// The name of a hook that a pod's annotations ask for, as in Velero.
const FROM_ANNOTATIONS: &str = "<from-annotation>";

/// A command to run in a container of a restored pod. In a container one after the other, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecHook {
    /// Name in the spec; of one from annotations `<from-annotation>`.
    pub name: String,
    /// Name of the container.
    pub container: String,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether a failure ends the other hooks of this pod.
    pub fail: bool,
    /// How long it may run; `None` means the executor's default.
    pub exec_timeout: Option<Duration>,
    /// How long to wait for the container; `None` means as long as the Restore does.
    pub wait_timeout: Option<Duration>,
    /// Whether the container has to be ready, not only running.
    pub wait_for_ready: bool,
}

/// One entry of `spec.hooks.resources`.
#[derive(Clone, Debug)]
pub(crate) struct SpecHook {
    namespaces: Patterns,
    selector: Selector,
    init_containers: Vec<Value>,
    exec: Vec<ExecHook>,
}

impl SpecHook {
    fn applies(&self, namespace: &str, labels: &LabelsOf<'_>) -> bool {
        self.namespaces.takes(namespace) && self.selector.matches(labels)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawHooks {
    resources: Option<Vec<RawResource>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawResource {
    name: String,
    included_namespaces: Option<Vec<String>>,
    excluded_namespaces: Option<Vec<String>>,
    label_selector: Option<LabelSelector>,
    post_hooks: Option<Vec<RawHook>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawHook {
    exec: Option<RawExec>,
    init: Option<RawInit>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawInit {
    init_containers: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawExec {
    container: String,
    command: Vec<String>,
    on_error: String,
    exec_timeout: Option<String>,
    wait_timeout: Option<String>,
    wait_for_ready: Option<bool>,
}

/// Reads `spec.hooks`.
///
/// # Errors
///
/// Every reason why it cannot be read, as Velero says it where it does.
pub(crate) fn parse(hooks: Option<&Value>) -> Result<Vec<SpecHook>, Vec<String>> {
    let Some(hooks) = hooks.filter(|hooks| !hooks.is_null()) else { return Ok(Vec::new()) };
    let raw = RawHooks::deserialize(hooks).map_err(|why| vec![format!("invalid restore hooks: {why}")])?;
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for resource in raw.resources.unwrap_or_default() {
        match spec_hook(resource) {
            Ok(hook) => good.push(hook),
            Err(mut more) => faults.append(&mut more),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(faults) }
}

fn spec_hook(raw: RawResource) -> Result<SpecHook, Vec<String>> {
    let RawResource { name, included_namespaces, excluded_namespaces, label_selector, post_hooks } = raw;
    let mut faults = Vec::new();
    let mut keep = |fault: &dyn std::fmt::Display| {
        faults.push(format!("invalid restore hooks: hook {name:?}: {fault}"));
    };
    let includes = included_namespaces.iter().flatten().map(String::as_str);
    let excludes = excluded_namespaces.iter().flatten().map(String::as_str);
    let namespaces = Patterns::new(includes, excludes).map_err(|why| keep(&why)).unwrap_or_default();
    let selector = label_selector.as_ref().map(Selector::parse).transpose();
    let selector = selector.map_err(|why| keep(&why)).ok().flatten().unwrap_or_default();
    let (mut init_containers, mut exec) = (Vec::new(), Vec::new());
    let mut bad_containers = 0;
    for hook in post_hooks.unwrap_or_default() {
        for container in hook.init.and_then(|init| init.init_containers).unwrap_or_default() {
            if is_init_container(&container) {
                init_containers.push(container);
            } else {
                bad_containers += 1;
            }
        }
        if let Some(raw) = hook.exec {
            exec.extend(exec_hook(&name, raw).map_err(|why| keep(&why)));
        }
    }
    let sentence = format!(
        "invalid init container in restore hook {name:?}: invalid InitContainer in restore hook, it doesn't have \
         Command, Name or Image field"
    );
    faults.extend(std::iter::repeat_n(sentence, bad_containers));
    if faults.is_empty() { Ok(SpecHook { namespaces, selector, init_containers, exec }) } else { Err(faults) }
}

fn exec_hook(name: &str, raw: RawExec) -> Result<ExecHook, String> {
    let RawExec { container, command, on_error, exec_timeout, wait_timeout, wait_for_ready } = raw;
    if command.is_empty() {
        return Err("`exec.command` is empty; name the command and its arguments".to_owned());
    }
    let fail = match on_error.as_str() {
        "" | "Continue" => false,
        "Fail" => true,
        other => return Err(format!("`exec.onError` is {other:?}; write Continue or Fail")),
    };
    let duration = |field: &str, value: Option<&str>| {
        duration(value.unwrap_or_default()).map_err(|why| format!("`exec.{field}`: {why}"))
    };
    Ok(ExecHook {
        name: name.to_owned(),
        container,
        command,
        fail,
        exec_timeout: duration("execTimeout", exec_timeout.as_deref())?,
        wait_timeout: duration("waitTimeout", wait_timeout.as_deref())?,
        wait_for_ready: wait_for_ready.unwrap_or_default(),
    })
}

/// Empty and zero mean "not set".
fn duration(value: &str) -> Result<Option<Duration>, kurator_api::duration::DurationError> {
    if value.is_empty() {
        return Ok(None);
    }
    let read: GoDuration = value.parse()?;
    Ok((!read.is_zero()).then(|| read.into()))
}

/// As Velero: name, image and command have to be there.
fn is_init_container(container: &Value) -> bool {
    let text = |field| object::text(container, &[field]).is_some_and(|text| !text.is_empty());
    let command = object::list(container, &["command"]);
    text("name") && text("image") && !command.is_empty() && command.iter().all(Value::is_string)
}

/// The init containers that the hooks give a pod which goes to `namespace`, in order. `seed` makes the name of
/// one that has none: the same pod in the same Restore gets the same.
pub(crate) fn init_containers(pod: &Value, namespace: &str, hooks: &[SpecHook], seed: &str) -> Vec<Value> {
    if let Some(container) = from_init_annotations(pod, seed) {
        return vec![container];
    }
    let labels = object::labels(pod);
    let applicable = hooks.iter().filter(|hook| hook.applies(namespace, &labels));
    applicable.flat_map(|hook| hook.init_containers.iter().cloned()).collect()
}

fn from_init_annotations(pod: &Value, seed: &str) -> Option<Value> {
    let get = |key: &str| {
        object::annotation(pod, &format!("init.hook.restore.velero.io/{key}")).filter(|text| !text.is_empty())
    };
    let image = get("container-image")?;
    let made_up = || {
        let digits: String = Sha256::digest(seed).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("velero-restore-init-{digits}")
    };
    let mut container =
        json!({"name": get("container-name").map_or_else(made_up, str::to_owned), "image": image});
    if let Some(command) = get("command") {
        container["command"] = json!(words(command));
    }
    Some(container)
}

/// The commands to run in a pod as it was created, with warnings of what is left out.
pub(crate) fn exec_hooks(pod: &Value, hooks: &[SpecHook]) -> (Vec<ExecHook>, Vec<String>) {
    let containers = object::list(pod, &["spec", "containers"]);
    let names: Vec<&str> = containers.iter().filter_map(|one| object::text(one, &["name"])).collect();
    let Some(first) = names.first() else { return (Vec::new(), Vec::new()) };
    let mut warnings = Vec::new();
    let mut wanted = match from_exec_annotations(pod, &mut warnings) {
        Some(hook) => vec![hook],
        None => {
            let namespace = object::namespace(pod).unwrap_or_default();
            let labels = object::labels(pod);
            let applicable = hooks.iter().filter(|hook| hook.applies(namespace, &labels));
            applicable.flat_map(|hook| hook.exec.iter().cloned()).collect()
        }
    };
    for hook in &mut wanted {
        if hook.container.is_empty() {
            hook.container = (*first).to_owned();
        }
    }
    wanted.retain(|hook| {
        let there = names.contains(&hook.container.as_str());
        if !there {
            warnings.push(format!(
                "the hook {} is left out: the pod {} has no container {:?}",
                hook.name,
                object::name(pod),
                hook.container
            ));
        }
        there
    });
    (wanted, warnings)
}

fn from_exec_annotations(pod: &Value, warnings: &mut Vec<String>) -> Option<ExecHook> {
    let get = |key: &str| {
        object::annotation(pod, &format!("post.hook.restore.velero.io/{key}")).filter(|text| !text.is_empty())
    };
    let command = words(get("command")?);
    let mut ignored = |key: &str, why: &dyn std::fmt::Display| {
        warnings.push(format!(
            "the annotation post.hook.restore.velero.io/{key} of pod {} is ignored: {why}",
            object::name(pod)
        ));
    };
    let mut time =
        |key| duration(get(key).unwrap_or_default()).map_err(|why| ignored(key, &why)).ok().flatten();
    let (exec_timeout, wait_timeout) = (time("exec-timeout"), time("wait-timeout"));
    let wait_for_ready = match get("wait-for-ready") {
        None => false,
        Some(text) => go_bool(text).unwrap_or_else(|| {
            ignored("wait-for-ready", &format!("{text:?} is neither true nor false"));
            false
        }),
    };
    Some(ExecHook {
        name: FROM_ANNOTATIONS.to_owned(),
        container: get("container").unwrap_or_default().to_owned(),
        command,
        fail: get("on-error") == Some("Fail"),
        exec_timeout,
        wait_timeout,
        wait_for_ready,
    })
}

/// What Go's `strconv.ParseBool` reads.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A command: a JSON array of texts, or else the whole text as one word.
fn words(command: &str) -> Vec<String> {
    let list = command.starts_with('[').then(|| serde_json::from_str(command).ok()).flatten();
    list.unwrap_or_else(|| vec![command.to_owned()])
}

#[cfg(test)]
mod tests;
