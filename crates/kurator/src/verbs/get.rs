//! `kurator get`: what there is on a hub, and how it stands.

mod watch;

use std::collections::BTreeSet;

use kube::api::{Api, ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::{Client, ResourceExt as _};
use kurator_member::clock::{Clock as _, SystemClock};

use super::hub::{Hub, HubFlags, is_unknown_type};
use super::kinds::{Kind, age_of};
use super::note;
use super::output::{Output, documents, full_name, print};
use super::selector;
use super::table::table;
use super::what::{Asked, Word, WordParser, asked};
use crate::failure::Failure;
use watch::watch;

/// Objects per page of a list.
const PAGE: u32 = 500;
/// Namespaces that a hint names.
const NAMESPACES_SHOWN: usize = 5;

/// Options of `get`.
#[derive(Default, clap::Args)]
pub(crate) struct GetFlags {
    /// What to show, several with commas, or KIND/NAME; everything if it is left out
    #[arg(value_name = "KIND", value_parser = WordParser)]
    what: Option<Word>,

    /// Names of objects, or more KIND/NAME; all if none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    #[arg(skip)]
    asked: Asked,

    /// Columns that matter most, and no others.
    #[arg(skip)]
    is_brief: bool,

    #[command(flatten)]
    hub: HubFlags,

    /// All namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Only objects whose labels match, such as `app=shop,tier!=test`
    #[arg(long, short = 'l', value_name = "SELECTOR", value_parser = selector::checked)]
    selector: Option<String>,

    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,

    /// Go on showing what changes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

pub(crate) async fn get(mut flags: GetFlags, before: HubFlags) -> Result<(), Failure> {
    flags.asked = flags.asked_for().map_err(Failure::usage)?;
    let hub = std::mem::take(&mut flags.hub).or(before).connect().await?;
    if flags.watch {
        return watch(&hub, &flags).await;
    }
    let Found { objects, missing } = flags.found(&hub).await?;
    let is_empty = objects.iter().all(|(_, objects)| objects.is_empty());
    if !missing.is_empty() {
        if !is_empty {
            print(&flags.shown(&objects)?)?;
        }
        return Err(hub.missing(&missing).await);
    }
    if is_empty && flags.has_lines() {
        flags.say_nothing_is_there(&hub).await;
        return Ok(());
    }
    print(&flags.shown(&objects)?)?;
    Ok(())
}

/// Objects by kind, in the order in which they were asked for.
type Objects = Vec<(Kind, Vec<DynamicObject>)>;

/// What was asked for.
struct Found {
    objects: Objects,
    /// What was named and is not there.
    missing: Vec<(Kind, String)>,
}

/// Everything in the hub's namespace.
pub(crate) struct Overview {
    /// As `get` without a kind shows it.
    pub(crate) full: String,
    /// The same for a narrow terminal.
    pub(crate) brief: String,
}

impl Overview {
    pub(crate) async fn of(hub: &Hub) -> Result<Self, Failure> {
        let mut flags = GetFlags::default();
        flags.asked = flags.asked_for().map_err(Failure::usage)?;
        let objects = flags.found(hub).await?.objects;
        let full = flags.shown(&objects)?;
        Ok(Self { full, brief: GetFlags { is_brief: true, ..flags }.shown(&objects)? })
    }
}

impl GetFlags {
    async fn found(&self, hub: &Hub) -> Result<Found, Failure> {
        let mut found = Found { objects: Vec::new(), missing: Vec::new() };
        for (kind, names) in &self.asked {
            let objects = self.objects(hub, *kind, names).await?;
            let missing = names.iter().filter(|name| !objects.iter().any(|one| one.name_any() == **name));
            found.missing.extend(missing.map(|name| (*kind, name.clone())));
            found.objects.push((*kind, objects));
        }
        Ok(found)
    }

    /// Says so to people, and where there is something.
    async fn say_nothing_is_there(&self, hub: &Hub) {
        let kinds: Vec<_> = self.asked.iter().map(|(kind, _)| *kind).collect();
        let what = match &self.what {
            Some(_) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| format!("{}s", kind.singular())).collect();
                format!("no {}", kinds.join(", "))
            }
            None => "nothing".to_owned(),
        };
        if self.all_namespaces {
            return note(&format!("{what} in any namespace"));
        }
        note(&format!("{what} in namespace {}", hub.namespace));
        let others = if self.selector.is_none() { hub.namespaces(&kinds).await } else { BTreeSet::new() };
        if !others.is_empty() {
            let named: Vec<_> = others.iter().take(NAMESPACES_SHOWN).map(String::as_str).collect();
            note(&format!("hint: --namespace names another; there are some in {}", named.join(", ")));
        }
    }

    fn asked_for(&self) -> Result<Asked, String> {
        let asked = asked(self.what.as_ref(), &self.names)?;
        if asked.iter().any(|(_, names)| !names.is_empty()) {
            if self.all_namespaces {
                return Err("--all-namespaces shows whole kinds; name objects with --namespace".to_owned());
            }
            if self.selector.is_some() {
                return Err("--selector chooses among whole kinds; leave it or the names out".to_owned());
            }
        }
        Ok(asked)
    }

    /// Whether one object is meant by its name.
    fn is_about_one(&self) -> bool {
        matches!(self.asked.as_slice(), [(_, names)] if names.len() == 1)
    }

    fn is_asked_for(&self, kind: Kind, name: &str) -> bool {
        let mut names = self.asked.iter().filter(|(of, _)| *of == kind).map(|(_, names)| names);
        names.any(|names| names.is_empty() || names.iter().any(|one| one == name))
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

    async fn objects(&self, hub: &Hub, kind: Kind, names: &[String]) -> Result<Vec<DynamicObject>, Failure> {
        let mut found = Vec::new();
        for (at, of) in kind.types().iter().enumerate() {
            let api = self.api(&hub.client, hub, of);
            if names.is_empty() {
                match list(&api, self.selector.as_deref()).await {
                    // The later types of a kind are Kurator's own, which may not be installed.
                    Err(kube::Error::Api(status)) if at > 0 && is_unknown_type(&status) => {}
                    listed => found.extend(listed.map_err(|error| hub.failure(&of.plural, error))?),
                }
                continue;
            }
            for name in names {
                match api.get(name).await {
                    Ok(object) => found.push(object),
                    Err(kube::Error::Api(status)) if at > 0 && is_unknown_type(&status) => {}
                    Err(kube::Error::Api(status)) if status.is_not_found() && !is_unknown_type(&status) => {}
                    Err(error) => return Err(hub.failure(&format!("{} `{name}`", kind.singular()), error)),
                }
            }
        }
        Ok(found)
    }

    fn shown(&self, found: &[(Kind, Vec<DynamicObject>)]) -> anyhow::Result<String> {
        let all = || found.iter().flat_map(|(_, objects)| objects);
        Ok(match self.output {
            Output::Name => all().map(|object| full_name(object) + "\n").collect(),
            Output::Json | Output::Yaml => {
                let all: Vec<_> = all().cloned().collect();
                documents(self.output, &all, !self.is_about_one())?
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
        let name = if self.asked.len() == 1 { "NAME".to_owned() } else { kind.singular().to_uppercase() };
        let namespace = self.all_namespaces.then_some("NAMESPACE");
        let message = (self.output == Output::Wide).then_some("MESSAGE");
        let columns = kind.columns().iter().copied().chain(["AGE"]).filter(|column| self.has(column));
        let header = namespace.into_iter().chain([name.as_str()]).chain(columns);
        header.chain(message).map(str::to_owned).collect()
    }

    fn has(&self, column: &str) -> bool {
        !self.is_brief || Kind::is_brief(column)
    }

    fn line(&self, kind: Kind, object: &DynamicObject) -> Vec<String> {
        let now = SystemClock.now();
        let (cells, message) = kind.cells(object, now).unwrap_or_else(|error| {
            (vec!["?".to_owned(); kind.columns().len()], format!("cannot be read: {error}"))
        });
        let namespace = self.all_namespaces.then(|| object.namespace().unwrap_or_default());
        let columns = kind.columns().iter().chain(&["AGE"]);
        let cells = columns.zip(cells.into_iter().chain([age_of(object, now)]));
        let cells = cells.filter(|(column, _)| self.has(column)).map(|(_, cell)| cell);
        let line = namespace.into_iter().chain([object.name_any()]).chain(cells);
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn where_there_is_little_room_only_what_matters_most_is_shown() {
        let object = serde_json::from_value(json!({
            "apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
            "spec": {"destination": {"fleet": "f"}}, "status": {"phase": "Completed", "summary": {"status": "2/2"}},
        }));
        let objects = vec![(Kind::Backups, vec![object.unwrap()])];
        let asked = vec![(Kind::Backups, vec![])];
        let brief = GetFlags { is_brief: true, asked, ..GetFlags::default() }.shown(&objects).unwrap();
        assert_eq!(brief, "NAME   PHASE       CLUSTERS\nb      Completed   2/2\n");
    }
}
