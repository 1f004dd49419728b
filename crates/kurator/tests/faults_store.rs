//! An object store that is out of reach: said of the fleet, an obstacle to nothing else, and forgotten when it is back.

use std::path::Path;

use kurator_api::{fleet::Fleet, names, velero::BackupStorageLocation};
use kurator_testkit::{
    Lab, LabError, LabSpec, Serving,
    fixtures::{BOUND, Tenant, condition, minio, ready, velero},
    wait::until,
};
use serde_json::json;

type Outcome = anyhow::Result<()>;

/// What the row of the fleet's one member says of the backup plugin.
fn said(fleet: &Fleet) -> Option<&str> {
    fleet.status.as_ref()?.clusters.first()?.backup.as_ref()?.reason.as_deref()
}

/// Makes Velero look at this fleet's location as often as it can, which is every ten seconds.
async fn look_often(lab: &Lab, fleet: &Fleet) -> Outcome {
    let label = format!("{}={}", names::OWNER_UID_LABEL, fleet.metadata.uid.as_deref().unwrap_or_default());
    let locations = velero::<BackupStorageLocation>(lab.member(1))?;
    for location in locations.list(&label).await? {
        let name = location.metadata.name.unwrap_or_default();
        locations.merge(&name, json!({"spec": {"validationFrequency": "1s"}})).await?;
    }
    Ok(())
}

#[test]
fn a_store_out_of_reach_is_said_of_old_and_new_fleets_blocks_neither_and_both_heal() -> Outcome {
    let lab = Lab::shared(LabSpec { members: 1, velero: true, s3: true })?;
    let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
    lab.run(async {
        ready(&serving).await?;
        let old = Tenant::new(lab, "old").await?;
        old.ready_fleet(1).await?;
        look_often(lab, &old.all().get("old").await?).await?;

        lab.s3().stop()?;
        let unavailable = |fleet: &Fleet| said(fleet) == Some("LocationUnavailable");
        old.all::<Fleet>().until("old", "its row says LocationUnavailable", unavailable).await?;

        let new = Tenant::new(lab, "new").await?;
        let cluster = new.attach(1).await?;
        new.fleet(&[&cluster], Some(minio("new"))).await?;
        new.all::<Fleet>().until_condition("new", "Storage", "OwnerUnverified").await?;
        let unverified =
            new.all::<Fleet>().until("new", "its row says LocationUnavailable", unavailable).await?;
        look_often(lab, &unverified).await?;

        lab.s3().start()?;
        old.all::<Fleet>().until_phase("old", "Ready").await?;
        let healed = new.all::<Fleet>().until_phase("new", "Ready").await?;
        let is_silent = |fleet: &Fleet| condition(fleet, "Storage").is_none();
        new.all::<Fleet>().until("new", "nothing to say of the store", is_silent).await?;
        assert_eq!(said(&healed), Some("AsExpected"));
        until("the new fleet's marker in the bucket", BOUND, async || {
            Ok::<_, LabError>(lab.s3().list("new/owners").await?.first().map(drop))
        })
        .await?;
        Ok(())
    })
}
