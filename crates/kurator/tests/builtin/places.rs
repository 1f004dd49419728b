//! Which places in the store the hub opens for a member that it serves: those that it gave the member itself.

use anyhow::Context as _;
use kube::ResourceExt as _;
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_api::names::RUN_NOW_ANNOTATION;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_testkit::Cluster;
use kurator_testkit::fixtures::{Tenant, json_of, object, velero as in_member};
use serde_json::{Value, json};

use crate::{Outcome, only, prices};

/// A location that names a server and a file of the hub's machine, and what a Backup there comes to.
pub(crate) async fn nothing_foreign_is_followed(member: &Cluster) -> Outcome {
    let locations = in_member::<velero::BackupStorageLocation>(member)?;
    let spec = json!({
        "provider": "aws", "objectStorage": {"bucket": "velero", "prefix": "elsewhere"},
        "config": {"s3Url": "http://127.0.0.1:1", "region": "minio", "credentialsFile": "/etc/passwd"},
    });
    locations.create(&object("elsewhere", spec)?).await?;
    let refused = locations.until_phase("elsewhere", "Unavailable").await?;
    let why = json_of(&refused)["status"]["message"].clone();
    let expected = "storage location `elsewhere` was not written by a Fleet; the hub follows no other, so use the \
                    Fleet's, or serve this cluster with `kurator engine`";
    assert_eq!(why, expected);
    locations.delete("elsewhere").await?;
    Ok(())
}

/// The Fleet's own location, pointed at another cluster's folder by whoever may write in the member.
pub(crate) async fn what_somebody_changed_is_not_followed(
    tenant: &Tenant<'_>,
    member: &Cluster,
    cluster: &str,
) -> Outcome {
    let locations = in_member::<velero::BackupStorageLocation>(member)?;
    let prefix = json_of(&locations.get("default").await?)["spec"]["objectStorage"]["prefix"].clone();
    locations.merge("default", json!({"spec": {"objectStorage": {"prefix": "stolen"}}})).await?;
    let is_mended = |location: &velero::BackupStorageLocation| {
        json_of(location)["spec"]["objectStorage"]["prefix"] == prefix
    };
    locations.until("default", "the Fleet's prefix again", is_mended).await?;
    let backup = json!({
        "destination": only(tenant.name(), cluster),
        "policy": {"resourceFilter": {"includedNamespaces": ["bare-shop"]}},
    });
    tenant.create::<Backup>("mended", backup).await?;
    tenant.all::<Backup>().until_phase("mended", "Completed").await?;
    Ok(())
}

/// A backup of another cluster that nobody on the hub restores here, asked for by way of one that somebody did.
pub(crate) async fn no_other_backup_of_another_cluster_is_handed_out(
    source: &Cluster,
    target: &Cluster,
) -> Outcome {
    let locations = in_member::<velero::BackupStorageLocation>(target)?.list("").await?;
    let mount =
        locations.iter().map(|location| location.name_any()).find(|name| name.starts_with("kurator-ro-"));
    let theirs = in_member::<velero::Backup>(source)?.list("").await?;
    let theirs = theirs.into_iter().find(|backup| backup.name_any().ends_with("-backup-bare-shop"));
    let (mount, theirs) = mount.zip(theirs).context("there is no mount, or no backup of the source")?;
    let mut copy: velero::Backup = object(&theirs.name_any(), json!({"storageLocation": mount}))?;
    copy.status = theirs.status.clone();
    in_member::<velero::Backup>(target)?.create(&copy).await?;
    let wanted = json!({"backupName": theirs.name_any(), "namespaceMapping": {"bare-shop": "stolen"}});
    let restores = in_member::<velero::Restore>(target)?;
    restores.create(&object("stealing", wanted)?).await?;
    let refused = json_of(&restores.until_phase("stealing", "Failed").await?);
    let why = refused["status"]["failureReason"].as_str().unwrap_or_default();
    assert!(why.contains("no Restore or Migrate on the hub asks for Velero Backup"), "{why}");
    restores.delete("stealing").await?;
    in_member::<velero::Backup>(target)?.delete(&theirs.name_any()).await?;
    Ok(())
}

/// Backups of the member, changed there to lie in another bucket, in another cluster's folder, and outside all of them.
pub(crate) async fn what_a_member_says_of_its_backups_is_not_followed(
    tenant: &Tenant<'_>,
    member: &Cluster,
    cluster: &str,
) -> Outcome {
    let mut asked: Backup = object(
        "asked",
        json!({
            "destination": only(tenant.name(), cluster), "schedule": "0 0 1 1 *",
            "policy": {"resourceFilter": {"includedNamespaces": ["bare-shop"]}},
        }),
    )?;
    asked.metadata.annotations = Some([(RUN_NOW_ANNOTATION.to_owned(), "now".to_owned())].into());
    let backups = tenant.all::<Backup>();
    backups.create(&asked).await?;
    let has_run = |backup: &Backup| json_of(backup)["status"]["lastSuccess"].is_string();
    let row = |backup: &Backup| json_of(backup)["status"]["backupDetails"][0].clone();
    let ran = row(&backups.until("asked", "a complete run", has_run).await?);
    let run = ran["backupNameInCluster"].as_str().unwrap_or_default();
    assert_eq!(ran["stored"]["fleet"], tenant.name());

    let locations = in_member::<velero::BackupStorageLocation>(member)?;
    let ours = json_of(&locations.get("default").await?)["spec"].clone();
    let elsewhere = [
        ("bucket", "stolen", String::new()),
        ("folder", "velero", format!("bare/clusters/bare/attachedcluster/{}-m1", tenant.name())),
        ("root", "velero", "outside".to_owned()),
    ];
    for (name, bucket, prefix) in elsewhere {
        let mut spec = ours.clone();
        spec["default"] = json!(false);
        spec["accessMode"] = json!("ReadOnly");
        spec["objectStorage"] = json!({"bucket": bucket, "prefix": prefix});
        locations.create(&object(name, spec)?).await?;
        let of_run = json!({"spec": {"storageLocation": name}});
        in_member::<velero::Backup>(member)?.merge(run, of_run).await?;
        let restore = json!({
            "backupName": "asked", "backupNameInCluster": run, "destination": only(tenant.name(), cluster),
        });
        let restore_name = format!("from-{name}");
        tenant.create::<Restore>(&restore_name, restore).await?;
        let waits = |restore: &Restore| {
            json_of(restore)["status"]["restoreDetails"][0]["reason"] == "LocationUnavailable"
        };
        tenant.all::<Restore>().until(&restore_name, "waiting for a place of the Fleet's", waits).await?;
        let refused = locations.until_phase(name, "Unavailable").await?;
        let why = json_of(&refused)["status"]["message"].to_string();
        assert!(why.contains("was not written by a Fleet"), "{name}: {why}");
        assert_eq!(row(&backups.get("asked").await?)["stored"], ran["stored"], "{name}");
    }
    Ok(())
}

/// A backup that was stored below another prefix than the Fleet has now.
pub(crate) async fn what_was_stored_before_the_fleet_moved_is_restored(
    tenant: &Tenant<'_>,
    member: &Cluster,
) -> Outcome {
    let fleets = tenant.all::<Fleet>();
    let moved = json!({"spec": {"plugin": {"backup": {"storage": {"location": {"prefix": "moved"}}}}}});
    fleets.merge(tenant.name(), moved).await?;
    let has_moved = |fleet: &Fleet| {
        let fleet = json_of(fleet);
        let rows = fleet["status"]["clusters"].as_array().cloned().unwrap_or_default();
        let is_there = |row: &Value| {
            let prefix = row["backup"]["prefix"].as_str().unwrap_or_default();
            prefix.starts_with("moved/") && row["backup"]["ready"] == true
        };
        rows.iter().all(is_there)
    };
    let fleet = json_of(&fleets.until(tenant.name(), "to have moved", has_moved).await?);
    assert_eq!(fleet["status"]["clusters"][0]["backup"]["earlier"][0]["location"], "default");
    let beside = json!({"backupName": "shop", "policy": {"namespaceMapping": {"bare-shop": "bare-before"}}});
    tenant.create::<Restore>("of-before", beside).await?;
    tenant.all::<Restore>().until_phase("of-before", "Completed").await?;
    assert_eq!(prices(member, "bare-before").await?, json!({"tea": "3"}));
    Ok(())
}
