//! The status of an AttachedCluster.

use kurator_api::cluster::{AttachedCluster, AttachedClusterStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_member::member::Liveness;

use super::Outcome;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::standing::Verdict;
use crate::text;
use crate::usage::Need;

pub(super) async fn report(
    ctx: &Ctx,
    cluster: &AttachedCluster,
    outcome: &Outcome,
    waits_for: Option<&Need>,
) -> Result<(), Error> {
    let said = match waits_for {
        Some(need) => Some(leaving(need, outcome)),
        None => verdict(outcome),
    };
    let Some(said) = said else { return Ok(()) };
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

/// The object is being deleted, and waits for what is to be removed from the cluster.
fn leaving(need: &Need, outcome: &Outcome) -> Verdict {
    let mut message = format!("waiting until nothing of {} is left in the cluster", need.who);
    if !matches!(outcome, Outcome::Connected(Liveness::Alive { .. } | Liveness::Connecting { why: None, .. }))
    {
        let annotation = names::FORCE_DELETE_ANNOTATION;
        message.push_str(&format!("; annotate `{annotation}: \"true\"` to give up on it"));
    }
    let why = match outcome {
        Outcome::Faulty(fault) => Some(&fault.message),
        Outcome::Connected(_) => need.why.as_ref(),
    };
    if let Some(why) = why {
        message.push_str(&format!("; {why}"));
    }
    Verdict::underway(Reason::MemberCleanupPending, message)
}
