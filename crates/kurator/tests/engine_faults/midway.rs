//! What somebody does to the objects of a run while it goes.

use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use kurator_api::velero::{Backup, BackupStorageLocation, Restore, Schedule};
use kurator_testkit::fixtures::{BOUND, json_of, object, velero as in_member};
use kurator_testkit::wait::until;
use serde_json::{Value, json};

use super::{Outcome, contents, fill, map_name, on_stage, sends};
use crate::scene::{LOCATION, PREFIX, of};

/// More objects than requests go side by side.
const MAPS: usize = 100;

#[test]
fn a_restore_that_is_deleted_stops_and_the_next_one_has_its_turn() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "unwanted", MAPS, 10).await?;
        stage.back_up("unwanted", of("unwanted"), "Completed").await?;
        let held = stage.api.hold(|request| sends(request, &Method::POST, "/unwanted-copy/configmaps"));
        let restores = in_member::<Restore>(member)?;
        let spec = json!({"backupName": "unwanted", "namespaceMapping": {"unwanted": "unwanted-copy"}});
        restores.create(&object("unwanted", spec)?).await?;
        held.arrived().await?;
        restores.delete("unwanted").await?;
        until("the engine to notice", BOUND, async || {
            let log = std::fs::read_to_string(&stage.log)?;
            anyhow::Ok(log.contains("deleted; what it had restored by then stays").then_some(()))
        })
        .await?;
        held.release();
        stage.restore("wanted", json!({"backupName": "unwanted"}), "Completed").await?;
        let made = contents(member, "unwanted-copy").await?.len();
        assert!(made < MAPS, "all were restored");
        Ok(())
    })
}

#[test]
fn a_backup_that_is_deleted_while_it_is_stored_leaves_nothing() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "dropped", 2, 10).await?;
        let held = stage.store.hold(|request| sends(request, &Method::PUT, "/dropped.tar.gz"));
        let backups = in_member::<Backup>(member)?;
        backups.create(&object("dropped", of("dropped"))?).await?;
        held.arrived().await?;
        backups.delete("dropped").await?;
        backups.until_gone("dropped").await?;
        held.release();
        // There is one at a time: when this one has ended, so has the other.
        stage.back_up("next", of("dropped"), "Completed").await?;
        assert_eq!(stage.lab.s3().list(&format!("{PREFIX}/backups/dropped")).await?, [] as [&str; 0]);
        Ok(())
    })
}

#[test]
fn a_run_whose_schedule_is_deleted_meanwhile_is_complete_and_the_last() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "unscheduled", 2, 10).await?;
        let held = stage.store.hold(|request| {
            request.uri.path().contains("/backups/unscheduled-") && sends(request, &Method::PUT, ".tar.gz")
        });
        let schedules = in_member::<Schedule>(member)?;
        let spec = json!({"schedule": "@every 1s", "template": of("unscheduled")});
        schedules.create(&object("unscheduled", spec)?).await?;
        held.arrived().await?;
        schedules.delete("unscheduled").await?;
        schedules.until_gone("unscheduled").await?;
        held.release();
        let runs = async || {
            let runs = in_member::<Backup>(member)?.list("velero.io/schedule-name=unscheduled").await?;
            anyhow::Ok(runs.into_iter().filter_map(|run| run.metadata.name).collect::<Vec<_>>())
        };
        let [run] = runs().await?.try_into().map_err(|runs| anyhow::anyhow!("not one run: {runs:?}"))?;
        in_member::<Backup>(member)?.until_phase(&run, "Completed").await?;
        stage.goes_round("unscheduled", "after-the-schedule").await?;
        assert_eq!(runs().await?, [run]);
        Ok(())
    })
}

#[test]
fn a_backup_whose_location_is_deleted_meanwhile_ends_where_it_began() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "homeless", 2, 10).await?;
        let locations = in_member::<BackupStorageLocation>(member)?;
        let mut spec = json_of(&locations.get(LOCATION).await?)["spec"].clone();
        spec["objectStorage"]["prefix"] = json!("brief");
        locations.create(&object("brief", spec)?).await?;
        locations.until_phase("brief", "Available").await?;
        let held = stage.store.hold(|request| sends(request, &Method::PUT, "/homeless.tar.gz"));
        let backup = json!({"includedNamespaces": ["homeless"], "storageLocation": "brief"});
        let backups = in_member::<Backup>(member)?;
        backups.create(&object("homeless", backup)?).await?;
        held.arrived().await?;
        locations.delete("brief").await?;
        locations.until_gone("brief").await?;
        held.release();
        backups.until_phase("homeless", "Completed").await?;
        let stored = stage.lab.s3().get("brief/backups/homeless/velero-backup.json").await?;
        let stored: Value = serde_json::from_slice(&stored.unwrap_or_default())?;
        assert_eq!(stored["status"]["phase"], "Completed");

        let restores = in_member::<Restore>(member)?;
        restores.create(&object("homeless", json!({"backupName": "homeless"}))?).await?;
        let refused = json_of(&restores.until_phase("homeless", "FailedValidation").await?);
        let why = refused["status"]["validationErrors"].to_string();
        assert!(why.contains("brief"), "{why}");
        Ok(())
    })
}

#[test]
fn a_namespace_that_is_going_is_waited_for_and_made_anew() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "going", 2, 10).await?;
        let original = contents(member, "going").await?;
        stage.back_up("going", of("going"), "Completed").await?;
        let client = member.client()?;
        let maps = Api::<ConfigMap>::namespaced(client.clone(), "going");
        let finalizers = |all: Value| Patch::Merge(json!({"metadata": {"finalizers": all}}));
        let (params, kept) = (PatchParams::default(), map_name(0));
        maps.patch(&kept, &params, &finalizers(json!(["example.com/keeps-it"]))).await?;
        Api::<Namespace>::all(client).delete("going", &DeleteParams::default()).await?;
        let asked = stage.api.hold(|request| {
            request.method == Method::GET && request.uri.path() == "/api/v1/namespaces/going"
        });
        in_member::<Restore>(member)?.create(&object("going", json!({"backupName": "going"}))?).await?;
        asked.arrived().await?;
        asked.release();
        maps.patch(&kept, &params, &finalizers(Value::Null)).await?;
        let results = format!("{PREFIX}/restores/going/restore-going-results.gz");
        let status = stage.ended::<Restore>("going", "Completed", &results).await?;
        assert_eq!((&status["errors"], &status["warnings"]), (&Value::Null, &Value::Null), "{status}");
        assert_eq!(contents(member, "going").await?, original);
        Ok(())
    })
}
