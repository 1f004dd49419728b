//! Restores: what they wait for, and what they bring back.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kurator_api::backup::{Backup, RowPhase};
use kurator_api::fleet::Fleet;
use kurator_api::names::{RUN_NOW_ANNOTATION, run_now_name};
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_testkit::fixtures::{Tenant, json_of, minio, object, sow, velero as in_member};
use serde_json::json;

use crate::{Outcome, Stage, on_stage};

/// A fleet of member 1 without a plugin, and something to back up in a namespace of the tenant's name.
async fn with_workload<'a>(stage: &'a Stage, name: &str) -> anyhow::Result<Tenant<'a>> {
    let tenant = stage.tenant(name).await?;
    sow(stage.lab.member(1), name).await?;
    let cluster = tenant.attach(1).await?;
    tenant.fleet(&[&cluster], None).await?;
    Ok(tenant)
}

async fn back_up(tenant: &Tenant<'_>) -> Outcome {
    let policy = json!({"resourceFilter": {"includedNamespaces": [tenant.name()]}});
    tenant.create::<Backup>("b", json!({"destination": {"fleet": tenant.name()}, "policy": policy})).await?;
    Ok(())
}

/// Restores into a namespace beside the original, which need not be lost for it.
async fn restore_beside(tenant: &Tenant<'_>) -> Outcome {
    let mapping = json!({tenant.name(): beside(tenant)});
    let spec = json!({"backupName": "b", "policy": {"namespaceMapping": mapping}});
    tenant.create::<Restore>("r", spec).await?;
    Ok(())
}

fn beside(tenant: &Tenant<'_>) -> String {
    format!("{}-beside", tenant.name())
}

async fn is_back(tenant: &Tenant<'_>, stage: &Stage) -> Outcome {
    let maps = Api::<ConfigMap>::namespaced(stage.lab.member(1).client()?, &beside(tenant));
    let prices = maps.get("prices").await?.data.context("an empty ConfigMap")?;
    assert_eq!(prices["tea"], "3");
    Ok(())
}

#[test]
fn k20_a_restore_applied_right_after_its_backup_brings_everything_back() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "k20").await?;
        back_up(&tenant).await?;
        restore_beside(&tenant).await?;
        tenant.all::<Restore>().until_phase("r", "Completed").await?;
        is_back(&tenant, stage).await
    })
}

#[test]
fn k19_a_restore_before_its_backup_waits_by_name_and_goes_on_when_it_is_there() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "k19").await?;
        restore_beside(&tenant).await?;
        let restores = tenant.all::<Restore>();
        let message = restores.until_reason("r", "BackupNotFound").await?;
        assert_eq!(
            message,
            "spec.backupName: there is no Backup `b` in this namespace; create it or name another"
        );
        restores.until_phase("r", "Pending").await?;
        back_up(&tenant).await?;
        restores.until_phase("r", "Completed").await?;
        is_back(&tenant, stage).await
    })
}

/// A Backup `b`, in force, that runs once a year, and otherwise when it is asked to.
async fn back_up_yearly(tenant: &Tenant<'_>) -> Outcome {
    let policy = json!({"resourceFilter": {"includedNamespaces": [tenant.name()]}});
    let destination = json!({"fleet": tenant.name()});
    let spec = json!({"schedule": "0 0 1 1 *", "destination": destination, "policy": policy});
    tenant.create::<Backup>("b", spec).await?;
    tenant.all::<Backup>().until_reason("b", "Enabled").await?;
    Ok(())
}

/// Asks for a run of Backup `b`, and waits until it is complete in all clusters.
async fn run_now(tenant: &Tenant<'_>, token: &str) -> Outcome {
    let ask = json!({"metadata": {"annotations": {RUN_NOW_ANNOTATION: token}}});
    tenant.all::<Backup>().merge("b", ask).await?;
    let has_run = |backup: &Backup| {
        let rows = backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
        !rows.is_empty()
            && rows.iter().all(|row| {
                let schedule = row.schedule.clone().unwrap_or_default();
                row.phase == Some(RowPhase::Completed) && schedule.ran_now.as_deref() == Some(token)
            })
    };
    tenant.all::<Backup>().until("b", "a complete run everywhere", has_run).await?;
    Ok(())
}

/// Which run each cluster restores.
async fn sources(tenant: &Tenant<'_>) -> anyhow::Result<Vec<(String, Option<String>)>> {
    let rows = tenant.all::<Restore>().get("r").await?.status.context("no status")?.restore_details;
    Ok(rows.into_iter().map(|row| (row.cluster_name, row.backup_name_in_cluster)).collect())
}

#[test]
fn k18_a_restore_before_the_first_complete_run_waits_and_goes_on_when_there_is_one() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "k18").await?;
        back_up_yearly(&tenant).await?;
        restore_beside(&tenant).await?;
        let message = tenant.all::<Restore>().until_reason("r", "NoCompleteRun").await?;
        assert!(message.ends_with("the schedule has no complete run in this cluster yet"), "{message}");
        tenant.all::<Restore>().until_phase("r", "Pending").await?;
        run_now(&tenant, "first").await?;
        tenant.all::<Restore>().until_phase("r", "Completed").await?;
        let run = run_now_name("k18-m1-backup-k18-b", "first");
        assert_eq!(sources(&tenant).await?, [("k18-m1".to_owned(), Some(run))]);
        is_back(&tenant, stage).await
    })
}

#[test]
fn a_scheduled_backup_restores_its_newest_complete_run_in_the_clusters_that_are_named() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("newest").await?;
        let mut clusters = Vec::new();
        for i in [1, 2] {
            sow(stage.lab.member(i), "newest").await?;
            clusters.push(tenant.attach(i).await?);
        }
        tenant.fleet(&[&clusters[0], &clusters[1]], None).await?;
        back_up_yearly(&tenant).await?;
        run_now(&tenant, "older").await?;
        run_now(&tenant, "newer").await?;
        // The newest of all is not complete.
        let runs = in_member::<velero::Backup>(stage.lab.member(1))?;
        let newer = runs.get(&run_now_name("newest-m1-backup-newest-b", "newer")).await?;
        let mut failed = object::<velero::Backup>("newest-failed", json!({}))?;
        failed.metadata.labels.clone_from(&newer.metadata.labels);
        failed.metadata.labels.get_or_insert_default().remove("velero.io/storage-location");
        failed.metadata.annotations.clone_from(&newer.metadata.annotations);
        failed.status = Some(serde_json::from_value(
            json!({"phase": "Failed", "startTimestamp": "2036-01-01T00:00:00Z"}),
        )?);
        runs.create(&failed).await?;
        tenant.all::<Backup>().until_condition("b", "Degraded", "RunFailed").await?;

        let named = json!([{"kind": "AttachedCluster", "name": clusters[0]}]);
        let spec = json!({
            "backupName": "b",
            "destination": {"fleet": "newest", "clusters": named},
            "policy": {"namespaceMapping": {"newest": beside(&tenant)}, "resourceFilter": {"includedResources": ["configmaps"]}},
        });
        tenant.create::<Restore>("r", spec).await?;
        tenant.all::<Restore>().until_phase("r", "Completed").await?;
        assert_eq!(sources(&tenant).await?, [(clusters[0].clone(), newer.metadata.name)]);
        is_back(&tenant, stage).await
    })
}

#[test]
fn a_backup_that_has_expired_is_nothing_to_restore() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "expired").await?;
        back_up(&tenant).await?;
        let backups = tenant.all::<Backup>();
        let backup = backups.until_phase("b", "Completed").await?;
        // As if it had been taken long ago.
        let mut rows = json_of(&backup)["status"]["backupDetails"].take();
        rows[0]["backupStatusInCluster"]["expiration"] = json!("2026-01-01T00:00:00Z");
        backups.merge_status("b", json!({"backupDetails": rows})).await?;
        restore_beside(&tenant).await?;
        let message = tenant.all::<Restore>().until_reason("r", "BackupExpired").await?;
        let expected = "spec.backupName: Backup `b` expired at 2026-01-01T00:00:00Z and is not restored any more; restore another one";
        assert_eq!(message, expected);
        tenant.all::<Restore>().until_phase("r", "FailedValidation").await?;
        Ok(())
    })
}

#[test]
fn k38_a_restore_stops_at_a_name_that_somebody_else_has() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "k38-restore").await?;
        let name = "k38-restore-m1-restore-k38-restore-r";
        let theirs = object::<velero::Restore>(name, json!({"backupName": "theirs"}))?;
        let in_member = in_member::<velero::Restore>(stage.lab.member(1))?;
        in_member.create(&theirs).await?;
        back_up(&tenant).await?;
        restore_beside(&tenant).await?;
        let restores = tenant.all::<Restore>();
        let message = restores.until_reason("r", "AlreadyExists").await?;
        assert_eq!(
            message,
            format!(
                "no cluster has started; k38-restore-m1: `{name}` is somebody else's; rename this object or annotate it \
                 `kurator.dev/run-again: \"true\"` to run under another name"
            )
        );
        restores.until_phase("r", "Pending").await?;
        assert_eq!(in_member.get(name).await?.spec.backup_name.as_deref(), Some("theirs"));
        Ok(())
    })
}

#[test]
fn k07_content_that_no_location_of_the_member_reaches_any_more_is_read_through_a_mount() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("moved").await?;
        let member = stage.lab.member(1);
        sow(member, "moved").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], Some(minio("moved"))).await?;
        let fleets = tenant.all::<Fleet>();
        fleets.until_phase("moved", "Ready").await?;
        back_up(&tenant).await?;
        let backup = tenant.all::<Backup>().until_phase("b", "Completed").await?;
        let row = json_of(&backup)["status"]["backupDetails"][0].take();
        let old = row["stored"]["location"].as_str().context("no location")?;
        let child = row["backupNameInCluster"].as_str().context("no child")?;

        // Another prefix, and a member that has nothing of the time before.
        fleets.merge("moved", json!({"spec": {"plugin": minio("moved-elsewhere")}})).await?;
        let moved = |fleet: &Fleet| {
            let row = json_of(fleet)["status"]["clusters"][0]["backup"].take();
            row["ready"] == true && row["location"] != old
        };
        fleets.until("moved", "a location on the new prefix", moved).await?;
        in_member::<velero::BackupStorageLocation>(member)?.delete(old).await?;
        in_member::<velero::Backup>(member)?.delete(child).await?;
        in_member::<velero::Backup>(member)?.until_gone(child).await?;

        restore_beside(&tenant).await?;
        let restores = tenant.all::<Restore>();
        let restore = restores.until_phase("r", "Completed").await?;
        is_back(&tenant, stage).await?;
        let row = json_of(&restore)["status"]["restoreDetails"][0].take();
        let mount = row["sourceLocation"].as_str().context("no mount")?;
        assert!(mount.starts_with("kurator-ro-"), "{mount}");
        assert!(row["message"].as_str().is_some_and(|said| said.contains("volumes")), "{row}");

        restores.delete("r").await?;
        restores.until_gone("r").await?;
        let locations = in_member::<velero::BackupStorageLocation>(member)?;
        assert!(locations.api().get_opt(mount).await?.is_none());
        assert!(in_member::<velero::Backup>(member)?.api().get_opt(child).await?.is_none());
        Ok(())
    })
}

#[test]
fn a_backup_that_is_gone_from_the_hub_is_restored_by_the_name_that_it_has_in_the_member() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "by-name").await?;
        back_up(&tenant).await?;
        let backups = tenant.all::<Backup>();
        backups.until_phase("b", "Completed").await?;
        backups.delete("b").await?;
        backups.until_gone("b").await?;
        let spec = json!({
            "backupName": "b", "backupNameInCluster": "by-name-m1-backup-by-name-b",
            "destination": {"fleet": "by-name"},
            "policy": {"namespaceMapping": {"by-name": beside(&tenant)}},
        });
        tenant.create::<Restore>("r", spec).await?;
        tenant.all::<Restore>().until_phase("r", "Completed").await?;
        is_back(&tenant, stage).await
    })
}

#[test]
fn a_name_that_no_backup_has_is_given_up_after_velero_has_looked_into_its_store_again() -> Outcome {
    on_stage(async |stage| {
        let tenant = with_workload(stage, "no-name").await?;
        let spec = |name: &str| json!({"backupName": "b", "backupNameInCluster": name, "destination": {"fleet": "no-name"}});
        let refused = tenant.create::<Restore>("odd", spec("../../x\n")).await.err().context("accepted")?;
        let why = refused.refusal().unwrap_or_default();
        assert!(why.contains("must be the name of a Velero Backup"), "{why}");

        tenant.create::<Restore>("r", spec("nowhere")).await?;
        let failed = tenant.all::<Restore>().until_phase("r", "Failed").await?;
        let row = json_of(&failed)["status"]["restoreDetails"][0].take();
        assert_eq!(
            (&row["phase"], &row["reason"]),
            (&json!("FailedValidation"), &json!("BackupObjectMissing"))
        );
        let message = row["message"].as_str().unwrap_or_default();
        assert!(message.starts_with("there is no Velero Backup `nowhere` in the member"), "{message}");
        Ok(())
    })
}
