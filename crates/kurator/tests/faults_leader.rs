//! Several processes at one hub: one leads, and only it writes.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kurator_api::cluster::AttachedCluster;
use kurator_testkit::{
    Lab, LabSpec, Serving,
    fixtures::{BOUND, FixtureError, Tenant, ready},
    wait::until,
};
use serde_json::json;

type Outcome = anyhow::Result<()>;

/// How long a process may take to end in order.
const ENDED_WITHIN: Duration = Duration::from_secs(10);
/// How long a lease is believed that nobody renews.
const LEASE: Duration = Duration::from_secs(15);

/// One test at a time: there is one lease.
fn in_turn(test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: 0, velero: false, s3: false })?;
    lab.run(test(lab))
}

fn serve(lab: &Lab) -> Result<Serving, FixtureError> {
    Ok(Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?)
}

async fn says(serving: &Serving, what: &str) -> Outcome {
    until(&format!("a process that says `{what}`"), BOUND, async || match serving.get("/readyz").await {
        Ok((200, said)) if said == what => Ok(Some(())),
        Ok((status, said)) => Err(format!("{status} {said}")),
        Err(error) => Err(error.to_string()),
    })
    .await?;
    Ok(())
}

/// A leader and one that stands by.
async fn two(lab: &Lab) -> anyhow::Result<(Serving, Serving)> {
    let leader = serve(lab)?;
    ready(&leader).await?;
    let other = serve(lab)?;
    says(&other, "ok: standing by").await?;
    until("a log that says who leads", BOUND, async || match other.log() {
        Ok(log) if log.contains("standing by: another process leads") => Ok(Some(())),
        other => Err(format!("{other:?}")),
    })
    .await?;
    Ok((leader, other))
}

/// Who holds the lease.
async fn holder(lab: &Lab) -> anyhow::Result<Option<String>> {
    let lease = Api::<Lease>::namespaced(lab.hub().client()?, "default").get("kurator").await?;
    Ok(lease.spec.and_then(|spec| spec.holder_identity))
}

#[test]
fn of_two_processes_only_the_one_that_holds_the_lease_writes() -> Outcome {
    in_turn(async |lab| {
        let (mut leader, mut other) = two(lab).await?;
        let led_by = holder(lab).await?;
        let tenant = Tenant::new(lab, "two-processes").await?;
        let clusters = tenant.all::<AttachedCluster>();
        // Stopped in its tracks: whatever is written from now on, the other one has written.
        leader.pause()?;
        let created = tenant.create::<AttachedCluster>("unseen", json!({})).await?;
        let waited_for_its_turn = until("the other one to take the lease", BOUND, async || {
            let touched =
                clusters.get("unseen").await?.metadata.resource_version != created.metadata.resource_version;
            let taken = holder(lab).await? != led_by;
            anyhow::Ok((touched || taken).then_some(taken))
        });
        assert!(waited_for_its_turn.await?, "written by a process that does not lead");
        clusters.until_reason("unseen", "KubeconfigSecretMissing").await?;

        leader.resume()?;
        assert!(!leader.wait(ENDED_WITHIN)?.success(), "a process that has lost the lease goes on");
        assert!(leader.log()?.contains("leadership was lost"), "{}", leader.log()?);
        says(&other, "ok: leading").await?;
        other.terminate(ENDED_WITHIN)?;
        Ok(())
    })
}

#[test]
fn a_leader_that_is_told_to_end_hands_over_at_once() -> Outcome {
    in_turn(async |lab| {
        let (mut leader, mut other) = two(lab).await?;
        assert!(leader.terminate(ENDED_WITHIN)?.success());
        let ended = Instant::now();
        says(&other, "ok: leading").await?;
        let waited = ended.elapsed();
        other.terminate(ENDED_WITHIN)?;
        assert!(waited < LEASE, "handed over after {waited:?}, as if it had been killed");
        Ok(())
    })
}

#[test]
fn a_killed_leader_is_followed_by_the_other_when_its_lease_has_run_out() -> Outcome {
    in_turn(async |lab| {
        let (mut leader, mut other) = two(lab).await?;
        let before = holder(lab).await?;
        leader.kill()?;
        says(&other, "ok: leading").await?;
        assert_ne!(holder(lab).await?, before);
        other.terminate(ENDED_WITHIN)?;
        Ok(())
    })
}
