//! `kurator get`: what there is on a hub, and how it stands.

mod watch;

use kube::api::{Api, ApiResource, DynamicObject, ListParams, TypeMeta};
use kube::{Client, ResourceExt as _};
use kurator_member::clock::{Clock as _, SystemClock};

use super::hub::{Hub, HubFlags, is_unknown_type};
use super::kinds::{Kind, age_of};
use super::note;
use super::output::{Output, documents, full_name, print};
use super::table::table;
use super::what::{Asked, Word, WordParser, asked};
use crate::failure::Failure;
use watch::watch;

/// Objects per page of a list.
const PAGE: u32 = 500;

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

    #[command(flatten)]
    hub: HubFlags,

    /// All namespaces
    #[arg(long, short = 'A', conflicts_with = "namespace")]
    all_namespaces: bool,

    /// Only objects whose labels match, such as `app=shop,tier!=test`
    #[arg(long, short = 'l', value_name = "SELECTOR")]
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
    let found = flags.all(&hub).await?;
    if found.iter().all(|(_, objects)| objects.is_empty()) && flags.has_lines() {
        let place = if flags.all_namespaces {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", hub.namespace)
        };
        let kinds: Vec<_> = flags.asked.iter().map(|(kind, _)| format!("{}s", kind.singular())).collect();
        let what =
            if flags.what.is_some() { format!("no {}", kinds.join(", ")) } else { "nothing".to_owned() };
        note(&format!("{what} in {place}"));
        return Ok(());
    }
    print(&flags.shown(&found)?)?;
    Ok(())
}

/// Everything in the hub's namespace, as `get` without a kind shows it.
pub(crate) async fn overview(hub: &Hub) -> Result<String, Failure> {
    let mut flags = GetFlags::default();
    flags.asked = flags.asked_for().map_err(Failure::usage)?;
    Ok(flags.shown(&flags.all(hub).await?)?)
}

impl GetFlags {
    async fn all(&self, hub: &Hub) -> Result<Vec<(Kind, Vec<DynamicObject>)>, Failure> {
        let mut found = Vec::new();
        for (kind, names) in &self.asked {
            found.push((*kind, self.objects(hub, *kind, names).await?));
        }
        Ok(found)
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
        let missing = names.iter().find(|name| !found.iter().any(|object| object.name_any() == **name));
        missing.map_or(Ok(found), |missing| Err(hub.missing(kind, missing)))
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
