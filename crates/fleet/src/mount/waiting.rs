//! What the deletion of a Restore or Migrate waits for, and what it leaves.

use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use tokio::time::Instant;

use crate::text;

/// What a message names.
const NAMES_SHOWN: usize = 3;
/// Clusters that an event names, which must not exceed a kilobyte.
const NAMES_IN_EVENT: usize = 5;

/// What the end of an owner waits for, a sentence each.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Goes on by itself.
    pub(crate) going: Vec<String>,
    /// Waits for a cluster that is out of reach or refuses, or in which nobody does it; can be given up.
    pub(crate) stuck: Vec<String>,
    /// Nobody can do it any more, so it is not waited for.
    pub(crate) lost: Vec<String>,
    pub(crate) look_again: Option<Instant>,
}

impl Waiting {
    /// Whether nothing is left, or only what is given up.
    pub(crate) fn is_over(&self, forced: bool) -> bool {
        self.going.is_empty() && (forced || self.stuck.is_empty())
    }

    /// What is left undone when it is over.
    pub(crate) fn given_up(&self) -> Option<String> {
        let all: Vec<_> = self.stuck.iter().chain(&self.lost).cloned().collect();
        (!all.is_empty()).then(|| format!("given up on {}", text::some_of(&all, NAMES_IN_EVENT)))
    }

    /// What it waits for, and how to give up on what is out of reach, if anything is.
    pub(crate) fn message(&self, or_else: &str) -> String {
        let mut message = format!("waiting for {}", text::some_of(&self.sentences(), NAMES_SHOWN));
        if !self.stuck.is_empty() {
            let annotation = names::FORCE_DELETE_ANNOTATION;
            message.push_str(&format!(
                "; annotate `{annotation}: \"true\"` to give up on what is out of reach{or_else}"
            ));
        }
        message
    }

    fn sentences(&self) -> Vec<String> {
        self.stuck.iter().chain(&self.going).cloned().collect()
    }

    pub(crate) fn is_stuck(&mut self, cluster: &ClusterKey, why: &str, until: Option<Instant>) {
        self.stuck.push(format!("{}: {why}", cluster.name));
        self.look_again = self.look_again.into_iter().chain(until).min();
    }

    pub(crate) fn goes(&mut self, cluster: &ClusterKey, why: &str, until: Option<Instant>) {
        self.going.push(format!("{}: {why}", cluster.name));
        self.look_again = self.look_again.into_iter().chain(until).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_up_is_offered_only_where_something_is_out_of_reach() {
        let mut waiting = Waiting { going: vec!["m1: being cleaned up".into()], ..Waiting::default() };
        assert_eq!(waiting.message(""), "waiting for m1: being cleaned up");
        waiting.stuck.push("m2: no answer".into());
        assert_eq!(
            waiting.message(", or wait"),
            "waiting for m2: no answer, m1: being cleaned up; annotate `kurator.dev/force-delete: \"true\"` to give up \
             on what is out of reach, or wait"
        );
    }
}
