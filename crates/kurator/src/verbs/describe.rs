//! `kurator describe`: one object in full, for people.

mod asked;
mod sections;
#[cfg(test)]
mod tests;

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
use sections::{about_good_runs, about_members, about_run, runs};

/// Characters before a value, at the least.
const WIDTH: usize = 14;
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
            facts.extend(asked::of_backup(&backup.spec, &conditions));
            if let Some(schedule) = backup.spec.schedule() {
                facts.push(("Schedule", schedule.to_owned()));
                facts.push(("Last success", ago(status.last_success)));
                facts.push(("Next run", status.next_run.map(|at| at.to_string()).unwrap_or_default()));
                facts.push(("Runs", runs(&status.backup_details)));
            }
            about_run(&Run::from(&backup), &mut facts, &mut sections);
            about_good_runs(&status.backup_details, now, &mut sections);
        }
        Kind::Restores => {
            let restore: Restore = typed(object)?;
            facts.extend(asked::of_restore(&restore.spec));
            about_run(&Run::from(&restore), &mut facts, &mut sections);
        }
        Kind::Migrates => {
            let migrate: Migrate = typed(object)?;
            facts.extend(asked::of_migrate(&migrate.spec, &conditions));
            about_run(&Run::from(&migrate), &mut facts, &mut sections);
        }
        Kind::Fleets => {
            let fleet: Fleet = typed(object)?;
            let phase = fleet.status.as_ref().and_then(|status| status.phase);
            facts.push(("Phase", phase.map(|phase| format!("{phase:?}")).unwrap_or_default()));
            let plugin = fleet.spec.plugin.as_ref().and_then(|plugin| plugin.backup.as_ref());
            facts.extend(plugin.map(asked::of_plugin).unwrap_or_default());
            about_members(&fleet, &mut sections);
        }
        Kind::Clusters => {
            let text =
                |pointer| object.data.pointer(pointer).and_then(|text| text.as_str()).unwrap_or_default();
            facts.push(("Server", text("/status/apiEndpoint").to_owned()));
            facts.push(("Kubernetes", text("/status/apiServer").to_owned()));
            facts.push((
                "Kubeconfig",
                match text("/spec/kubeconfig/name") {
                    "" => String::new(),
                    secret => format!("Secret `{secret}`"),
                },
            ));
        }
    }
    let mut text = String::new();
    facts.retain(|(_, value)| !value.is_empty());
    let width = facts.iter().map(|(name, _)| name.len() + 2).max().unwrap_or_default().max(WIDTH);
    for (name, value) in facts {
        // Writing to a String cannot fail.
        let _always = writeln!(text, "{:<width$}{value}", format!("{name}:"));
    }
    text += &sections;
    let said = sections::about_conditions(&conditions, now, &mut text);
    sections::about_events(events, &said, now, &mut text);
    Ok(text)
}
