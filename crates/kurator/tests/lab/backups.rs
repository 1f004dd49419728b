//! Backups that run.

use kurator_api::backup::Backup;
use kurator_api::velero;
use kurator_testkit::fixtures::velero as in_member;
use serde_json::json;

use crate::{Outcome, on_stage};

#[test]
fn k10_a_backup_with_a_ttl_alone_takes_everything() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k10").await?;
        let clusters = tenant.ready_fleet(1).await?;
        tenant
            .create::<Backup>("b", json!({"destination": {"fleet": "k10"}, "policy": {"ttl": "24h"}}))
            .await?;
        tenant.all::<Backup>().until_phase("b", "Completed").await?;
        let taken = in_member::<velero::Backup>(stage.lab.member(1))?;
        let taken = taken.get(&format!("{}-backup-k10-b", clusters[0])).await?;
        assert_eq!(taken.spec.include_cluster_resources, Some(true));
        assert_eq!(taken.spec.ttl.as_deref(), Some("24h"));
        Ok(())
    })
}
