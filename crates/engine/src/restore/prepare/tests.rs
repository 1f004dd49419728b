use serde_json::{Value, json};

use super::super::testing::{prepared, restore};
use super::*;
use crate::types::ApiType;

fn refused(spec: Value) -> Vec<String> {
    prepared(spec).unwrap_err()
}

fn backup(json: Value) -> Backup {
    serde_json::from_value(json).unwrap()
}

fn run(name: &str, phase: &str, start: &str) -> Backup {
    backup(json!({
        "metadata": {"name": name, "labels": {"velero.io/schedule-name": "nightly"}},
        "spec": {"storageLocation": "default"}, "status": {"phase": phase, "startTimestamp": start},
    }))
}

fn location(phase: &str) -> BackupStorageLocation {
    serde_json::from_value(json!({"metadata": {"name": "default"}, "status": {"phase": phase}})).unwrap()
}

fn from(
    spec: Value,
    backups: &[Backup],
    locations: &[BackupStorageLocation],
) -> Result<Prepared, Vec<String>> {
    prepare(
        &restore(spec),
        &Facts { backups, locations, modifiers: None, policy: None, catalog: &Catalog::default() },
    )
}

#[test]
fn each_fault_of_a_spec_has_its_sentence() {
    // The sentences of Velero 1.18 (validateAndComplete) where it has one.
    for (spec, sentence) in [
        (json!({"includedResources": ["nodes"]}), "nodes are non-restorable resources"),
        (
            json!({"includedResources": ["*", "pods"]}),
            "Invalid included/excluded resource lists: includes list must either contain '*' only, or a non-empty \
             list of items",
        ),
        (
            json!({"excludedNamespaces": ["*"]}),
            "Invalid included/excluded namespace lists: excludes list cannot contain '*'",
        ),
        (
            json!({"includedNamespaces": ["a"], "excludedNamespaces": ["a"]}),
            "Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes list: a",
        ),
        (
            json!({"includedNamespaces": ["a["]}),
            "Invalid included/excluded namespace lists: `a[` is not a pattern: a bracket is not closed",
        ),
        (
            json!({"labelSelector": {}, "orLabelSelectors": [{}]}),
            "encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified",
        ),
        (
            json!({"labelSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
            "Invalid labelSelector: matchExpressions[0].operator `Is` is none of `In`, `NotIn`, `Exists` and \
             `DoesNotExist`",
        ),
        (
            json!({"backupName": "b", "scheduleName": "s"}),
            "Either a backup or schedule must be specified as a source for the restore, but not both",
        ),
        (
            json!({"backupName": ""}),
            "Either a backup or schedule must be specified as a source for the restore, but not both",
        ),
        (json!({"existingResourcePolicy": "replace"}), "Invalid ExistingResourcePolicy: replace"),
        (
            json!({"backupName": "c"}),
            "Error retrieving backup: can't find backup velero/c: Backup.velero.io \"c\" not found",
        ),
        (json!({"scheduleName": "s"}), "No backups found for schedule"),
        (
            json!({"namespaceMapping": {"a": "B_1"}}),
            "Invalid namespaceMapping: \"a\" is mapped to \"B_1\", which is not the name of a namespace",
        ),
        (
            json!({"namespaceMapping": {"*": "b"}}),
            "Invalid namespaceMapping: \"*\" is not the name of a namespace; map each namespace by its name",
        ),
        (
            json!({"namespaceMapping": {"": "b"}}),
            "Invalid namespaceMapping: \"\" is not the name of a namespace; map each namespace by its name",
        ),
        (
            json!({"itemOperationTimeout": "-4h"}),
            "spec.itemOperationTimeout: `-4h` is not a duration: it is negative; write numbers with units, such as `720h` or `1h30m`",
        ),
        (
            json!({"resourcePolicy": {"kind": "ConfigMap", "name": "p"}}),
            "invalid restore resource policies: fail to get ResourcePolicies velero/p ConfigMap: it is not there",
        ),
        (
            json!({"hooks": {"resources": [{"name": "h", "postHooks": [{"init": {"initContainers": [{"name": "i"}]}}]}]}}),
            "invalid init container in restore hook \"h\": invalid InitContainer in restore hook, it doesn't have \
             Command, Name or Image field",
        ),
        (
            json!({"hooks": {"resources": [{"name": "h", "postHooks": [{"exec": {"command": ["x"], "onError": "Stop"}}]}]}}),
            "invalid restore hooks: hook \"h\": `exec.onError` is \"Stop\"; write Continue or Fail",
        ),
        (
            json!({"hooks": {"resources": [{"name": "h", "postHooks": [{"exec": {}}]}]}}),
            "invalid restore hooks: hook \"h\": `exec.command` is empty; name the command and its arguments",
        ),
        (
            json!({"hooks": {"resources": [{"name": "h", "postHooks": [{"exec": {"command": ["x"], "waitTimeout": "5"}}]}]}}),
            "invalid restore hooks: hook \"h\": `exec.waitTimeout`: `5` is not a duration: a number has no unit; \
             write numbers with units, such as `720h` or `1h30m`",
        ),
        (
            json!({"hooks": {"resources": "all"}}),
            "invalid restore hooks: invalid type: string \"all\", expected a sequence",
        ),
    ] {
        assert_eq!(refused(spec.clone()), [sentence], "{spec}");
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = refused(json!({
        "backupName": "c", "existingResourcePolicy": "x", "excludedNamespaces": ["*"], "includedResources": ["nodes"],
    }));
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn namespaces_that_become_one_are_told() {
    let mapping = json!({"backupName": "b", "namespaceMapping": {"f": "one", "g": "one", "h": "two"}});
    assert_eq!(
        prepared(mapping).unwrap().warnings,
        [
            "spec.namespaceMapping: the namespaces f, g all go to one; of objects with one name in several of them only \
             one is restored"
        ]
    );
}

#[test]
fn only_a_backup_that_ended_well_enough_is_restored() {
    for (phase, good) in [
        ("Completed", true),
        ("PartiallyFailed", true),
        ("Failed", false),
        ("InProgress", false),
        ("Deleting", false),
    ] {
        let prepared = from(
            json!({"backupName": "n"}),
            &[run("n", phase, "2026-11-01T00:00:00Z")],
            &[location("Available")],
        );
        let fault = format!(
            "Error retrieving backup: backup n is {phase}; only one that is Completed or PartiallyFailed can be restored"
        );
        assert_eq!(prepared.map(|_| ()), if good { Ok(()) } else { Err(vec![fault]) });
    }
}

#[test]
fn the_newest_completed_backup_of_a_schedule_is_chosen() {
    let runs = [
        run("old", "Completed", "2026-11-01T00:00:00Z"),
        run("good", "Completed", "2026-11-02T00:00:00Z"),
        run("bad", "PartiallyFailed", "2026-11-03T00:00:00Z"),
    ];
    let prepared = from(json!({"scheduleName": "nightly"}), &runs, &[location("Available")]).unwrap();
    assert_eq!(prepared.plan.backup(), "good");
    assert_eq!(prepared.restore.spec.backup_name.as_deref(), Some("good"));
    assert_eq!(
        from(json!({"scheduleName": "nightly"}), &runs[2..], &[location("Available")]).unwrap_err(),
        ["No completed backups found for schedule"]
    );
}

#[test]
fn a_backup_s_location_has_to_be_there_and_available() {
    let runs = [run("n", "Completed", "2026-11-01T00:00:00Z")];
    assert_eq!(
        from(json!({"backupName": "n"}), &runs, &[]).unwrap_err(),
        ["Error retrieving backup: BackupStorageLocation.velero.io \"default\" not found"]
    );
    assert_eq!(
        from(json!({"backupName": "n"}), &runs, &[location("Unavailable")]).unwrap_err(),
        ["The BSL default is unavailable, cannot retrieve the backup"]
    );
}

#[test]
fn a_prepared_restore_is_what_velero_stores() {
    let runs = [run("n", "Completed", "2026-11-01T00:00:00Z")];
    let prepared = from(
        json!({"backupName": "n", "excludedResources": ["events", "pods"]}),
        &runs,
        &[location("Available")],
    )
    .unwrap();
    assert_eq!(
        serde_json::to_value(&prepared.restore.spec).unwrap(),
        json!({
            "backupName": "n", "scheduleName": "nightly", "itemOperationTimeout": "4h0m0s",
            "excludedResources": [
                "events", "pods", "nodes", "events.events.k8s.io", "backups.velero.io", "restores.velero.io",
                "resticrepositories.velero.io", "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io",
                "backuprepositories.velero.io",
            ],
        })
    );
}

#[test]
fn a_type_is_meant_by_its_short_name_and_an_unknown_one_stays_as_it_is() {
    let catalog = Catalog {
        types: vec![ApiType {
            group: "apps".into(),
            resource: "deployments".into(),
            short_names: vec!["deploy".into()],
            ..ApiType::default()
        }],
        failed: Vec::new(),
    };
    let runs = [run("n", "Completed", "2026-11-01T00:00:00Z")];
    let restore = restore(
        json!({"backupName": "n", "includedResources": ["deploy", "widgets.example.com", "*.batch"]}),
    );
    let facts = Facts {
        backups: &runs,
        locations: &[location("Available")],
        modifiers: None,
        policy: None,
        catalog: &catalog,
    };
    let plan = prepare(&restore, &facts).unwrap().plan;
    for (resource, taken) in
        [("deployments.apps", true), ("widgets.example.com", true), ("jobs.batch", true), ("pods", false)]
    {
        assert_eq!(plan.takes_type(resource), taken, "{resource}");
    }
}
