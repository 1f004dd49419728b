//! The hook that a pod's annotations ask for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use kurator_api::duration::GoDuration;

use super::{Exec, Phase};

/// The annotations of a phase; before the backup also those of old without a phase.
pub(super) fn hook(
    annotations: &BTreeMap<Cow<'_, str>, Cow<'_, str>>,
    phase: Phase,
    warnings: &mut Vec<String>,
) -> Option<Exec> {
    match phase {
        Phase::Pre => {
            with_prefix(annotations, "pre.", warnings).or_else(|| with_prefix(annotations, "", warnings))
        }
        Phase::Post => with_prefix(annotations, "post.", warnings),
    }
}

fn with_prefix(
    annotations: &BTreeMap<Cow<'_, str>, Cow<'_, str>>,
    prefix: &str,
    warnings: &mut Vec<String>,
) -> Option<Exec> {
    let value = |field: &str| {
        let key = format!("{prefix}hook.backup.velero.io/{field}");
        annotations.get(key.as_str()).map(AsRef::as_ref).unwrap_or_default()
    };
    let command = value("command");
    if command.is_empty() {
        return None;
    }
    let timeout = match value("timeout") {
        "" => GoDuration::default(),
        text => text.parse().unwrap_or_else(|error| {
            warnings.push(format!("Unable to parse provided timeout {text}, using default: {error}"));
            GoDuration::default()
        }),
    };
    Some(Exec {
        index: 0,
        container: value("container").to_owned(),
        command: words(command),
        stops: value("on-error") == "Fail",
        timeout,
    })
}

/// A JSON list of texts, or one word.
fn words(command: &str) -> Vec<String> {
    let list = if command.starts_with('[') { serde_json::from_str(command).ok() } else { None };
    list.unwrap_or_else(|| vec![command.to_owned()])
}
