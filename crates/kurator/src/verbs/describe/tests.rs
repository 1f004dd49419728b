use super::*;
use serde_json::json;

#[test]
fn a_backup_is_told_with_its_clusters_conditions_and_events() {
    let object = serde_json::from_value(json!({
        "apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup",
        "metadata": {"name": "docs", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"destination": {"fleet": "quickstart"}},
        "status": {
            "phase": "PartiallyFailed", "summary": {"status": "1/2"},
            "startTimestamp": "2026-01-01T00:00:01Z", "completionTimestamp": "2026-01-01T00:00:04Z",
            "conditions": [{"type": "Ready", "status": "False", "reason": "PartiallyFailed", "message": "1/2 clusters completed",
                "lastTransitionTime": "2026-01-01T00:00:04Z"}],
            "backupDetails": [
                {"clusterName": "a", "clusterKind": "AttachedCluster", "phase": "Completed", "backupNameInCluster": "a-docs",
                    "stored": {"location": "default", "bucket": "velero", "prefix": "clusters/a"},
                    "backupStatusInCluster": {"phase": "Completed", "progress": {"itemsBackedUp": 7, "totalItems": 7}}},
                {"clusterName": "b", "clusterKind": "AttachedCluster", "phase": "Failed", "reason": "Unreachable", "message": "no answer"},
            ],
        },
    }))
    .unwrap();
    let event = serde_json::from_value(json!({
        "metadata": {}, "involvedObject": {}, "type": "Warning", "reason": "PartiallyFailed", "message": "1/2 clusters completed",
        "lastTimestamp": "2026-01-01T00:00:04Z",
    }))
    .unwrap();
    let told = text(Kind::Backups, &object, &[event], "2026-01-01T00:01:00Z".parse().unwrap()).unwrap();
    let expected = "\
Name:         docs
Namespace:    default
Kind:         Backup
Age:          60s
Fleet:        quickstart
On deletion:  what is stored stays (Retain)
Phase:        PartiallyFailed
Clusters:     1/2
Started:      2026-01-01T00:00:01Z
Completed:    2026-01-01T00:00:04Z (after 3s)

CLUSTER   PHASE       OBJECTS   NAME IN CLUSTER   REASON        MESSAGE
a         Completed   7/7       a-docs            -             -
b         Failed      -         -                 Unreachable   no answer

CLUSTER   STORED IN
a         velero/clusters/a/backups/a-docs

CONDITION   STATUS   REASON            SINCE   MESSAGE
Ready       False    PartiallyFailed   56s     1/2 clusters completed

EVENT     REASON            AGE   MESSAGE
Warning   PartiallyFailed   56s   1/2 clusters completed
";
    assert_eq!(told, expected);
}

#[test]
fn an_event_that_came_again_is_told_with_how_often_and_when_last() {
    let object = json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
        "spec": {"destination": {"fleet": "f"}}});
    let event = json!({"metadata": {"name": "e"}, "involvedObject": {}, "type": "Warning", "reason": "Unreachable",
        "message": "no answer", "eventTime": "2026-01-01T00:00:00.000000Z",
        "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:50.000000Z"}});
    let (object, event) = (serde_json::from_value(object).unwrap(), serde_json::from_value(event).unwrap());
    let told = text(Kind::Backups, &object, &[event], "2026-01-01T00:01:00Z".parse().unwrap()).unwrap();
    assert!(told.ends_with("Warning   Unreachable (x3)   10s   no answer\n"), "{told}");
}

fn told(kind: Kind, object: serde_json::Value) -> String {
    let object = serde_json::from_value(object).unwrap();
    text(kind, &object, &[], "2026-01-01T00:01:00Z".parse().unwrap()).unwrap()
}

#[test]
fn a_schedule_is_told_with_its_runs() {
    let row = |runs: u32| json!({"clusterName": "a", "schedule": {"runs": runs, "failed": 2, "failedSinceSuccess": 1}});
    let told = told(
        Kind::Backups,
        json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"destination": {"fleet": "f"}, "schedule": "0 0 * * *"},
            "status": {"backupDetails": [row(3), row(4)]}}),
    );
    let expected = "Runs:         7 in all clusters, 4 of them not complete, 2 since the last success\n";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn the_runs_of_a_schedule_are_not_counted_where_no_cluster_tells_them() {
    let told = told(
        Kind::Backups,
        json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"destination": {"fleet": "f"}, "schedule": "0 0 * * *"}, "status": {"phase": "Pending"}}),
    );
    assert!(told.contains("Schedule:     0 0 * * *\n") && !told.contains("Runs:"), "{told}");
}

#[test]
fn a_schedule_is_told_with_the_run_of_each_cluster_that_can_be_restored() {
    let good = json!({"backupNameInCluster": "a-nightly-2", "completionTimestamp": "2026-01-01T00:00:30Z",
        "expiration": "2026-01-08T00:00:30Z"});
    let told = told(
        Kind::Backups,
        json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"destination": {"fleet": "f"}, "schedule": "0 0 * * *"},
            "status": {"backupDetails": [{"clusterName": "a", "backupNameInCluster": "a-nightly-3",
                "schedule": {"runs": 3, "lastSuccess": good}}]}}),
    );
    let expected = "\
CLUSTER   LAST GOOD RUN   ENDED   EXPIRES
a         a-nightly-2     30s     2026-01-08T00:00:30Z
";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_many_clusters_say_alike_is_told_whole_once() {
    let why = "the API server refuses the kubeconfig; write a valid one into its Secret";
    let row = |name: &str| json!({"clusterName": name, "phase": "Pending", "reason": "Unauthorized", "message": why});
    let told = told(
        Kind::Backups,
        json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"destination": {"fleet": "f"}}, "status": {"backupDetails": [row("a"), row("b"), row("c")]}}),
    );
    assert_eq!(told.matches(why).count(), 1, "{told}");
    assert_eq!(told.matches("the API server refuses the kubeconfig; w… (as above)").count(), 2, "{told}");
}

#[test]
fn a_cluster_is_told_with_its_version_and_where_its_kubeconfig_lies() {
    let cluster = json!({"apiVersion": "cluster.kurator.dev/v1alpha1", "kind": "AttachedCluster",
        "metadata": {"name": "a"}, "spec": {"kubeconfig": {"name": "a", "key": "value"}},
        "status": {"apiServer": "v1.34.1"}});
    let told = told(Kind::Clusters, cluster);
    assert!(told.contains("Kubernetes:   v1.34.1\nKubeconfig:   Secret `a`\n"), "{told}");
    let cluster = json!({"apiVersion": "cluster.kurator.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "a"},
        "status": {"apiEndpoint": "https://a:6443"}});
    assert!(self::told(Kind::Clusters, cluster).contains("Server:       https://a:6443\n"));
}

#[test]
fn a_migration_tells_where_from_and_where_to() {
    let row = |name: &str| json!({"clusterName": name, "phase": "Completed"});
    let told = told(
        Kind::Migrates,
        json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Migrate", "metadata": {"name": "m"},
            "spec": {"sourceCluster": {"fleet": "f"}, "targetCluster": {"fleet": "f"},
                "policy": {"namespaceMapping": {"shop": "till"}, "ttl": "24h", "deletionPolicy": "Delete"}},
            "status": {"sourceClusterStatus": row("a"), "targetClusterStatus": [row("b")]}}),
    );
    let expected = "\
PART   CLUSTER   PHASE       OBJECTS   NAME IN CLUSTER   REASON   MESSAGE
from   a         Completed   -         -                 -        -
to     b         Completed   -         -                 -        -
";
    assert!(told.contains(expected), "{told}");
    let expected = "\
Mapping:      shop to till
Kept for:     24h
On deletion:  what is stored is deleted too (Delete)
";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_is_stored_is_not_said_to_go_where_the_condition_denies_it() {
    let but = ", except where the condition Retention says otherwise";
    for (policy, expected) in [
        ("Retain", format!("Kept for:     720h{but}\nOn deletion:  what is stored stays (Retain)\n")),
        (
            "Delete",
            format!("Kept for:     720h{but}\nOn deletion:  what is stored is deleted too (Delete){but}\n"),
        ),
    ] {
        let told = told(
            Kind::Backups,
            json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
                "spec": {"destination": {"fleet": "f"}, "policy": {"ttl": "720h"}, "deletionPolicy": policy},
                "status": {"conditions": [{"type": "Retention", "status": "False", "reason": "NotSupported",
                    "message": "backups of a stay", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}),
        );
        assert!(told.contains(&expected), "{told}");
    }
}

#[test]
fn a_long_message_is_told_whole_once_and_only_where_it_explains_something() {
    let why = "no cluster succeeded; a: there is no such bucket, and nobody has made one";
    let condition = |type_: &str, status: &str| {
        json!({"type": type_, "status": status, "reason": "Failed", "message": why,
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let told = told(
        Kind::Backups,
        json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"destination": {"fleet": "f"}},
            "status": {"conditions": [condition("Ready", "False"), condition("Reconciling", "False"), condition("Stalled", "True")]}}),
    );
    let expected = "\
CONDITION     STATUS   REASON   SINCE   MESSAGE
Ready         False    Failed   60s     no cluster succeeded; a: there is no such bucket, and nobody has made one
Reconciling   False    Failed   60s     -
Stalled       True     Failed   60s     no cluster succeeded; a: there is no suc… (as above)
";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_fleet_is_told_with_its_phase_and_its_store() {
    let fleet = json!({"apiVersion": "fleet.kurator.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": "f"},
        "spec": {"clusters": [], "plugin": {"backup": {"engine": "Builtin", "storage": {"secretName": "s",
            "location": {"bucket": "velero", "prefix": "eu", "provider": "aws", "endpoint": "http://s3:9000"}}}}},
        "status": {"phase": "Running"}});
    let expected = "\
Phase:        Running
Engine:       Builtin
Bucket:       velero/eu
Endpoint:     http://s3:9000
Credential:   Secret `s`
";
    let told = told(Kind::Fleets, fleet);
    assert!(told.ends_with(expected), "{told}");
}

#[test]
fn one_object_is_described_at_a_time() {
    let one = |what, name: Option<&str>| one(what, name.map(str::to_owned));
    assert_eq!(one(Word::Kinds(vec![Kind::Backups]), Some("b")), Ok((Kind::Backups, "b".to_owned())));
    assert_eq!(one(Word::Object(Kind::Backups, "b".to_owned()), None), Ok((Kind::Backups, "b".to_owned())));
    for (what, name) in [
        (Word::Kinds(vec![Kind::Backups]), None),
        (Word::Kinds(vec![Kind::Backups, Kind::Fleets]), Some("b")),
    ] {
        let why = "one object is described at a time; write KIND NAME or KIND/NAME";
        assert_eq!(one(what, name), Err(why.to_owned()));
    }
}
