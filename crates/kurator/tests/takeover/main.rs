//! A hub and members that Kurator has run until now: its types, its objects, its layout of the bucket. What is served
//! then takes all of it over, loses nothing and runs nothing again.

mod left;
mod stage;
mod types;

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::fleet::{Fleet, Layout};
use kurator_api::migrate::Migrate;
use kurator_api::names;
use kurator_api::restore::Restore;
use kurator_api::velero::{self, BackupStorageLocation};
use kurator_testkit::fixtures::{BOUND, Object, condition, json_of, velero as in_member};
use kurator_testkit::wait::until;
use serde_json::{Value, json};

use left::{CLUSTERS, FLEET, HUB, RUN, SHOP, child};
use stage::{Stage, in_members, on_stage, untyped};

type Outcome = anyhow::Result<()>;

/// Whether `whole` says everything that `part` says; lists are compared item by item.
fn says(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| says(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| says(whole, part))
        }
        _ => whole == part,
    }
}

async fn keeps<K: Object>(stage: &Stage, kind: &'static str, name: &str, part: &str) -> Outcome {
    let before = stage.before(kind, name)?;
    let now = json_of(&stage.tenant.all::<K>().get(name).await?);
    assert!(says(&now[part], &before[part]), "{kind} {name}: {before} became {now}");
    Ok(())
}

#[test]
fn n2_kurators_types_are_brought_up_to_date_and_no_stored_field_is_lost() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        for name in ["done", "expired", "going", "nightly", "days"] {
            keeps::<Backup>(stage, "Backup", name, "spec").await?;
        }
        for name in ["done", "expired"] {
            keeps::<Backup>(stage, "Backup", name, "status").await?;
        }
        keeps::<Restore>(stage, "Restore", "back", "spec").await?;
        keeps::<Restore>(stage, "Restore", "back", "status").await?;
        keeps::<Fleet>(stage, "Fleet", FLEET, "spec").await?;
        keeps::<Fleet>(stage, "Fleet", FLEET, "status").await
    })
}

#[test]
fn n2_nothing_of_kurators_schemas_is_left() -> Outcome {
    on_stage(async |stage| {
        let installed = Api::<CustomResourceDefinition>::all(stage.lab.hub().client()?);
        for ours in kurator_api::crds::all() {
            let name = ours.name_any();
            let now = installed.get(&name).await?;
            if ours.spec.names.kind == "Cluster" {
                assert!(
                    !now.annotations().contains_key(names::CRD_VERSION_ANNOTATION),
                    "{name} is another's"
                );
            } else {
                assert_eq!(now.spec.versions, ours.spec.versions, "{name}");
            }
        }
        Ok(())
    })
}

#[test]
fn n2_what_kurators_types_refused_is_stored_once_they_are_taken_over() -> Outcome {
    on_stage(async |stage| {
        let spec = json!({"destination": {"fleet": "nowhere"}});
        stage.tenant.create::<Backup>("later-velero", spec).await?;
        stage.tenant.all::<Backup>().until_reason("later-velero", "FleetNotFound").await?;
        let status =
            json!({"phase": "ReadyToStart", "queuePosition": 2, "hookStatus": {"hooksAttempted": 1}});
        let rows =
            json!([{"clusterName": "m", "clusterKind": "AttachedCluster", "backupStatusInCluster": status}]);
        let backups = stage.tenant.all::<Backup>();
        let stored = backups.merge_status("later-velero", json!({"backupDetails": rows})).await?;
        assert_eq!(json_of(&stored)["status"]["backupDetails"], rows);
        Ok(())
    })
}

#[test]
fn k15_what_has_finished_gets_its_phase_its_condition_and_its_summary() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let restore = json_of(&stage.tenant.all::<Restore>().get("back").await?);
        let mut finished = vec![restore];
        for name in ["done", "expired"] {
            finished.push(json_of(&stage.tenant.all::<Backup>().get(name).await?));
        }
        for object in finished {
            let summary = &object["status"]["summary"];
            assert_eq!((&summary["total"], &summary["status"]), (&json!(2), &json!("2/2")), "{object}");
            let ready = condition(&object, "Ready").context("no condition Ready")?;
            assert_eq!((&ready["status"], &ready["reason"]), (&json!("True"), &json!("Completed")));
        }
        Ok(())
    })
}

#[test]
fn k06_nothing_that_has_finished_runs_again() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let now = in_members(stage.lab).await?;
        for (child, uid) in &stage.was.members {
            assert_eq!(now.get(child), Some(uid), "{child:?}");
        }
        // What other tests have made since bears other names.
        let left = ["done", "old", "expired", "going", "nightly", "back", "moved"];
        let of_before = |name: &str| left.iter().any(|left| name.contains(&format!("-{HUB}-{left}")));
        let more: Vec<_> = now
            .keys()
            .filter(|child| of_before(&child.2) && !stage.was.members.contains_key(*child))
            .collect();
        assert!(more.is_empty(), "{more:?}");
        Ok(())
    })
}

#[test]
fn k15_a_finished_migrate_keeps_what_it_had_and_gets_its_condition_and_its_summary() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let migrates = stage.tenant.all::<Migrate>();
        migrates.until_reason("moved", "Completed").await?;
        let now = json_of(&migrates.get("moved").await?);
        let summary = &now["status"]["summary"];
        assert_eq!((&summary["total"], &summary["status"]), (&json!(1), &json!("1/1")));
        assert!(condition(&now, "sourceReady").is_some_and(|ready| ready["status"] == "True"), "{now}");
        let before = stage.before("Migrate", "moved")?;
        for part in ["phase", "sourceClusterStatus", "targetClusterStatus"] {
            assert!(says(&now["status"][part], &before["status"][part]), "{part}: {before} became {now}");
        }
        keeps::<Migrate>(stage, "Migrate", "moved", "spec").await
    })
}

#[test]
fn a_backup_that_was_running_is_adopted_and_followed_to_its_end() -> Outcome {
    on_stage(async |stage| {
        let backup = stage.tenant.all::<Backup>().until_phase("going", "Completed").await?;
        for (i, cluster) in (1..).zip(CLUSTERS) {
            let name = child(cluster, "backup", "going");
            let run = in_member::<velero::Backup>(stage.lab.member(i))?.get(&name).await?;
            assert_eq!(run.labels().get(names::OWNER_UID_LABEL), backup.metadata.uid.as_ref());
            assert_eq!(run.uid().as_ref(), stage.was.members.get(&(i, "Backup", name)));
        }
        Ok(())
    })
}

#[test]
fn k21_a_schedule_is_adopted_and_has_one_row_per_cluster_that_shows_its_runs() -> Outcome {
    on_stage(async |stage| {
        let name = child(CLUSTERS[1], "backup", "nightly");
        let backup = stage.tenant.all::<Backup>().until_phase("nightly", "Enabled").await?;
        let schedules = in_member::<velero::Schedule>(stage.lab.member(2))?;
        let is_ours = |schedule: &velero::Schedule| {
            schedule.labels().get(names::OWNER_UID_LABEL) == backup.metadata.uid.as_ref()
        };
        let schedule = schedules.until(&name, "adopted", is_ours).await?;
        assert_eq!(schedule.uid().as_ref(), stage.was.members.get(&(2, "Schedule", name.clone())));

        let run = format!("{name}-{RUN}");
        let shows_its_run = |backup: &Backup| {
            let rows =
                backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
            let [row] = rows else { return false };
            let good = row.schedule.as_ref().and_then(|schedule| schedule.last_success.as_ref());
            row.cluster_name == CLUSTERS[1]
                && row.backup_name_in_cluster.as_ref() == Some(&run)
                && good.is_some_and(|good| good.backup_name_in_cluster == run)
        };
        stage.tenant.all().until("nightly", "one row that shows its run", shows_its_run).await?;
        Ok(())
    })
}

#[test]
fn a_root_that_kurator_used_stays_shared_and_gets_nothing_but_markers() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let fleet = stage.tenant.all::<Fleet>().get(FLEET).await?;
        for row in fleet.status.context("no status")?.clusters {
            let plugin = row.backup.context("no backup plugin in the row")?;
            assert_eq!((plugin.layout, plugin.prefix.as_deref()), (Some(Layout::Shared), Some("")));
        }
        let top = |key: &String| key.split('/').next().unwrap_or_default().to_owned();
        let before: BTreeSet<_> = stage.was.bucket.keys().map(top).collect();
        let now: BTreeSet<_> = stage.lab.s3().list("").await?.iter().map(top).collect();
        let markers = CLUSTERS.map(|name| format!("kurator-owner.{HUB}.attachedcluster.{name}.json"));
        assert_eq!(now.difference(&before).cloned().collect::<BTreeSet<_>>(), markers.into());
        Ok(())
    })
}

#[test]
fn no_content_of_an_earlier_backup_is_written_again() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let now = stage.lab.s3().fingerprints("backups").await?;
        for (key, print) in stage.was.bucket.iter().filter(|(key, _)| key.starts_with("backups/")) {
            assert_eq!(now.get(key), Some(print), "{key}");
        }
        Ok(())
    })
}

#[test]
fn all_locations_of_a_shared_root_stay_available_and_new_backups_go_there() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let policy = json!({"resourceFilter": {"includedNamespaces": [SHOP]}});
        stage
            .tenant
            .create::<Backup>("new", json!({"destination": {"fleet": FLEET}, "policy": policy}))
            .await?;
        stage.tenant.all::<Backup>().until_phase("new", "Completed").await?;
        for (i, cluster) in (1..).zip(CLUSTERS) {
            for location in in_member::<BackupStorageLocation>(stage.lab.member(i))?.list("").await? {
                let phase = location.status.as_ref().and_then(|status| status.phase.as_ref());
                assert!(phase.is_some_and(velero::BackupStorageLocationPhase::is_available), "{location:?}");
            }
            let key = format!("backups/{}/velero-backup.json", child(cluster, "backup", "new"));
            assert!(stage.lab.s3().get(&key).await?.is_some(), "{key}");
        }
        Ok(())
    })
}

#[test]
fn the_credential_in_a_member_is_adopted_and_used_on() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let fleet = stage.tenant.all::<Fleet>().get(FLEET).await?;
        for i in [1, 2] {
            let secret = in_member::<Secret>(stage.lab.member(i))?.get(&left::secret_name()).await?;
            assert_eq!(secret.labels().get(names::OWNER_UID_LABEL), fleet.metadata.uid.as_ref());
            let location = in_member::<BackupStorageLocation>(stage.lab.member(i))?.get("default").await?;
            let used = location.spec.credential.and_then(|credential| credential.name);
            assert_eq!(used.as_deref(), Some(left::secret_name().as_str()));
        }
        Ok(())
    })
}

#[test]
fn a_backup_of_before_is_restored() -> Outcome {
    on_stage(async |stage| {
        let member = stage.lab.member(1).client()?;
        let mapping = json!({"namespaceMapping": {SHOP: "shop-again"}});
        let only = json!([{"kind": "AttachedCluster", "name": CLUSTERS[0]}]);
        let spec = json!({
            "backupName": "done", "policy": mapping, "destination": {"fleet": FLEET, "clusters": only},
        });
        stage.tenant.create::<Restore>("again", spec).await?;
        stage.tenant.all::<Restore>().until_phase("again", "Completed").await?;
        Api::<ConfigMap>::namespaced(member, "shop-again").get("prices").await?;
        Ok(())
    })
}

#[test]
fn n4_what_cannot_be_meant_or_read_says_so_and_stops_nobody() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let message = stage.tenant.all::<Backup>().until_reason("days", "InvalidSpec").await?;
        assert!(message.starts_with("spec.policy.ttl: "), "{message}");
        let untyped = untyped(stage.lab.hub().client()?);
        let message = until("the unreadable Backup to be reported", BOUND, async || {
            let status = untyped.get("unreadable").await?.data["status"].take();
            let first = status["conditions"].as_array().and_then(|all| all.first().cloned());
            anyhow::Ok(first.map(|condition| condition["message"].clone()))
        });
        let message = message.await?;
        assert!(message.to_string().contains("the object cannot be read, mend it: "), "{message}");
        Ok(())
    })
}

#[test]
fn deleting_a_backup_of_before_leaves_its_run_and_its_data() -> Outcome {
    on_stage(async |stage| {
        stage.settled().await?;
        let backups = stage.tenant.all::<Backup>();
        backups.delete("old").await?;
        backups.until_gone("old").await?;
        for (i, cluster) in (1..).zip(CLUSTERS) {
            let name = child(cluster, "backup", "old");
            let run = in_member::<velero::Backup>(stage.lab.member(i))?.get(&name).await?;
            assert_eq!(run.uid().as_ref(), stage.was.members.get(&(i, "Backup", name.clone())));
            assert!(stage.lab.s3().get(&format!("backups/{name}/velero-backup.json")).await?.is_some());
        }
        Ok(())
    })
}
