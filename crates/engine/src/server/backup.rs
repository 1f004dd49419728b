//! One Backup of the cluster, from its first look at it to its last phase.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};
use kurator_api::velero::{Backup, BackupStorageLocation};
use kurator_store::Purpose;
use tokio::sync::watch;

use super::Server;
use super::awaited::good_end;
use super::ended::{failed, is_shown, tell, whole};
use super::progress::follow;
use super::queue::Work as _;
use super::turn::Ran;
use super::write::{Target, merge};
use crate::backup::prepare::{
    ClusterVersion, Defaults, Facts, Prepared, SnapshotLocation, policy_name, prepare,
};
use crate::backup::run::{RunError, Tools, run};
use crate::backup::select::{EXCLUDE_LABEL, NamespaceFact};
use crate::call::CallError;
use crate::discover::discover;
use crate::fresh::fresh;
use crate::list::{ListRequest, Lister};
use crate::object::Head;
use crate::progress::Progress;
use crate::runs::Place;
use kurator_member::causes::chain;

pub(super) async fn back_up(server: &Server, known: &Backup, place: Place) -> Ran {
    // Another engine may have ended it, and the watch not said so yet.
    let backup = match fresh(&server.caller, &server.namespace, known).await {
        Ok(Some(backup)) if backup.stage().is_some() => backup,
        Ok(Some(_)) => return Ran::Ended,
        // The watch says so too, or the server was wrong.
        Ok(None) => return Ran::NotNow,
        Err(error) => {
            tracing::warn!(backup = known.name_any(), error = %error, "cannot read the Backup; trying again");
            return Ran::NotNow;
        }
    };
    let (Some(locations), Some(cluster)) = (server.locations(), server.cluster()) else { return Ran::NotNow };
    let ended = match attempt(server, &backup, (&cluster, &locations), &place).await {
        Ok(Some(ended)) => ended,
        Ok(None) => {
            tracing::warn!(backup = backup.name_any(), "deleted while it was made; nothing of it is kept");
            return Ran::NotNow;
        }
        Err(why) => failed(server, backup, why),
    };
    // What is left needs next to no memory and may take long.
    drop(place);
    let uid = ended.uid().unwrap_or_default();
    // First: whatever is written into its status from now on, the store has this.
    if let Some(end) = good_end(&ended) {
        server.stores.proven(&uid, end);
    }
    tell(server, &ended).await;
    // Another end is believed when the watch shows it: until then it may still show what somebody else said.
    if good_end(&ended).is_some() {
        server.awaited.ended(&uid);
    }
    Ran::Ended
}

/// The Backup with its last status, or why it failed; none if somebody has deleted it.
async fn attempt(
    server: &Server,
    backup: &Backup,
    (cluster, locations): (&str, &[BackupStorageLocation]),
    place: &Place,
) -> Result<Option<Backup>, String> {
    let namespaces = namespaces(server).await.map_err(|error| format!("cannot list namespaces: {error}"))?;
    let prepared = match prepared(server, backup, locations, &namespaces).await? {
        Ok(prepared) => prepared,
        Err(refused) => return Ok(Some(refused)),
    };
    let target = Target::of(&server.namespace, &prepared.backup);
    if let Err(error) = merge(&server.caller, &target, whole(&prepared.backup)).await {
        let lost = target.is_lost(&server.caller, &error, false).await;
        return if lost { Ok(None) } else { Err(format!("cannot begin: {error}")) };
    }

    let name = prepared.backup.spec.storage_location.clone().unwrap_or_default();
    let location = locations.iter().find(|location| location.name_any() == name);
    let location = location.ok_or_else(|| format!("there is no location `{name}` any more"))?;
    let ran = in_location(server, prepared, location, (cluster, &namespaces), place).await;
    if ran.is_err() {
        server.doubt(location);
    }
    ran
}

/// Runs what was prepared.
async fn in_location(
    server: &Server,
    prepared: Prepared,
    location: &BackupStorageLocation,
    (cluster, namespaces): (&str, &[NamespaceFact]),
    place: &Place,
) -> Result<Option<Backup>, String> {
    let target = Target::of(&server.namespace, &prepared.backup);
    let object = prepared.backup.clone();
    let catalog = async { discover(&server.caller).await.map_err(|error| chain(&error)) };
    let (store, catalog) = futures::try_join!(server.stores.open(location, Purpose::Store), catalog)?;
    let (progress, told) = watch::channel(Progress::default());
    let tools = Tools {
        caller: &server.caller,
        cluster,
        catalog: &catalog,
        namespaces,
        store,
        folder: &server.folder,
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        clock: Arc::clone(&server.clock),
        progress: &progress,
        place,
    };
    // Large, and moved about until it runs.
    let running = Box::pin(run(prepared, &tools));
    // One that is deleted ends itself, since it has to tidy up in the store.
    let follow = async {
        follow(server, &target, "itemsBackedUp", told, || is_shown(server, &object)).await;
        std::future::pending().await
    };
    tokio::select! {
        ended = running => match ended {
            Ok(ended) => Ok(Some(ended)),
            Err(RunError::Deleted) => Ok(None),
            Err(error) => Err(chain(&error)),
        },
        never = follow => never,
    }
}

async fn prepared(
    server: &Server,
    backup: &Backup,
    locations: &[BackupStorageLocation],
    namespaces: &[NamespaceFact],
) -> Result<Result<Prepared, Backup>, String> {
    let version = server.caller.read(|client| async move { client.apiserver_version().await });
    let version = async { version.await.map_err(|error| chain(&error)) };
    let snapshot_locations = async { snapshot_locations(server).await.map_err(|error| error.to_string()) };
    let (version, snapshot_locations) = futures::try_join!(version, snapshot_locations)?;
    let version = ClusterVersion { git: version.git_version, major: version.major, minor: version.minor };
    let excluded: Vec<String> = namespaces
        .iter()
        .filter(|namespace| namespace.labels.get(EXCLUDE_LABEL).is_some_and(|value| value == "true"))
        .map(|namespace| namespace.name.clone())
        .collect();
    let policy = match policy_name(&backup.spec) {
        Some(name) => Some(config_map(server, name).await),
        None => None,
    };
    let facts = Facts {
        defaults: &Defaults::default(),
        locations,
        snapshot_locations: &snapshot_locations,
        excluded_namespaces: &excluded,
        version: &version,
        policy: policy.as_ref().map(|policy| policy.as_ref().map_err(Clone::clone)),
        now: server.clock.now(),
    };
    Ok(prepare(backup.clone(), &facts).map_err(|refused| *refused.backup))
}

async fn config_map(server: &Server, name: &str) -> Result<BTreeMap<String, String>, String> {
    let found = server.caller.read(|client| async move {
        Api::<ConfigMap>::namespaced(client, &server.namespace).get_opt(name).await
    });
    match found.await {
        Ok(Some(found)) => Ok(found.data.unwrap_or_default()),
        Ok(None) => Err(format!("there is no ConfigMap `{name}` in namespace {}", server.namespace)),
        Err(error) => Err(chain(&error)),
    }
}

async fn namespaces(server: &Server) -> Result<Vec<NamespaceFact>, CallError> {
    let mut found = Vec::new();
    let request = ListRequest { path: "/api/v1/namespaces".to_owned(), selector: String::new() };
    let mut objects = Lister::new(&server.caller, request);
    while let Some(json) = objects.next().await? {
        let unusable = |error: serde_json::Error| CallError::Unusable(error.to_string());
        let head: Head<'_> = serde_json::from_slice(&json).map_err(unusable)?;
        let phase: Phase = serde_json::from_slice(&json).map_err(unusable)?;
        let labels = head.metadata.labels.unwrap_or_default();
        found.push(NamespaceFact {
            name: head.metadata.name.into_owned(),
            labels: labels.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
            active: phase.status.phase == "Active",
        });
    }
    Ok(found)
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Phase {
    status: PhaseStatus,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct PhaseStatus {
    phase: String,
}

async fn snapshot_locations(server: &Server) -> Result<Vec<SnapshotLocation>, CallError> {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Found {
        metadata: Meta,
        spec: Spec,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Meta {
        name: String,
    }
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Spec {
        provider: String,
    }
    let mut locations = Vec::new();
    let path = format!("/apis/velero.io/v1/namespaces/{}/volumesnapshotlocations", server.namespace);
    let mut objects = Lister::new(&server.caller, ListRequest { path, selector: String::new() });
    loop {
        match objects.next().await {
            Ok(Some(json)) => {
                let found: Found =
                    serde_json::from_slice(&json).map_err(|error| CallError::Unusable(error.to_string()))?;
                locations.push(SnapshotLocation { name: found.metadata.name, provider: found.spec.provider });
            }
            Ok(None) => return Ok(locations),
            // A cluster where only some of Velero's types are installed has none.
            Err(error) if error.is(http::StatusCode::NOT_FOUND) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}
