//! Whether the hub that wrote a storage location before is gone. Before a Fleet of the same name on another hub writes
//! over it, it asks.
//!
//! The question is an annotation on the location. A hub that lives sees it and takes it off; one that leaves it there
//! is gone. No clocks are compared, and nothing is written while nobody asks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kurator_api::cluster::ClusterKey;
use tokio::time::Instant;

/// How long a hub has to answer: as long as another process of it needs to lead, and to see what is in its members.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How long a question that was written may not show yet.
const SHOWS_WITHIN: Duration = Duration::from_secs(10);
/// When a hub that has answered is asked again: it may end at any time.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What is known of the hub before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heir {
    /// It has to be asked.
    Ask,
    /// It was asked; look again at this time.
    Asked { until: Instant },
    /// It has not answered: what it wrote may be written over.
    Inherits,
    /// It lives; it is to be asked again at this time.
    Outlived { until: Instant },
}

/// The questions of this process.
#[derive(Default)]
pub(crate) struct Questions(Mutex<HashMap<(String, ClusterKey), Asked>>);

#[derive(Clone, Copy, Debug)]
struct Asked {
    at: Instant,
    /// Whether the member has shown the question.
    shown: bool,
}

impl Questions {
    /// The Fleet with this UID asks in a member now.
    pub(super) fn ask(&self, fleet: &str, cluster: &ClusterKey) {
        let asked = Asked { at: Instant::now(), shown: false };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((fleet.to_owned(), cluster.clone()), asked);
    }

    /// What follows for this Fleet, whose question `stands` in the member or does not.
    pub(super) fn answer(&self, fleet: &str, cluster: &ClusterKey, stands: bool) -> Heir {
        let (now, key) = (Instant::now(), (fleet.to_owned(), cluster.clone()));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = match all.get_mut(&key) {
            // An earlier process has asked; nobody knows since when.
            None if stands => Some(*all.entry(key).or_insert(Asked { at: now, shown: true })),
            None => None,
            Some(asked) => {
                asked.shown |= stands;
                Some(*asked)
            }
        };
        judge(asked, stands, now)
    }
}

fn judge(asked: Option<Asked>, stands: bool, now: Instant) -> Heir {
    let Some(Asked { at, shown }) = asked else { return Heir::Ask };
    let before = |pause: Duration| Some(at + pause).filter(|until| *until > now);
    match (stands, shown) {
        (true, _) => before(ANSWER_WITHIN).map_or(Heir::Inherits, |until| Heir::Asked { until }),
        (false, true) => before(ASK_AGAIN).map_or(Heir::Ask, |until| Heir::Outlived { until }),
        (false, false) => before(SHOWS_WITHIN).map_or(Heir::Ask, |until| Heir::Asked { until }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;

    #[tokio::test(start_paused = true)]
    async fn what_a_hub_wrote_is_inherited_only_when_it_has_not_answered() {
        let questions = Questions::default();
        let cluster =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::default(), name: "m1".into() };
        let answer = |stands| questions.answer("f", &cluster, stands);
        let within = |seconds| Instant::now() + Duration::from_secs(seconds);
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));

        assert_eq!(answer(false), Heir::Ask);
        questions.ask("f", &cluster);
        assert_eq!(answer(false), Heir::Asked { until: within(10) }, "it does not show yet");
        pass(5).await;
        assert_eq!(answer(true), Heir::Asked { until: within(25) });
        assert_eq!(answer(false), Heir::Outlived { until: within(55) }, "somebody has taken it off");
        pass(55).await;
        assert_eq!(answer(false), Heir::Ask, "that was a while ago");
        questions.ask("f", &cluster);
        pass(29).await;
        assert_eq!(answer(true), Heir::Asked { until: within(1) });
        pass(1).await;
        assert_eq!(answer(true), Heir::Inherits);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_of_an_earlier_process_counts_from_when_it_is_seen() {
        let questions = Questions::default();
        let cluster =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::default(), name: "m1".into() };
        let until = Instant::now() + ANSWER_WITHIN;
        assert_eq!(questions.answer("f", &cluster, true), Heir::Asked { until });
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(questions.answer("f", &cluster, true), Heir::Inherits);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_never_showed_is_asked_again() {
        let questions = Questions::default();
        let cluster =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::default(), name: "m1".into() };
        questions.ask("f", &cluster);
        tokio::time::advance(SHOWS_WITHIN).await;
        assert_eq!(questions.answer("f", &cluster, false), Heir::Ask);
    }
}
