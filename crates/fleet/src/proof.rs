//! What is known of the ends of Velero Backups beside their statuses, which anybody may write.
//!
//! Where the hub executes a member's Backups, a good end is believed when its engine says that the store has it, and as the
//! store has it. What is asked for is a level: who does not know asks again, and whoever has the engine then answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kurator_api::cluster::ClusterKey;
use kurator_api::velero::BackupPhase;

use crate::ctx::Ctx;
use crate::run::child::VeleroRun;
use crate::served::is_served;

/// Whether a good end may be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Nobody is there to ask: what the status says counts.
    Unneeded,
    /// The store has this end.
    Stored(BackupPhase),
    /// Not yet: why, as one sentence.
    Missing(String),
}

/// What one engine has said of the Backups of its member, and what it is asked; by UID.
#[derive(Debug, Default)]
pub(crate) struct Proofs {
    stored: HashMap<String, BackupPhase>,
    /// With what the engine has met, if it has tried.
    asked: HashMap<String, Option<String>>,
}

impl Proofs {
    /// What is known of this Backup; one of which nothing is, is asked for. Also whether that is news for the engine.
    pub(crate) fn of(&mut self, backup: &str) -> (Proof, bool) {
        if let Some(end) = self.stored.get(backup) {
            return (Proof::Stored(end.clone()), false);
        }
        let is_new = !self.asked.contains_key(backup);
        let met = self.asked.entry(backup.to_owned()).or_default();
        let why = match met {
            None => "its status says that it has ended; the object store is being asked whether it has it"
                .to_owned(),
            Some(why) => {
                format!("its status says that it has ended; whether it is stored cannot be seen: {why}")
            }
        };
        (Proof::Missing(why), is_new)
    }

    pub(crate) fn is_asked(&self, backup: &str) -> bool {
        self.asked.contains_key(backup)
    }

    /// The store has this end. Whether somebody waits for that.
    pub(crate) fn stored(&mut self, backup: &str, end: BackupPhase) -> bool {
        self.stored.insert(backup.to_owned(), end);
        self.asked.remove(backup).is_some()
    }

    /// It cannot be seen. Whether that is news for somebody.
    pub(crate) fn unseen(&mut self, backup: &str, why: &str) -> bool {
        let Some(met) = self.asked.get_mut(backup) else { return false };
        let news = met.as_deref() != Some(why);
        *met = Some(why.to_owned());
        news
    }

    /// What was asked for, which nobody answers any more.
    pub(crate) fn take_asked(&mut self) -> HashSet<String> {
        std::mem::take(&mut self.asked).into_keys().collect()
    }

    /// Of what is gone nothing has to be remembered.
    pub(crate) fn keep_only(&mut self, there: impl Fn(&str) -> bool) {
        self.stored.retain(|backup, _| there(backup));
        self.asked.retain(|backup, _| there(backup));
    }
}

/// A child as it may be shown: with the end that the store has, and why it has none yet if that is not known, or can't be
/// written.
pub(crate) fn shown<K: VeleroRun>(
    ctx: &Ctx,
    cluster: &ClusterKey,
    child: Arc<K>,
) -> (Arc<K>, Option<String>) {
    let Some(uid) = child.uid() else { return (child, None) };
    let Some(claim) = child.claim() else {
        let untold = ctx.router.engines.untold(cluster, &uid);
        let untold = untold.filter(|_| !child.outcome().phase.is_terminal());
        return (child, untold);
    };
    match proof(ctx, cluster, &uid) {
        Proof::Unneeded => (child, None),
        Proof::Stored(end) if end == *claim => (child, None),
        Proof::Stored(end) => (Arc::new(child.ending(end)), None),
        Proof::Missing(why) => (child, Some(why)),
    }
}

/// Whether what a Velero Backup says of its good end may be believed.
pub(crate) fn proof(ctx: &Ctx, cluster: &ClusterKey, uid: &str) -> Proof {
    match ctx.router.engines.proof(cluster, uid) {
        Some(proof) => proof,
        None if is_served(ctx, cluster) => Proof::Missing(
            "its status says that it has ended; the engine that can prove it has not begun".to_owned(),
        ),
        None => Proof::Unneeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(proofs: &mut Proofs) -> (String, bool) {
        match proofs.of("b") {
            (Proof::Missing(why), news) => (why, news),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_end_is_asked_for_once_and_then_as_the_store_has_it() {
        let mut proofs = Proofs::default();
        assert!(missing(&mut proofs).1 && !missing(&mut proofs).1);
        assert!(proofs.unseen("b", "no such location") && !proofs.unseen("b", "no such location"));
        assert!(missing(&mut proofs).0.ends_with("cannot be seen: no such location"));
        assert!(proofs.stored("b", BackupPhase::PartiallyFailed));
        assert_eq!(proofs.of("b"), (Proof::Stored(BackupPhase::PartiallyFailed), false));
        assert!(!proofs.is_asked("b"));
    }

    #[test]
    fn nobody_waits_for_what_was_proven_before_it_was_asked() {
        let mut proofs = Proofs::default();
        assert!(!proofs.stored("b", BackupPhase::Completed) && !proofs.unseen("b", "no answer"));
        assert_eq!(proofs.of("b"), (Proof::Stored(BackupPhase::Completed), false));
    }

    #[test]
    fn of_what_is_gone_nothing_is_kept() {
        let mut proofs = Proofs::default();
        proofs.of("asked");
        proofs.stored("stored", BackupPhase::Completed);
        proofs.keep_only(|_| false);
        assert!(proofs.stored.is_empty() && proofs.asked.is_empty());
    }
}
