//! Fleets, and what their backup plugin puts into members.

use kurator_api::fleet::Fleet;
use kurator_api::velero::BackupStorageLocation;
use kurator_testkit::fixtures::velero;

use crate::{BASE, Outcome, on_stage};

/// Velero allows one default location and takes the mark off the older one, which the other fleet would put back.
#[test]
fn a_second_fleet_leaves_the_default_location_of_a_member_alone() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("second").await?;
        let clusters = tenant.ready_fleet(1).await?;
        let rows = tenant.all::<Fleet>().get("second").await?.status.unwrap_or_default().clusters;
        let name = rows[0].backup.as_ref().and_then(|backup| backup.location.clone()).unwrap_or_default();
        let locations = velero::<BackupStorageLocation>(stage.lab.member(1))?;
        let (first, second) = (locations.get("default").await?, locations.get(&name).await?);
        println!("{} {}", serde_json::to_string(&first)?, serde_json::to_string(&second)?);
        assert_eq!(first.metadata.annotations.unwrap()["kurator.dev/owner"], format!("Fleet {BASE}/{BASE}"));
        assert_eq!((first.spec.default, first.metadata.generation), (Some(true), Some(1)));
        assert_eq!((second.spec.default, second.metadata.generation), (Some(false), Some(1)), "{clusters:?}");
        Ok(())
    })
}
