//! One Restore of the cluster, from its first look at it to its last phase.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use kurator_api::velero::{Backup, BackupStorageLocation, Restore, RestorePhase};
use kurator_store::Purpose;
use serde_json::json;
use tokio::sync::watch;

use super::Server;
use super::ended::{failed, is_shown, tell};
use super::progress::follow;
use super::queue::{Stage, Work as _};
use super::turn::Ran;
use super::write::{Target, merge};
use crate::call::CallError;
use crate::discover::discover;
use crate::fresh::fresh;
use crate::list::{ListRequest, Lister};
use crate::object::Head;
use crate::progress::Progress;
use crate::restore::run::{Tools, run};
use crate::restore::{
    ACTION, Config, Facts, IMAGE_LABEL, Images, PLUGIN_CONFIG_LABEL, Prepared, STORAGE_CLASS_LABEL,
    StorageClasses, modifiers_named, policy_named, prepare,
};
use crate::runs::Place;
use crate::types::Catalog;
use kurator_member::causes::chain;

pub(super) async fn restore(server: &Server, known: &Restore, place: Place) -> Ran {
    // Another engine may have ended it, and the watch not said so yet.
    let restore = match fresh(&server.caller, &server.namespace, known).await {
        Ok(Some(restore)) if restore.stage().is_some() => restore,
        Ok(Some(_)) => return Ran::Ended,
        // The watch says so too, or the server was wrong.
        Ok(None) => return Ran::NotNow,
        Err(error) => {
            tracing::warn!(restore = known.name_any(), error = %error, "cannot read the Restore; trying again");
            return Ran::NotNow;
        }
    };
    let (Some(backups), Some(locations)) = (server.backups(), server.locations()) else { return Ran::NotNow };
    let ended = match attempt(server, &restore, (&backups, &locations), &place).await {
        Ok(Some(ended)) => ended,
        Ok(None) => {
            tracing::warn!(restore = restore.name_any(), "deleted; what it had restored by then stays");
            return Ran::NotNow;
        }
        Err(why) => failed(server, restore, why),
    };
    // What is left needs next to no memory and may take long.
    drop((backups, locations, place));
    tell(server, &ended).await;
    Ran::Ended
}

/// The Restore with its last status, or why it failed; none if somebody has deleted it.
async fn attempt(
    server: &Server,
    restore: &Restore,
    (backups, locations): (&[Backup], &[BackupStorageLocation]),
    place: &Place,
) -> Result<Option<Restore>, String> {
    let catalog = discover(&server.caller).await.map_err(|error| chain(&error))?;
    let modifiers = map_named(server, modifiers_named(restore)).await?;
    let policy = map_named(server, policy_named(restore)).await?;
    let facts = Facts {
        backups,
        locations,
        modifiers: modifiers.as_ref(),
        policy: policy.as_ref(),
        catalog: &catalog,
    };
    let mut prepared = match prepare(restore, &facts) {
        Ok(prepared) => prepared,
        Err(reasons) => {
            let mut refused = restore.clone();
            let status = refused.status.get_or_insert_default();
            status.phase = Some(RestorePhase::FailedValidation);
            status.validation_errors = reasons;
            return Ok(Some(refused));
        }
    };
    let status = prepared.restore.status.get_or_insert_default();
    status.phase = Some(RestorePhase::InProgress);
    if status.start_timestamp.is_none() {
        status.start_timestamp = Some(server.clock.now());
    }
    let begun = json!({"spec": prepared.restore.spec, "status": prepared.restore.status});
    let target = Target::of(&server.namespace, &prepared.restore);
    if let Err(error) = merge(&server.caller, &target, begun).await {
        let lost = target.is_lost(&server.caller, &error, false).await;
        return if lost { Ok(None) } else { Err(format!("cannot begin: {error}")) };
    }

    let location = prepared.location.clone();
    let ran = in_location(server, prepared, catalog, restore.stage() == Some(Stage::Begun), place).await;
    if ran.is_err() {
        server.doubt(&location);
    }
    ran
}

/// Runs what was prepared; `resumed` if a run before it was broken off. None if somebody deletes it meanwhile.
async fn in_location(
    server: &Server,
    prepared: Prepared,
    catalog: Catalog,
    resumed: bool,
    place: &Place,
) -> Result<Option<Restore>, String> {
    let target = Target::of(&server.namespace, &prepared.restore);
    let object = prepared.restore.clone();
    let restored = prepared.backup.name_any();
    let (store, of_classes, of_images, classes) = futures::try_join!(
        server.stores.open(&prepared.location, Purpose::Restore(&restored)),
        config(server, STORAGE_CLASS_LABEL),
        config(server, IMAGE_LABEL),
        async { classes(server).await.map_err(|error| error.to_string()) },
    )?;
    let storage_classes = StorageClasses::new(of_classes, classes);
    let images = Images::new(of_images);
    let (progress, told) = watch::channel(Progress::default());
    let tools = Tools {
        caller: &server.caller,
        catalog,
        store,
        resumed,
        folder: &server.folder,
        storage_classes,
        images,
        clock: Arc::clone(&server.clock),
        progress: &progress,
        place,
    };
    tokio::select! {
        ended = Box::pin(run(prepared, tools)) => ended.map(Some).map_err(|error| chain(&error)),
        () = follow(server, &target, "itemsRestored", told, || is_shown(server, &object)) => Ok(None),
    }
}

async fn map_named(server: &Server, name: Option<&str>) -> Result<Option<ConfigMap>, String> {
    let Some(name) = name else { return Ok(None) };
    let found = server.caller.read(|client| async move { maps(server, client).get_opt(name).await });
    found.await.map_err(|error| chain(&error))
}

/// The ConfigMaps that configure an action.
async fn config(server: &Server, label: &str) -> Result<Vec<Config>, String> {
    let labelled = &ListParams::default().labels(&format!("{PLUGIN_CONFIG_LABEL},{label}={ACTION}"));
    let found = server.caller.read(|client| async move { maps(server, client).list(labelled).await });
    let found = found.await.map_err(|error| chain(&error))?;
    Ok(found.items.into_iter().map(|map| (map.name_any(), map.data.unwrap_or_default())).collect())
}

fn maps(server: &Server, client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, &server.namespace)
}

async fn classes(server: &Server) -> Result<BTreeSet<String>, CallError> {
    let mut names = BTreeSet::new();
    let path = "/apis/storage.k8s.io/v1/storageclasses".to_owned();
    let mut objects = Lister::new(&server.caller, ListRequest { path, selector: String::new() });
    while let Some(json) = objects.next().await? {
        let head: Head<'_> =
            serde_json::from_slice(&json).map_err(|error| CallError::Unusable(error.to_string()))?;
        names.insert(head.metadata.name.into_owned());
    }
    Ok(names)
}
