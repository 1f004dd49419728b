//! Deletion on the hub when a member is lost, or when what is to be deleted in it is gone already.

use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kurator_api::{backup::Backup, fleet::Fleet, restore::Restore, velero};
use kurator_testkit::{
    fixtures::{BOUND, FixtureError, velero as in_member},
    wait::until,
};
use serde_json::json;

use crate::{Outcome, Scene, with_a_shaky_member};

/// A completed Restore; names of its Velero Restores in the shaky and in the steady member.
async fn restored(scene: &Scene<'_>) -> Result<[String; 2], FixtureError> {
    scene.back_up("b").await?;
    scene.tenant.all::<Backup>().until_phase("b", "Completed").await?;
    scene.restore("r", "b").await?;
    let restore: Restore = scene.tenant.all().until_phase("r", "Completed").await?;
    let rows = restore.status.unwrap_or_default().restore_details;
    let name_in = |cluster: &str| {
        let row = rows.iter().find(|row| row.cluster_name == cluster);
        row.and_then(|row| row.restore_name_in_cluster.clone()).unwrap_or_default()
    };
    Ok([name_in(&scene.shaky), name_in(&scene.steady)])
}

#[test]
fn k48_a_restore_of_which_half_is_gone_already_is_deleted() -> Outcome {
    with_a_shaky_member(2, "k48-restore", async |scene| {
        let [in_shaky, in_steady] = restored(scene).await?;
        let restores = in_member::<velero::Restore>(scene.member)?;
        restores.delete(&in_shaky).await?;
        restores.until_gone(&in_shaky).await?;
        scene.tenant.all::<Restore>().delete("r").await?;
        scene.tenant.all::<Restore>().until_gone("r").await?;
        in_member::<velero::Restore>(scene.lab.member(crate::STEADY))?.until_gone(&in_steady).await?;
        Ok(())
    })
}

#[test]
fn k48_a_restore_is_deleted_only_when_a_lost_member_is_back() -> Outcome {
    with_a_shaky_member(1, "k48-lost", async |scene| {
        let [in_shaky, _] = restored(scene).await?;
        let restores = scene.tenant.all::<Restore>();
        let cut = scene.lose().await?;
        restores.delete("r").await?;
        let why = restores.until_reason("r", "MemberCleanupPending").await?;
        assert!(why.contains(&scene.shaky) && why.contains("kurator.dev/force-delete"), "{why}");
        drop(cut);
        restores.until_gone("r").await?;
        in_member::<velero::Restore>(scene.member)?.until_gone(&in_shaky).await?;
        Ok(())
    })
}

#[test]
fn k48_force_delete_gives_up_on_a_lost_member_and_says_so_in_an_event() -> Outcome {
    with_a_shaky_member(2, "k48-force", async |scene| {
        restored(scene).await?;
        let restores = scene.tenant.all::<Restore>();
        let _cut = scene.lose().await?;
        restores.delete("r").await?;
        restores.until_reason("r", "MemberCleanupPending").await?;
        restores
            .merge("r", json!({"metadata": {"annotations": {"kurator.dev/force-delete": "true"}}}))
            .await?;
        restores.until_gone("r").await?;
        let events = scene.tenant.all::<Event>();
        until("an event that names what was given up", BOUND, async || {
            let given_up = format!("given up on {}", scene.shaky);
            let all = events.list("").await?;
            let said =
                all.iter().filter_map(|event| event.note.as_ref()).any(|note| note.starts_with(&given_up));
            Ok::<_, FixtureError>(said.then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn k48_a_fleet_of_which_half_is_gone_already_is_deleted_when_a_lost_member_is_back() -> Outcome {
    with_a_shaky_member(1, "k48-fleet", async |scene| {
        let fleets = scene.tenant.all::<Fleet>();
        let cut = scene.lose().await?;
        fleets.delete(scene.tenant.name()).await?;
        fleets.until_reason(scene.tenant.name(), "MemberCleanupPending").await?;
        let ours = format!("fleet.kurator.dev/fleet-name={}", scene.tenant.name());
        let locations = ["delete", "backupstoragelocations.velero.io", "-n", "velero", "-l", &ours];
        let deleted = scene.lab.kubectl_within(scene.member, &locations)?;
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
        drop(cut);
        fleets.until_gone(scene.tenant.name()).await?;
        let secrets = in_member::<Secret>(scene.member)?;
        assert!(secrets.list(&ours).await?.is_empty());
        Ok(())
    })
}
