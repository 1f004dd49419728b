//! Whether the hub that wrote a storage location before is gone. Before a Fleet of the same name on another hub writes
//! over it, it asks.
//!
//! The question is an annotation on the location. A hub that lives sees it and takes it off; one that leaves it there
//! is gone. No clocks are compared, and nothing is written while nobody asks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use kurator_api::cluster::ClusterKey;
use tokio::time::Instant;

/// How long a hub has to answer: as long as another process of it needs to lead, and to see what is in its members. It
/// counts while the question stands in a member that answers: before that nobody could read it.
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
pub(crate) struct Questions(Mutex<HashMap<String, HashMap<ClusterKey, Asked>>>);

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When it was asked; once the member has shown it, since when it can be read.
    at: Instant,
    /// Since when the member that showed it answers; none if it has not.
    shown: Option<Timestamp>,
}

impl Questions {
    /// The Fleet with this UID asks in a member now.
    pub(super) fn ask(&self, fleet: &str, cluster: &ClusterKey) {
        let asked = Asked { at: Instant::now(), shown: None };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(fleet.to_owned()).or_default().insert(cluster.clone(), asked);
    }

    /// What follows for this Fleet, whose question `stands` or does not in the member that answers since `alive`.
    pub(super) fn answer(&self, fleet: &str, cluster: &ClusterKey, stands: bool, alive: Timestamp) -> Heir {
        let now = Instant::now();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = all.get(fleet).and_then(|all| all.get(cluster)).copied();
        // An earlier process may have asked, and a member that was away may have been so for everybody.
        if stands && asked.is_none_or(|asked| asked.shown != Some(alive)) {
            let shown = *asked.insert(Asked { at: now, shown: Some(alive) });
            all.entry(fleet.to_owned()).or_default().insert(cluster.clone(), shown);
        }
        judge(asked, stands, now)
    }

    /// Forgets what this Fleet has asked in other members than these.
    pub(super) fn keep_only(&self, fleet: &str, is_listed: impl Fn(&ClusterKey) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = all.get_mut(fleet) else { return };
        asked.retain(|cluster, _| is_listed(cluster));
        if asked.is_empty() {
            all.remove(fleet);
        }
    }
}

fn judge(asked: Option<Asked>, stands: bool, now: Instant) -> Heir {
    let Some(Asked { at, shown }) = asked else { return Heir::Ask };
    let before = |pause: Duration| Some(at + pause).filter(|until| *until > now);
    match (stands, shown.is_some()) {
        (true, _) => before(ANSWER_WITHIN).map_or(Heir::Inherits, |until| Heir::Asked { until }),
        (false, true) => before(ASK_AGAIN).map_or(Heir::Ask, |until| Heir::Outlived { until }),
        (false, false) => before(SHOWS_WITHIN).map_or(Heir::Ask, |until| Heir::Asked { until }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;

    fn cluster() -> ClusterKey {
        ClusterKey { namespace: "default".into(), kind: ClusterKind::default(), name: "m1".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_hub_wrote_is_inherited_only_when_it_has_not_answered() {
        let questions = Questions::default();
        let answer = |stands| questions.answer("f", &cluster(), stands, Timestamp::UNIX_EPOCH);
        let within = |seconds| Instant::now() + Duration::from_secs(seconds);
        let pass = |seconds| tokio::time::advance(Duration::from_secs(seconds));

        assert_eq!(answer(false), Heir::Ask);
        questions.ask("f", &cluster());
        assert_eq!(answer(false), Heir::Asked { until: within(10) }, "it does not show yet");
        pass(5).await;
        assert_eq!(answer(true), Heir::Asked { until: within(30) }, "from now on it can be read");
        pass(5).await;
        assert_eq!(answer(false), Heir::Outlived { until: within(55) }, "somebody has taken it off");
        pass(55).await;
        assert_eq!(answer(false), Heir::Ask, "that was a while ago");
        questions.ask("f", &cluster());
        assert_eq!(answer(true), Heir::Asked { until: within(30) });
        pass(29).await;
        assert_eq!(answer(true), Heir::Asked { until: within(1) });
        pass(1).await;
        assert_eq!(answer(true), Heir::Inherits);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_member_is_away_nobody_can_answer() {
        let questions = Questions::default();
        let answer = |alive| questions.answer("f", &cluster(), true, Timestamp::from_second(alive).unwrap());
        questions.ask("f", &cluster());
        answer(1);
        tokio::time::advance(ANSWER_WITHIN * 2).await;
        // It was out of reach meanwhile, and is back.
        assert_eq!(answer(2), Heir::Asked { until: Instant::now() + ANSWER_WITHIN });
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(answer(2), Heir::Inherits);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_asked_in_a_member_that_has_left_is_forgotten() {
        let questions = Questions::default();
        questions.ask("f", &cluster());
        questions.keep_only("other", |_| false);
        assert!(!questions.0.lock().unwrap().is_empty());
        questions.keep_only("f", |_| false);
        assert!(questions.0.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_of_an_earlier_process_counts_from_when_it_is_seen() {
        let questions = Questions::default();
        let until = Instant::now() + ANSWER_WITHIN;
        let answer = || questions.answer("f", &cluster(), true, Timestamp::UNIX_EPOCH);
        assert_eq!(answer(), Heir::Asked { until });
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(answer(), Heir::Inherits);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_never_showed_is_asked_again() {
        let questions = Questions::default();
        questions.ask("f", &cluster());
        tokio::time::advance(SHOWS_WITHIN).await;
        assert_eq!(questions.answer("f", &cluster(), false, Timestamp::UNIX_EPOCH), Heir::Ask);
    }
}
