//! Fleets whose members the hub itself serves: nothing runs in them, and nothing was installed.

mod lost;
mod places;

use std::path::Path;
use std::sync::OnceLock;

use anyhow::anyhow;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::names::ENGINE_LEASE;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_testkit::fixtures::{
    BOUND, FixtureError, Tenant, json_of, minio, object, ready, sow, velero as in_member,
};
use kurator_testkit::wait::until;
use kurator_testkit::{Cluster, Lab, LabSpec, Serving};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

struct Stage {
    lab: &'static Lab,
    #[expect(dead_code, reason = "runs as long as the stage is set")]
    serving: Serving,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        let lab = Lab::shared(LabSpec { members: 3, velero: false, s3: true })?;
        let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
        lab.run(ready(&serving))?;
        Ok(Self { lab, serving })
    }
}

fn on_stage(test: impl AsyncFnOnce(&'static Stage) -> Outcome) -> Outcome {
    static STAGE: OnceLock<anyhow::Result<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(Stage::set).as_ref();
    let stage = stage.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    stage.lab.run(test(stage))
}

async fn velero_types(member: &Cluster) -> anyhow::Result<Vec<String>> {
    let all = Api::<CustomResourceDefinition>::all(member.client()?).list(&ListParams::default()).await?;
    let of_velero = |found: &CustomResourceDefinition| found.spec.group == "velero.io";
    Ok(all.items.into_iter().filter(of_velero).map(|found| found.name_any()).collect())
}

/// Waits until a member has neither Velero's types nor its namespace.
async fn until_bare(member: &Cluster) -> Outcome {
    let client = member.client()?;
    until("nothing of Velero to be left", BOUND, async || {
        let types = velero_types(member).await.map_err(|error| format!("{error:#}"))?;
        let namespace = Api::<Namespace>::all(client.clone()).get_opt("velero").await;
        match namespace {
            Ok(None) if types.is_empty() => Ok(Some(())),
            other => Err(format!("{types:?} {other:?}")),
        }
    })
    .await?;
    Ok(())
}

/// A plugin that the hub executes.
fn builtin(prefix: &str) -> Value {
    let mut plugin = minio(prefix);
    plugin["backup"]["engine"] = json!("Builtin");
    plugin
}

/// A Ready fleet of these members.
async fn fleet(tenant: &Tenant<'_>, members: &[usize], plugin: Value) -> Result<Vec<String>, FixtureError> {
    let mut names = Vec::new();
    for i in members {
        names.push(tenant.attach(*i).await?);
    }
    let clusters: Vec<_> = names.iter().map(String::as_str).collect();
    tenant.fleet(&clusters, Some(plugin)).await?;
    Ok(names)
}

async fn prices(member: &Cluster, namespace: &str) -> anyhow::Result<Value> {
    let map = Api::<ConfigMap>::namespaced(member.client()?, namespace).get("prices").await?;
    Ok(json_of(&map)["data"].clone())
}

/// A row of the Fleet's status for its plugin in a member.
async fn row(tenant: &Tenant<'_>, i: usize) -> Result<Value, FixtureError> {
    let fleet = tenant.all::<Fleet>().get(tenant.name()).await?;
    Ok(json_of(&fleet)["status"]["clusters"][i]["backup"].clone())
}

/// A destination of one cluster.
fn only(fleet: &str, cluster: &str) -> Value {
    json!({"fleet": fleet, "clusters": [{"kind": "AttachedCluster", "name": cluster}]})
}

/// One story, each step of which begins where the one before has ended: a member cannot be in two fleets.
#[test]
fn a_fleet_without_anything_in_its_members_backs_up_restores_and_migrates() -> Outcome {
    on_stage(async |stage| {
        let tenant = Tenant::new(stage.lab, "bare").await?;
        let (one, two) = (stage.lab.member(1), stage.lab.member(2));
        sow(one, "bare-shop").await?;
        let clusters = fleet(&tenant, &[1, 2], builtin("bare")).await?;
        tenant.all::<Fleet>().until_phase("bare", "Ready").await?;
        let served = row(&tenant, 0).await?;
        assert_eq!(served["engine"], "Builtin");
        assert!(served["serverVersion"].as_str().is_some_and(|version| version.contains("+kurator-")));

        let twin = the_same_cluster_in_another_fleet_is_not_served_twice(stage.lab, &clusters[0]).await?;
        a_process_of_the_hub_has_died_in_the_middle_of_a_run(stage.lab, one).await?;
        let shop = json!({"resourceFilter": {"includedNamespaces": ["bare-shop"]}, "ttl": "24h"});
        let backup = json!({"destination": only("bare", &clusters[0]), "policy": shop});
        tenant.create::<Backup>("shop", backup).await?;
        tenant.all::<Backup>().until_phase("shop", "Completed").await?;
        let said = tenant.all::<Backup>().until_condition("shop", "Retention", "NotSupported").await?;
        assert!(said.starts_with("spec.policy.ttl: the built-in engine deletes nothing"), "{said}");
        assert!(in_member::<Secret>(one)?.list("").await?.is_empty(), "a credential lies in the member");

        Api::<Namespace>::all(one.client()?).delete("bare-shop", &DeleteParams::default()).await?;
        until_namespace_gone(one, "bare-shop").await?;
        tenant.create::<Restore>("shop", json!({"backupName": "shop"})).await?;
        tenant.all::<Restore>().until_phase("shop", "Completed").await?;
        assert_eq!(prices(one, "bare-shop").await?, json!({"tea": "3"}));

        let migrate = json!({
            "sourceCluster": only("bare", &clusters[0]), "targetCluster": only("bare", &clusters[1]),
            "policy": {"resourceFilter": {"includedNamespaces": ["bare-shop"]}, "ttl": "24h"},
        });
        tenant.create::<Migrate>("shop", migrate).await?;
        tenant.all::<Migrate>().until_phase("shop", "Completed").await?;
        let said = tenant.all::<Migrate>().until_condition("shop", "Retention", "NotSupported").await?;
        assert!(said.starts_with("spec.policy.ttl: the built-in engine deletes nothing"), "{said}");
        assert_eq!(prices(two, "bare-shop").await?, json!({"tea": "3"}));
        assert!(in_member::<Secret>(two)?.list("").await?.is_empty(), "a credential lies in the target");
        places::no_other_backup_of_another_cluster_is_handed_out(one, two).await?;

        let every_minute = json!({
            "destination": only("bare", &clusters[1]), "schedule": "* * * * *",
            "policy": {"resourceFilter": {"includedNamespaces": ["bare-shop"]}},
        });
        tenant.create::<Backup>("often", every_minute).await?;
        let has_run = |backup: &Backup| json_of(backup)["status"]["lastSuccess"].is_string();
        tenant.all::<Backup>().until("often", "a complete run", has_run).await?;

        places::nothing_foreign_is_followed(one).await?;
        places::what_somebody_changed_is_not_followed(&tenant, one, &clusters[0]).await?;
        places::what_a_member_says_of_its_backups_is_not_followed(&tenant, two, &clusters[1]).await?;
        places::what_was_stored_before_the_fleet_moved_is_restored(&tenant, one).await?;
        the_member_is_left_as_found(&tenant, &twin, one, two).await
    })
}

/// The first Fleet keeps it; this one says as what, and may have it when the first is gone.
async fn the_same_cluster_in_another_fleet_is_not_served_twice<'a>(
    lab: &'a Lab,
    first: &str,
) -> anyhow::Result<Tenant<'a>> {
    let twin = Tenant::new(lab, "twin").await?;
    fleet(&twin, &[1], builtin("twin")).await?;
    let is_told =
        |fleet: &Fleet| json_of(fleet)["status"]["clusters"][0]["backup"]["reason"] == "SameCluster";
    twin.all::<Fleet>().until("twin", "its row says SameCluster", is_told).await?;
    let message = row(&twin, 0).await?["message"].take();
    let expected = format!(
        "the hub serves this very cluster as AttachedCluster bare/{first}; take one of the two out of its Fleet"
    );
    assert_eq!(message, expected);
    Ok(twin)
}

/// An engine of the hub before this one has the Lease for an hour: it is not waited for, since this one leads now.
async fn a_process_of_the_hub_has_died_in_the_middle_of_a_run(lab: &Lab, member: &Cluster) -> Outcome {
    let hub = Api::<Namespace>::all(lab.hub().client()?).get("kube-system").await?.uid().unwrap_or_default();
    let lease = object::<Lease>(
        ENGINE_LEASE,
        json!({"holderIdentity": format!("{hub}/default/kurator/dead/engine"), "leaseDurationSeconds": 3600}),
    )?;
    in_member(member)?.create(&lease).await?;
    Ok(())
}

async fn the_member_is_left_as_found(
    tenant: &Tenant<'_>,
    twin: &Tenant<'_>,
    one: &Cluster,
    two: &Cluster,
) -> Outcome {
    for name in ["shop", "often", "mended", "asked"] {
        tenant.all::<Backup>().delete(name).await?;
        tenant.all::<Backup>().until_gone(name).await?;
    }
    let restores = tenant.all::<Restore>();
    for restore in restores.list("").await? {
        restores.delete(&restore.name_any()).await?;
        restores.until_gone(&restore.name_any()).await?;
    }
    tenant.all::<Migrate>().delete("shop").await?;
    tenant.all::<Migrate>().until_gone("shop").await?;
    // Backups outlive the hub's objects, and with them the types: here somebody takes them away in one member.
    let backups = in_member::<velero::Backup>(one)?;
    for backup in backups.list("").await? {
        backups.delete(&backup.name_any()).await?;
        if backup.name_any().ends_with("-mended") {
            what_only_the_store_knows_is_restored_once_its_object_is_back(tenant, one, &backup).await?;
            backups.delete(&backup.name_any()).await?;
        }
    }
    tenant.all::<Fleet>().delete(tenant.name()).await?;
    tenant.all::<Fleet>().until_gone(tenant.name()).await?;
    twin.all::<Fleet>().until_phase(twin.name(), "Ready").await?;
    twin.all::<Fleet>().delete(twin.name()).await?;
    twin.all::<Fleet>().until_gone(twin.name()).await?;
    until_bare(one).await?;
    assert!(
        !in_member::<velero::Backup>(two)?.list("").await?.is_empty(),
        "backups were lost with their type"
    );
    assert!(!velero_types(two).await?.is_empty());
    Ok(())
}

/// A Velero Backup of which neither the hub nor the member knows any more.
async fn what_only_the_store_knows_is_restored_once_its_object_is_back(
    tenant: &Tenant<'_>,
    member: &Cluster,
    backup: &velero::Backup,
) -> Outcome {
    let name = backup.name_any();
    let lost = json!({
        "backupName": "mended", "backupNameInCluster": name, "destination": only(tenant.name(), &cluster_of(tenant).await?),
        "policy": {"namespaceMapping": {"bare-shop": "bare-lost"}},
    });
    let restores = tenant.all::<Restore>();
    tenant.create::<Restore>("lost", lost.clone()).await?;
    let refused = json_of(&restores.until_phase("lost", "Failed").await?);
    let why = refused["status"]["restoreDetails"][0]["message"].as_str().unwrap_or_default();
    assert!(why.ends_with("/velero-backup.json in the member, then restore"), "{why}");

    let mut again: velero::Backup = object(&name, json_of(&backup.spec))?;
    again.status = backup.status.clone();
    in_member::<velero::Backup>(member)?.create(&again).await?;
    tenant.create::<Restore>("found", lost).await?;
    restores.until_phase("found", "Completed").await?;
    assert_eq!(prices(member, "bare-lost").await?, json!({"tea": "3"}));
    for name in ["lost", "found"] {
        restores.delete(name).await?;
        restores.until_gone(name).await?;
    }
    Ok(())
}

/// The tenant's first cluster.
async fn cluster_of(tenant: &Tenant<'_>) -> Result<String, FixtureError> {
    let fleet = json_of(&tenant.all::<Fleet>().get(tenant.name()).await?);
    Ok(fleet["spec"]["clusters"][0]["name"].as_str().unwrap_or_default().to_owned())
}

async fn until_namespace_gone(member: &Cluster, name: &str) -> Outcome {
    let namespaces = Api::<Namespace>::all(member.client()?);
    until("the namespace to be gone", BOUND, async || match namespaces.get_opt(name).await {
        Ok(None) => Ok(Some(())),
        other => Err(format!("{other:?}")),
    })
    .await?;
    Ok(())
}
