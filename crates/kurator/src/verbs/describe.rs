//! `kurator describe`: one object in full, for people.

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

use super::hub::{Hub, HubFlags};
use super::kinds::{Kind, age, age_of, typed};
use super::note;
use super::output::print;
use super::run::Run;
use super::table::table;
use crate::failure::Failure;

/// Events that are shown, the last ones.
const EVENTS: usize = 10;

/// Options of `describe`.
#[derive(clap::Args)]
pub(crate) struct DescribeFlags {
    /// What it is
    #[arg(value_enum, value_name = "KIND")]
    kind: Kind,

    /// Its name
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    hub: HubFlags,
}

pub(crate) async fn describe(flags: DescribeFlags) -> Result<(), Failure> {
    let hub = flags.hub.connect().await?;
    let object = find(&hub, flags.kind, &flags.name).await?;
    let events = events(&hub, &object).await?;
    print(&text(flags.kind, &object, &events, SystemClock.now())?)?;
    Ok(())
}

async fn find(hub: &Hub, kind: Kind, name: &str) -> Result<DynamicObject, Failure> {
    let what = format!("{} `{name}`", kind.singular());
    let mut refused = None;
    for of in kind.types() {
        let api: Api<DynamicObject> = Api::namespaced_with(hub.client.clone(), &hub.namespace, &of);
        match api.get(name).await {
            Ok(object) => return Ok(object),
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    Err(match refused {
        Some(error) => hub.failure(&what, error),
        None => anyhow::anyhow!("{what}: unknown kind").into(),
    })
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
    let last = event.last_timestamp.as_ref().or(event.first_timestamp.as_ref()).map(|at| at.0);
    last.or(event.event_time.as_ref().map(|at| at.0)).or(event
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
        Kind::Fleets => about_members(&typed(object)?, &mut sections),
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
    let lines = conditions.into_iter().map(|condition| {
        let since = age(condition.last_transition_time, now);
        let status = format!("{:?}", condition.status);
        vec![
            condition.type_,
            status,
            condition.reason.unwrap_or_default(),
            since,
            condition.message.unwrap_or_default(),
        ]
    });
    section(&mut text, ["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], lines.collect());
    let lines = events.iter().map(|event| {
        let seen = last_seen(event).map(|at| age(at, now)).unwrap_or_default();
        let (type_, reason) =
            (event.type_.clone().unwrap_or_default(), event.reason.clone().unwrap_or_default());
        vec![type_, reason, seen, event.message.clone().unwrap_or_default()]
    });
    section(&mut text, ["EVENT", "REASON", "AGE", "MESSAGE"], lines.collect());
    Ok(text)
}

fn section<const N: usize>(text: &mut String, header: [&str; N], rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        *text += "\n";
        *text += &table(header, rows);
    }
}

fn about_run(run: &Run, facts: &mut Vec<(&'static str, String)>, sections: &mut String) {
    facts.push(("Phase", run.phase.clone()));
    facts.push(("Clusters", run.clusters.clone()));
    facts.push(("Started", run.started.map(|at| at.to_string()).unwrap_or_default()));
    let took = run.started.zip(run.completed).map(|(from, to)| format!("{to} (after {})", age(from, to)));
    facts.push(("Completed", took.unwrap_or_default()));
    let rows = run.rows.iter().map(|row| {
        let objects = row.objects.map(|(done, all)| format!("{done}/{all}")).unwrap_or_default();
        let (reason, message) = (row.reason.clone(), row.message.clone());
        vec![row.cluster.clone(), row.phase.clone(), objects, row.name_in_cluster.clone(), reason, message]
    });
    section(
        sections,
        ["CLUSTER", "PHASE", "OBJECTS", "NAME IN CLUSTER", "REASON", "MESSAGE"],
        rows.collect(),
    );
    let stored = run.rows.iter().filter(|row| !row.stored.is_empty());
    let stored = stored.map(|row| vec![row.cluster.clone(), row.stored.clone()]);
    section(sections, ["CLUSTER", "STORED IN"], stored.collect());
}

fn about_members(fleet: &Fleet, sections: &mut String) {
    let rows = fleet.status.iter().flat_map(|status| &status.clusters).map(|row| {
        let backup = row.backup.clone().unwrap_or_default();
        // A member that is connected is as ready as its backups are.
        let (is_ready, reason, message) = match row.backup.as_ref().filter(|_| row.ready) {
            Some(backup) => (backup.ready, &backup.reason, &backup.message),
            None => (row.ready, &row.reason, &row.message),
        };
        let (reason, message) = (reason.clone().unwrap_or_default(), message.clone().unwrap_or_default());
        let ready = if is_ready { "True" } else { "False" }.to_owned();
        let engine = backup.engine.map(|engine| format!("{engine:?}")).unwrap_or_default();
        let place = [backup.bucket, backup.prefix].into_iter().flatten().collect::<Vec<_>>().join("/");
        vec![row.name.clone(), ready, engine, place, backup.phase.unwrap_or_default(), reason, message]
    });
    let header = ["CLUSTER", "READY", "ENGINE", "STORES IN", "STORE", "REASON", "MESSAGE"];
    section(sections, header, rows.collect());
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
}
