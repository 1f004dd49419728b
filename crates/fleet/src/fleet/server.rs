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
    let question = match velero.requests.iter().any(|request| is_open(request)) {
        false => Question::NotAsked,
        true => Question::Open { since: seen.asked },
    };
    judge(seen.sign_of_life, question, now)
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

fn judge(sign_of_life: Option<Instant>, question: Question, now: Instant) -> Server {
    if let Some(until) = sign_of_life.map(|at| at + SIGN_EVERY).filter(|until| *until > now) {
        return Server::Answers { until };
    }
    match question {
        Question::NotAsked => Server::Ask,
        Question::Open { since: Some(since) } if since + ANSWER_WITHIN <= now => Server::Silent,
        Question::Open { since } => Server::Asked { until: since.unwrap_or(now) + ANSWER_WITHIN },
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
            assert_eq!(judge(sign_of_life, question, now), expected, "row {index}");
        }
    }
}
