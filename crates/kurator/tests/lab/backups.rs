//! Backups: what starts them, what they take, how they end, what they are called.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use futures::future::{try_join, try_join_all};
use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, RowPhase};
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::names::FULL_NAME_ANNOTATION;
use kurator_api::restore::Restore;
use kurator_api::velero;
use kurator_testkit::fixtures::{Shelf, Tenant, condition, object, sow, velero as in_member};
use kurator_testkit::wait::until;
use serde_json::{Value, json};

use crate::{Outcome, on_stage};

/// A Backup of one namespace in all clusters of the tenant's fleet.
fn of_namespace(tenant: &Tenant<'_>, namespace: &str) -> Value {
    json!({
        "destination": {"fleet": tenant.name()},
        "policy": {"resourceFilter": {"includedNamespaces": [namespace]}},
    })
}

async fn rows(tenant: &Tenant<'_>, backup: &str) -> anyhow::Result<Vec<BackupDetails>> {
    let backup = tenant.all::<Backup>().get(backup).await?;
    Ok(backup.status.context("no status")?.backup_details)
}

async fn name_in_member(tenant: &Tenant<'_>, backup: &str) -> anyhow::Result<String> {
    let row = rows(tenant, backup).await?.remove(0);
    row.backup_name_in_cluster.context("no name in the row")
}

#[test]
fn k09_a_backup_of_an_empty_fleet_waits_and_starts_when_a_cluster_is_added() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k9").await?;
        sow(stage.lab.member(1), "k9").await?;
        tenant.fleet(&[], None).await?;
        tenant.create::<Backup>("b", of_namespace(&tenant, "k9")).await?;
        let backups = tenant.all::<Backup>();
        backups.until_reason("b", "NoClusters").await?;
        backups.until_phase("b", "Pending").await?;

        let cluster = tenant.attach(1).await?;
        let listed = json!([{"kind": "AttachedCluster", "name": cluster}]);
        tenant.all::<Fleet>().merge("k9", json!({"spec": {"clusters": listed}})).await?;
        backups.until_phase("b", "Completed").await?;
        assert_eq!(rows(&tenant, "b").await?[0].cluster_name, cluster);
        Ok(())
    })
}

#[test]
fn k09_a_selector_that_matches_nothing_waits_until_a_label_matches() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k9-selector").await?;
        sow(stage.lab.member(1), "k9-selector").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        let mut spec = of_namespace(&tenant, "k9-selector");
        spec["destination"]["clusterSelector"] = json!({"matchLabels": {"stage": "production"}});
        tenant.create::<Backup>("b", spec).await?;
        let backups = tenant.all::<Backup>();
        backups.until_reason("b", "NoClusters").await?;
        backups.until_phase("b", "Pending").await?;

        let label = json!({"metadata": {"labels": {"stage": "production"}}});
        tenant.all::<AttachedCluster>().merge(&cluster, label).await?;
        backups.until_phase("b", "Completed").await?;
        Ok(())
    })
}

#[test]
fn k10_a_backup_with_a_ttl_alone_takes_everything() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k10").await?;
        // A backup of everything waits for all others of its cluster; member 2 has fewer.
        let cluster = tenant.attach(2).await?;
        tenant.fleet(&[&cluster], None).await?;
        let spec = json!({"destination": {"fleet": "k10"}, "policy": {"ttl": "24h"}});
        tenant.create::<Backup>("b", spec).await?;
        tenant.all::<Backup>().until_phase("b", "Completed").await?;
        let taken = in_member::<velero::Backup>(stage.lab.member(2))?.get("k10-m2-backup-k10-b").await?;
        assert_eq!(taken.spec.include_cluster_resources, Some(true));
        assert_eq!(taken.spec.ttl.as_deref(), Some("24h"));
        Ok(())
    })
}

#[test]
fn k15_a_completed_backup_says_so_in_phase_conditions_summary_and_column() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k15").await?;
        let mut clusters = Vec::new();
        for i in [1, 2] {
            sow(stage.lab.member(i), "k15").await?;
            clusters.push(tenant.attach(i).await?);
        }
        tenant.fleet(&[&clusters[0], &clusters[1]], None).await?;
        tenant.create::<Backup>("b", of_namespace(&tenant, "k15")).await?;
        let backup = tenant.all::<Backup>().until_phase("b", "Completed").await?;
        let states: Vec<_> = ["Ready", "Reconciling", "Stalled"]
            .map(|type_| condition(&backup, type_).unwrap_or_default()["status"].clone())
            .into();
        assert_eq!(states, ["True", "False", "False"]);
        let status = backup.status.clone().context("no status")?;
        assert_eq!(status.summary.map(|summary| summary.status).as_deref(), Some("2/2"));
        assert_eq!(status.observed_generation, backup.metadata.generation);
        assert!(status.start_timestamp.is_some() && status.completion_timestamp >= status.start_timestamp);
        let output = stage.lab.kubectl(
            stage.lab.hub(),
            &["get", "backups.backup.kurator.dev", "b", "-n", "k15", "--no-headers"],
        )?;
        let columns = String::from_utf8(output.stdout)?;
        assert_eq!(columns.split_whitespace().collect::<Vec<_>>(), ["b", "Completed"]);
        Ok(())
    })
}

#[test]
fn k16_what_velero_refuses_ends_as_failed_with_veleros_words() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k16").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        let filter = json!({"includedNamespaces": ["*", "k16"]});
        let spec = json!({"destination": {"fleet": "k16"}, "policy": {"resourceFilter": filter}});
        tenant.create::<Backup>("b", spec).await?;
        let backup = tenant.all::<Backup>().until_phase("b", "Failed").await?;
        let status = backup.status.context("no status")?;
        assert_eq!(status.backup_details[0].phase, Some(RowPhase::FailedValidation));
        let message = status.backup_details[0].message.as_deref().unwrap_or_default();
        assert!(message.starts_with("Invalid included/excluded namespace lists"), "{message}");
        assert!(status.completion_timestamp.is_some());
        Ok(())
    })
}

#[test]
fn k16_a_backup_of_a_namespace_that_is_not_there_ends_as_partially_failed() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k16-partial").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        tenant.create::<Backup>("b", of_namespace(&tenant, "nowhere")).await?;
        let backup = tenant.all::<Backup>().until_phase("b", "PartiallyFailed").await?;
        assert_eq!(condition(&backup, "Stalled").unwrap_or_default()["status"], "True");
        let row = backup.status.context("no status")?.backup_details.remove(0);
        let name = format!("{cluster}-backup-k16-partial-b");
        let message = format!(
            "1 error; `velero backup logs {name} --namespace velero` with the kubeconfig of the member tells of it"
        );
        assert_eq!(row.message.as_deref(), Some(message.as_str()));
        Ok(())
    })
}

#[test]
fn k16_a_finished_backup_is_written_no_more_whatever_happens_around_it() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k16-rest").await?;
        sow(stage.lab.member(1), "k16-rest").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        let backups = tenant.all::<Backup>();
        tenant.create::<Backup>("first", of_namespace(&tenant, "k16-rest")).await?;
        let finished = backups.until_phase("first", "Completed").await?.resource_version();

        let second = tenant.attach(2).await?;
        let listed = [&cluster, &second].map(|name| json!({"kind": "AttachedCluster", "name": name}));
        tenant.all::<Fleet>().merge("k16-rest", json!({"spec": {"clusters": listed}})).await?;
        // Once a later Backup has run in both clusters, the hub has seen all of that.
        sow(stage.lab.member(2), "k16-rest").await?;
        tenant.create::<Backup>("second", of_namespace(&tenant, "k16-rest")).await?;
        backups.until_phase("second", "Completed").await?;
        assert_eq!(rows(&tenant, "second").await?.len(), 2);
        assert_eq!(backups.get("first").await?.resource_version(), finished);
        Ok(())
    })
}

#[test]
fn k28_the_end_of_a_velero_backup_reaches_the_hub_at_once() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k28-end").await?;
        sow(stage.lab.member(1), "k28-end").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        tenant.create::<Backup>("b", of_namespace(&tenant, "k28-end")).await?;
        let name = "k28-end-m1-backup-k28-end-b";
        in_member::<velero::Backup>(stage.lab.member(1))?.until_phase(name, "Completed").await?;
        let backups = tenant.all::<Backup>();
        // Kurator polls every 30 s.
        until("the hub to say so", Duration::from_secs(10), async || {
            let status = backups.get("b").await?.status.unwrap_or_default();
            anyhow::Ok(status.phase.is_some_and(kurator_api::backup::BackupPhase::is_terminal).then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn k31_twenty_attached_clusters_each_get_their_backup() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k31-many").await?;
        let names: Vec<_> = (0..20).map(|i| format!("k31-{i:02}")).collect();
        for (i, name) in names.iter().enumerate() {
            tenant.attach_as(name, &stage.lab.member(1 + i % 2).kubeconfig()).await?;
        }
        let clusters: Vec<_> = names.iter().map(String::as_str).collect();
        tenant.fleet(&clusters, None).await?;
        // Of a namespace that exists, Velero takes one backup after the other, with a pause of a minute. Of one
        // that doesn't, it takes them at once and says that nothing was there.
        tenant.create::<Backup>("b", of_namespace(&tenant, "nowhere")).await?;
        let backup = tenant.all::<Backup>().until_phase("b", "PartiallyFailed").await?;
        let rows = backup.status.context("no status")?.backup_details;
        assert_eq!(rows.iter().map(|row| row.cluster_name.as_str()).collect::<Vec<_>>(), clusters);
        for i in [1, 2] {
            let made = in_member::<velero::Backup>(stage.lab.member(i))?;
            let made = made.list("fleet.kurator.dev/fleet-name=k31-many").await?;
            let made_for: BTreeSet<_> =
                made.iter().map(|backup| backup.annotations()["kurator.dev/cluster"].clone()).collect();
            let asked = names.iter().skip(i - 1).step_by(2);
            assert_eq!(made_for, asked.map(|name| format!("AttachedCluster k31-many/{name}")).collect());
        }
        Ok(())
    })
}

#[test]
fn k38_two_backups_with_one_first_choice_of_a_name_both_complete() -> Outcome {
    on_stage(async |stage| {
        // Both would be called `a-backup-k38-c-d`.
        let (one, other) = (stage.tenant("k38").await?, stage.tenant("k38-c").await?);
        for tenant in [&one, &other] {
            sow(stage.lab.member(1), tenant.name()).await?;
            tenant.attach_as("a", &stage.lab.member(1).kubeconfig()).await?;
            tenant.fleet(&["a"], None).await?;
        }
        try_join(
            one.create::<Backup>("c-d", of_namespace(&one, "k38")),
            other.create::<Backup>("d", of_namespace(&other, "k38-c")),
        )
        .await?;
        let (backups, others) = (one.all::<Backup>(), other.all::<Backup>());
        let done =
            try_join(backups.until_phase("c-d", "Completed"), others.until_phase("d", "Completed")).await?;
        let mut names = [name_in_member(&one, "c-d").await?, name_in_member(&other, "d").await?];
        let uids = [done.0, done.1].map(|backup| backup.uid().unwrap_or_default());
        let loser = if names[0] == "a-backup-k38-c-d" { 1 } else { 0 };
        assert_eq!(names[loser], format!("a-backup-k38-c-d-{}", &uids[loser][..8]));
        names.sort_unstable();
        assert_eq!(names[0], "a-backup-k38-c-d");
        Ok(())
    })
}

#[test]
fn k38_a_name_that_somebody_else_has_is_left_to_them() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k38-foreign").await?;
        sow(stage.lab.member(1), "k38-foreign").await?;
        let name = "k38-foreign-m1-backup-k38-foreign-b";
        let in_member: Shelf<velero::Backup> = in_member(stage.lab.member(1))?;
        let theirs = json!({"includedNamespaces": ["default"], "includedResources": ["secrets"]});
        let theirs = in_member.create(&object(name, theirs)?).await?;

        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        tenant.create::<Backup>("b", of_namespace(&tenant, "k38-foreign")).await?;
        let ours = tenant.all::<Backup>().until_phase("b", "Completed").await?;
        let uid = ours.uid().unwrap_or_default();
        assert_eq!(name_in_member(&tenant, "b").await?, format!("{name}-{}", &uid[..8]));
        assert_eq!(in_member.get(name).await?.spec.included_resources, theirs.spec.included_resources);
        Ok(())
    })
}

#[test]
fn k40_a_name_too_long_for_a_label_completes_and_is_kept_in_full() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k40").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        let backups = tenant.all::<Backup>();
        try_join_all([64, 200].map(async |length| -> Outcome {
            let (name, namespace) = ("n".repeat(length), format!("k40-{length}"));
            sow(stage.lab.member(1), &namespace).await?;
            tenant.create::<Backup>(&name, of_namespace(&tenant, &namespace)).await?;
            backups.until_phase(&name, "Completed").await?;
            let taken = name_in_member(&tenant, &name).await?;
            let taken = in_member::<velero::Backup>(stage.lab.member(1))?.get(&taken).await?;
            assert_eq!(taken.annotations()[FULL_NAME_ANNOTATION], format!("k40-m1-backup-k40-{name}"));
            assert_eq!(taken.labels()["kurator.dev/backup-name"].len(), 63);
            Ok(())
        }))
        .await?;
        Ok(())
    })
}

#[test]
fn a_backup_and_a_restore_that_find_nothing_say_so() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("nothing").await?;
        sow(stage.lab.member(1), "nothing").await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], None).await?;
        let mut spec = of_namespace(&tenant, "nothing");
        // A namespace that is named is an item itself.
        spec["policy"]["resourceFilter"] = json!({"labelSelector": {"matchLabels": {"no": "such"}}});
        tenant.create::<Backup>("empty", spec).await?;
        tenant.create::<Backup>("full", of_namespace(&tenant, "nothing")).await?;
        let filter = json!({"resourceFilter": {"includedNamespaces": ["nosuch"]}});
        tenant.create::<Restore>("r", json!({"backupName": "full", "policy": filter})).await?;
        let empty = tenant.all::<Backup>().until_phase("empty", "Completed").await?;
        let restored = tenant.all::<Restore>().until_phase("r", "Completed").await?;
        let message = format!("1/1 clusters completed; {cluster}: 0 items: nothing is chosen by the filter");
        assert_eq!(condition(&empty, "Ready").unwrap_or_default()["message"], json!(message), "{empty:?}");
        assert_eq!(
            condition(&restored, "Ready").unwrap_or_default()["message"],
            json!(message),
            "{restored:?}"
        );
        let full = tenant.all::<Backup>().get("full").await?;
        assert_eq!(condition(&full, "Ready").unwrap_or_default()["message"], "1/1 clusters completed");
        Ok(())
    })
}

#[test]
fn k43_k44_a_broken_member_has_a_row_that_says_so_and_holds_up_no_other() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k43").await?;
        for i in [1, 2] {
            sow(stage.lab.member(i), "k43").await?;
            tenant.attach(i).await?;
        }
        tenant.attach_as("k43-broken", "{]").await?;
        tenant.fleet(&["k43-m1", "k43-broken", "k43-m2"], None).await?;
        tenant.create::<Backup>("b", of_namespace(&tenant, "k43")).await?;
        let others_are_done = |backup: &Backup| {
            backup.status.as_ref().and_then(|status| status.summary.clone()).is_some_and(|s| s.completed == 2)
        };
        let backup = tenant.all::<Backup>().until("b", "two rows complete", others_are_done).await?;
        let status = backup.status.context("no status")?;
        assert_eq!(status.phase, Some(kurator_api::backup::BackupPhase::InProgress));
        let broken = &status.backup_details[1];
        assert_eq!((broken.cluster_name.as_str(), broken.phase), ("k43-broken", Some(RowPhase::Pending)));
        assert_eq!(broken.reason.as_deref(), Some("KubeconfigInvalid"));
        let message = broken.message.as_deref().unwrap_or_default();
        assert!(message.starts_with("Secret `k43-broken`, key `value`: "), "{message}");
        Ok(())
    })
}

#[test]
fn a_backup_of_the_longest_name_has_events() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("long-name").await?;
        let name = "b".repeat(253);
        tenant.create::<Backup>(&name, json!({"destination": {"fleet": "nowhere"}})).await?;
        let note = tenant.until_event("Backup", &name, "FleetNotFound").await?;
        assert!(note.contains("there is no Fleet `nowhere`"), "{note}");
        Ok(())
    })
}
