//! The order in which a run gets what it needs: its place, then the Lease.
//!
//! A place is held while memory is used and no longer: not by who waits for a member. The Lease is held while there is
//! a run, and not by who waits for a place.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::lease::{Contest, Held};
use super::rounds::End;
use super::write::AGAIN;
use crate::runs::{Kind, Place, Runs};

/// How long a run that has a place waits for the Lease: as long as it takes to follow an engine that has died, and a
/// little more.
const LEASE_WITHIN: Duration = Duration::from_secs(20);

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ran {
    /// There is nothing left to do.
    Ended,
    /// The member does not say now what is to be known at the beginning.
    NotNow,
}

/// Runs `work` with a place and while the Lease is held. Who does not get the Lease waits for it without a place, and
/// queues again when it can be had.
pub(super) async fn in_turn<W>(
    runs: &Arc<Runs>,
    contest: &Arc<Contest>,
    kind: Kind,
    work: impl FnOnce(Place) -> W,
) -> End
where
    W: Future<Output = Ran>,
{
    loop {
        let place = runs.place(kind).await;
        let entry = contest.enter();
        let Ok(held) = timeout(LEASE_WITHIN, entry.held()).await else {
            drop(place);
            entry.held().await;
            continue;
        };
        let ran = held.carry_out(work(place)).await;
        drop(entry);
        return match ran {
            Some(Ran::Ended) => End::Done,
            Some(Ran::NotNow) => {
                sleep(AGAIN).await;
                End::BrokenOff
            }
            None => lost(),
        };
    }
}

/// Does what needs no place while the Lease is held, and counts as wanting it.
pub(super) async fn with_lease(contest: &Arc<Contest>, work: impl Future<Output = ()>) -> End {
    let entry = contest.enter();
    let held = entry.held().await;
    while_held(held, work).await
}

/// Does what needs no place while the Lease is held.
pub(super) async fn while_held(held: Held, work: impl Future<Output = ()>) -> End {
    match held.carry_out(work).await {
        Some(()) => End::Done,
        None => lost(),
    }
}

fn lost() -> End {
    tracing::warn!("broken off: the Lease was lost");
    End::BrokenOff
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use futures::FutureExt as _;
    use futures::poll;
    use kurator_member::lease::Claim;
    use tokio::sync::watch;
    use tokio::time::Instant;

    use super::*;

    fn held() -> (watch::Sender<Claim>, Held) {
        let (claim, held) = watch::channel(Claim::Held { until: Instant::now() + Duration::from_secs(3600) });
        (claim, Held::by(held))
    }

    fn is_free(runs: &Arc<Runs>) -> bool {
        runs.place(Kind::Backup).now_or_never().is_some()
    }

    #[tokio::test]
    async fn who_waits_for_a_place_does_not_contend_for_the_lease() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let contest = Contest::new();
        let taken = runs.place(Kind::Backup).await;
        let mut run = Box::pin(in_turn(&runs, &contest, Kind::Backup, |_| async { Ran::Ended }));
        assert!(poll!(&mut run).is_pending());
        assert!(!contest.is_wanted());
        drop(taken);
        assert!(poll!(&mut run).is_pending());
        assert!(contest.is_wanted());
        let (_claim, held) = held();
        contest.tell(Some(held));
        assert_eq!(run.await, End::Done);
        assert!(!contest.is_wanted() && is_free(&runs));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_get_the_lease_keeps_no_place() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let contest = Contest::new();
        let run = in_turn(&runs, &contest, Kind::Backup, |_| async { Ran::Ended });
        let mut run = Box::pin(run);
        assert!(timeout(LEASE_WITHIN / 2, &mut run).await.is_err());
        assert!(!is_free(&runs));
        assert!(timeout(LEASE_WITHIN, &mut run).await.is_err());
        assert!(is_free(&runs) && contest.is_wanted());
        let (_claim, held) = held();
        contest.tell(Some(held));
        assert_eq!(run.await, End::Done);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_not_to_be_now_holds_nothing_during_the_pause() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let contest = Contest::new();
        let (_claim, held) = held();
        contest.tell(Some(held));
        let mut run = Box::pin(in_turn(&runs, &contest, Kind::Backup, |_| async { Ran::NotNow }));
        assert!(poll!(&mut run).is_pending());
        assert!(!contest.is_wanted() && is_free(&runs));
        assert_eq!(run.await, End::BrokenOff);
    }
}
