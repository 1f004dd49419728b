//! Fleets, and what their backup plugin puts into members.

use std::collections::BTreeSet;

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::{Fleet, FleetClusterStatus, Layout, MemberBackupStatus};
use kurator_api::velero::{AccessMode, BackupStorageLocation};
use kurator_testkit::fixtures::{CREDENTIALS, Tenant, condition, json_of, minio, sow, velero};
use kurator_testkit::{Cluster, S3};
use serde_json::{Value, json};

use crate::attach::nothing_of;
use crate::{BASE, Outcome, on_stage};

async fn rows(tenant: &Tenant<'_>) -> anyhow::Result<Vec<FleetClusterStatus>> {
    let fleet = tenant.all::<Fleet>().get(tenant.name()).await?;
    Ok(fleet.status.context("no status")?.clusters)
}

fn plugin_of(row: &FleetClusterStatus) -> anyhow::Result<&MemberBackupStatus> {
    row.backup.as_ref().context("no backup plugin in the row")
}

/// The credentials file that Velero in a member reads.
async fn credentials(member: &Cluster, secret: &str) -> anyhow::Result<String> {
    let secret = velero::<Secret>(member)?.get(secret).await?;
    let cloud = secret.data.and_then(|mut data| data.remove("cloud")).context("no key `cloud`")?;
    Ok(String::from_utf8(cloud.0)?)
}

async fn uid_of(member: &Cluster) -> anyhow::Result<String> {
    Api::<Namespace>::all(member.client()?).get("kube-system").await?.uid().context("no uid")
}

#[test]
fn k07_two_members_keep_their_backups_apart_and_mark_their_prefixes() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k7").await?;
        for i in [1, 2] {
            sow(stage.lab.member(i), "k7").await?;
        }
        tenant.ready_fleet(2).await?;
        let policy = json!({"resourceFilter": {"includedNamespaces": ["k7"]}});
        tenant.create::<Backup>("b", json!({"destination": {"fleet": "k7"}, "policy": policy})).await?;
        tenant.all::<Backup>().until_phase("b", "Completed").await?;

        let keys = stage.lab.s3().list("k7").await?;
        let folder = |i: usize| format!("k7/clusters/k7/attachedcluster/k7-m{i}/");
        let marker = |i: usize| format!("k7/owners/k7.attachedcluster.k7-m{i}.json");
        for i in [1, 2] {
            let run = format!("{}backups/k7-m{i}-backup-k7-b/velero-backup.json", folder(i));
            assert!(keys.contains(&run), "{keys:?}");
            let content = stage.lab.s3().get(&marker(i)).await?.context("no marker")?;
            let content: Value = serde_json::from_slice(&content)?;
            assert_eq!(content["clusterUid"], json!(uid_of(stage.lab.member(i)).await?));
        }
        let markers = [marker(1), marker(2)];
        let of = |i: usize| keys.iter().filter(|key| key.starts_with(&folder(i))).count();
        assert_eq!(of(1) + of(2) + markers.len(), keys.len(), "{keys:?}");
        Ok(())
    })
}

#[test]
fn k07_a_prefix_of_another_cluster_is_mounted_read_only_and_reported() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("taken").await?;
        let marker = json!({"cluster": "AttachedCluster x/y", "clusterUid": "somebody-else", "hubUid": "h"});
        stage.lab.s3().put("taken/owners/taken.attachedcluster.taken-m1.json", marker.to_string()).await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], Some(minio("taken"))).await?;
        let is_reported = |fleet: &Fleet| {
            let row = fleet.status.as_ref().and_then(|status| status.clusters.first()?.backup.clone());
            row.is_some_and(|plugin| plugin.reason.as_deref() == Some("PrefixTaken") && !plugin.ready)
        };
        let fleet = tenant.all::<Fleet>().until("taken", "prefix reported as taken", is_reported).await?;
        let row = fleet.status.context("no status")?.clusters.remove(0);
        let plugin = plugin_of(&row)?;
        let message = plugin.message.as_deref().unwrap_or_default();
        assert!(message.contains("belongs to cluster `somebody-else` and is mounted read-only"), "{message}");
        let location = velero::<BackupStorageLocation>(stage.lab.member(1))?;
        let location = location.get(plugin.location.as_deref().unwrap_or_default()).await?;
        assert_eq!(location.spec.access_mode, Some(AccessMode::ReadOnly));
        Ok(())
    })
}

#[test]
fn k07_nothing_is_written_to_a_prefix_of_another_cluster() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("foreign").await?;
        let marker = json!({"cluster": "AttachedCluster x/y", "clusterUid": "somebody-else", "hubUid": "h"});
        let key = "foreign/owners/foreign.attachedcluster.foreign-m1.json";
        stage.lab.s3().put(key, marker.to_string()).await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], Some(minio("foreign"))).await?;
        tenant.create::<Backup>("b", json!({"destination": {"fleet": "foreign"}})).await?;
        let message = tenant.all::<Backup>().until_reason("b", "LocationUnavailable").await?;
        assert!(message.ends_with("is read-only"), "{message}");
        assert_eq!(stage.lab.s3().list("foreign").await?, [key]);
        Ok(())
    })
}

#[test]
fn k07_a_root_that_holds_backups_stays_shared_and_velero_accepts_its_markers() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("shared").await?;
        stage.lab.s3().put("shared/backups/old/note", "left by an earlier installation").await?;
        tenant.ready_fleet(2).await?;
        let fleet = tenant.all::<Fleet>().get("shared").await?;
        let noted = condition(&fleet, "Storage").context("no condition Storage")?;
        assert_eq!(noted["reason"], "LayoutAdopted");
        for row in rows(&tenant).await? {
            let plugin = plugin_of(&row)?;
            assert_eq!((plugin.layout, plugin.prefix.as_deref()), (Some(Layout::Shared), Some("shared")));
        }
        let keys: BTreeSet<_> = stage.lab.s3().list("shared").await?.into_iter().collect();
        let marker = |i: usize| format!("shared/kurator-owner.shared.attachedcluster.shared-m{i}.json");
        assert_eq!(keys, BTreeSet::from(["shared/backups/old/note".to_owned(), marker(1), marker(2)]));
        Ok(())
    })
}

/// Velero allows one default location and takes the mark off the older one, which the other fleet would put back.
#[test]
fn a_second_fleet_leaves_the_default_location_of_a_member_alone() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("second").await?;
        tenant.ready_fleet(1).await?;
        let name = plugin_of(&rows(&tenant).await?[0])?.location.clone().unwrap_or_default();
        let locations = velero::<BackupStorageLocation>(stage.lab.member(1))?;
        let (first, second) = (locations.get("default").await?, locations.get(&name).await?);
        assert_eq!(first.annotations()["kurator.dev/owner"], format!("Fleet {BASE}/{BASE}"));
        assert_eq!((first.spec.default, second.spec.default), (Some(true), Some(false)));
        Ok(())
    })
}

#[test]
fn k38_two_fleets_of_one_name_keep_their_credentials_apart_in_a_member() -> Outcome {
    on_stage(async |stage| {
        for name in ["one-hub", "other-hub"] {
            let tenant = stage.tenant(name).await?;
            let cluster = tenant.attach(1).await?;
            let clusters = json!([{"kind": "AttachedCluster", "name": cluster}]);
            tenant.create::<Fleet>("twice", json!({"clusters": clusters, "plugin": minio(name)})).await?;
            tenant.all::<Fleet>().until_phase("twice", "Ready").await?;
        }
        let label = "fleet.kurator.dev/fleet-name=twice";
        let secrets = velero::<Secret>(stage.lab.member(1))?.list(label).await?;
        let owners: BTreeSet<_> =
            secrets.iter().map(|secret| secret.annotations()["kurator.dev/owner"].as_str()).collect();
        assert_eq!(owners, BTreeSet::from(["Fleet one-hub/twice", "Fleet other-hub/twice"]));
        for location in velero::<BackupStorageLocation>(stage.lab.member(1))?.list(label).await? {
            let used = location.spec.credential.clone().and_then(|secret| secret.name).unwrap_or_default();
            let secret = secrets.iter().find(|secret| secret.name_any() == used).context("no such Secret")?;
            assert_eq!(
                secret.annotations()["kurator.dev/owner"],
                location.annotations()["kurator.dev/owner"]
            );
        }
        Ok(())
    })
}

#[test]
fn n05_a_cluster_of_two_fleets_stays_with_the_first_until_that_lets_it_go() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("n5").await?;
        let cluster = tenant.attach(1).await?;
        let clusters = json!({"clusters": [{"kind": "AttachedCluster", "name": cluster}]});
        let fleets = tenant.all::<Fleet>();
        let owner = async || {
            let cluster = tenant.all::<AttachedCluster>().get(&cluster).await?;
            anyhow::Ok(cluster.labels().get("fleet.kurator.dev/fleet-name").cloned())
        };
        tenant.create::<Fleet>("first", clusters.clone()).await?;
        fleets.until_phase("first", "Ready").await?;
        tenant.create::<Fleet>("second", clusters).await?;
        let refused = |fleet: &Fleet| {
            let reason = json_of(fleet).pointer("/status/clusters/0/reason").cloned();
            reason == Some(json!("ClusterInAnotherFleet"))
        };
        fleets.until("second", "a row that names the other fleet", refused).await?;
        assert_eq!(owner().await?.as_deref(), Some("first"));

        fleets.delete("first").await?;
        fleets.until_gone("first").await?;
        fleets.until_phase("second", "Ready").await?;
        assert_eq!(owner().await?.as_deref(), Some("second"));
        Ok(())
    })
}

#[test]
fn k11_an_unsupported_provider_is_reported_and_disturbs_no_other_fleet() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k11").await?;
        let mut plugin = minio("k11-azure");
        plugin["backup"]["storage"]["location"]["provider"] = json!("azure");
        tenant.create::<Fleet>("k11-azure", json!({"clusters": [], "plugin": plugin})).await?;
        let message = tenant.all::<Fleet>().until_reason("k11-azure", "UnsupportedProvider").await?;
        assert_eq!(
            message,
            "spec.plugin.backup.storage.location.provider: `azure` is not supported; use `aws` or `huaweicloud`"
        );
        tenant.ready_fleet(1).await?;
        Ok(())
    })
}

#[test]
fn an_installer_that_is_not_there_yet_is_reported_with_the_remedy() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("installer").await?;
        let cluster = tenant.attach(1).await?;
        let mut plugin = minio("installer");
        plugin["backup"]["installer"] = json!("Helm");
        tenant.fleet(&[&cluster], Some(plugin)).await?;
        let message = tenant.all::<Fleet>().until_reason("installer", "UnsupportedInstaller").await?;
        assert_eq!(
            message,
            "spec.plugin.backup.installer: `Helm` is not supported by this version; install Velero yourself and set `None`, \
             or set spec.plugin.backup.engine to `Builtin`, which needs nothing installed"
        );
        nothing_of(&tenant, stage).await
    })
}

#[test]
fn k26_k28_a_missing_credential_is_reported_and_its_arrival_heals_the_fleet() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k26").await?;
        let cluster = tenant.attach(1).await?;
        let mut plugin = minio("k26");
        plugin["backup"]["storage"]["secretName"] = json!("later");
        tenant.fleet(&[&cluster], Some(plugin)).await?;
        let fleets = tenant.all::<Fleet>();
        let message = fleets.until_reason("k26", "CredentialSecretMissing").await?;
        let expected = "spec.plugin.backup.storage.secretName: there is no Secret `later` in this namespace; \
                        create it with keys `access-key` and `secret-key`";
        assert_eq!(message, expected);
        let failed = fleets.until_phase("k26", "Failed").await?;
        assert_eq!(failed.status.and_then(|status| status.reason).as_deref(), Some(expected));

        tenant.secret("later", &[("access-key", S3::ACCESS_KEY), ("secret-key", S3::SECRET_KEY)]).await?;
        let healed = fleets.until_phase("k26", "Ready").await?;
        assert_eq!(healed.status.and_then(|status| status.reason), None);
        Ok(())
    })
}

#[test]
fn k28_a_cluster_added_to_a_fleet_gets_its_location() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k28-added").await?;
        let mut clusters = tenant.ready_fleet(1).await?;
        clusters.push(tenant.attach(2).await?);
        let spec: Vec<_> =
            clusters.iter().map(|name| json!({"kind": "AttachedCluster", "name": name})).collect();
        let fleets = tenant.all::<Fleet>();
        fleets.merge(tenant.name(), json!({"spec": {"clusters": spec}})).await?;
        let has_both = |fleet: &Fleet| {
            let status = fleet.status.clone().unwrap_or_default();
            status.ready_clusters == 2
                && status.clusters.iter().all(|row| row.backup.as_ref().is_some_and(|b| b.ready))
        };
        fleets.until(tenant.name(), "both members ready", has_both).await?;
        Ok(())
    })
}

#[test]
fn k30_a_rotated_credential_reaches_every_member() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k30").await?;
        tenant.ready_fleet(2).await?;
        // The store knows no such key, so both the new content and its consequence have to show.
        tenant.rotate(CREDENTIALS, &[("secret-key", "rotated")]).await?;
        for i in [1, 2] {
            let secrets = velero::<Secret>(stage.lab.member(i))?;
            let follows = |secret: &Secret| {
                let cloud = secret.data.as_ref().and_then(|data| data.get("cloud"));
                cloud.is_some_and(|cloud| {
                    String::from_utf8_lossy(&cloud.0).contains("aws_secret_access_key=rotated\n")
                })
            };
            secrets.until("k30-velero-s3", "the new credential", follows).await?;
        }
        Ok(())
    })
}

#[test]
fn k31_every_member_gets_a_secret_of_its_own() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k31").await?;
        let clusters = tenant.ready_fleet(2).await?;
        for (i, name) in [1, 2].into_iter().zip(&clusters) {
            let secret = velero::<Secret>(stage.lab.member(i))?.get("k31-velero-s3").await?;
            assert_eq!(secret.annotations()["kurator.dev/cluster"], format!("AttachedCluster k31/{name}"));
        }
        Ok(())
    })
}

#[test]
fn one_cluster_attached_twice_gets_the_plugin_once() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("twins").await?;
        let mut names = Vec::new();
        for i in 0..20 {
            names.push(format!("twins-{i:02}"));
            tenant.attach_as(&names[i], &stage.lab.member(1).kubeconfig()).await?;
        }
        let clusters: Vec<_> = names.iter().map(String::as_str).collect();
        tenant.fleet(&clusters, Some(minio("twins"))).await?;
        let reason = |row: &FleetClusterStatus| row.backup.as_ref().and_then(|plugin| plugin.reason.clone());
        let is_told_apart = |fleet: &Fleet| {
            let rows = fleet.status.as_ref().map(|status| status.clusters.as_slice()).unwrap_or_default();
            let twins = rows.iter().filter(|row| reason(row).as_deref() == Some("SameCluster")).count();
            rows.len() == 20 && twins == 19 && reason(&rows[0]).as_deref() == Some("AsExpected")
        };
        tenant.all::<Fleet>().until("twins", "one served, 19 refused", is_told_apart).await?;
        let label = "fleet.kurator.dev/fleet-name=twins";
        let locations = velero::<BackupStorageLocation>(stage.lab.member(1))?.list(label).await?;
        assert_eq!(locations.len(), 1);
        Ok(())
    })
}

/// A credential that can't be used: hub namespace, content of the Secret, reason, what is said.
type FaultyCredential = (&'static str, &'static [(&'static str, &'static str)], &'static str, &'static str);

const FAULTY_CREDENTIALS: [FaultyCredential; 4] = [
    (
        "k53-missing",
        &[("access-key", "a")],
        "CredentialKeyMissing",
        "Secret `faulty` has `access-key`; add `secret-key`",
    ),
    (
        "k53-empty",
        &[("access-key", ""), ("secret-key", "s")],
        "CredentialKeyMissing",
        "Secret `faulty`, key `access-key`: is empty; fill it",
    ),
    (
        "k53-newline",
        &[("access-key", "a"), ("secret-key", "s\n[other]\naws_access_key_id=b")],
        "CredentialInvalid",
        "Secret `faulty`, key `secret-key`: holds a line break or control character; remove it",
    ),
    (
        "k53-token",
        &[("access-key", "a"), ("secret-key", "s"), ("session-token", "t\n")],
        "CredentialInvalid",
        "Secret `faulty`, key `session-token`: holds a line break or control character; remove it",
    ),
];

#[test]
fn k53_a_credential_that_cannot_be_used_is_reported_by_key_and_reaches_no_member() -> Outcome {
    on_stage(async |stage| {
        for (name, data, reason, says) in FAULTY_CREDENTIALS {
            let tenant = stage.tenant(name).await?;
            let cluster = tenant.attach(1).await?;
            tenant.secret("faulty", data).await?;
            let mut plugin = minio(name);
            plugin["backup"]["storage"]["secretName"] = json!("faulty");
            tenant.fleet(&[&cluster], Some(plugin)).await?;
            tenant.all::<AttachedCluster>().until_reason(&cluster, "Connected").await?;
            let message = tenant.all::<Fleet>().until_reason(name, reason).await?;
            assert_eq!(message, format!("spec.plugin.backup.storage.secretName: {says}"));
            assert_eq!(tenant.until_event("Fleet", name, reason).await?, message);
            nothing_of(&tenant, stage).await?;
        }
        Ok(())
    })
}

#[test]
fn k53_a_session_token_goes_along_with_its_keys() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k53-session").await?;
        tenant.rotate(CREDENTIALS, &[("session-token", "temporary")]).await?;
        let cluster = tenant.attach(1).await?;
        tenant.fleet(&[&cluster], Some(minio("k53-session"))).await?;
        velero::<Secret>(stage.lab.member(1))?
            .until("k53-session-velero-s3", "to be there", |_| true)
            .await?;
        assert_eq!(
            credentials(stage.lab.member(1), "k53-session-velero-s3").await?,
            "[default]\naws_access_key_id=minio\naws_secret_access_key=minio123\naws_session_token=temporary\n"
        );
        Ok(())
    })
}
