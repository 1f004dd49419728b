//! `kurator get --watch`: what there is, and then what changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{DynamicObject, TypeMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};

use super::super::hub::{Hub, is_refused};
use super::super::kinds::Kind;
use super::super::note;
use super::super::outage::observed;
use super::super::output::{Output, documents, full_name, is_read};
use super::super::table::Growing;
use super::{Found, GetFlags};
use crate::failure::Failure;

/// Prints every object as it is, kind by kind, and then what changes, as long as somebody reads.
pub(super) async fn watch(hub: &Hub, flags: &GetFlags) -> Result<(), Failure> {
    // Lists first: a refusal is said, where a watch would only try again.
    let Found { objects: found, missing } = flags.found(hub).await?;
    if !missing.is_empty() {
        return Err(hub.missing(&missing).await);
    }
    let mut lines = Lines::new(flags, &found);
    for (kind, objects) in found {
        for object in objects {
            if !is_read(&lines.of(kind, object)?)? {
                return Ok(());
            }
        }
    }
    let (client, mut outage) = observed(&hub.client);
    let mut all = stream::SelectAll::new();
    for (kind, _) in &flags.asked {
        let kind = *kind;
        for of in kind.types() {
            let config =
                watcher::Config { label_selector: flags.selector.clone(), ..watcher::Config::default() };
            let types = TypeMeta { api_version: of.api_version.clone(), kind: of.kind.clone() };
            let seen = watcher(flags.api(&client, hub, &of), config).default_backoff().applied_objects();
            all.push(
                seen.map_ok(move |object| (kind, DynamicObject { types: Some(types.clone()), ..object }))
                    .boxed(),
            );
        }
    }
    loop {
        let seen = tokio::select! {
            seen = all.next() => seen,
            news = outage.news(hub) => {
                note(&news?);
                continue;
            }
        };
        match seen {
            None => return Ok(()),
            Some(Ok((kind, object))) => {
                if flags.is_asked_for(kind, &object.name_any()) && !is_read(&lines.of(kind, object)?)? {
                    return Ok(());
                }
            }
            Some(Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)))
                if is_refused(&error) =>
            {
                return Err(hub.failure("watching", error));
            }
            // The watch tries again by itself.
            Some(Err(_)) => {}
        }
    }
}

/// What a watch prints: each state of an object once.
struct Lines<'a> {
    flags: &'a GetFlags,
    columns: BTreeMap<Kind, Growing>,
    /// Kinds that have had their heading.
    headed: BTreeSet<Kind>,
    /// What of each object was printed last, by uid.
    printed: HashMap<String, String>,
}

impl<'a> Lines<'a> {
    /// Columns have room for `found`.
    fn new(flags: &'a GetFlags, found: &[(Kind, Vec<DynamicObject>)]) -> Self {
        let mut lines =
            Self { flags, columns: BTreeMap::new(), headed: BTreeSet::new(), printed: HashMap::new() };
        for (kind, objects) in found {
            for object in objects {
                let line = lines.line(*kind, object);
                lines.columns.entry(*kind).or_default().widen(&line);
            }
        }
        lines
    }

    fn of(&mut self, kind: Kind, object: DynamicObject) -> anyhow::Result<String> {
        if let (Some(uid), Some(state)) = (object.uid(), self.state(kind, &object))
            && self.printed.insert(uid, state.clone()).is_some_and(|printed| printed == state)
        {
            return Ok(String::new());
        }
        match self.flags.output {
            Output::Name => return Ok(full_name(&object) + "\n"),
            Output::Json => return documents(Output::Json, &[object], false),
            Output::Yaml => return Ok("---\n".to_owned() + &documents(Output::Yaml, &[object], false)?),
            Output::Table | Output::Wide => {}
        }
        let line = self.line(kind, &object);
        let columns = self.columns.entry(kind).or_default();
        columns.widen(&line);
        let gap = if self.headed.is_empty() { "" } else { "\n" };
        let header = if self.headed.insert(kind) {
            gap.to_owned() + &columns.line(&self.flags.header(kind))
        } else {
            String::new()
        };
        Ok(header + &columns.line(&line))
    }

    /// What has to change before an object is printed again: of a table what stands in its line, but for the ages.
    fn state(&self, kind: Kind, object: &DynamicObject) -> Option<String> {
        let cells = match self.flags.output {
            Output::Name | Output::Json | Output::Yaml => return object.resource_version(),
            Output::Table | Output::Wide => kind.cells(object, Timestamp::UNIX_EPOCH),
        };
        let Ok((cells, message)) = cells else { return object.resource_version() };
        let message = (self.flags.output == Output::Wide).then_some(message);
        Some(cells.into_iter().chain(message).collect::<Vec<_>>().join("\n"))
    }

    /// A line that says by itself what it is about, as other kinds may come between it and its heading.
    fn line(&self, kind: Kind, object: &DynamicObject) -> Vec<String> {
        let mut line = self.flags.line(kind, object);
        let name = line.get_mut(usize::from(self.flags.all_namespaces));
        if let Some(name) = name.filter(|_| self.flags.asked.len() != 1) {
            *name = format!("{}/{name}", kind.singular());
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, version: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "backup.kurator.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name, "uid": name, "resourceVersion": version},
            "spec": {"backupName": "x", "destination": {"fleet": "f"}},
        }))
        .unwrap()
    }

    fn watched(output: Output) -> String {
        let mut flags = GetFlags { output, ..GetFlags::default() };
        flags.asked = vec![(Kind::Backups, vec![]), (Kind::Restores, vec![])];
        let mut lines = Lines::new(&flags, &[(Kind::Backups, vec![object("Backup", "a-long-name", "1")])]);
        let seen = [
            (Kind::Backups, object("Backup", "a-long-name", "1")),
            (Kind::Restores, object("Restore", "r", "2")),
            (Kind::Backups, object("Backup", "a-long-name", "1")),
            (Kind::Backups, object("Backup", "b", "3")),
        ];
        seen.map(|(kind, object)| lines.of(kind, object).unwrap()).concat()
    }

    #[test]
    fn a_watch_has_one_heading_for_each_kind_and_tells_each_state_once() {
        let expected = "\
BACKUP               FLEET   PHASE     CLUSTERS   SCHEDULE   LAST SUCCESS   AGE
backup/a-long-name   f       Pending   -          -          -              -

RESTORE     BACKUP   PHASE     CLUSTERS   AGE
restore/r   x        Pending   -          -
backup/b             f       Pending   -          -          -              -
";
        assert_eq!(watched(Output::Table), expected);
        let names = "backup.backup.kurator.dev/a-long-name\nrestore.backup.kurator.dev/r\nbackup.backup.kurator.dev/b\n";
        assert_eq!(watched(Output::Name), names);
    }

    #[test]
    fn a_change_that_no_line_shows_is_no_line() {
        let flags = GetFlags { asked: vec![(Kind::Backups, vec![])], ..GetFlags::default() };
        let mut lines = Lines::new(&flags, &[]);
        let mut seen = object("Backup", "b", "1");
        assert!(
            lines
                .of(Kind::Backups, seen.clone())
                .unwrap()
                .ends_with("b      f       Pending   -          -          -              -\n")
        );
        seen.metadata.resource_version = Some("2".to_owned());
        assert_eq!(lines.of(Kind::Backups, seen.clone()).unwrap(), "");
        seen.data["status"] = json!({"phase": "InProgress"});
        assert!(lines.of(Kind::Backups, seen).unwrap().contains("InProgress"));
    }

    #[test]
    fn a_watch_keeps_its_documents_apart() {
        let text = watched(Output::Yaml);
        let read: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let names: Vec<_> = read.iter().map(|object| &object["metadata"]["name"]).collect();
        assert_eq!(names, ["a-long-name", "r", "b"]);
    }
}
