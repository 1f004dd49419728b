//! What the API server refuses with a sentence, and what it lets pass.

use anyhow::{Context as _, bail};
use kurator_api::backup::Backup;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_testkit::fixtures::{FixtureError, Object, Tenant, sow};
use serde_json::{Value, json};

use crate::{Outcome, on_stage};

fn refusal<K: Object>(answer: Result<K, FixtureError>) -> anyhow::Result<String> {
    match answer {
        Ok(object) => bail!("accepted: {object:?}"),
        Err(error) => Ok(error.refusal().context("no answer of the API server")?.to_owned()),
    }
}

async fn refused_change<K: Object>(tenant: &Tenant<'_>, name: &str, spec: Value) -> anyhow::Result<String> {
    refusal(tenant.all::<K>().merge(name, json!({"spec": spec})).await)
}

#[test]
fn a_started_backup_and_its_restore_are_fixed_but_for_clean_up() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("fixed").await?;
        sow(stage.lab.member(1), "fixed").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        let filter = json!({"includedNamespaces": ["fixed"]});
        let policy = json!({"ttl": "24h", "resourceFilter": filter});
        tenant.create::<Backup>("b", json!({"destination": {"fleet": "fixed"}, "policy": policy})).await?;
        tenant.create::<Restore>("r", json!({"backupName": "b"})).await?;
        tenant
            .all::<Restore>()
            .until("r", "started", |restore| {
                restore.status.as_ref().is_some_and(|status| status.start_timestamp.is_some())
            })
            .await?;
        for change in [
            json!({"policy": {"ttl": "48h"}}),
            json!({"policy": null}),
            json!({"policy": {"resourceFilter": {"includedNamespaces": ["other"]}}}),
            json!({"destination": {"fleet": "other"}}),
            json!({"destination": {"clusters": [{"kind": "AttachedCluster", "name": "fixed-m1"}]}}),
            json!({"schedule": "0 0 * * *"}),
        ] {
            let said = refused_change::<Backup>(&tenant, "b", change.clone()).await?;
            let sentence = "a one-time Backup can't be changed once it has started; create a new Backup";
            assert!(said.contains(sentence) && said.contains("spec: Invalid"), "{change}: {said}");
        }
        let said = refused_change::<Backup>(&tenant, "b", json!({"paused": true})).await?;
        assert!(said.contains("a one-time Backup can't be paused once it has started"), "{said}");
        let free = json!({"spec": {"paused": false, "deletionPolicy": "Delete"}});
        tenant.all::<Backup>().merge("b", free).await?;

        let said = refused_change::<Restore>(&tenant, "r", json!({"backupName": "other"})).await?;
        assert!(
            said.contains("a Restore can't be changed once it has started; create a new Restore"),
            "{said}"
        );
        Ok(())
    })
}

#[test]
fn a_started_migrate_is_fixed_but_for_what_decides_on_waiting_and_clean_up() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("fixed-migrate").await?;
        let one = |name: &str| json!({"fleet": "f", "clusters": [{"kind": "AttachedCluster", "name": name}]});
        tenant.create::<Migrate>("m", json!({"sourceCluster": one("a"), "targetCluster": one("b")})).await?;
        let migrates = tenant.all::<Migrate>();
        migrates.merge_status("m", json!({"startTimestamp": "2026-11-01T00:00:00Z"})).await?;

        migrates.merge("m", json!({"spec": {"policy": {"deletionPolicy": "Delete"}}})).await?;
        migrates.merge("m", json!({"spec": {"policy": {"allowPartiallyFailed": true}}})).await?;
        for change in [
            json!({"targetCluster": one("c")}),
            json!({"policy": {"ttl": "1h"}}),
            json!({"policy": {"namespaceMapping": {"a": "b"}}}),
            json!({"policy": {"resourceFilter": {"includedNamespaces": ["a"]}}}),
            json!({"policy": {"allowPartiallyFailed": false}}),
            json!({"policy": null}),
        ] {
            let said = refused_change::<Migrate>(&tenant, "m", change).await?;
            let sentence = "a Migrate can't be changed once it has started; create a new Migrate";
            assert!(said.contains(sentence), "{said}");
        }
        Ok(())
    })
}

/// A spec of a Backup that no API server takes: what is wrong in its policy, and the words for it.
fn meaningless_policies() -> [(Value, &'static str); 5] {
    const ONE_STYLE: &str = "includedResources, excludedResources and includeClusterResources can't be combined \
        with the fields for cluster-scoped and namespace-scoped resources; use one style";
    let filter = |filter: Value| json!({"resourceFilter": filter});
    [
        (
            filter(json!({"includedResources": ["pods"], "includedClusterScopedResources": ["nodes"]})),
            ONE_STYLE,
        ),
        (
            filter(json!({"excludedResources": ["pods"], "excludedNamespaceScopedResources": ["pods"]})),
            ONE_STYLE,
        ),
        (
            filter(json!({"includeClusterResources": true, "excludedClusterScopedResources": ["nodes"]})),
            ONE_STYLE,
        ),
        (
            filter(
                json!({"labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"a": "c"}}]}),
            ),
            "labelSelector and orLabelSelectors can't be combined; use one of them",
        ),
        (json!({"ttl": "30d"}), "ttl must be a duration such as 720h or 90m; write days as hours"),
    ]
}

#[test]
fn n4_a_policy_that_velero_could_not_follow_is_refused_by_field() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("n4").await?;
        for (policy, expected) in meaningless_policies() {
            let spec = json!({"destination": {"fleet": "f"}, "policy": policy});
            let said = refusal(tenant.create::<Backup>("b", spec).await)?;
            assert!(said.contains(expected), "{policy}: {said}");
            assert!(said.contains("spec.policy"), "{policy}: {said}");
        }
        Ok(())
    })
}

const FLEET: &str = "fleet must be the name of a Fleet in this namespace";
const KIND: &str = "kind must be AttachedCluster or Cluster; empty means Cluster";
const NAME: &str = "name must be that of a cluster object";

async fn refuses<K: Object>(tenant: &Tenant<'_>, table: &[(Value, &str)]) -> Outcome {
    for (spec, expected) in table {
        let said = refusal(tenant.create::<K>("refused", spec.clone()).await)?;
        assert!(said.contains(expected), "{spec}: {said}");
    }
    Ok(())
}

#[test]
fn k25_a_schedule_that_no_cron_can_read_is_refused_and_descriptors_are_not() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k25-shape").await?;
        let scheduled =
            |schedule: &str| json!({"destination": {"fleet": "f"}, "schedule": schedule, "paused": true});
        let sentence = "schedule must have five fields (minute, hour, day of month, month, day of week), or be a \
            descriptor such as @daily or @every 6h";
        for wrong in ["daily", "* * * *", "0 * * * * *", "TZ=UTC"] {
            refuses::<Backup>(&tenant, &[(scheduled(wrong), sentence)]).await?;
        }
        let good =
            ["0 0 * * *", "@daily", "@every 6h", "CRON_TZ=Europe/Berlin 30 2 * * 1-5", " 5/15  * * * ? "];
        for (index, schedule) in good.into_iter().enumerate() {
            tenant.create::<Backup>(&format!("good-{index}"), scheduled(schedule)).await?;
        }
        Ok(())
    })
}

#[test]
fn clusters_that_cannot_be_meant_are_refused_by_field() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("schema-references").await?;
        let to = |clusters: Value| json!({"destination": {"fleet": "f", "clusters": clusters}});
        refuses::<Backup>(
            &tenant,
            &[
                (json!({"destination": {"fleet": ""}}), FLEET),
                (to(json!([{"kind": "Pod", "name": "x"}])), KIND),
                (to(json!([{"kind": "Cluster"}])), NAME),
            ],
        )
        .await
    })
}

#[test]
fn restores_and_migrates_that_cannot_be_meant_are_refused_by_field() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("schema-refusals").await?;
        let mapping = json!({"namespaceMapping": {"a": "Not_A_Namespace"}});
        let names = "namespaceMapping must map to names of namespaces: lower case letters, digits and dashes";
        refuses::<Restore>(
            &tenant,
            &[
                (json!({"backupName": ""}), "backupName must be the name of a Backup in this namespace"),
                (
                    json!({"backupName": "b", "backupNameInCluster": "x"}),
                    "backupNameInCluster needs destination, which says in which clusters it is restored",
                ),
                (json!({"backupName": "b", "policy": mapping.clone()}), names),
                (json!({"backupName": "b", "destination": {"fleet": ""}}), FLEET),
            ],
        )
        .await?;
        let one = |name: &str| json!({"kind": "AttachedCluster", "name": name});
        let from = |clusters: Value| json!({"sourceCluster": {"fleet": "f", "clusters": clusters}, "targetCluster": {"fleet": "f"}});
        let mut mapped = from(json!([one("a")]));
        mapped["policy"] = mapping;
        refuses::<Migrate>(
            &tenant,
            &[
                (
                    from(json!([one("a"), one("b")])),
                    "sourceCluster must name one cluster; migrate from several with a Migrate each",
                ),
                (from(json!([{"kind": "Fleet", "name": "x"}])), KIND),
                (mapped, names),
            ],
        )
        .await
    })
}

#[test]
fn n2_phases_and_fields_of_a_later_velero_are_stored_whole() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("n2").await?;
        tenant.create::<Backup>("b", json!({"destination": {"fleet": "nowhere"}})).await?;
        tenant.all::<Backup>().until_reason("b", "FleetNotFound").await?;
        let rows: Vec<_> = ["ReadyToStart", "Queued", "SomethingNew"]
            .iter()
            .map(|phase| {
                let status = json!({"phase": phase, "queuePosition": 2, "later": {"deep": [1, "two"]}});
                json!({"clusterName": phase.to_lowercase(), "clusterKind": "AttachedCluster", "backupStatusInCluster": status})
            })
            .collect();
        let stored = tenant.all::<Backup>().merge_status("b", json!({"backupDetails": rows})).await?;
        assert_eq!(serde_json::to_value(stored)?["status"]["backupDetails"], json!(rows));
        Ok(())
    })
}
