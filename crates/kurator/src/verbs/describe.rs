//! `kurator describe`: one object in full, for people.

mod sections;

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, ListParams};
use kurator_api::backup::Backup;
use kurator_api::condition::Condition;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_member::clock::{Clock as _, SystemClock};

use super::hub::{Hub, HubFlags, is_unknown_type};
use super::kinds::{Kind, age, age_of, typed};
use super::note;
use super::output::print;
use super::run::Run;
use super::what::{Word, WordParser};
use super::words;
use crate::failure::Failure;
use sections::{about_members, about_run, runs};

/// Events that are shown, the last ones.
const EVENTS: usize = 10;

/// Options of `describe`.
#[derive(clap::Args)]
pub(crate) struct DescribeFlags {
    /// What it is, or KIND/NAME
    #[arg(value_name = "KIND", value_parser = WordParser)]
    what: Word,

    /// Its name
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: Option<String>,

    #[command(flatten)]
    hub: HubFlags,
}

pub(crate) async fn describe(flags: DescribeFlags, before: HubFlags) -> Result<(), Failure> {
    let (kind, name) = one(flags.what, flags.name).map_err(Failure::usage)?;
    let hub = flags.hub.or(before).connect().await?;
    let object = find(&hub, kind, &name).await?;
    let events = events(&hub, &object).await?;
    print(&text(kind, &object, &events, SystemClock.now())?)?;
    Ok(())
}

/// The one object that is meant.
fn one(what: Word, name: Option<String>) -> Result<(Kind, String), String> {
    let one = match (what, name) {
        (Word::Object(kind, name), None) => Some((kind, name)),
        (Word::Kinds(kinds), Some(name)) => <[Kind; 1]>::try_from(kinds).ok().map(|[kind]| (kind, name)),
        _ => None,
    };
    one.ok_or_else(|| "one object is described at a time; write KIND NAME or KIND/NAME".to_owned())
}

async fn find(hub: &Hub, kind: Kind, name: &str) -> Result<DynamicObject, Failure> {
    for (at, of) in kind.types().iter().enumerate() {
        let api: Api<DynamicObject> = Api::namespaced_with(hub.client.clone(), &hub.namespace, of);
        match api.get(name).await {
            Ok(object) => return Ok(object),
            // The later types of a kind are Kurator's own, which may not be installed.
            Err(kube::Error::Api(status)) if at > 0 && is_unknown_type(&status) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() && !is_unknown_type(&status) => {}
            Err(error) => return Err(hub.failure(&format!("{} `{name}`", kind.singular()), error)),
        }
    }
    Err(hub.missing(&[(kind, name.to_owned())]).await)
}

async fn events(hub: &Hub, object: &DynamicObject) -> Result<Vec<Event>, Failure> {
    let api = Api::<Event>::namespaced(hub.client.clone(), &hub.namespace);
    let uid = object.uid().unwrap_or_default();
    let listed = api.list(&ListParams::default().fields(&format!("involvedObject.uid={uid}"))).await;
    let mut events = match listed {
        Ok(listed) => listed.items,
        // The object itself may be read, and is what was asked for.
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            note(&format!("without events: {}", status.message));
            return Ok(Vec::new());
        }
        Err(error) => return Err(hub.failure("events", error)),
    };
    events.sort_by_key(last_seen);
    Ok(events.split_off(events.len().saturating_sub(EVENTS)))
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let again = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|at| at.0);
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|at| at.0);
    again.or(last).or(event.event_time.as_ref().map(|at| at.0)).or(event
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|at| at.0))
}

fn text(
    kind: Kind,
    object: &DynamicObject,
    events: &[Event],
    now: Timestamp,
) -> Result<String, serde_json::Error> {
    let of = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
    let mut facts = vec![
        ("Name", object.name_any()),
        ("Namespace", object.namespace().unwrap_or_default()),
        ("Kind", of),
        ("Age", age_of(object, now)),
    ];
    let mut sections = String::new();
    let conditions: Vec<Condition> = match object.data.pointer("/status/conditions") {
        Some(conditions) => serde_json::from_value(conditions.clone())?,
        None => Vec::new(),
    };
    match kind {
        Kind::Backups => {
            let backup: Backup = typed(object)?;
            let status = backup.status.clone().unwrap_or_default();
            let ago = |at: Option<Timestamp>| {
                at.map(|at| format!("{at} ({} ago)", age(at, now))).unwrap_or_default()
            };
            facts.push(("Fleet", backup.spec.destination.fleet.clone()));
            if let Some(schedule) = backup.spec.schedule() {
                facts.push(("Schedule", schedule.to_owned()));
                facts.push(("Last success", ago(status.last_success)));
                facts.push(("Next run", status.next_run.map(|at| at.to_string()).unwrap_or_default()));
                facts.push(("Runs", runs(&status.backup_details)));
            }
            about_run(&Run::from(&backup), &mut facts, &mut sections);
        }
        Kind::Restores => {
            let restore: Restore = typed(object)?;
            facts.push(("Backup", restore.spec.backup_name.clone()));
            about_run(&Run::from(&restore), &mut facts, &mut sections);
        }
        Kind::Migrates => {
            let migrate: Migrate = typed(object)?;
            facts.push(("Fleet", migrate.spec.source_cluster.fleet.clone()));
            about_run(&Run::from(&migrate), &mut facts, &mut sections);
        }
        Kind::Fleets => {
            let fleet: Fleet = typed(object)?;
            let phase = fleet.status.as_ref().and_then(|status| status.phase);
            facts.push(("Phase", phase.map(|phase| format!("{phase:?}")).unwrap_or_default()));
            about_members(&fleet, &mut sections);
        }
        Kind::Clusters => {
            let server = object.data.pointer("/status/apiServer").and_then(|server| server.as_str());
            facts.push(("Server", server.unwrap_or_default().to_owned()));
        }
    }
    let mut text = String::new();
    for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        // Writing to a String cannot fail.
        let _always = writeln!(text, "{:<14}{value}", format!("{name}:"));
    }
    text += &sections;
    let said = sections::about_conditions(&conditions, now, &mut text);
    sections::about_events(events, &said, now, &mut text);
    Ok(text)
}

#[cfg(test)]
mod tests {
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
        let (object, event) =
            (serde_json::from_value(object).unwrap(), serde_json::from_value(event).unwrap());
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
    fn a_migration_tells_where_from_and_where_to() {
        let row = |name: &str| json!({"clusterName": name, "phase": "Completed"});
        let told = told(
            Kind::Migrates,
            json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Migrate", "metadata": {"name": "m"},
                "spec": {"sourceCluster": {"fleet": "f"}, "targetCluster": {"fleet": "f"}},
                "status": {"sourceClusterStatus": row("a"), "targetClusterStatus": [row("b")]}}),
        );
        let expected = "\
PART   CLUSTER   PHASE       OBJECTS   NAME IN CLUSTER   REASON   MESSAGE
from   a         Completed   -         -                 -        -
to     b         Completed   -         -                 -        -
";
        assert!(told.contains(expected), "{told}");
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
Stalled       True     Failed   60s     no cluster succeeded; a: there is no su…
";
        assert!(told.contains(expected), "{told}");
    }

    #[test]
    fn a_fleet_is_told_with_its_phase() {
        let fleet = json!({"apiVersion": "fleet.kurator.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": "f"},
            "spec": {"clusters": []}, "status": {"phase": "Running"}});
        assert!(told(Kind::Fleets, fleet).contains("Phase:        Running\n"));
    }

    #[test]
    fn one_object_is_described_at_a_time() {
        let one = |what, name: Option<&str>| one(what, name.map(str::to_owned));
        assert_eq!(one(Word::Kinds(vec![Kind::Backups]), Some("b")), Ok((Kind::Backups, "b".to_owned())));
        assert_eq!(
            one(Word::Object(Kind::Backups, "b".to_owned()), None),
            Ok((Kind::Backups, "b".to_owned()))
        );
        for (what, name) in [
            (Word::Kinds(vec![Kind::Backups]), None),
            (Word::Kinds(vec![Kind::Backups, Kind::Fleets]), Some("b")),
        ] {
            let why = "one object is described at a time; write KIND NAME or KIND/NAME";
            assert_eq!(one(what, name), Err(why.to_owned()));
        }
    }
}
