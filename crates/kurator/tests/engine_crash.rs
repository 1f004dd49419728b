//! An engine that is killed in the middle of its work, and the one that comes after it.

#[path = "engine/scene.rs"]
mod scene;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, api::DeleteParams, runtime::wait::await_condition};
use kurator_api::velero::{Backup, BackupStorageLocation, Restore};
use kurator_testkit::{
    Lab, LabSpec,
    fixtures::{json_of, object, sow, velero as in_member},
};
use scene::{LOCATION, PREFIX, location, of, start};
use serde_json::json;

type Outcome = anyhow::Result<()>;

/// One story: each step begins where the one before has ended.
#[test]
fn a_killed_engine_leaves_no_half_backup_and_the_next_one_ends_what_it_began() -> Outcome {
    let lab = Lab::start(LabSpec { members: 1, velero: true, s3: true })?;
    let member = lab.member(1);
    member.stop_velero()?;
    let log = lab.dir().join("engine.log");
    lab.run(async {
        location(member).await?;
        sow(member, "shop").await?;
        let mut engine = start(&lab, member, &log)?;
        in_member::<BackupStorageLocation>(member)?.until_phase(LOCATION, "Available").await?;

        // The store stands still, so that the run is in its middle for certain.
        lab.s3().pause()?;
        let backups = in_member::<Backup>(member)?;
        backups.create(&object("whole", of("shop"))?).await?;
        backups.until_phase("whole", "InProgress").await?;
        engine.kill()?;
        lab.s3().resume()?;
        let metadata = format!("{PREFIX}/backups/whole/velero-backup.json");
        assert!(lab.s3().get(&metadata).await?.is_none(), "half a backup can be seen");

        let mut engine = start(&lab, member, &log)?;
        let backup = backups.until_phase("whole", "Completed").await?;
        let stored: serde_json::Value =
            serde_json::from_slice(&lab.s3().get(&metadata).await?.unwrap_or_default())?;
        assert_eq!(stored["status"]["phase"], "Completed");
        assert_eq!(stored["metadata"]["uid"], json_of(&backup)["metadata"]["uid"]);

        Api::<Namespace>::all(member.client()?).delete("shop", &DeleteParams::default()).await?;
        let maps = Api::<ConfigMap>::namespaced(member.client()?, "shop");
        let is_gone = |found: Option<&ConfigMap>| found.is_none();
        await_condition(maps.clone(), "prices", is_gone).await?;
        lab.s3().pause()?;
        let restores = in_member::<Restore>(member)?;
        restores.create(&object("again", json!({"backupName": "whole"}))?).await?;
        restores.until_phase("again", "InProgress").await?;
        engine.kill()?;
        lab.s3().resume()?;

        let _engine = start(&lab, member, &log)?;
        restores.until_phase("again", "Completed").await?;
        assert_eq!(json_of(&maps.get("prices").await?)["data"], json!({"tea": "3"}));
        Ok(())
    })
}
