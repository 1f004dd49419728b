//! The hooks of a spec as they are written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kurator_api::duration::GoDuration;
use serde::Deserialize;
use serde_json::Value;

use crate::glob::Glob;
use crate::labels::Selector;
use crate::types::Catalog;

use super::{Exec, Lists, Rule};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hooks {
    resources: Option<Vec<Resource>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    name: String,
    included_namespaces: Option<Vec<String>>,
    excluded_namespaces: Option<Vec<String>>,
    included_resources: Option<Vec<String>>,
    excluded_resources: Option<Vec<String>>,
    label_selector: Option<LabelSelector>,
    pre: Option<Vec<Hook>>,
    post: Option<Vec<Hook>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Hook {
    exec: Option<RawExec>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawExec {
    container: String,
    command: Option<Vec<String>>,
    on_error: String,
    timeout: Option<String>,
}

pub(super) fn parse(hooks: Option<&Value>) -> Result<Vec<Rule>, Vec<String>> {
    let hooks = Option::<Hooks>::deserialize(hooks.unwrap_or(&Value::Null))
        .map_err(|error| vec![format!("spec.hooks cannot be read: {error}")])?;
    let mut errors = Vec::new();
    let resources = hooks.and_then(|hooks| hooks.resources).unwrap_or_default();
    let rules = resources
        .into_iter()
        .enumerate()
        .map(|(index, resource)| rule(&format!("spec.hooks.resources[{index}]"), resource, &mut errors))
        .collect();
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

fn rule(path: &str, raw: Resource, errors: &mut Vec<String>) -> Rule {
    let Resource {
        name,
        included_namespaces,
        excluded_namespaces,
        included_resources,
        excluded_resources,
        label_selector,
        pre,
        post,
    } = raw;
    let selector = label_selector.map_or_else(|| Ok(Selector::default()), |raw| Selector::parse(&raw));
    let selector = selector.unwrap_or_else(|error| {
        errors.push(format!("{path}.labelSelector.{error}"));
        Selector::default()
    });
    let mut globs = |list: &str, names: Option<Vec<String>>| -> Vec<Glob> {
        let names = names.unwrap_or_default();
        let mut parse = |name: &String| {
            Glob::parse(name).map_err(|error| errors.push(format!("{path}.{list}: {error}"))).ok()
        };
        names.iter().filter_map(&mut parse).collect()
    };
    let texts = |globs: Vec<Glob>| globs.iter().map(ToString::to_string).collect();
    Rule {
        name,
        namespaces: Lists {
            include: globs("includedNamespaces", included_namespaces).into_iter().collect(),
            exclude: globs("excludedNamespaces", excluded_namespaces).into_iter().collect(),
        },
        resources: (
            texts(globs("includedResources", included_resources)),
            texts(globs("excludedResources", excluded_resources)),
        ),
        selector,
        pre: execs(&format!("{path}.pre"), pre, errors),
        post: execs(&format!("{path}.post"), post, errors),
    }
}

fn execs(path: &str, hooks: Option<Vec<Hook>>, errors: &mut Vec<String>) -> Vec<Exec> {
    let hooks = hooks.into_iter().flatten().enumerate();
    hooks
        .filter_map(|(index, hook)| {
            let RawExec { container, command, on_error, timeout } = hook.exec?;
            if !matches!(on_error.as_str(), "" | "Fail" | "Continue") {
                errors.push(format!(
                    "{path}[{index}].exec.onError `{on_error}` is neither `Fail` nor `Continue`"
                ));
            }
            let timeout = timeout.map_or_else(|| Ok(GoDuration::default()), |text| text.parse());
            Some(Exec {
                index,
                container,
                command: command.unwrap_or_default(),
                stops: on_error == "Fail",
                timeout: timeout.unwrap_or_else(|error| {
                    errors.push(format!("{path}[{index}].exec.timeout: {error}"));
                    GoDuration::default()
                }),
            })
        })
        .collect()
}

/// What a type is called where it is compared.
pub(super) fn resolved(name: &str, catalog: &Catalog) -> Option<Glob> {
    let meant = catalog.find(name).map(crate::types::ApiType::group_resource);
    Glob::parse(meant.as_deref().unwrap_or(name)).ok()
}
