//! Whether a Velero server runs in a member: asked once, then followed by its signs of life.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::velero::{RequestPhase, ServerStatusRequest};
use kurator_member::causes::chain;
use kurator_member::member::Member;
use tokio::time::Instant;

use super::layout::wake;
use super::observe::{SeenAlive, SeenVelero};
use super::probe::Probe;
use crate::ctx::Ctx;

/// A server that validates its locations every minute shows life at least this often.
const SIGN_EVERY: Duration = Duration::from_secs(180);
/// A running server answers a status request within seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// And so long is waited for one that would have to run outside of the member's pods.
const ANSWER_WITHIN_PODLESS: Duration = Duration::from_secs(10);
/// What Velero is called where it is installed.
const DEPLOYMENT: &str = "velero";

/// What is known of the server.
#[derive(Debug, PartialEq)]
pub(super) enum Server {
    /// It showed life; look again at this time if nothing comes.
    Answers { until: Instant },
    /// A request has to be written.
    Ask,
    /// It was asked; look again at this time.
    Asked { until: Instant },
    /// It was asked and has not answered.
    Silent,
}

pub(super) fn server(seen: &SeenAlive, velero: &SeenVelero, now: Instant) -> Server {
    let question = match velero.requests.iter().any(|request| is_open(request)) {
        false => Question::NotAsked,
        true => Question::Open { since: seen.asked },
    };
    let patience = if is_podless(seen) { ANSWER_WITHIN_PODLESS } else { ANSWER_WITHIN };
    judge(seen.sign_of_life, question, patience, now)
}

/// What there is of an installed Velero in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) deployment: bool,
    pub(super) pods: bool,
}

fn is_podless(seen: &SeenAlive) -> bool {
    matches!(seen.installed, Some(Installed { pods: false, .. }))
}

/// What is said of a server that has not answered: what was seen when it was asked, and what to do about it.
pub(super) fn silence(seen: &SeenAlive) -> String {
    let why = match seen.installed {
        Some(Installed { deployment: false, pods: false }) => {
            "when it was asked, namespace `velero` had neither a Deployment `velero` nor a pod; install Velero, or let the \
             hub do its work with `engine: Builtin`"
        }
        Some(Installed { deployment: true, pods: false }) => {
            "when it was asked, Deployment `velero` had no pod; scale it up, or see its events"
        }
        Some(Installed { pods: true, .. }) => {
            "namespace `velero` has pods; see whether Velero's runs, and its log"
        }
        None => "start Velero in namespace `velero`",
    };
    format!("Velero's types are there, but no server answers: {why}")
}

/// Looks what there is of Velero, once for each time that it is asked; nothing while that is not known.
pub(super) fn installed(
    ctx: &Ctx,
    fleet: &Fleet,
    key: &ClusterKey,
    member: &Arc<Member>,
) -> Option<Installed> {
    let asked = ctx.router.heartbeats.asked(key)?;
    let open = member.status_requests().select(is_open).present().is_some_and(|open| !open.is_empty());
    let is_silent = ctx.router.heartbeats.sign_of_life(key).is_none_or(|sign| sign < asked);
    if !open || !is_silent {
        return None;
    }
    let (subject, client) = (key.to_string(), member.client().clone());
    match ctx.probes.servers.ask(&subject, format!("{asked:?}"), || look(client), wake(ctx, fleet)) {
        Probe::Known(installed) => Some(installed),
        // Who may not look waits the longer time.
        Probe::Running | Probe::Failed { .. } => None,
    }
}

async fn look(client: Client) -> Result<Installed, String> {
    let deployments = Api::<Deployment>::namespaced(client.clone(), names::VELERO_NAMESPACE);
    let deployment = deployments.get_metadata_opt(DEPLOYMENT).await.map_err(|error| chain(&error))?.is_some();
    let pods = Api::<Pod>::namespaced(client, names::VELERO_NAMESPACE);
    let some = pods.list_metadata(&ListParams::default().limit(1)).await.map_err(|error| chain(&error))?;
    Ok(Installed { deployment, pods: !some.items.is_empty() })
}

/// Whether a request of ours lies in the member unanswered.
#[derive(Clone, Copy)]
enum Question {
    NotAsked,
    /// Without a time if it is older than this process.
    Open {
        since: Option<Instant>,
    },
}

fn judge(sign_of_life: Option<Instant>, question: Question, patience: Duration, now: Instant) -> Server {
    if let Some(until) = sign_of_life.map(|at| at + SIGN_EVERY).filter(|until| *until > now) {
        return Server::Answers { until };
    }
    match question {
        Question::NotAsked => Server::Ask,
        Question::Open { since: Some(since) } if since + patience <= now => Server::Silent,
        Question::Open { since } => Server::Asked { until: since.unwrap_or(now) + patience },
    }
}

/// The version that a server gave with its last answer.
pub(super) fn version(velero: &SeenVelero) -> Option<String> {
    velero.requests.iter().find_map(|request| request.status.as_ref()?.server_version.clone())
}

fn is_open(request: &ServerStatusRequest) -> bool {
    request.status.as_ref().and_then(|status| status.phase.as_ref()) != Some(&RequestPhase::Processed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_asked_when_its_signs_of_life_end_and_silent_when_it_does_not_answer() {
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds));
        let within = |seconds| now + Duration::from_secs(seconds);
        let open = |seconds| Question::Open { since: ago(seconds) };
        let table = [
            (ago(0), Question::NotAsked, Server::Answers { until: within(180) }),
            (ago(179), Question::NotAsked, Server::Answers { until: within(1) }),
            // An old request that somebody left unanswered says nothing against a sign of life.
            (ago(10), open(60), Server::Answers { until: within(170) }),
            (ago(180), Question::NotAsked, Server::Ask),
            (None, Question::NotAsked, Server::Ask),
            (None, open(0), Server::Asked { until: within(30) }),
            (ago(200), open(29), Server::Asked { until: within(1) }),
            (None, open(30), Server::Silent),
            (ago(200), open(30), Server::Silent),
            (None, Question::Open { since: None }, Server::Asked { until: within(30) }),
        ];
        for (index, (sign_of_life, question, expected)) in table.into_iter().enumerate() {
            assert_eq!(judge(sign_of_life, question, ANSWER_WITHIN, now), expected, "row {index}");
        }
        assert_eq!(judge(None, open(10), ANSWER_WITHIN_PODLESS, now), Server::Silent);
    }
}
