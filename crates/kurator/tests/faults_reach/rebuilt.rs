//! Another cluster under the address of one that was lost.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kurator_api::{backup::Backup, cluster::AttachedCluster, fleet::Fleet, restore::Restore};

use crate::{Outcome, with_a_shaky_member};

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
        let reads_only = |fleet: &Fleet| {
            let rows = fleet.status.as_ref().map(|status| status.clusters.as_slice()).unwrap_or_default();
            let row = rows.iter().find(|row| row.name == scene.shaky).and_then(|row| row.backup.as_ref());
            row.is_some_and(|row| row.reason.as_deref() == Some("PrefixTaken"))
        };
        scene.tenant.all().until(scene.tenant.name(), "the prefix is another cluster's", reads_only).await?;
        assert_eq!(scene.tenant.all::<Backup>().get("b").await?.status, backup.status);

        scene.restore("r", "b").await?;
        scene.tenant.all::<Restore>().until_phase("r", "Completed").await?;
        Api::<ConfigMap>::namespaced(scene.member.client()?, scene.tenant.name()).get("prices").await?;
        Ok(())
    })
}
