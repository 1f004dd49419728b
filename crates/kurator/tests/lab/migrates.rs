//! Migrates: from member 1 into member 2, each of them with the backup plugin of a fleet.

mod ends;

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::names;
use kurator_api::velero::{self, BackupStorageLocation};
use kurator_testkit::fixtures::{
    BOUND, FixtureError, Tenant, condition, json_of, minio, object, sow, velero as in_member,
};
use kurator_testkit::wait::until;
use kurator_testkit::{Cluster, S3};
use serde_json::{Value, json};

use crate::{Outcome, Stage, on_stage};

/// A Ready fleet of both members, and something to migrate in a namespace of member 1 called as the tenant.
async fn scene<'a>(stage: &'a Stage, name: &str) -> anyhow::Result<Tenant<'a>> {
    let tenant = stage.tenant(name).await?;
    sow(stage.lab.member(1), name).await?;
    tenant.ready_fleet(2).await?;
    Ok(tenant)
}

fn one(fleet: &str, cluster: &str) -> Value {
    json!({"fleet": fleet, "clusters": [{"kind": "AttachedCluster", "name": cluster}]})
}

/// From the first member of the tenant's fleet into the second, its namespace alone.
fn of_namespace(tenant: &Tenant<'_>, mut policy: Value) -> Value {
    policy["resourceFilter"] = json!({"includedNamespaces": [tenant.name()]});
    let (fleet, source, target) = (tenant.name(), member_name(tenant, 1), member_name(tenant, 2));
    json!({"sourceCluster": one(fleet, &source), "targetCluster": one(fleet, &target), "policy": policy})
}

fn member_name(tenant: &Tenant<'_>, i: usize) -> String {
    format!("{}-m{i}", tenant.name())
}

async fn tea(member: &Cluster, namespace: &str) -> anyhow::Result<String> {
    let prices = Api::<ConfigMap>::namespaced(member.client()?, namespace).get("prices").await?;
    prices.data.and_then(|data| data.get("tea").cloned()).context("no tea")
}

/// Everything in Velero's namespace that this project made for a fleet: kind and name.
async fn made_for(member: &Cluster, fleet: &str) -> anyhow::Result<BTreeSet<String>> {
    let label = format!("{}={fleet}", names::FLEET_NAME_LABEL);
    let mut found = BTreeSet::new();
    for backup in in_member::<velero::Backup>(member)?.list(&label).await? {
        found.insert(format!("Backup {}", backup.name_any()));
    }
    for restore in in_member::<velero::Restore>(member)?.list(&label).await? {
        found.insert(format!("Restore {}", restore.name_any()));
    }
    for location in in_member::<BackupStorageLocation>(member)?.list(&label).await? {
        found.insert(format!("BackupStorageLocation {}", location.name_any()));
    }
    for secret in in_member::<Secret>(member)?.list(&label).await? {
        found.insert(format!("Secret {}", secret.name_any()));
    }
    Ok(found)
}

fn row(migrate: &Migrate, i: usize) -> Value {
    json_of(migrate)["status"]["targetClusterStatus"][i].take()
}

#[test]
fn the_documented_migration_brings_what_has_the_label_under_the_documented_names() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-labels").await?;
        let label = json!({"metadata": {"labels": {"app": "mg-labels"}}});
        let maps = Api::<ConfigMap>::namespaced(stage.lab.member(1).client()?, "mg-labels");
        let merge = kube::api::Patch::Merge(label);
        maps.patch("prices", &kube::api::PatchParams::default(), &merge).await?;
        let (source, target) = (member_name(&tenant, 1), member_name(&tenant, 2));
        let spec = json!({
            "sourceCluster": one("mg-labels", &source),
            "targetCluster": one("mg-labels", &target),
            "policy": {"resourceFilter": {"labelSelector": {"matchLabels": {"app": "mg-labels"}}}},
        });
        tenant.create::<Migrate>("select-labels", spec).await?;
        let migrate = tenant.all::<Migrate>().until_phase("select-labels", "Completed").await?;

        assert_eq!(tea(stage.lab.member(2), "mg-labels").await?, "3");
        assert_eq!(condition(&migrate, "sourceReady").context("no sourceReady")?["status"], "True");
        let status = json_of(&migrate)["status"].take();
        let of_source = &status["sourceClusterStatus"];
        assert_eq!(of_source["clusterName"], json!(source));
        assert_eq!(of_source["clusterKind"], "AttachedCluster");
        assert_eq!(
            of_source["backupNameInCluster"],
            json!(format!("{source}-migrate-mg-labels-select-labels"))
        );
        assert_eq!(of_source["backupStatusInCluster"]["phase"], "Completed");
        let of_target = row(&migrate, 0);
        assert_eq!(of_target["clusterName"], json!(target));
        assert_eq!(
            of_target["restoreNameInCluster"],
            json!(format!("{target}-migrate-mg-labels-select-labels"))
        );
        assert_eq!(of_target["restoreStatusInCluster"]["phase"], "Completed");
        assert_eq!(of_target["backupNameInCluster"], of_source["backupNameInCluster"]);
        assert_eq!(status["summary"]["status"], "1/1");
        for time in ["startTimestamp", "completionTimestamp"] {
            assert!(status[time].is_string(), "{time}");
        }
        Ok(())
    })
}

#[test]
fn k07_a_deleted_migrate_leaves_both_members_as_it_found_them_and_a_new_one_runs() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-clean").await?;
        let (source, target) = (stage.lab.member(1), stage.lab.member(2));
        let before = made_for(target, "mg-clean").await?;
        let migrates = tenant.all::<Migrate>();
        let run = async |mapped: &str| -> anyhow::Result<Migrate> {
            let policy = json!({"namespaceMapping": {"mg-clean": mapped}});
            tenant.create::<Migrate>("m", of_namespace(&tenant, policy)).await?;
            let migrate = migrates.until_phase("m", "Completed").await?;
            assert_eq!(tea(target, mapped).await?, "3");
            Ok(migrate)
        };
        let mount = row(&run("mg-clean-1").await?, 0)["sourceLocation"].take();
        let mount = mount.as_str().context("no mount")?.to_owned();
        let location = in_member::<BackupStorageLocation>(target)?.get(&mount).await?;
        assert_eq!(json_of(&location)["spec"]["accessMode"], "ReadOnly");
        assert_eq!(json_of(&location)["spec"]["backupSyncPeriod"], "0s");

        migrates.delete("m").await?;
        migrates.until_gone("m").await?;
        assert_eq!(made_for(target, "mg-clean").await?, before);
        let backup = format!("{}-migrate-mg-clean-m", member_name(&tenant, 1));
        let left = in_member::<velero::Backup>(source)?.get(&backup).await?;
        assert!(left.annotations().contains_key(names::RELEASED_ANNOTATION));

        let again = run("mg-clean-2").await?;
        let name = json_of(&again)["status"]["sourceClusterStatus"]["backupNameInCluster"].take();
        assert_ne!(name, json!(backup), "the backup of the deleted Migrate is taken for this one's");
        Ok(())
    })
}

#[test]
fn k13_a_source_that_is_not_ready_is_waited_for_and_goes_on_when_it_is() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("mg-k13").await?;
        sow(stage.lab.member(1), "mg-k13").await?;
        let target = tenant.attach(2).await?;
        let source = member_name(&tenant, 1);
        tenant
            .create::<AttachedCluster>(&source, json!({"kubeconfig": {"name": source, "key": "value"}}))
            .await?;
        tenant.fleet(&[&source, &target], Some(minio("mg-k13"))).await?;
        tenant.create::<Migrate>("m", of_namespace(&tenant, json!({}))).await?;
        let migrates = tenant.all::<Migrate>();
        let why = migrates.until_reason("m", "KubeconfigSecretMissing").await?;
        assert!(why.starts_with(&format!("source {source} is not ready: ")), "{why}");
        let waits = migrates.until_phase("m", "Pending").await?;
        assert_eq!(condition(&waits, "sourceReady").context("no sourceReady")?["status"], "False");
        assert_eq!(
            json_of(&waits)["status"].get("startTimestamp"),
            None,
            "the spec is fixed before it began"
        );

        tenant.secret(&source, &[("value", &stage.lab.member(1).kubeconfig())]).await?;
        migrates.until_phase("m", "Completed").await?;
        assert_eq!(tea(stage.lab.member(2), "mg-k13").await?, "3");
        Ok(())
    })
}

#[test]
fn k12_no_source_and_two_are_refused_and_mended_by_an_edit() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-k12").await?;
        let spec = json!({
            "sourceCluster": {"fleet": "mg-k12"}, "targetCluster": one("mg-k12", "mg-k12-m2"),
            "policy": {"resourceFilter": {"includedNamespaces": ["mg-k12"]}},
        });
        tenant.create::<Migrate>("m", spec).await?;
        let migrates = tenant.all::<Migrate>();
        migrates.until_phase("m", "FailedValidation").await?;
        let why = migrates.until_reason("m", "InvalidSpec").await?;
        assert!(why.starts_with("spec.sourceCluster: comes to 2 clusters of fleet `mg-k12`"), "{why}");
        let none = json!({"fleet": "mg-k12", "clusterSelector": {"matchLabels": {"no": "such"}}});
        migrates.merge("m", json!({"spec": {"sourceCluster": none}})).await?;
        let says = |migrate: &Migrate| {
            condition(migrate, "Ready").is_some_and(|ready| {
                ready["message"].as_str().is_some_and(|text| text.contains("comes to 0 clusters"))
            })
        };
        migrates.until("m", "no source", says).await?;
        let one = json!({"clusters": one("mg-k12", "mg-k12-m1")["clusters"], "clusterSelector": null});
        migrates.merge("m", json!({"spec": {"sourceCluster": one}})).await?;
        migrates.until_phase("m", "Completed").await?;
        Ok(())
    })
}

#[test]
fn what_a_target_has_already_stays_as_it_is() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-there").await?;
        let target = stage.lab.member(2);
        sow(target, "mg-there").await?;
        let maps = Api::<ConfigMap>::namespaced(target.client()?, "mg-there");
        let theirs = kube::api::Patch::Merge(json!({"data": {"tea": "5"}}));
        maps.patch("prices", &kube::api::PatchParams::default(), &theirs).await?;
        tenant.create::<Migrate>("m", of_namespace(&tenant, json!({}))).await?;
        let migrate = tenant.all::<Migrate>().until_phase("m", "Completed").await?;
        assert_eq!(tea(target, "mg-there").await?, "5");
        let said = row(&migrate, 0)["message"].take();
        assert!(said.as_str().is_some_and(|said| said.contains("warning")), "{said}");
        Ok(())
    })
}

#[test]
fn n06_the_ttl_reaches_the_source_and_what_expires_is_taken_away() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-ttl").await?;
        let target = stage.lab.member(2);
        let before = made_for(target, "mg-ttl").await?;
        tenant.create::<Migrate>("m", of_namespace(&tenant, json!({"ttl": "20s"}))).await?;
        let migrates = tenant.all::<Migrate>();
        let migrate = migrates.until_phase("m", "Completed").await?;
        let restore = row(&migrate, 0)["restoreNameInCluster"].take();
        let backup = json_of(&migrate)["status"]["sourceClusterStatus"]["backupNameInCluster"].take();
        let child = in_member::<velero::Backup>(stage.lab.member(1))?
            .get(backup.as_str().context("no name")?)
            .await?;
        assert_eq!(child.spec.ttl.as_deref(), Some("20s"));

        let mut expected = before;
        expected.insert(format!("Restore {}", restore.as_str().context("no name")?));
        until("copy, location and Secret to go when the backup expires", BOUND, async || {
            let now = made_for(target, "mg-ttl").await?;
            if now == expected { Ok::<_, anyhow::Error>(Some(())) } else { Err(anyhow::anyhow!("{now:?}")) }
        })
        .await?;
        assert_eq!(migrates.get("m").await?.status, migrate.status, "what has finished is final");
        Ok(())
    })
}

#[test]
fn k54_a_migrate_into_another_fleet_brings_the_credential_and_takes_it_away_again() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("mg-cross").await?;
        let (source, target) = (stage.lab.member(1), stage.lab.member(2));
        sow(source, "mg-cross").await?;
        let (from, to) = (tenant.attach(1).await?, tenant.attach(2).await?);
        tenant.fleet(&[&from], Some(minio("mg-cross"))).await?;
        // The target's fleet has no plugin, so there is nothing of a store in it.
        let others = json!({"clusters": [{"kind": "AttachedCluster", "name": to}]});
        tenant.create::<Fleet>("mg-cross-to", others).await?;
        tenant.all::<Fleet>().until_phase("mg-cross", "Ready").await?;
        let spec = json!({
            "sourceCluster": one("mg-cross", &from), "targetCluster": {"fleet": "mg-cross-to"},
            "policy": {"resourceFilter": {"includedNamespaces": ["mg-cross"]}},
        });
        tenant.create::<Migrate>("m", spec).await?;
        let migrates = tenant.all::<Migrate>();
        let migrate = migrates.until_phase("m", "Completed").await?;
        assert_eq!(tea(target, "mg-cross").await?, "3");
        let mount = row(&migrate, 0)["sourceLocation"].take();
        let mount = mount.as_str().context("no mount")?;
        let secrets = in_member::<Secret>(target)?;
        let cloud = secrets.get(mount).await?.data.context("an empty Secret")?["cloud"].0.clone();
        assert!(String::from_utf8(cloud)?.contains(S3::SECRET_KEY));

        migrates.delete("m").await?;
        migrates.until_gone("m").await?;
        assert!(made_for(target, "mg-cross-to").await?.is_empty());
        Ok(())
    })
}

#[test]
fn a_target_that_no_way_leads_to_says_so_and_goes_on_when_there_is_one() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("mg-noway").await?;
        sow(stage.lab.member(1), "mg-noway").await?;
        let (from, to) = (tenant.attach(1).await?, tenant.attach(2).await?);
        tenant.fleet(&[&from, &to], None).await?;
        tenant.create::<Migrate>("m", of_namespace(&tenant, json!({}))).await?;
        let migrates = tenant.all::<Migrate>();
        let why = migrates.until_reason("m", "SourceUnreadable").await?;
        assert!(
            why.contains("of mg-noway-m1, and fleet `mg-noway` has no backup plugin; mend that, or make such a location"),
            "{why}"
        );
        // What a user without a plugin does: a location of their own on the source's place.
        let stored = json_of(&migrates.get("m").await?)["status"]["sourceClusterStatus"]["stored"].take();
        let locations = in_member::<BackupStorageLocation>(stage.lab.member(1))?;
        let original = locations.get(stored["location"].as_str().context("no location")?).await?;
        let mut spec = json_of(&original.spec);
        spec["accessMode"] = json!("ReadOnly");
        spec["default"] = json!(false);
        let credential = spec["credential"]["name"].as_str().context("no credential")?.to_owned();
        let secret = in_member::<Secret>(stage.lab.member(1))?.get(&credential).await?;
        let copy = Secret {
            metadata: kube::core::ObjectMeta { name: Some("mg-noway".to_owned()), ..Default::default() },
            ..secret
        };
        in_member::<Secret>(stage.lab.member(2))?.create(&copy).await?;
        spec["credential"]["name"] = json!("mg-noway");
        in_member::<BackupStorageLocation>(stage.lab.member(2))?.create(&object("mg-noway", spec)?).await?;

        let migrate = migrates.until_phase("m", "Completed").await?;
        assert_eq!(row(&migrate, 0).get("sourceLocation"), None);
        assert_eq!(tea(stage.lab.member(2), "mg-noway").await?, "3");
        migrates.delete("m").await?;
        migrates.until_gone("m").await?;
        assert!(made_for(stage.lab.member(2), "mg-noway").await?.is_empty());
        in_member::<BackupStorageLocation>(stage.lab.member(2))?.delete("mg-noway").await?;
        Ok(())
    })
}

#[test]
fn k10_without_a_filter_nothing_of_velero_and_of_ours_moves_along() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-all").await?;
        let (source, target) = (stage.lab.member(1), stage.lab.member(2));
        let schedule: velero::Schedule =
            object("mg-all", json!({"schedule": "0 0 1 1 *", "template": {"includedNamespaces": ["none"]}}))?;
        in_member::<velero::Schedule>(source)?.create(&schedule).await?;
        let theirs: BackupStorageLocation = object(
            "mg-all",
            json!({"provider": "aws", "objectStorage": {"bucket": "none"}, "config": {"s3Url": "http://127.0.0.1:1"}}),
        )?;
        in_member::<BackupStorageLocation>(source)?.create(&theirs).await?;
        let ours =
            json!({"metadata": {"name": "mg-all", "labels": {names::PLUGIN_LABEL: names::BACKUP_PLUGIN}}});
        let leases = Api::<Lease>::namespaced(source.client()?, "mg-all");
        leases.create(&PostParams::default(), &serde_json::from_value(ours)?).await?;

        let spec = json!({
            "sourceCluster": one("mg-all", "mg-all-m1"), "targetCluster": {"fleet": "mg-all"},
        });
        tenant.create::<Migrate>("m", spec).await?;
        let migrates = tenant.all::<Migrate>();
        let ended = migrates
            .until("m", "its end", |migrate| json_of(migrate)["status"]["completionTimestamp"].is_string());
        let ended = json_of(&ended.await?);
        // A whole cluster on top of another one may well hit an error; what counts here is what is left out.
        assert!(
            ["Completed", "PartiallyFailed"].contains(&ended["status"]["phase"].as_str().unwrap_or_default()),
            "{ended}"
        );
        assert_eq!(tea(target, "mg-all").await?, "3");
        let schedules = in_member::<velero::Schedule>(target)?.list("").await?;
        assert!(schedules.iter().all(|schedule| schedule.name_any() != "mg-all"));
        let locations = in_member::<BackupStorageLocation>(target)?.list("").await?;
        assert!(locations.iter().all(|location| location.name_any() != "mg-all"));
        let leases =
            Api::<Lease>::namespaced(target.client()?, "mg-all").list(&ListParams::default()).await?;
        assert!(leases.items.is_empty(), "{:?}", leases.items);
        for member in [source, target] {
            let secrets = in_member::<Secret>(member)?.list("").await?;
            let restored =
                secrets.iter().filter(|secret| secret.labels().contains_key("velero.io/restore-name"));
            assert_eq!(restored.map(ResourceExt::name_any).collect::<Vec<_>>(), Vec::<String>::new());
        }
        in_member::<velero::Schedule>(source)?.delete("mg-all").await?;
        let mine = Api::<BackupStorageLocation>::namespaced(source.client()?, names::VELERO_NAMESPACE);
        mine.delete("mg-all", &DeleteParams::default()).await?;
        Ok(())
    })
}

#[test]
fn a_member_of_another_address_that_is_the_source_itself_is_no_target() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("mg-same").await?;
        sow(stage.lab.member(1), "mg-same").await?;
        let source = tenant.attach(1).await?;
        tenant.attach_as("mg-same-twin", &stage.lab.member(1).kubeconfig()).await?;
        tenant.fleet(&[&source, "mg-same-twin"], None).await?;
        let spec = json!({
            "sourceCluster": one("mg-same", &source), "targetCluster": one("mg-same", "mg-same-twin"),
            "policy": {"resourceFilter": {"includedNamespaces": ["mg-same"]}},
        });
        tenant.create::<Migrate>("m", spec).await?;
        let migrate = tenant.all::<Migrate>().until_phase("m", "Failed").await?;
        let said = row(&migrate, 0);
        assert_eq!(
            (said["phase"].as_str(), said["reason"].as_str()),
            (Some("FailedValidation"), Some("SameCluster"))
        );
        Ok(())
    })
}
