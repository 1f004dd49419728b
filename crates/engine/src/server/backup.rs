//! One Backup of the cluster, from its first look at it to its last phase.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};
use kurator_api::velero::{Backup, BackupPhase};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Server;
use super::progress::follow;
use super::queue::Work as _;
use super::write::{fresh, merge, merge_at_last, path};
use crate::backup::prepare::{
    ClusterVersion, Defaults, Facts, Prepared, SnapshotLocation, policy_name, prepare,
};
use crate::backup::run::{Tools, run};
use crate::backup::select::{EXCLUDE_LABEL, NamespaceFact};
use crate::call::CallError;
use crate::discover::discover;
use crate::list::{ListRequest, Lister};
use crate::object::Head;
use crate::progress::Progress;
use kurator_member::causes::chain;

pub(super) async fn back_up(server: &Server, known: &Backup) {
    // Another engine may have ended it, and the watch not said so yet.
    let Some(backup) = fresh(&server.caller, &server.namespace, known).await else { return };
    if backup.stage().is_none() {
        return;
    }
    let name = backup.name_any();
    let path = path::<Backup>(&server.namespace, &name);
    let ended = match attempt(server, &backup, &path).await {
        Ok(ended) => ended,
        Err(why) => {
            tracing::warn!(backup = name, why, "the backup has failed");
            let mut failed = backup.clone();
            let status = failed.status.get_or_insert_default();
            status.phase = Some(BackupPhase::Failed);
            status.failure_reason = Some(why);
            status.completion_timestamp = Some(server.clock.now());
            failed
        }
    };
    merge_at_last(&server.caller, &path, &whole(&ended)).await;
    let phase = ended.status.as_ref().and_then(|status| status.phase.as_ref()).map(ToString::to_string);
    tracing::info!(backup = name, phase, "the backup has ended");
}

/// The Backup with its last status, or why it failed.
async fn attempt(server: &Server, backup: &Backup, path: &str) -> Result<Backup, String> {
    let caller = &server.caller;
    let namespaces = namespaces(server).await.map_err(|error| format!("cannot list namespaces: {error}"))?;
    let prepared = match prepared(server, backup, &namespaces).await? {
        Ok(prepared) => prepared,
        Err(refused) => return Ok(refused),
    };
    merge(caller, path, &whole(&prepared.backup)).await.map_err(|error| format!("cannot begin: {error}"))?;

    let name = prepared.backup.spec.storage_location.clone().unwrap_or_default();
    let location =
        server.location(&name).await.ok_or_else(|| format!("there is no location `{name}` any more"))?;
    let catalog = async { discover(caller).await.map_err(|error| chain(&error)) };
    let (store, catalog) = futures::try_join!(server.stores.open(&location), catalog)?;
    let (progress, told) = watch::channel(Progress::default());
    let tools = Tools {
        caller,
        catalog: &catalog,
        namespaces: &namespaces,
        store,
        folder: &server.folder,
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        clock: Arc::clone(&server.clock),
        progress: &progress,
    };
    let running = run(prepared, &tools);
    tokio::select! {
        ended = running => ended.map_err(|error| chain(&error)),
        never = follow(server, path, "itemsBackedUp", told) => never,
    }
}

async fn prepared(
    server: &Server,
    backup: &Backup,
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
    let locations = server.locations().await;
    let policy = match policy_name(&backup.spec) {
        Some(name) => Some(config_map(server, name).await),
        None => None,
    };
    let facts = Facts {
        defaults: &Defaults::default(),
        locations: &locations,
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

/// Everything of a Backup that a run writes.
fn whole(backup: &Backup) -> Value {
    let metadata = json!({
        "labels": backup.metadata.labels,
        "annotations": backup.metadata.annotations,
    });
    json!({"metadata": metadata, "spec": backup.spec, "status": backup.status})
}
