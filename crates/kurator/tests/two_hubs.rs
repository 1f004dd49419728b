//! Two hubs that know nothing of each other, with one bucket, the same names and members of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::velero::{AccessMode, BackupStorageLocation};
use kurator_testkit::fixtures::{Tenant, condition, minio, ready, sow, velero};
use kurator_testkit::{Cluster, Lab, LabError, LabSpec, Serving};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

/// Namespace, Fleet and root of the bucket on both hubs.
const NAME: &str = "same";
/// The cluster object on both hubs. Member 1 is the first hub's, member 2 the second's, and member 3 is the second hub.
const CLUSTER: &str = "same-m";

struct Stage {
    lab: &'static Lab,
    _serving: [Serving; 2],
    /// What the first hub had in the bucket before there was a second.
    first: BTreeMap<String, String>,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        let lab = Lab::shared(LabSpec { members: 3, velero: true, s3: true })?;
        lab.run(async {
            let first = serve(lab, lab.hub()).await?;
            let tenant = fleet(lab, lab.hub(), lab.member(1)).await?;
            tenant.all::<Fleet>().until_phase(NAME, "Ready").await?;
            sow(lab.member(1), NAME).await?;
            back_up(&tenant, "b").await?;
            tenant.all::<Backup>().until_phase("b", "Completed").await?;
            let before = lab.s3().fingerprints(NAME).await?;

            let second = serve(lab, second_hub(lab)).await?;
            let tenant = fleet(lab, second_hub(lab), lab.member(2)).await?;
            tenant.all::<Fleet>().until(NAME, "the prefix is another cluster's", is_taken).await?;
            sow(lab.member(2), NAME).await?;
            back_up(&tenant, "b").await?;
            tenant.all().until("b", "waiting", waits).await?;
            Ok(Self { lab, _serving: [first, second], first: before })
        })
    }
}

/// Runs a test inside the lab's network.
fn on_stage(test: impl AsyncFnOnce(&Stage) -> Outcome) -> Outcome {
    static STAGE: OnceLock<anyhow::Result<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(Stage::set).as_ref();
    let stage = stage.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    stage.lab.run(test(stage))
}

fn second_hub(lab: &Lab) -> &Cluster {
    lab.member(3)
}

async fn serve(lab: &Lab, hub: &Cluster) -> anyhow::Result<Serving> {
    let kurator = Path::new(env!("CARGO_BIN_EXE_kurator"));
    let serving = Serving::start_at(lab, hub, kurator, [] as [&str; 0])?;
    ready(&serving).await?;
    Ok(serving)
}

async fn fleet<'a>(lab: &'a Lab, hub: &Cluster, member: &Cluster) -> anyhow::Result<Tenant<'a>> {
    let tenant = Tenant::at(lab, hub, NAME).await?;
    tenant.attach_as(CLUSTER, &member.kubeconfig()).await?;
    tenant.fleet(&[CLUSTER], Some(minio(NAME))).await?;
    Ok(tenant)
}

async fn back_up(tenant: &Tenant<'_>, name: &str) -> Outcome {
    let policy = json!({"resourceFilter": {"includedNamespaces": [NAME]}});
    tenant.create::<Backup>(name, json!({"destination": {"fleet": NAME}, "policy": policy})).await?;
    Ok(())
}

fn is_taken(fleet: &Fleet) -> bool {
    let row = fleet.status.as_ref().and_then(|status| status.clusters.first()?.backup.as_ref());
    row.is_some_and(|plugin| plugin.reason.as_deref() == Some("PrefixTaken") && !plugin.ready)
}

/// Whether a Backup can't start: there is nowhere to write to, or Velero's sync has shown the first hub's run, which
/// has the same name.
fn waits(backup: &Backup) -> bool {
    let ready = condition(backup, "Ready");
    ready.is_some_and(|ready| ready["reason"] == "PrefixTaken" || ready["reason"] == "AlreadyExists")
}

/// What was there before the second hub and is still as it was, by key.
async fn untouched(stage: &Stage) -> Result<bool, LabError> {
    let now = stage.lab.s3().fingerprints(NAME).await?;
    Ok(stage.first.iter().all(|(key, print)| now.get(key) == Some(print)))
}

#[test]
fn k07_the_second_hub_finds_the_marker_of_the_first_and_mounts_its_prefix_read_only() -> Outcome {
    on_stage(async |stage| {
        let key = format!("{NAME}/owners/{NAME}.attachedcluster.{CLUSTER}.json");
        let marker = stage.lab.s3().get(&key).await?.context("no marker")?;
        let marker: Value = serde_json::from_slice(&marker)?;
        let uid = async |cluster: &Cluster| -> anyhow::Result<Option<String>> {
            Ok(Api::<Namespace>::all(cluster.client()?).get("kube-system").await?.uid())
        };
        assert_eq!(marker["clusterUid"], json!(uid(stage.lab.member(1)).await?));
        assert_eq!(marker["hubUid"], json!(uid(stage.lab.hub()).await?));
        for location in velero::<BackupStorageLocation>(stage.lab.member(2))?.list("").await? {
            assert_eq!(location.spec.access_mode, Some(AccessMode::ReadOnly), "{location:?}");
        }
        assert!(untouched(stage).await?);
        Ok(())
    })
}

#[test]
fn k07_what_the_second_hub_deletes_stays_with_the_first() -> Outcome {
    on_stage(async |stage| {
        let tenant = Tenant::present(stage.lab, second_hub(stage.lab), NAME)?;
        let spec = json!({"destination": {"fleet": NAME}, "deletionPolicy": "Delete"});
        tenant.create::<Backup>("doomed", spec).await?;
        tenant.all().until("doomed", "waiting", waits).await?;
        tenant.all::<Backup>().delete("doomed").await?;
        tenant.all::<Backup>().until_gone("doomed").await?;
        assert!(untouched(stage).await?);

        let first = Tenant::present(stage.lab, stage.lab.hub(), NAME)?;
        back_up(&first, "later").await?;
        first.all::<Backup>().until_phase("later", "Completed").await?;
        assert!(untouched(stage).await?);
        Ok(())
    })
}

#[test]
fn of_two_living_hubs_with_one_member_in_fleets_of_one_name_the_second_takes_nothing() -> Outcome {
    on_stage(async |stage| {
        let (name, member) = ("contested", stage.lab.member(1));
        let mut owners = Vec::new();
        for hub in [stage.lab.hub(), second_hub(stage.lab)] {
            let tenant = Tenant::at(stage.lab, hub, name).await?;
            tenant.attach_as(CLUSTER, &member.kubeconfig()).await?;
            tenant.fleet(&[CLUSTER], Some(minio(name))).await?;
            if owners.is_empty() {
                tenant.all::<Fleet>().until_phase(name, "Ready").await?;
            } else {
                tenant.all::<Fleet>().until(name, "the first hub is seen to live", is_outlived).await?;
            }
            owners.push(tenant.all::<Fleet>().get(name).await?.uid());
            let label = format!("{}={name}", names::FLEET_NAME_LABEL);
            for location in velero::<BackupStorageLocation>(member)?.list(&label).await? {
                assert_eq!(location.labels().get(names::OWNER_UID_LABEL), owners[0].as_ref());
                assert!(!location.annotations().contains_key(names::INHERITS_ANNOTATION), "{location:?}");
            }
        }
        Ok(())
    })
}

fn is_outlived(fleet: &Fleet) -> bool {
    let row = fleet.status.as_ref().and_then(|status| status.clusters.first()?.backup.as_ref());
    let is_said =
        |message: &String| message.contains("which is alive; give one of the two Fleets another name");
    row.is_some_and(|plugin| plugin.message.as_ref().is_some_and(is_said) && !plugin.ready)
}
