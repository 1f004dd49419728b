//! Formats of what goes to stdout.

use anyhow::Context as _;
use clap::ValueEnum;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Serialize;
use serde_json::json;
use std::io::Write as _;

/// How objects are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A line each
    #[default]
    Table,
    /// A line each, with a message
    Wide,
    /// As they are on the hub
    Json,
    /// The same as YAML
    Yaml,
    /// Type and name only, as kubectl takes them
    Name,
}

/// Prints to stdout. A reader that has gone away, as `head` does, has seen enough: that is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    is_read(text).map(drop)
}

/// Prints to stdout; whether anybody still reads there.
pub(crate) fn is_read(text: &str) -> anyhow::Result<bool> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// One object as JSON or YAML, without the bookkeeping of who wrote which field.
pub(crate) fn document(output: Output, object: &impl Serialize) -> anyhow::Result<String> {
    let mut value = serde_json::to_value(object)?;
    let items = value.get_mut("items").and_then(|items| items.as_array_mut());
    let all = items.map_or_else(Vec::new, |items| items.iter_mut().collect());
    for object in all {
        strip(object);
    }
    strip(&mut value);
    Ok(match output {
        Output::Yaml => serde_saphyr::to_string(&value)?,
        _ => serde_json::to_string_pretty(&value)? + "\n",
    })
}

fn strip(object: &mut serde_json::Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(|metadata| metadata.as_object_mut()) {
        metadata.remove("managedFields");
        metadata.retain(|_, value| !value.is_null());
    }
}

/// Several objects as kubectl prints them: one for itself, or a List.
pub(crate) fn documents(output: Output, objects: &[DynamicObject], as_list: bool) -> anyhow::Result<String> {
    match objects {
        [only] if !as_list => document(output, only),
        all => document(
            output,
            &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": all}),
        ),
    }
}

/// Type and name, as kubectl takes them.
pub(crate) fn full_name(object: &DynamicObject) -> String {
    let types = object.types.clone().unwrap_or_default();
    let group = types.api_version.split_once('/').map_or("", |(group, _)| group);
    format!("{}.{group}/{}", types.kind.to_lowercase(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup",
            "metadata": {"name": "b", "managedFields": [{"manager": "x"}]}, "spec": {"destination": {"fleet": "f"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_document_is_what_kubectl_applies() {
        let text = documents(Output::Yaml, &[object()], false).unwrap();
        assert_eq!(
            text,
            "apiVersion: backup.kurator.dev/v1alpha1\nkind: Backup\nmetadata:\n  name: b\nspec:\n  destination:\n    fleet: f\n"
        );
    }

    #[test]
    fn several_documents_are_a_list() {
        let text = documents(Output::Json, &[object(), object()], false).unwrap();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["kind"], "List");
        assert_eq!(list["items"][1]["metadata"], json!({"name": "b"}));
    }

    #[test]
    fn a_name_is_one_that_kubectl_takes() {
        assert_eq!(full_name(&object()), "backup.backup.kurator.dev/b");
    }
}
