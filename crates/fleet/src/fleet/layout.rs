//! Where in the bucket a cluster's backups lie, and whose that place is.
//!
//! A root is wholly one cluster per folder or wholly shared, because Velero refuses a location that has
//! a folder at its root which it does not know.

use std::sync::Arc;

use bytes::Bytes;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Fleet, Layout, MemberBackupStatus};
use kurator_api::names;
use kurator_store::{Creation, Replacement, Store, StoreError};
use serde::{Deserialize, Serialize};

use super::probe::Probe;
use super::validate::ValidPlugin;
use crate::ctx::Ctx;
use kurator_member::causes::chain;

/// Velero's own folders.
const VELERO_FOLDERS: [&str; 6] = ["backups", "restores", "restic", "metadata", "plugins", "kopia"];
/// The folder that a root with one folder per cluster has.
const CLUSTERS: &str = "clusters";

/// What lies at the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootFinding {
    /// Somebody keeps Velero's own folders there.
    pub(crate) shared: bool,
    /// Somebody keeps one folder per cluster there.
    pub(crate) per_cluster: bool,
}

impl RootFinding {
    /// The layout to use, or why the wanted one can't be.
    pub(super) fn decide(&self, wanted: Option<Layout>) -> Result<Layout, String> {
        const AT: &str = "spec.plugin.backup.storage.layout";
        match (wanted, self.shared, self.per_cluster) {
            (Some(Layout::Shared), true, _) | (None, true, false) => Ok(Layout::Shared),
            // A folder per cluster has made every shared location there unavailable already.
            (None, true, true) => Ok(Layout::PerCluster),
            (Some(Layout::PerCluster), true, _) => Err(format!(
                "{AT}: `PerCluster`, but the root of the bucket holds Velero's own folders; use `Shared` or another prefix"
            )),
            (Some(Layout::Shared), false, true) => Err(format!(
                "{AT}: `Shared`, but the root of the bucket holds a folder per cluster; use `PerCluster` or another prefix"
            )),
            (wanted, false, _) => Ok(wanted.unwrap_or(Layout::PerCluster)),
        }
    }
}

/// Whose a place in the bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This cluster's.
    Ours,
    /// Another cluster's, by the UID of its kube-system namespace.
    Foreign { cluster_uid: String },
}

/// The marker object that says whose a place is.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    cluster: String,
    cluster_uid: String,
    hub_uid: String,
}

/// The layout for this cluster; `None` while the root is being asked about.
///
/// A place that is in use keeps its layout, whatever appears beside it and whether or not the store can be
/// asked now.
pub(super) fn choose(
    plugin: &ValidPlugin,
    root: &Probe<RootFinding>,
    in_use: Option<&MemberBackupStatus>,
    key: &ClusterKey,
) -> Option<Layout> {
    let same_place = |used: &&MemberBackupStatus| {
        let prefix = used.layout.map(|layout| prefix(plugin, layout, key));
        used.bucket.as_deref() == Some(&plugin.bucket) && used.prefix == prefix
    };
    if let Some(layout) = in_use.filter(same_place).and_then(|used| used.layout) {
        return Some(layout);
    }
    match root {
        Probe::Running => None,
        Probe::Failed { .. } => Some(plugin.layout.unwrap_or(Layout::PerCluster)),
        Probe::Known(found) => found.decide(plugin.layout).ok(),
    }
}

/// Velero's prefix for this cluster.
pub(super) fn prefix(plugin: &ValidPlugin, layout: Layout, key: &ClusterKey) -> String {
    match layout {
        Layout::Shared => plugin.root.clone(),
        Layout::PerCluster => {
            below(&plugin.root, &format!("{CLUSTERS}/{}/{}/{}", key.namespace, kind(key), key.name))
        }
    }
}

/// A folder would make every location of a shared root unavailable, so there the marker is a plain object.
fn marker_key(plugin: &ValidPlugin, layout: Layout, key: &ClusterKey) -> String {
    let name = format!("{}.{}.{}.json", key.namespace, kind(key), key.name);
    match layout {
        Layout::Shared => below(&plugin.root, &format!("kurator-owner.{name}")),
        Layout::PerCluster => below(&plugin.root, &format!("owners/{name}")),
    }
}

fn kind(key: &ClusterKey) -> String {
    key.kind.as_str().to_ascii_lowercase()
}

fn below(root: &str, path: &str) -> String {
    if root.is_empty() { path.to_owned() } else { format!("{root}/{path}") }
}

pub(super) fn probe_root(ctx: &Arc<Ctx>, fleet: &Fleet, plugin: &ValidPlugin) -> Probe<RootFinding> {
    let uid = fleet.uid().unwrap_or_default();
    let (stores, location, root) = (Arc::clone(&ctx.stores), plugin.store.clone(), plugin.root.clone());
    let ask = || async move {
        let store = stores.open(&location).await.map_err(|error| chain(&error))?;
        let found = store.list(&root).await.map_err(|error| chain(&error))?;
        Ok(RootFinding {
            shared: found.folders.iter().any(|folder| VELERO_FOLDERS.contains(&folder.as_str())),
            per_cluster: found.folders.iter().any(|folder| folder == CLUSTERS),
        })
    };
    ctx.probes.roots.ask(&uid, question(plugin), ask, wake(ctx, fleet))
}

pub(super) fn probe_owner(
    ctx: &Arc<Ctx>,
    fleet: &Fleet,
    plugin: &ValidPlugin,
    layout: Layout,
    key: &ClusterKey,
    cluster_uid: &str,
) -> Probe<Owner> {
    let subject = format!("{} {key}", fleet.uid().unwrap_or_default());
    let (stores, location) = (Arc::clone(&ctx.stores), plugin.store.clone());
    let at = marker_key(plugin, layout, key);
    let mine = Marker {
        cluster: key.to_string(),
        cluster_uid: cluster_uid.to_owned(),
        hub_uid: ctx.hub.uid.clone(),
    };
    let heir_of = ctx.hub.annotation(key, names::TAKE_OVER_PREFIX_ANNOTATION);
    let question = format!("{} {at} {cluster_uid} {heir_of:?}", question(plugin));
    let ask = || async move {
        let store = stores.open(&location).await.map_err(|error| chain(&error))?;
        owner(&*store, &at, &mine, heir_of.as_deref()).await.map_err(|error| chain(&error))
    };
    ctx.probes.owners.ask(&subject, question, ask, wake(ctx, fleet))
}

/// Takes the place if it is free, or if it is that of the cluster that this one is said to be the heir of. Two that
/// try at once can't both succeed.
async fn owner(
    store: &dyn Store,
    at: &str,
    mine: &Marker,
    heir_of: Option<&str>,
) -> Result<Owner, StoreError> {
    let content = Bytes::from(serde_json::to_vec_pretty(mine).unwrap_or_default());
    let mut found = match store.get(at).await? {
        Some(found) => found,
        None => match store.create(at, content.clone()).await? {
            Creation::Created => return Ok(Owner::Ours),
            Creation::AlreadyExists => store.get(at).await?.unwrap_or_default(),
        },
    };
    if matches!(whose(&found, at, mine), Owner::Foreign { cluster_uid } if heir_of == Some(&cluster_uid)) {
        match store.replace(at, &found, content).await? {
            Replacement::Replaced => return Ok(Owner::Ours),
            Replacement::Changed => found = store.get(at).await?.unwrap_or_default(),
        }
    }
    Ok(whose(&found, at, mine))
}

fn whose(marker: &[u8], at: &str, mine: &Marker) -> Owner {
    match serde_json::from_slice::<Marker>(marker) {
        Ok(marker) if marker.cluster_uid == mine.cluster_uid => Owner::Ours,
        Ok(marker) => Owner::Foreign { cluster_uid: marker.cluster_uid },
        Err(_) => Owner::Foreign { cluster_uid: format!("unreadable marker `{at}`") },
    }
}

/// What every answer of the store depends on. A hash, because a credential is part of it.
fn question(plugin: &ValidPlugin) -> String {
    let config = format!("{:?}", plugin.config);
    super::render::hash(&[&plugin.bucket, &plugin.root, &config, &plugin.cloud])
}

pub(super) fn wake(ctx: &Ctx, fleet: &Fleet) -> impl FnOnce() + Send + 'static {
    let wakes = Arc::clone(&ctx.router.wakes.fleets);
    let back = ObjectRef::new(&fleet.name_any()).within(&fleet.namespace().unwrap_or_default());
    move || wakes.wake(back)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_store::Memory;

    fn marker(uid: &str) -> Marker {
        Marker { cluster: "AttachedCluster default/m".into(), cluster_uid: uid.into(), hub_uid: "hub".into() }
    }

    #[tokio::test]
    async fn k07_a_place_belongs_to_the_first_cluster_that_took_it() {
        let store = Memory::default();
        assert_eq!(owner(&store, "owners/a.json", &marker("one"), None).await.unwrap(), Owner::Ours);
        assert_eq!(owner(&store, "owners/a.json", &marker("one"), None).await.unwrap(), Owner::Ours);
        let foreign = Owner::Foreign { cluster_uid: "one".into() };
        assert_eq!(owner(&store, "owners/a.json", &marker("two"), None).await.unwrap(), foreign);
    }

    #[tokio::test]
    async fn k07_a_place_is_inherited_only_from_the_cluster_that_is_named() {
        let store = Memory::default();
        let ask =
            async |uid: &str, heir_of| owner(&store, "owners/a.json", &marker(uid), heir_of).await.unwrap();
        let foreign = |uid: &str| Owner::Foreign { cluster_uid: uid.into() };
        assert_eq!(ask("one", Some("two")).await, Owner::Ours);
        assert_eq!(ask("two", Some("three")).await, foreign("one"));
        assert_eq!(ask("two", Some("one")).await, Owner::Ours);
        assert_eq!(ask("one", None).await, foreign("two"));
        assert_eq!(ask("two", Some("one")).await, Owner::Ours);
    }

    #[tokio::test]
    async fn k07_a_marker_that_cannot_be_read_is_somebody_elses() {
        let store = Memory::default();
        store.create("owners/a.json", Bytes::from_static(b"{")).await.unwrap();
        assert!(matches!(
            owner(&store, "owners/a.json", &marker("one"), None).await.unwrap(),
            Owner::Foreign { .. }
        ));
    }

    #[test]
    fn a_root_in_use_keeps_its_layout() {
        let finding = |shared, per_cluster| RootFinding { shared, per_cluster };
        assert_eq!(finding(false, false).decide(None), Ok(Layout::PerCluster));
        assert_eq!(finding(false, false).decide(Some(Layout::Shared)), Ok(Layout::Shared));
        assert_eq!(finding(true, false).decide(None), Ok(Layout::Shared));
        assert_eq!(finding(true, true).decide(None), Ok(Layout::PerCluster));
        assert!(finding(true, false).decide(Some(Layout::PerCluster)).is_err());
        assert!(finding(false, true).decide(Some(Layout::Shared)).is_err());
    }
}
