//! The status of an AttachedCluster.

use kurator_api::cluster::{AttachedCluster, AttachedClusterStatus};
use kurator_api::reason::Reason;
use kurator_member::member::Liveness;

use super::Outcome;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::standing::Verdict;
use crate::text;

pub(super) async fn report(ctx: &Ctx, cluster: &AttachedCluster, outcome: &Outcome) -> Result<(), Error> {
    let Some(said) = verdict(outcome) else { return Ok(()) };
    let before = cluster.status.clone().unwrap_or_default();
    let AttachedClusterStatus {
        ready: _,
        mut conditions,
        observed_generation: _,
        mut api_server,
        mut cluster_uid,
    } = before.clone();
    said.record(&mut conditions, ctx.clock.now());
    let mut ready = false;
    if let Outcome::Connected(Liveness::Alive { version, uid, .. }) = outcome {
        ready = true;
        api_server = Some(version.clone());
        cluster_uid = Some(uid.clone());
    }
    let now = AttachedClusterStatus {
        ready,
        conditions,
        observed_generation: cluster.metadata.generation,
        api_server,
        cluster_uid,
    };
    if cluster.status.as_ref() == Some(&now) {
        return Ok(());
    }
    ctx.hub.write_status(cluster, &now).await?;
    ctx.tell(cluster, &before.conditions, &said);
    Ok(())
}

/// `None` while there is nothing new to say: after a restart the last word stands until the cluster
/// has had the time to answer.
fn verdict(outcome: &Outcome) -> Option<Verdict> {
    Some(match outcome {
        Outcome::Connected(Liveness::Alive { version, .. }) => {
            Verdict::ready(Reason::Connected, format!("Kubernetes {version} answers"))
        }
        Outcome::Connected(Liveness::Connecting { why: None, .. }) => return None,
        Outcome::Connected(
            Liveness::Connecting { since, why: Some(why) } | Liveness::Unreachable { since, why },
        ) => Verdict::underway(Reason::Unreachable, format!("no answer since {}: {why}", text::time(*since))),
        Outcome::Faulty(fault) => Verdict::stalled(fault.reason, &fault.message),
    })
}
