//! Types and the namespace that somebody deletes in a member that the hub serves.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_api::velero;
use kurator_testkit::Cluster;
use kurator_testkit::fixtures::{BOUND, FixtureError, Tenant, json_of, sow, velero as in_member};
use serde_json::json;

use crate::{Outcome, builtin, fleet, on_stage};

/// One story: a member cannot be in two fleets.
#[test]
fn what_the_engine_works_on_is_made_again_when_somebody_deletes_it() -> Outcome {
    on_stage(async |stage| {
        let tenant = Tenant::new(stage.lab, "lost").await?;
        let (hub, member) = (stage.lab.hub().client()?, stage.lab.member(3));
        sow(member, "lost-shop").await?;
        fleet(&tenant, &[3], builtin("lost")).await?;
        tenant.all::<Fleet>().until_phase("lost", "Ready").await?;
        back_up(&tenant, "before").await?;
        for plural in ["backups", "restores", "backupstoragelocations"] {
            a_type_is_deleted(&hub, &tenant, member, &format!("{plural}.velero.io")).await?;
        }
        the_namespace_is_deleted(&tenant, member).await?;
        let before = json_of(&tenant.all::<Backup>().get("before").await?);
        assert_eq!(before["status"]["phase"], "Completed", "what is finished stays so");
        let left: Vec<_> = in_member::<velero::Backup>(member)?.list("").await?;
        let left: Vec<_> = left.iter().map(|backup| backup.name_any()).collect();
        assert!(left.len() == 1 && left[0].ends_with("-waiting"), "what is finished was run again: {left:?}");
        Ok(())
    })
}

async fn back_up(tenant: &Tenant<'_>, name: &str) -> Result<(), FixtureError> {
    begin(tenant, name).await?;
    tenant.all::<Backup>().until_phase(name, "Completed").await?;
    Ok(())
}

async fn begin(tenant: &Tenant<'_>, name: &str) -> Result<(), FixtureError> {
    let shop = json!({"resourceFilter": {"includedNamespaces": ["lost-shop"]}});
    tenant
        .create::<Backup>(name, json!({"destination": {"fleet": tenant.name()}, "policy": shop}))
        .await
        .map(drop)
}

/// Whether the row of the only cluster is not ready because of this.
fn lacks(fleet: &Fleet, what: &str) -> bool {
    let row = &json_of(fleet)["status"]["clusters"][0]["backup"];
    let named = row["message"].as_str().is_some_and(|message| message.contains(what));
    row["ready"] != true && row["reason"] == "VeleroMissing" && named
}

async fn a_type_is_deleted(hub: &Client, tenant: &Tenant<'_>, member: &Cluster, name: &str) -> Outcome {
    let fleets = Api::<Fleet>::namespaced(hub.clone(), tenant.name());
    let named = format!("the cluster has no type `{name}`");
    let is_told = |fleet: Option<&Fleet>| fleet.is_some_and(|fleet| lacks(fleet, &named));
    // A watch, which shows what is said for a moment only.
    let told = tokio::time::timeout(BOUND, await_condition(fleets, tenant.name(), is_told));
    let definitions = Api::<CustomResourceDefinition>::all(member.client()?);
    let delete = DeleteParams::default();
    let (told, deleted) = tokio::join!(told, definitions.delete(name, &delete));
    deleted?;
    told.with_context(|| format!("the Fleet never said that {name} is missing"))??;
    tenant.all::<Fleet>().until_phase("lost", "Ready").await?;
    let after = format!("after-{}", name.split('.').next().unwrap_or_default());
    back_up(tenant, &after).await?;
    Ok(())
}

async fn the_namespace_is_deleted(tenant: &Tenant<'_>, member: &Cluster) -> Outcome {
    let holds: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "holds", "finalizers": ["example.com/held"]}}))?;
    let maps = Api::<ConfigMap>::namespaced(member.client()?, "velero");
    maps.create(&PostParams::default(), &holds).await?;
    Api::<Namespace>::all(member.client()?).delete("velero", &DeleteParams::default()).await?;
    let words = "namespace `velero` is being deleted";
    tenant.all::<Fleet>().until("lost", words, |fleet| lacks(fleet, words)).await?;
    begin(tenant, "waiting").await?;
    let says_so = |backup: &Backup| {
        let row = &json_of(backup)["status"]["backupDetails"][0];
        row["phase"] == "Pending" && row["message"].as_str().is_some_and(|message| message.contains(words))
    };
    tenant.all::<Backup>().until("waiting", words, says_so).await?;

    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("holds", &PatchParams::default(), &free).await?;
    tenant.all::<Backup>().until_phase("waiting", "Completed").await?;
    tenant.all::<Fleet>().until_phase("lost", "Ready").await?;
    Ok(())
}
