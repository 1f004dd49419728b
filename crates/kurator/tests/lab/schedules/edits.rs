//! What follows when the spec, the set of clusters or the fleet changes, and whose Schedule it is.

use anyhow::Context as _;
use kube::ResourceExt;
use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::velero;
use kurator_testkit::fixtures::{condition, json_of, object, sow, velero as in_member};
use serde_json::{Value, json};

use super::{YEARLY, fleet_of, name_in, row, run, schedule_in, scheduled, schedules, status_of, until_ready};
use crate::{Outcome, on_stage};

/// An edit of the spec, and what the Schedule's spec then says in place of what it said.
fn edits() -> [(Value, Value); 7] {
    let filter = |filter: Value| json!({"policy": {"resourceFilter": filter}});
    [
        (json!({"schedule": "0 3 * * *"}), json!({"schedule": "0 3 * * *"})),
        (json!({"policy": {"ttl": "48h"}}), json!({"template": {"ttl": "48h"}})),
        (
            filter(json!({"excludedResources": ["secrets"]})),
            json!({"template": {"excludedResources": ["secrets"]}}),
        ),
        (
            filter(json!({"includedNamespaces": ["other"]})),
            json!({"template": {"includedNamespaces": ["other"]}}),
        ),
        (
            filter(json!({"labelSelector": {"matchLabels": {"a": "b"}}})),
            json!({"template": {"labelSelector": {"matchLabels": {"a": "b"}}}}),
        ),
        (
            json!({"policy": {"orderedResources": {"pods": "a/b"}}}),
            json!({"template": {"orderedResources": {"pods": "a/b"}}}),
        ),
        (json!({"paused": true}), json!({"paused": true})),
    ]
}

#[test]
fn k29_every_edited_field_reaches_every_member_and_a_removed_filter_goes() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k29", &[1, 2]).await?;
        scheduled(&tenant, YEARLY).await?;
        until_ready(&tenant, "Enabled").await?;
        // What others put there stays.
        let theirs = json!({"metadata": {"labels": {"theirs": "x"}}, "spec": {"skipImmediately": true}});
        schedules(stage.lab.member(1))?.merge(&name_in(&tenant, 1), theirs).await?;
        let mut paused = false;
        for (edit, expected) in edits() {
            tenant.all::<Backup>().merge("b", json!({"spec": edit})).await?;
            paused |= edit.get("paused").is_some();
            until_ready(&tenant, if paused { "Paused" } else { "Enabled" }).await?;
            for i in [1, 2] {
                let mut there =
                    json_of(&schedules(stage.lab.member(i))?.get(&name_in(&tenant, i)).await?)["spec"].take();
                for (field, value) in expected.as_object().context("no fields")? {
                    match value.as_object() {
                        Some(template) => {
                            for (field, value) in template {
                                assert_eq!(there["template"][field], *value, "member {i}: {edit}");
                            }
                        }
                        None => assert_eq!(there[field].take(), *value, "member {i}: {edit}"),
                    }
                }
            }
        }
        let bare = json!({"spec": {"policy": null, "paused": null}});
        tenant.all::<Backup>().merge("b", bare).await?;
        until_ready(&tenant, "Enabled").await?;
        let there = schedules(stage.lab.member(1))?.get(&name_in(&tenant, 1)).await?;
        let left = json!({"includeClusterResources": true, "storageLocation": "default"});
        assert_eq!(json_of(&there.spec.template), left);
        assert_eq!(there.labels()["theirs"], "x");
        Ok(())
    })
}

#[test]
fn k29_clusters_join_and_leave_by_their_labels_and_take_schedule_and_row_along() -> Outcome {
    on_stage(async |stage| {
        let (tenant, clusters) = fleet_of(stage, "k29-set", &[1, 2]).await?;
        let destination =
            json!({"fleet": "k29-set", "clusterSelector": {"matchLabels": {"stage": "production"}}});
        tenant.create::<Backup>("b", json!({"schedule": YEARLY, "destination": destination})).await?;
        let backups = tenant.all::<Backup>();
        // K9: nothing selected is nothing in force.
        backups.until_reason("b", "NoClusters").await?;
        backups.until_phase("b", "Pending").await?;

        let label = |value: Value| json!({"metadata": {"labels": {"stage": value}}});
        let attached = tenant.all::<AttachedCluster>();
        for cluster in &clusters {
            attached.merge(cluster, label(json!("production"))).await?;
        }
        let two = |b: &Backup| status_of(b).backup_details.len() == 2;
        backups.until("b", "two rows", two).await?;
        until_ready(&tenant, "Enabled").await?;
        schedule_in(stage, &tenant, 2).await?;

        attached.merge(&clusters[1], label(Value::Null)).await?;
        schedules(stage.lab.member(2))?.until_gone(&name_in(&tenant, 2)).await?;
        backups.until("b", "one row", |b| status_of(b).backup_details.len() == 1).await?;
        until_ready(&tenant, "Enabled").await?;
        schedule_in(stage, &tenant, 1).await?;
        Ok(())
    })
}

#[test]
fn k29_a_cleared_schedule_goes_everywhere_and_one_run_follows() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k29-once", &[1]).await?;
        sow(stage.lab.member(1), "k29-once").await?;
        scheduled(&tenant, YEARLY).await?;
        let schedule = schedule_in(stage, &tenant, 1).await?;
        in_member::<velero::Backup>(stage.lab.member(1))?.create(&run(&schedule, 1, "Failed")?).await?;
        tenant.all::<Backup>().until_condition("b", "Degraded", "RunFailed").await?;
        tenant.all::<Backup>().merge("b", json!({"spec": {"schedule": null}})).await?;
        let done = tenant.all::<Backup>().until_phase("b", "Completed").await?;
        assert_eq!(
            schedules(stage.lab.member(1))?
                .list("")
                .await?
                .iter()
                .filter(|s| s.name_any() == name_in(&tenant, 1))
                .count(),
            0
        );
        let row = row(&done);
        assert_eq!((row.backup_name_in_cluster, row.schedule), (Some(name_in(&tenant, 1)), None));
        assert_eq!(condition(&done, "Degraded"), None);
        assert_eq!((status_of(&done).next_run, status_of(&done).last_success), (None, None));
        Ok(())
    })
}

#[test]
fn a_deleted_fleet_takes_its_schedules_along_and_another_one_brings_them_back() -> Outcome {
    on_stage(async |stage| {
        let (tenant, clusters) = fleet_of(stage, "no-fleet", &[1]).await?;
        scheduled(&tenant, YEARLY).await?;
        until_ready(&tenant, "Enabled").await?;
        tenant.all::<Fleet>().delete("no-fleet").await?;
        schedules(stage.lab.member(1))?.until_gone(&name_in(&tenant, 1)).await?;
        let backups = tenant.all::<Backup>();
        backups.until_reason("b", "FleetNotFound").await?;
        backups.until("b", "no row", |b| status_of(b).backup_details.is_empty()).await?;
        backups.until_phase("b", "Pending").await?;
        tenant.all::<Fleet>().until_gone("no-fleet").await?;
        tenant.fleet(&[&clusters[0]], None).await?;
        until_ready(&tenant, "Enabled").await?;
        Ok(())
    })
}

#[test]
fn k38_kurators_own_schedule_is_taken_over_and_another_owners_is_left_alone() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k38-schedules", &[1, 2]).await?;
        // As Go's types write it.
        let template = json!({
            "csiSnapshotTimeout": "0s", "itemOperationTimeout": "0s", "hooks": {}, "metadata": {}, "ttl": "0s",
            "includedNamespaces": ["gone"],
        });
        let spec = json!({"schedule": "0 5 * * *", "template": template});
        let kurators = |labels: Value| -> anyhow::Result<velero::Schedule> {
            let mut schedule = object::<velero::Schedule>("to be named", spec.clone())?;
            schedule.metadata.labels = Some(serde_json::from_value(labels)?);
            Ok(schedule)
        };
        let mut old =
            kurators(json!({"kurator.dev/backup-name": "b", "fleet.kurator.dev/plugin": "backup"}))?;
        old.metadata.name = Some(name_in(&tenant, 1));
        let old = schedules(stage.lab.member(1))?.create(&old).await?;
        let theirs = json!({"kurator.dev/owner-uid": "another", "fleet.kurator.dev/plugin": "backup"});
        let mut theirs = kurators(theirs)?;
        theirs.metadata.name = Some(name_in(&tenant, 2));
        schedules(stage.lab.member(2))?.create(&theirs).await?;

        let ours = scheduled(&tenant, YEARLY).await?.uid().unwrap_or_default();
        let backup = until_ready(&tenant, "Enabled").await?;
        let adopted = schedule_in(stage, &tenant, 1).await?;
        assert_eq!(adopted.uid(), old.uid());
        assert_eq!(adopted.labels()["kurator.dev/owner-uid"], ours);
        assert_eq!(adopted.spec.template.included_namespaces, ["k38-schedules"]);
        let second = format!("{}-{}", name_in(&tenant, 2), &ours[..8]);
        let told = status_of(&backup).backup_details[1].schedule.clone().unwrap_or_default();
        assert_eq!(told.schedule_name_in_cluster, Some(second));
        assert_eq!(schedule_in(stage, &tenant, 2).await?.spec.schedule.as_deref(), Some("0 5 * * *"));
        Ok(())
    })
}

#[test]
fn k38_a_schedule_without_our_labels_keeps_its_name() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k38-unseen", &[1]).await?;
        let theirs = object::<velero::Schedule>(
            &name_in(&tenant, 1),
            json!({"schedule": "0 5 * * *", "template": {}}),
        )?;
        schedules(stage.lab.member(1))?.create(&theirs).await?;
        let ours = scheduled(&tenant, YEARLY).await?.uid().unwrap_or_default();
        let backup = until_ready(&tenant, "Enabled").await?;
        let second = format!("{}-{}", name_in(&tenant, 1), &ours[..8]);
        let told = row(&backup).schedule.unwrap_or_default().schedule_name_in_cluster;
        assert_eq!(told, Some(second));
        assert_eq!(schedule_in(stage, &tenant, 1).await?.spec.schedule.as_deref(), Some("0 5 * * *"));
        Ok(())
    })
}

#[test]
fn k38_a_schedule_that_lost_a_label_gets_it_back_and_stays_the_only_one() -> Outcome {
    on_stage(async |stage| {
        let (tenant, _) = fleet_of(stage, "k38-label", &[1]).await?;
        let uid = scheduled(&tenant, YEARLY).await?.uid().unwrap_or_default();
        until_ready(&tenant, "Enabled").await?;
        let made = schedule_in(stage, &tenant, 1).await?;
        let there = schedules(stage.lab.member(1))?;
        let name = name_in(&tenant, 1);
        for label in [names::PLUGIN_LABEL, names::OWNER_UID_LABEL, names::BACKUP_NAME_LABEL] {
            there.merge(&name, json!({"metadata": {"labels": {label: null}}})).await?;
            let is_whole = |found: &velero::Schedule| found.labels() == made.labels();
            let mended = there.until(&name, "all labels", is_whole).await?;
            assert_eq!(mended.uid(), made.uid(), "{label}");
        }
        assert_eq!(there.list(&format!("{}={uid}", names::OWNER_UID_LABEL)).await?.len(), 1);
        // Gone with its Backup, whatever label it has just lost.
        there.merge(&name, json!({"metadata": {"labels": {names::PLUGIN_LABEL: null}}})).await?;
        tenant.all::<Backup>().delete("b").await?;
        tenant.all::<Backup>().until_gone("b").await?;
        there.until_gone(&name).await?;
        Ok(())
    })
}
