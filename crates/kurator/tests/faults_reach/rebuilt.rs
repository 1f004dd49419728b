//! Another cluster under the address of one that was lost.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kurator_api::{backup::Backup, cluster::AttachedCluster, fleet::Fleet, names, restore::Restore};
use kurator_testkit::{
    LabError,
    fixtures::{FixtureError, sow},
};
use serde_json::json;

use crate::{Outcome, Scene, with_a_shaky_member};

fn uid(cluster: &AttachedCluster) -> Option<&str> {
    cluster.status.as_ref()?.cluster_uid.as_deref()
}

#[test]
fn k06_a_rebuilt_member_runs_nothing_again_and_reads_the_backups_of_its_predecessor() -> Outcome {
    with_a_shaky_member(2, "k06-rebuilt", async |scene| {
        let clusters = scene.tenant.all::<AttachedCluster>();
        scene.back_up("b").await?;
        let backup: Backup = scene.tenant.all().until_phase("b", "Completed").await?;
        let before = clusters.get(&scene.shaky).await?;

        scene.member.rebuild()?;
        clusters
            .until(&scene.shaky, "another UID", |now| uid(now).is_some() && uid(now) != uid(&before))
            .await?;
        until_taken(scene).await?;
        assert_eq!(scene.tenant.all::<Backup>().get("b").await?.status, backup.status);

        let before = backups_of(scene).await?;
        scene.restore("r", "b").await?;
        scene.tenant.all::<Restore>().until_phase("r", "Completed").await?;
        Api::<ConfigMap>::namespaced(scene.member.client()?, scene.tenant.name()).get("prices").await?;
        assert_eq!(backups_of(scene).await?, before);
        Ok(())
    })
}

#[test]
fn k07_the_heir_of_a_prefix_writes_to_it_only_once_it_is_named() -> Outcome {
    with_a_shaky_member(1, "k07-heir", async |scene| {
        let clusters = scene.tenant.all::<AttachedCluster>();
        scene.back_up("before").await?;
        scene.tenant.all::<Backup>().until_phase("before", "Completed").await?;
        let predecessor = uid(&clusters.get(&scene.shaky).await?).unwrap_or_default().to_owned();
        let old = backups_of(scene).await?;

        scene.member.rebuild()?;
        until_taken(scene).await?;
        sow(scene.member, scene.tenant.name()).await?;
        scene.back_up("after").await?;
        let waits = |backup: &Backup| {
            let row = backup
                .status
                .iter()
                .flat_map(|status| &status.backup_details)
                .find(|row| row.cluster_name == scene.shaky);
            row.is_some_and(|row| row.reason.as_deref() == Some("PrefixTaken"))
        };
        scene.tenant.all().until("after", "waiting for a location to write to", waits).await?;
        assert_eq!(backups_of(scene).await?, old);

        let heir = json!({"metadata": {"annotations": {names::TAKE_OVER_PREFIX_ANNOTATION: predecessor}}});
        clusters.merge(&scene.shaky, heir).await?;
        scene.tenant.all::<Backup>().until_phase("after", "Completed").await?;
        let all = backups_of(scene).await?;
        assert!(all.keys().any(|key| key.contains("-after/velero-backup.json")), "{all:?}");
        assert!(old.iter().all(|(key, print)| all.get(key) == Some(print)), "{old:?} became {all:?}");
        Ok(())
    })
}

async fn until_taken(scene: &Scene<'_>) -> Result<(), FixtureError> {
    let reads_only = |fleet: &Fleet| {
        let rows = fleet.status.as_ref().map(|status| status.clusters.as_slice()).unwrap_or_default();
        let row = rows.iter().find(|row| row.name == scene.shaky).and_then(|row| row.backup.as_ref());
        row.is_some_and(|row| row.reason.as_deref() == Some("PrefixTaken"))
    };
    let fleets = scene.tenant.all();
    fleets.until(scene.tenant.name(), "the prefix is another cluster's", reads_only).await.map(drop)
}

/// Everything that backups of the shaky member consist of in the store.
async fn backups_of(scene: &Scene<'_>) -> Result<BTreeMap<String, String>, LabError> {
    let (hub, member) = (scene.tenant.name(), &scene.shaky);
    scene.lab.s3().fingerprints(&format!("{hub}/clusters/{hub}/attachedcluster/{member}/backups")).await
}
