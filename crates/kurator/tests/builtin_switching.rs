//! From Velero to the built-in engine and back, in the member that has Velero.

use std::path::Path;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_testkit::fixtures::{Tenant, json_of, object, ready, sow, velero as in_member};
use kurator_testkit::{Cluster, Lab, LabSpec, Serving};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

#[test]
fn a_fleet_changes_its_engine_and_changes_it_back() -> Outcome {
    let lab = Lab::start(LabSpec { members: 1, velero: true, s3: true })?;
    let serving = Serving::start(&lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
    lab.run(async {
        ready(&serving).await?;
        let tenant = Tenant::new(&lab, "changing").await?;
        let member = lab.member(1);
        sow(member, "changing-shop").await?;
        tenant.ready_fleet(1).await?;
        let fleets = tenant.all::<Fleet>();
        let backup = json!({
            "destination": {"fleet": "changing"},
            "policy": {"resourceFilter": {"includedNamespaces": ["changing-shop"]}},
        });
        tenant.create::<Backup>("by-velero", backup.clone()).await?;
        tenant.all::<Backup>().until_phase("by-velero", "Completed").await?;

        // While Velero answers, the hub leaves the member to it.
        let to = |engine: &str| json!({"spec": {"plugin": {"backup": {"engine": engine}}}});
        fleets.merge("changing", to("Builtin")).await?;
        let refused =
            |fleet: &Fleet| json_of(fleet)["status"]["clusters"][0]["backup"]["reason"] == "ServedByAnother";
        fleets.until("changing", "Velero to be named", refused).await?;
        let row = json_of(&fleets.get("changing").await?)["status"]["clusters"][0]["backup"].clone();
        let said = row["message"].as_str().unwrap_or_default();
        assert!(said.contains("another server (v1.18.3) executes"), "{said}");
        assert!(!in_member::<Secret>(member)?.list("").await?.is_empty(), "Velero has lost its credential");

        member.stop_velero()?;
        // What waits when the hub takes over is run, however the location looked in the moment before.
        let in_line = in_member::<velero::Backup>(member)?;
        in_line.create(&object("in-line", json!({"includedNamespaces": ["changing-shop"]}))?).await?;
        fleets.until_phase("changing", "Ready").await?;
        in_line.until_phase("in-line", "Completed").await?;
        let kept = in_member::<Secret>(member)?;
        kept.until_gone("changing-velero-s3").await?;
        tenant.create::<Backup>("by-hub", backup).await?;
        tenant.all::<Backup>().until_phase("by-hub", "Completed").await?;
        let beside = json!({
            "backupName": "by-velero", "policy": {"namespaceMapping": {"changing-shop": "changing-old"}},
        });
        tenant.create::<Restore>("of-velero", beside).await?;
        tenant.all::<Restore>().until_phase("of-velero", "Completed").await?;
        assert_eq!(prices(member, "changing-old").await?, json!({"tea": "3"}));

        fleets.merge("changing", to("Velero")).await?;
        member.start_velero()?;
        fleets
            .until("changing", "Velero to serve again", |fleet| {
                let fleet = json_of(fleet);
                let row = &fleet["status"]["clusters"][0]["backup"];
                row["engine"] == "Velero" && row["ready"] == true
            })
            .await?;
        let beside = json!({
            "backupName": "by-hub", "policy": {"namespaceMapping": {"changing-shop": "changing-new"}},
        });
        tenant.create::<Restore>("of-hub", beside).await?;
        tenant.all::<Restore>().until_phase("of-hub", "Completed").await?;
        assert_eq!(prices(member, "changing-new").await?, json!({"tea": "3"}));
        Ok(())
    })
}

async fn prices(member: &Cluster, namespace: &str) -> anyhow::Result<Value> {
    let map = Api::<ConfigMap>::namespaced(member.client()?, namespace).get("prices").await?;
    Ok(json_of(&map)["data"].clone())
}
