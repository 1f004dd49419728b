//! `kurator get`: what there is on a hub, and how it stands.

use std::collections::BTreeMap;

use anyhow::anyhow;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watcher};
use kube::{Client, ResourceExt as _};
use kurator_member::clock::{Clock as _, SystemClock};

use super::hub::{Hub, HubFlags};
use super::kinds::{Kind, age_of};
use super::note;
use super::output::{Output, documents, full_name, is_read, print};
use super::table::{Growing, table};
use crate::failure::Failure;

/// Objects per page of a list.
const PAGE: u32 = 500;

/// Options of `get`.
#[derive(Default, clap::Args)]
pub(crate) struct GetFlags {
    /// What to show; everything if it is left out
    #[arg(value_enum, value_name = "KIND")]
    kind: Option<Kind>,

    /// Names of objects; all if none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    hub: HubFlags,

    /// All namespaces
    #[arg(long, short = 'A', conflicts_with_all = ["namespace", "names"])]
    all_namespaces: bool,

    /// Only objects whose labels match, such as `app=shop,tier!=test`
    #[arg(long, short = 'l', value_name = "SELECTOR", conflicts_with = "names")]
    selector: Option<String>,

    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,

    /// Go on showing what changes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

pub(crate) async fn get(flags: GetFlags) -> Result<(), Failure> {
    let hub = flags.hub.connect().await?;
    if flags.watch {
        return watch(&hub, &flags).await;
    }
    let found = flags.all(&hub).await?;
    if found.iter().all(|(_, objects)| objects.is_empty()) && flags.has_lines() {
        let place = if flags.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", hub.namespace)
        };
        let what = flags.kind.map_or_else(|| "nothing".to_owned(), |kind| format!("no {}s", kind.singular()));
        note(&format!("{what} in {place}"));
        return Ok(());
    }
    print(&flags.shown(&found)?)?;
    Ok(())
}

/// Everything in the hub's namespace, as `get` without a kind shows it.
pub(crate) async fn overview(hub: &Hub) -> Result<String, Failure> {
    let flags = GetFlags::default();
    Ok(flags.shown(&flags.all(hub).await?)?)
}

impl GetFlags {
    async fn all(&self, hub: &Hub) -> Result<Vec<(Kind, Vec<DynamicObject>)>, Failure> {
        let mut found = Vec::new();
        for kind in self.kinds() {
            found.push((kind, self.objects(hub, kind).await?));
        }
        Ok(found)
    }

    fn kinds(&self) -> Vec<Kind> {
        self.kind.map_or_else(|| Kind::ALL.to_vec(), |kind| vec![kind])
    }

    fn has_lines(&self) -> bool {
        matches!(self.output, Output::Table | Output::Wide | Output::Name)
    }

    fn api(&self, client: &Client, hub: &Hub, of: &ApiResource) -> Api<DynamicObject> {
        if self.all_namespaces {
            Api::all_with(client.clone(), of)
        } else {
            Api::namespaced_with(client.clone(), &hub.namespace, of)
        }
    }

    async fn objects(&self, hub: &Hub, kind: Kind) -> Result<Vec<DynamicObject>, Failure> {
        let mut found = Vec::new();
        for (at, of) in kind.types().iter().enumerate() {
            let api = self.api(&hub.client, hub, of);
            if self.names.is_empty() {
                match list(&api, self.selector.as_deref()).await {
                    // The later types of a kind are Kurator's own, which may not be installed.
                    Err(kube::Error::Api(status)) if at > 0 && status.is_not_found() => {}
                    listed => found.extend(listed.map_err(|error| hub.failure(&of.plural, error))?),
                }
                continue;
            }
            for name in &self.names {
                match api.get_opt(name).await {
                    Ok(object) => found.extend(object),
                    Err(error) => return Err(hub.failure(&format!("{} `{name}`", kind.singular()), error)),
                }
            }
        }
        let missing = self.names.iter().find(|name| !found.iter().any(|object| object.name_any() == **name));
        let Some(missing) = missing else { return Ok(found) };
        Err(Failure::with_hint(
            anyhow!("no {} `{missing}` in namespace {}", kind.singular(), hub.namespace),
            format!(
                "`kurator get {}s --namespace {}` shows those that there are",
                kind.singular(),
                hub.namespace
            ),
        ))
    }

    fn shown(&self, found: &[(Kind, Vec<DynamicObject>)]) -> anyhow::Result<String> {
        let all = || found.iter().flat_map(|(_, objects)| objects);
        Ok(match self.output {
            Output::Name => all().map(|object| full_name(object) + "\n").collect(),
            Output::Json | Output::Yaml => {
                let all: Vec<_> = all().cloned().collect();
                documents(self.output, &all, self.names.len() != 1)?
            }
            Output::Table | Output::Wide => {
                let tables = found.iter().filter(|(_, objects)| !objects.is_empty());
                let tables: Vec<_> = tables.map(|(kind, objects)| self.table(*kind, objects)).collect();
                tables.join("\n")
            }
        })
    }

    fn table(&self, kind: Kind, objects: &[DynamicObject]) -> String {
        table(self.header(kind), objects.iter().map(|object| self.line(kind, object)))
    }

    fn header(&self, kind: Kind) -> Vec<String> {
        // With several kinds in one answer, the heading says which one this is.
        let name = if self.kind.is_some() { "NAME".to_owned() } else { kind.singular().to_uppercase() };
        let namespace = self.all_namespaces.then_some("NAMESPACE");
        let message = (self.output == Output::Wide).then_some("MESSAGE");
        let header = namespace.into_iter().chain([name.as_str()]).chain(kind.columns().iter().copied());
        header.chain(["AGE"]).chain(message).map(str::to_owned).collect()
    }

    fn line(&self, kind: Kind, object: &DynamicObject) -> Vec<String> {
        let now = SystemClock.now();
        let (cells, message) = kind.cells(object, now).unwrap_or_else(|error| {
            (vec!["?".to_owned(); kind.columns().len()], format!("cannot be read: {error}"))
        });
        let namespace = self.all_namespaces.then(|| object.namespace().unwrap_or_default());
        let line = namespace.into_iter().chain([object.name_any()]).chain(cells).chain([age_of(object, now)]);
        line.chain((self.output == Output::Wide).then_some(message)).collect()
    }
}

async fn list(api: &Api<DynamicObject>, selector: Option<&str>) -> kube::Result<Vec<DynamicObject>> {
    let mut params =
        ListParams { label_selector: selector.map(str::to_owned), ..ListParams::default() }.limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = api.list(&params).await?;
        // The objects of a list don't repeat what they are.
        let types = TypeMeta {
            kind: page.types.kind.trim_end_matches("List").to_owned(),
            api_version: page.types.api_version,
        };
        let typed = |object: DynamicObject| DynamicObject { types: Some(types.clone()), ..object };
        all.extend(page.items.into_iter().map(typed));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

/// Prints every object as it is, and again when it changes, as long as somebody reads.
async fn watch(hub: &Hub, flags: &GetFlags) -> Result<(), Failure> {
    let mut all = stream::SelectAll::new();
    let mut lines = Lines { flags, columns: BTreeMap::new(), before: None };
    for kind in flags.kinds() {
        // A list first: a refusal is said, where a watch would only try again.
        for object in flags.objects(hub, kind).await? {
            lines.columns.entry(kind).or_default().widen(&flags.line(kind, &object));
        }
        for of in kind.types() {
            let config =
                watcher::Config { label_selector: flags.selector.clone(), ..watcher::Config::default() };
            let types = TypeMeta { api_version: of.api_version.clone(), kind: of.kind.clone() };
            let seen = watcher(flags.api(&hub.client, hub, &of), config).default_backoff().applied_objects();
            all.push(
                seen.map_ok(move |object| (kind, DynamicObject { types: Some(types.clone()), ..object }))
                    .boxed(),
            );
        }
    }
    while let Some(seen) = all.next().await {
        // The watch tries again by itself.
        let Ok((kind, object)) = seen else { continue };
        if !flags.names.is_empty() && !flags.names.contains(&object.name_any()) {
            continue;
        }
        if !is_read(&lines.of(kind, object)?)? {
            break;
        }
    }
    Ok(())
}

/// What a watch prints.
struct Lines<'a> {
    flags: &'a GetFlags,
    columns: BTreeMap<Kind, Growing>,
    /// Kind of the line before.
    before: Option<Kind>,
}

impl Lines<'_> {
    fn of(&mut self, kind: Kind, object: DynamicObject) -> anyhow::Result<String> {
        match self.flags.output {
            Output::Name => return Ok(full_name(&object) + "\n"),
            Output::Json => return documents(Output::Json, &[object], false),
            Output::Yaml => return Ok("---\n".to_owned() + &documents(Output::Yaml, &[object], false)?),
            Output::Table | Output::Wide => {}
        }
        let line = self.flags.line(kind, &object);
        let columns = self.columns.entry(kind).or_default();
        columns.widen(&line);
        // The heading again only where the kind changes.
        let is_headed = self.before.replace(kind) == Some(kind);
        let header = if is_headed { String::new() } else { columns.line(&self.flags.header(kind)) };
        Ok(header + &columns.line(&line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backup(name: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": name},
            "spec": {"destination": {"fleet": "f"}},
        }))
        .unwrap()
    }

    fn watched(output: Output) -> String {
        let flags = GetFlags { output, ..GetFlags::default() };
        let mut lines = Lines { flags: &flags, columns: BTreeMap::new(), before: None };
        ["a-long-name", "b"].map(|name| lines.of(Kind::Backups, backup(name)).unwrap()).concat()
    }

    #[test]
    fn a_watch_has_one_heading_and_lines_below_it() {
        let expected = "\
BACKUP        FLEET   PHASE     CLUSTERS   SCHEDULE   LAST SUCCESS   AGE
a-long-name   f       Pending   -          -          -              -
b             f       Pending   -          -          -              -
";
        assert_eq!(watched(Output::Table), expected);
        assert_eq!(
            watched(Output::Name),
            "backup.backup.kurator.dev/a-long-name\nbackup.backup.kurator.dev/b\n"
        );
    }

    #[test]
    fn a_watch_keeps_its_documents_apart() {
        let text = watched(Output::Yaml);
        let read: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).unwrap();
        let names: Vec<_> = read.iter().map(|object| &object["metadata"]["name"]).collect();
        assert_eq!(names, ["a-long-name", "b"]);
    }
}
