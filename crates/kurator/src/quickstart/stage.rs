//! What a step of the walk can do: apply, delete, follow, count.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::manifests::Manifest;
use super::render::Row;
use super::screen::Screen;
use super::world::{Cluster, NAMESPACE, World};
use crate::failure::Failure;
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
}

impl Stage<'_> {
    /// Applies to the hub.
    pub(super) async fn apply(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        self.screen.yaml(&manifest.shown);
        for object in manifest.objects()? {
            let name = apply(&self.world.hub.client, &object).await?;
            self.screen.applied(&name);
        }
        Ok(())
    }

    /// Applies to a member.
    pub(super) async fn apply_in(&mut self, member: &Cluster, manifest: &Manifest) -> Result<(), Failure> {
        for object in manifest.objects()? {
            apply(&member.client, &object).await?;
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

    /// What is in a namespace of a member: `deployment/x` and so on.
    pub(super) async fn content(
        &self,
        member: &Cluster,
        namespace: &str,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut all = BTreeSet::new();
        all.extend(names::<Deployment>(member, namespace).await?);
        all.extend(names::<Service>(member, namespace).await?);
        all.extend(names::<ConfigMap>(member, namespace).await?);
        all.extend(names::<Secret>(member, namespace).await?);
        Ok(all)
    }
}

/// A run, and how much of it lies in the store.
pub(super) fn seen(run: &Run, root: &Path) -> Seen {
    let rows = run.rows.iter().map(|row| Row {
        name: row.cluster.clone(),
        phase: row.phase.clone(),
        objects: row.objects,
        bytes: (!row.stored.is_empty()).then(|| size(&root.join(&row.stored))).filter(|size| *size > 0),
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
    let applied = api.patch(&object.name_any(), &PatchParams::apply(MANAGER), &Patch::Apply(object)).await;
    applied.with_context(|| format!("cannot apply {name}"))?;
    Ok(name)
}

async fn names<K>(member: &Cluster, namespace: &str) -> Result<Vec<String>, Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let kind = K::kind(&()).to_lowercase();
    let listed = Api::<K>::namespaced(member.client.clone(), namespace).list(&ListParams::default()).await;
    let listed = listed.with_context(|| format!("cannot list {kind}s of {}", member.name))?;
    Ok(listed.iter().map(|object| format!("{kind}/{}", object.name_any())).collect())
}
