//! Whether a Velero server runs in a member: asked once, then followed by its signs of life.

use std::time::Duration;

use kurator_api::velero::{RequestPhase, ServerStatusRequest};
use tokio::time::Instant;

use super::observe::{SeenAlive, SeenVelero};

/// A server that validates its locations every minute shows life at least this often.
const SIGN_EVERY: Duration = Duration::from_secs(180);
/// A running server answers a status request within seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

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
    let fresh = seen.sign_of_life.map(|at| at + SIGN_EVERY).filter(|until| *until > now);
    if let Some(until) = fresh {
        return Server::Answers { until };
    }
    if !velero.requests.iter().any(|request| is_open(request)) {
        return Server::Ask;
    }
    match seen.asked.map(|at| at + ANSWER_WITHIN) {
        Some(until) if until <= now => Server::Silent,
        Some(until) => Server::Asked { until },
        None => Server::Asked { until: now + ANSWER_WITHIN },
    }
}

/// The version that a server gave with its last answer.
pub(super) fn version(velero: &SeenVelero) -> Option<String> {
    velero.requests.iter().find_map(|request| request.status.as_ref()?.server_version.clone())
}

fn is_open(request: &ServerStatusRequest) -> bool {
    request.status.as_ref().and_then(|status| status.phase.as_ref()) != Some(&RequestPhase::Processed)
}
