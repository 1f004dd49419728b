//! The Velero Schedule that a member gets, and how one that is there is told from it. Pure.

use std::collections::BTreeMap;

use kurator_api::cluster::ClusterKey;
use kurator_api::duration::GoDuration;
use kurator_api::names;
use kurator_api::velero::{Backup, BackupSpec, Schedule, ScheduleSpec, TemplateMetadata};
use serde_json::{Value, json};

use super::validate::Wanted;
use crate::run::Owner;

pub(super) fn schedule(
    owner: &Owner,
    wanted: &Wanted,
    cluster: &ClusterKey,
    name: &str,
    location: Option<String>,
) -> Schedule {
    let spec = ScheduleSpec {
        template: BackupSpec { storage_location: location, ..wanted.template.clone() },
        schedule: Some(wanted.expression.clone()),
        paused: Some(wanted.paused),
        ..ScheduleSpec::default()
    };
    Schedule { metadata: owner.metadata(name, cluster), spec, status: None }
}

/// The Backup that Velero would make of the Schedule `name`, under another name than by the clock.
pub(super) fn run_now(
    owner: &Owner,
    schedule: &Schedule,
    name: &str,
    cluster: &ClusterKey,
    run: &str,
) -> Backup {
    let mut metadata = owner.metadata(run, cluster);
    metadata.annotations.get_or_insert_default().remove(names::FULL_NAME_ANNOTATION);
    let of_schedule = (names::VELERO_SCHEDULE_NAME_LABEL.to_owned(), names::label_value(name));
    metadata.labels.get_or_insert_default().extend([of_schedule]);
    Backup { metadata, spec: schedule.spec.template.clone(), status: None }
}

/// Whether a Schedule says everything that `wanted` says, and nothing else in its template.
///
/// What Velero writes itself (`skipImmediately`, the status) does not matter, nor do the zero values that Go's types
/// write and Velero reads as "not set".
pub(super) fn says(found: &Schedule, wanted: &Schedule) -> bool {
    let (is, shall) = (&found.spec, &wanted.spec);
    plain(&is.template) == plain(&shall.template)
        && is.schedule == shall.schedule
        && is.paused.unwrap_or_default() == shall.paused.unwrap_or_default()
        && has_all(&found.metadata.labels, &wanted.metadata.labels)
        && has_all(&found.metadata.annotations, &wanted.metadata.annotations)
}

type Texts = Option<BTreeMap<String, String>>;

fn has_all(found: &Texts, wanted: &Texts) -> bool {
    wanted.iter().flatten().all(|(key, value)| found.as_ref().and_then(|found| found.get(key)) == Some(value))
}

fn plain(template: &BackupSpec) -> BackupSpec {
    let is_set = |duration: &String| duration.parse::<GoDuration>().map_or(true, |set| !set.is_zero());
    let mut template = template.clone();
    template.metadata.take_if(|metadata| *metadata == TemplateMetadata::default());
    template.ttl = template.ttl.filter(is_set).map(canonical);
    template.csi_snapshot_timeout = template.csi_snapshot_timeout.filter(is_set);
    template.item_operation_timeout = template.item_operation_timeout.filter(is_set);
    template.hooks = template.hooks.filter(|hooks| *hooks != json!({}) && !hooks.is_null());
    template.other.retain(|_, value| !value.is_null());
    template
}

/// `720h` and `720h0m0s` are one duration.
fn canonical(duration: String) -> String {
    duration.parse::<GoDuration>().map_or(duration, |parsed| parsed.to_string())
}

/// A JSON patch that makes `found` say what `wanted` says and touches nothing else; the server refuses it if the
/// Schedule is not the one that was seen, or has changed since.
///
/// The template is replaced as a whole, because only so a filter that was removed goes.
pub(super) fn change(found: &Schedule, wanted: &Schedule) -> Value {
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": found.metadata.uid})];
    // Another version is a conflict, where a failed test would look like a fault of ours.
    let version = &found.metadata.resource_version;
    patch.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
    let ScheduleSpec { template, schedule, paused, .. } = &wanted.spec;
    for (field, value) in
        [("template", json!(template)), ("schedule", json!(schedule)), ("paused", json!(paused))]
    {
        patch.push(json!({"op": "add", "path": format!("/spec/{field}"), "value": value}));
    }
    for (field, found, wanted) in [
        ("labels", &found.metadata.labels, &wanted.metadata.labels),
        ("annotations", &found.metadata.annotations, &wanted.metadata.annotations),
    ] {
        if found.is_none() {
            patch.push(json!({"op": "add", "path": format!("/metadata/{field}"), "value": {}}));
        }
        for (key, value) in wanted.iter().flatten() {
            let key = key.replace('~', "~0").replace('/', "~1");
            patch.push(json!({"op": "add", "path": format!("/metadata/{field}/{key}"), "value": value}));
        }
    }
    Value::Array(patch)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests {
    use super::*;
    use crate::backup::schedule::testing::{cluster, owner, wanted};

    const NAME: &str = "m1-backup-default-nightly";

    fn rendered() -> Schedule {
        schedule(&owner(), &wanted(), &cluster("m1"), NAME, Some("default".into()))
    }

    fn stored(template: Value) -> Schedule {
        let mut stored = rendered();
        stored.metadata.uid = Some("s".into());
        stored.metadata.resource_version = Some("7".into());
        let mut whole = serde_json::to_value(&stored.spec.template).unwrap();
        for (field, value) in template.as_object().unwrap() {
            whole[field] = value.clone();
        }
        stored.spec.template = serde_json::from_value(whole).unwrap();
        stored
    }

    #[test]
    fn what_velero_and_gos_types_write_of_themselves_is_no_difference() {
        let mut found = stored(json!({
            "csiSnapshotTimeout": "0s", "itemOperationTimeout": "0s", "hooks": {}, "metadata": {},
            "ttl": "240h0m0s", "resourcePolicy": null, "includedNamespaces": null,
        }));
        found.spec.skip_immediately = Some(false);
        found.spec.paused = None;
        found.metadata.labels.get_or_insert_default().insert("theirs".into(), "x".into());
        found.status = Some(serde_json::from_value(json!({"phase": "Enabled"})).unwrap());
        assert!(says(&found, &rendered()));
    }

    #[test]
    fn k29_every_field_of_ours_makes_a_difference() {
        let changes: [fn(&mut Schedule); 8] = [
            |s| s.spec.schedule = Some("0 1 * * *".into()),
            |s| s.spec.paused = Some(true),
            |s| s.spec.template.ttl = None,
            |s| s.spec.template.storage_location = Some("other".into()),
            |s| s.spec.template.included_namespaces = vec!["a".into()],
            |s| s.spec.template.ordered_resources = [("pods".into(), "a/b".into())].into(),
            |s| s.metadata.labels = None,
            |s| s.metadata.annotations = None,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut found = stored(json!({}));
            change(&mut found);
            assert!(!says(&found, &rendered()), "change {index}");
        }
    }

    #[test]
    fn a_change_is_made_to_the_version_that_was_seen_and_to_our_fields_alone() {
        let mut found = stored(json!({"hooks": {"resources": []}, "excludedNamespaces": ["a"]}));
        found.metadata.annotations = None;
        let patch = change(&found, &rendered());
        let paths: Vec<_> =
            patch.as_array().unwrap().iter().map(|step| step["path"].as_str().unwrap()).collect();
        assert_eq!(
            paths[..5],
            [
                "/metadata/uid",
                "/metadata/resourceVersion",
                "/spec/template",
                "/spec/schedule",
                "/spec/paused"
            ]
        );
        assert!(paths.contains(&"/metadata/labels/kurator.dev~1owner-uid"));
        assert!(!paths.contains(&"/metadata/labels"));
        assert!(paths.contains(&"/metadata/annotations"));
        assert_eq!(
            patch[2]["value"],
            json!({"includeClusterResources": true, "ttl": "240h", "storageLocation": "default"})
        );
    }

    #[test]
    fn a_run_asked_for_is_labelled_as_velero_labels_a_run() {
        let run = run_now(&owner(), &rendered(), NAME, &cluster("m1"), "a-run");
        let labels = run.metadata.labels.unwrap_or_default();
        assert_eq!(labels["velero.io/schedule-name"], NAME);
        assert_eq!(labels["kurator.dev/owner-uid"], owner().uid);
        assert_eq!(run.spec, rendered().spec.template);
        assert_eq!(run.metadata.name.as_deref(), Some("a-run"));
    }
}
