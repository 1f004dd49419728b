//! What a Fleet says and does of a member that is lost, taken off, or both.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kurator_api::{
    cluster::AttachedCluster,
    fleet::{Fleet, FleetPhase},
    names,
    velero::BackupStorageLocation,
};
use kurator_testkit::{
    Cluster,
    fixtures::{BOUND, CREDENTIALS, FixtureError, condition, object, velero},
    wait::until,
};
use serde_json::json;

use crate::{Outcome, Scene, with_a_shaky_member};

/// The bound is ten seconds; the machine may be busy with other things.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// UIDs of what this fleet wrote in a member: Secrets and storage locations.
async fn written(member: &Cluster, fleet: &Fleet) -> Result<Vec<String>, FixtureError> {
    let label = format!("{}={}", names::OWNER_UID_LABEL, fleet.uid().unwrap_or_default());
    let secrets = velero::<Secret>(member)?.list(&label).await?;
    let locations = velero::<BackupStorageLocation>(member)?.list(&label).await?;
    let uids =
        secrets.iter().filter_map(ResourceExt::uid).chain(locations.iter().filter_map(ResourceExt::uid));
    Ok(uids.collect())
}

async fn fleet(scene: &Scene<'_>) -> Result<Fleet, FixtureError> {
    scene.tenant.all().get(scene.tenant.name()).await
}

fn reason_of(fleet: &Fleet, cluster: &str) -> Option<String> {
    fleet.status.as_ref()?.clusters.iter().find(|row| row.name == cluster)?.reason.clone()
}

fn members_ready(fleet: &Fleet) -> Option<String> {
    condition(fleet, "MembersReady")?["message"].as_str().map(str::to_owned)
}

#[test]
fn k02_a_member_out_of_reach_is_named_and_nothing_is_undone_in_it() -> Outcome {
    with_a_shaky_member(1, "k02-lost", async |scene| {
        let (name, fleets) = (scene.tenant.name(), scene.tenant.all::<Fleet>());
        let before = written(scene.member, &fleet(scene).await?).await?;
        assert_eq!(before.len(), 2, "one Secret, one location");

        let cut = scene.lose().await?;
        let cluster: AttachedCluster = scene.tenant.all().get(&scene.shaky).await?;
        assert!(!cluster.status.as_ref().unwrap().ready);
        let said = condition(&cluster, "Ready").unwrap();
        assert!(said["message"].as_str().unwrap().starts_with("no answer since 20"), "{said}");
        let counted = format!("1/2, not ready: {}", scene.shaky);
        let named =
            fleets.until(name, &counted, |fleet| members_ready(fleet).as_ref() == Some(&counted)).await?;
        assert_eq!(named.status.as_ref().unwrap().phase, Some(FleetPhase::Ready));

        drop(cut);
        let back = fleets.until(name, "2/2", |fleet| members_ready(fleet).as_deref() == Some("2/2")).await?;
        assert_eq!(written(scene.member, &back).await?, before);
        Ok(())
    })
}

#[test]
fn k02_a_member_taken_off_the_fleet_loses_our_location_and_secret_and_nothing_else() -> Outcome {
    with_a_shaky_member(2, "k02-off", async |scene| {
        let foreign: BackupStorageLocation = object(
            "k02-foreign",
            json!({
                "provider": "aws", "objectStorage": {"bucket": "elsewhere"}, "accessMode": "ReadOnly",
            }),
        )?;
        velero(scene.member)?.create(&foreign).await?;
        let mut secret = Secret::default();
        secret.metadata.name = Some("k02-foreign".to_owned());
        velero(scene.member)?.create(&secret).await?;

        let fleet = scene.take_off().await?;
        until("nothing of the fleet in the member", BOUND, async || {
            let left = written(scene.member, &fleet).await?.len();
            Ok::<_, FixtureError>((left == 0).then_some(()))
        })
        .await?;
        velero::<BackupStorageLocation>(scene.member)?.get("k02-foreign").await?;
        velero::<Secret>(scene.member)?.get("k02-foreign").await?;
        assert_eq!(written(scene.lab.member(crate::STEADY), &fleet).await?.len(), 2);
        let unlabelled = |cluster: &AttachedCluster| !cluster.labels().contains_key(names::FLEET_NAME_LABEL);
        scene.tenant.all().until(&scene.shaky, "no label of a fleet", unlabelled).await?;
        Ok(())
    })
}

#[test]
fn k02_a_member_taken_off_while_it_is_out_of_reach_is_cleaned_up_when_it_is_back() -> Outcome {
    with_a_shaky_member(1, "k02-off-lost", async |scene| {
        let (name, fleets) = (scene.tenant.name(), scene.tenant.all::<Fleet>());
        let cut = scene.lose().await?;
        scene.take_off().await?;
        let pending =
            |fleet: &Fleet| reason_of(fleet, &scene.shaky).as_deref() == Some("MemberCleanupPending");
        fleets.until(name, "a row that says MemberCleanupPending", pending).await?;
        drop(cut);
        let forgotten = |fleet: &Fleet| reason_of(fleet, &scene.shaky).is_none();
        let fleet = fleets.until(name, "no row of the member", forgotten).await?;
        assert!(written(scene.member, &fleet).await?.is_empty());
        Ok(())
    })
}

#[test]
fn k30_a_credential_rotated_while_a_member_is_out_of_reach_follows_when_it_is_back() -> Outcome {
    with_a_shaky_member(2, "k30-lost", async |scene| {
        let label = format!("{}={}", names::OWNER_UID_LABEL, fleet(scene).await?.uid().unwrap());
        let follows = async |member: &Cluster| {
            let what = format!("the rotated key in {}", member.name());
            let secrets = velero::<Secret>(member)?;
            until(&what, BOUND, async || {
                let found = secrets.list(&label).await?;
                let cloud = found.iter().filter_map(|secret| secret.data.as_ref()?.get("cloud"));
                let rotated = cloud
                    .map(|bytes| String::from_utf8_lossy(&bytes.0))
                    .all(|text| text.contains("=rotated"));
                Ok::<_, FixtureError>(rotated.then_some(()))
            })
            .await?;
            Ok::<_, FixtureError>(())
        };
        let cut = scene.lose().await?;
        scene.tenant.rotate(CREDENTIALS, &[("access-key", "rotated")]).await?;
        follows(scene.lab.member(crate::STEADY)).await?;
        drop(cut);
        follows(scene.member).await?;
        Ok(())
    })
}

#[test]
fn a_killed_api_server_and_its_return_are_reported_within_seconds() -> Outcome {
    with_a_shaky_member(1, "liveness", async |scene| {
        let clusters = scene.tenant.all::<AttachedCluster>();
        scene.member.kill_api()?;
        let killed = Instant::now();
        let reported = clusters.until_reason(&scene.shaky, "Unreachable").await;
        let noticed = killed.elapsed();
        scene.member.start_api()?;
        let returned = Instant::now();
        reported?;
        clusters.until_reason(&scene.shaky, "Connected").await?;
        assert!(noticed < NOTICED_WITHIN, "the death was reported after {noticed:?}");
        assert!(
            returned.elapsed() < NOTICED_WITHIN,
            "the return was reported after {:?}",
            returned.elapsed()
        );
        Ok(())
    })
}
