//! What a step of the walk can do: apply, delete, follow, count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource, ResourceExt as _};
use kurator_api::backup::Backup;
use serde::de::DeserializeOwned;

use super::content::Content;
use super::manifests::Manifest;
use super::screen::Screen;
use super::world::{Cluster, NAMESPACE, World};
use crate::failure::Failure;
use crate::terminal::rows::Row;
use crate::verbs::run::{Ending, Run};
use crate::verbs::wait::Runs;

/// Longest time for anything to come about.
const WITHIN: Duration = Duration::from_secs(60);
const MANAGER: &str = "kurator-quickstart";

/// How something that is followed stands.
pub(super) struct Seen {
    pub(super) rows: Vec<Row>,
    /// What is said of it, for people.
    pub(super) said: String,
    /// Whether it has ended, and well.
    pub(super) end: Option<bool>,
}

pub(super) struct Stage<'a> {
    pub(super) world: &'a World,
    pub(super) screen: &'a mut Screen,
    /// What was in each member.
    before: BTreeMap<String, Content>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(world: &'a World, screen: &'a mut Screen) -> Self {
        Self { world, screen, before: BTreeMap::new() }
    }

    /// Applies to the hub.
    pub(super) async fn apply(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        self.screen.yaml(&manifest.shown);
        for object in manifest.objects()? {
            let name = apply(&self.world.hub.client, &object).await?;
            self.screen.applied(&name);
        }
        Ok(())
    }

    /// Applies to every member, and shows it once.
    pub(super) async fn apply_in_members(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        self.screen.yaml(&manifest.shown);
        for object in manifest.objects()? {
            for member in &self.world.members {
                apply(&member.client, &object).await?;
            }
        }
        Ok(())
    }

    /// Follows an object of the hub until `look` says that it has ended; what is said of it then.
    pub(super) async fn follow<K>(&mut self, name: &str, look: impl Fn(&K) -> Seen) -> Result<Seen, Failure>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + Send
            + 'static,
    {
        let api = Api::<K>::namespaced(self.world.hub.client.clone(), NAMESPACE);
        let what = format!("{} `{name}`", K::kind(&()).to_lowercase());
        let mut last = String::new();
        let followed = async {
            let mut stream = watch_object(api, name).default_backoff().boxed();
            while let Some(seen) = stream.next().await {
                // The watch tries again by itself.
                let Ok(Some(object)) = seen else { continue };
                let seen = look(&object);
                self.screen.progress(&seen.rows);
                match seen.end {
                    Some(true) => return Ok(seen),
                    Some(false) => return Err(anyhow!("{what} went wrong: {}", seen.said)),
                    None => last.clone_from(&seen.said),
                }
            }
            Err(anyhow!("the watch of {what} has ended"))
        };
        let followed = tokio::time::timeout(WITHIN, followed).await;
        let followed =
            followed.unwrap_or_else(|_| Err(anyhow!("{what} has not come about in {WITHIN:?}: {last}")));
        Ok(followed?)
    }

    /// Follows a run to its end, which must be good.
    pub(super) async fn run<K: Runs>(&mut self, name: &str) -> Result<Seen, Failure> {
        let root = self.world.store.root.clone();
        self.follow::<K>(name, |object| {
            let run = object.run();
            let end = run.ended.map(|ending| ending == Ending::Completed);
            Seen { end: end.or(run.is_stalled().then_some(false)), ..seen(&run, &root) }
        })
        .await
    }

    /// Deletes a namespace of a member, and waits until it is gone.
    pub(super) async fn lose(&self, member: &Cluster, namespace: &str) -> Result<(), Failure> {
        let api = Api::<Namespace>::all(member.client.clone());
        let uid = api.get(namespace).await.context("cannot read the namespace")?.uid().unwrap_or_default();
        api.delete(namespace, &DeleteParams::default()).await.context("cannot delete the namespace")?;
        let gone =
            kube::runtime::wait::await_condition(api, namespace, kube::runtime::conditions::is_deleted(&uid));
        let gone = tokio::time::timeout(WITHIN, gone).await;
        gone.with_context(|| format!("namespace `{namespace}` is not gone after {WITHIN:?}"))?
            .context("cannot watch the namespace")?;
        Ok(())
    }

    /// Deletes one Deployment of a member.
    pub(super) async fn lose_deployment(
        &self,
        member: &Cluster,
        namespace: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let api = Api::<Deployment>::namespaced(member.client.clone(), namespace);
        api.delete(name, &DeleteParams::default()).await.context("cannot delete the deployment")?;
        Ok(())
    }

    /// The file with what a backup of the hub has stored of a member.
    pub(super) async fn archive(&self, name: &str, member: &Cluster) -> Result<PathBuf, Failure> {
        let backups = Api::<Backup>::namespaced(self.world.hub.client.clone(), NAMESPACE);
        let backup = backups.get(name).await.with_context(|| format!("cannot read backup `{name}`"))?;
        let row = Run::from(&backup).rows.into_iter().find(|row| row.cluster == member.name);
        let row = row.with_context(|| format!("backup `{name}` says nothing of {}", member.name))?;
        Ok(self.world.store.root.join(row.stored).join(format!("{}.tar.gz", row.name_in_cluster)))
    }

    /// Remembers what is in the namespace of a member, which is what comes back after a disaster.
    pub(super) async fn remember(&mut self, member: &Cluster, namespace: &str) -> Result<(), Failure> {
        let content = content(member, namespace).await?;
        self.before.insert(member.name.clone(), content);
        Ok(())
    }

    /// The namespace of a member must be as it was when it was remembered; what is in it.
    pub(super) async fn ensure_back(&self, member: &Cluster, namespace: &str) -> Result<Content, Failure> {
        let there = content(member, namespace).await?;
        let before = self.before.get(&member.name).cloned().unwrap_or_default();
        there.ensure_is(&before, &member.name)?;
        Ok(there)
    }
}

/// What is in a namespace of a member.
pub(super) async fn content(member: &Cluster, namespace: &str) -> Result<Content, Failure> {
    let content = Content::of(&member.client, namespace).await;
    Ok(content.with_context(|| format!("{} cannot be looked at", member.name))?)
}

/// A run, and how much of it lies in the store.
pub(super) fn seen(run: &Run, root: &Path) -> Seen {
    let rows = run.rows.iter().map(|row| Row {
        bytes: (!row.stored.is_empty()).then(|| size(&root.join(&row.stored))).filter(|size| *size > 0),
        ..Row::from(row)
    });
    Seen { rows: rows.collect(), said: run.message().to_owned(), end: None }
}

/// Bytes of the files in a folder; what can't be read is not counted.
fn size(folder: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(folder) else { return 0 };
    files
        .flatten()
        .filter_map(|file| file.metadata().ok())
        .filter(|file| file.is_file())
        .map(|file| file.len())
        .sum()
}

async fn apply(client: &Client, object: &DynamicObject) -> Result<String, Failure> {
    let types = object.types.clone().context("a manifest without a kind")?;
    let kind = GroupVersionKind::try_from(&types).context("a manifest without a kind")?;
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = match object.namespace() {
        Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = format!("{}/{}", kind.kind.to_lowercase(), object.name_any());
    let object = with_last_applied(object)?;
    let applied = api.patch(&object.name_any(), &PatchParams::apply(MANAGER), &Patch::Apply(&object)).await;
    applied.with_context(|| format!("cannot apply {name}"))?;
    Ok(name)
}

/// What `kubectl apply` leaves behind for the next one, which warns where it is missing.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object with that, unless it would show a secret once more.
fn with_last_applied(object: &DynamicObject) -> anyhow::Result<DynamicObject> {
    let mut applied = object.clone();
    if object.types.as_ref().is_none_or(|types| types.kind != "Secret") {
        // As kubectl writes it: with annotations also where there are none, in the order of the names.
        applied.annotations_mut();
        let text = serde_json::to_value(&applied)?.to_string() + "\n";
        applied.annotations_mut().insert(LAST_APPLIED.to_owned(), text);
    }
    Ok(applied)
}
