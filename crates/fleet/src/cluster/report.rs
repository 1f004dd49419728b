//! The status of an AttachedCluster.

use jiff::Timestamp;
use kurator_api::cluster::{AttachedCluster, AttachedClusterStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_member::member::{Liveness, Trouble};

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
        None => verdict(cluster, outcome),
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
fn verdict(cluster: &AttachedCluster, outcome: &Outcome) -> Option<Verdict> {
    Some(match outcome {
        Outcome::Connected(Liveness::Alive { version, .. }) => {
            Verdict::ready(Reason::Connected, format!("Kubernetes {version} answers"))
        }
        Outcome::Connected(Liveness::Connecting { why: None, .. }) => return None,
        Outcome::Connected(
            Liveness::Connecting { since, why: Some(why) } | Liveness::Unreachable { since, why },
        ) => in_trouble(cluster, *since, why),
        Outcome::Faulty(fault) => Verdict::stalled(fault.reason, &fault.message),
    })
}

/// A server that does not answer may come back; one that refuses waits for somebody to mend the kubeconfig.
fn in_trouble(cluster: &AttachedCluster, since: Timestamp, trouble: &Trouble) -> Verdict {
    let since = text::time(since);
    let secret = cluster.spec.kubeconfig.as_ref().map_or("", |secret| &secret.name);
    match trouble {
        Trouble::NoAnswer(why) => {
            Verdict::underway(Reason::Unreachable, format!("no answer since {since}: {why}"))
        }
        Trouble::Unauthorized => Verdict::stalled(
            Reason::Unauthorized,
            format!(
                "the API server refuses the kubeconfig in Secret `{secret}` since {since}; write a valid one there: \
                 {trouble}"
            ),
        ),
        Trouble::Forbidden(why) => Verdict::stalled(
            Reason::Forbidden,
            format!(
                "the API server lets the kubeconfig in Secret `{secret}` do too little since {since}; grant its user \
                 `get` on namespace `kube-system`: {why}"
            ),
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standing::Standing;

    fn said(why: Trouble) -> Verdict {
        let spec = serde_json::json!({"kubeconfig": {"name": "m1", "key": "value"}});
        let cluster = serde_json::json!({"metadata": {"name": "m1"}, "spec": spec});
        let cluster: AttachedCluster = serde_json::from_value(cluster).unwrap();
        let unreachable = Liveness::Unreachable { since: Timestamp::UNIX_EPOCH, why };
        verdict(&cluster, &Outcome::Connected(unreachable)).unwrap()
    }

    #[test]
    fn a_server_that_does_not_answer_may_come_back() {
        let said = said(Trouble::NoAnswer("cannot connect".into()));
        assert_eq!((said.standing, said.reason), (Standing::Underway, Reason::Unreachable));
        assert_eq!(said.message, "no answer since 1970-01-01T00:00:00Z: cannot connect");
    }

    #[test]
    fn a_kubeconfig_that_is_refused_waits_for_a_person_and_says_what_to_do() {
        let refused = said(Trouble::Unauthorized);
        assert_eq!((refused.standing, refused.reason), (Standing::Stalled, Reason::Unauthorized));
        assert_eq!(
            refused.message,
            "the API server refuses the kubeconfig in Secret `m1` since 1970-01-01T00:00:00Z; write a valid one there: \
             credentials refused (401)"
        );
        let forbidden = said(Trouble::Forbidden("forbidden (403)".into()));
        assert_eq!((forbidden.standing, forbidden.reason), (Standing::Stalled, Reason::Forbidden));
        assert_eq!(
            forbidden.message,
            "the API server lets the kubeconfig in Secret `m1` do too little since 1970-01-01T00:00:00Z; grant its user \
             `get` on namespace `kube-system`: forbidden (403)"
        );
    }
}
