//! Keeps an AttachedCluster on the hub until nothing of ours is left in the cluster: with it goes the way there.
//!
//! The finalizer is there while a Fleet has the cluster, which its label says, or somebody has something to remove from
//! it. Both writes are refused if the object has changed meanwhile, so no label comes while the finalizer goes.

use kube::{Resource, ResourceExt};
use kurator_api::cluster::{AttachedCluster, ClusterKey};
use kurator_api::names;
use kurator_api::reason::Reason;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::{Guarded, has_finalizer, is_forced};
use crate::standing::Verdict;
use crate::usage::{self, Need};

/// What is known of the object and of those that have something in the cluster.
struct Seen {
    leaving: bool,
    held: bool,
    /// By a Fleet, which may be gone.
    labelled: bool,
    forced: bool,
    needed: Option<Need>,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Hold,
    /// Left is what would have had to be removed.
    LetGo {
        left: Option<Need>,
    },
    Wait(Need),
}

fn step(seen: Seen) -> Step {
    let Seen { leaving, held, labelled, forced, needed } = seen;
    match (held, needed) {
        (false, Some(_)) if !leaving => Step::Hold,
        (false, _) => Step::Nothing,
        // A Fleet of that name may come again and find its label.
        (true, None) if labelled && !leaving => Step::Nothing,
        (true, None) => Step::LetGo { left: None },
        (true, Some(left)) if leaving && forced => Step::LetGo { left: Some(left) },
        (true, Some(why)) if leaving => Step::Wait(why),
        (true, Some(_)) => Step::Nothing,
    }
}

/// What a pass over the object may go on with.
pub(super) enum Held {
    AsItIs,
    /// It was changed, or is gone: its watch tells.
    Changed,
    /// Its deletion waits.
    For(Need),
}

/// Takes the next step.
pub(super) async fn hold(
    ctx: &Ctx,
    cluster: &Guarded<AttachedCluster>,
    key: &ClusterKey,
) -> Result<Held, Error> {
    let seen = Seen {
        leaving: cluster.meta().deletion_timestamp.is_some(),
        held: has_finalizer(cluster, names::CLUSTER_FINALIZER),
        labelled: cluster.labels().contains_key(names::FLEET_NAME_LABEL),
        forced: is_forced(cluster),
        needed: usage::needed(&ctx.hub, key).or_else(|| usage::holder(&ctx.hub, key)),
    };
    match step(seen) {
        Step::Nothing => return Ok(Held::AsItIs),
        Step::Wait(need) => return Ok(Held::For(need)),
        Step::Hold => ctx.hub.add_finalizer(cluster, names::CLUSTER_FINALIZER).await?,
        Step::LetGo { left } => {
            let was_there = ctx.hub.remove_finalizer(cluster, names::CLUSTER_FINALIZER).await?;
            if let Some(left) = left.filter(|_| was_there) {
                let message =
                    format!("given up on the clean-up; something of {} may be left in the cluster", left.who);
                ctx.tell(cluster, &[], &Verdict::stalled(Reason::MemberCleanupPending, message));
            }
        }
    }
    Ok(Held::Changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(leaving: bool, held: bool, needed: bool) -> Seen {
        Seen { leaving, held, labelled: false, forced: false, needed: needed.then(need) }
    }

    fn need() -> Need {
        Need { who: "Fleet `f`".into(), why: None }
    }

    #[test]
    fn a_cluster_is_held_while_somebody_needs_it_and_no_longer() {
        assert_eq!(step(seen(false, false, true)), Step::Hold);
        assert_eq!(step(seen(false, true, true)), Step::Nothing);
        assert_eq!(step(seen(false, true, false)), Step::LetGo { left: None });
        assert_eq!(step(seen(false, false, false)), Step::Nothing);
        assert_eq!(step(Seen { labelled: true, ..seen(false, true, false) }), Step::Nothing);
    }

    #[test]
    fn k45_the_deletion_of_a_cluster_waits_for_those_that_need_it_unless_it_is_forced() {
        assert_eq!(step(seen(true, true, true)), Step::Wait(need()));
        assert_eq!(step(Seen { forced: true, ..seen(true, true, true) }), Step::LetGo { left: Some(need()) });
        assert_eq!(step(seen(true, true, false)), Step::LetGo { left: None });
    }

    #[test]
    fn nothing_is_added_to_an_object_that_is_being_deleted() {
        assert_eq!(step(seen(true, false, true)), Step::Nothing);
    }
}
