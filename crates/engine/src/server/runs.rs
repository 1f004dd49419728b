//! How many runs go at once: each needs memory, however many clusters a process serves.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// What a run is, for the order in which it gets its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Takes something out of a cluster.
    Backup,
    /// Brings something into a cluster, which somebody waits for.
    Restore,
}

/// A number of places for runs.
///
/// Each kind is served in the order of arrival, over all clusters. Where both wait they take turns, so that a restore
/// waits for one backup at most that has not begun, and no backup waits for ever.
#[derive(Debug)]
pub struct Runs(Mutex<Waiting>);

#[derive(Debug)]
struct Waiting {
    free: usize,
    backups: VecDeque<oneshot::Sender<Turn>>,
    restores: VecDeque<oneshot::Sender<Turn>>,
    last: Kind,
}

/// A place, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Arc<Runs>>);

impl Runs {
    /// As many places.
    #[must_use]
    pub fn new(places: NonZeroUsize) -> Arc<Self> {
        let (backups, restores) = (VecDeque::new(), VecDeque::new());
        Arc::new(Self(Mutex::new(Waiting { free: places.get(), backups, restores, last: Kind::Backup })))
    }

    /// Waits for a place. Who stops waiting holds nobody up.
    pub(crate) async fn turn(self: &Arc<Self>, kind: Kind) -> Turn {
        let (give, given) = oneshot::channel();
        {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.queue(kind).push_back(give);
        }
        self.give();
        // The sender is in the queue until it is used.
        given.await.unwrap_or(Turn(None))
    }

    /// Gives the free places to those who wait.
    fn give(self: &Arc<Self>) {
        loop {
            let next = {
                let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if waiting.free == 0 {
                    return;
                }
                let Some(next) = waiting.next() else { return };
                waiting.free -= 1;
                next
            };
            // To somebody who has gone the place comes back, by the drop of what he did not take.
            drop(next.send(Turn(Some(Arc::clone(self)))));
        }
    }
}

impl Waiting {
    fn queue(&mut self, kind: Kind) -> &mut VecDeque<oneshot::Sender<Turn>> {
        match kind {
            Kind::Backup => &mut self.backups,
            Kind::Restore => &mut self.restores,
        }
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let order = match self.last {
            Kind::Backup => [Kind::Restore, Kind::Backup],
            Kind::Restore => [Kind::Backup, Kind::Restore],
        };
        for kind in order {
            while let Some(next) = self.queue(kind).pop_front() {
                if !next.is_closed() {
                    self.last = kind;
                    return Some(next);
                }
            }
        }
        None
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(runs) = self.0.take() else { return };
        runs.0.lock().unwrap_or_else(PoisonError::into_inner).free += 1;
        runs.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::Pin;

    type Wait = Pin<Box<dyn Future<Output = Turn>>>;

    fn wait(runs: &Arc<Runs>, kind: Kind) -> Wait {
        let runs = Arc::clone(runs);
        let mut wait: Wait = Box::pin(async move { runs.turn(kind).await });
        // Its first poll puts it into the queue.
        match (&mut wait).now_or_never() {
            Some(turn) => Box::pin(std::future::ready(turn)),
            None => wait,
        }
    }

    /// Which of those who wait gets the place that is free.
    fn served(waiting: &mut Vec<(&'static str, Wait)>) -> (&'static str, Turn) {
        let found = waiting.iter_mut().enumerate().find_map(|(i, (_, wait))| Some((i, wait.now_or_never()?)));
        let (at, turn) = found.unwrap();
        (waiting.remove(at).0, turn)
    }

    #[test]
    fn each_kind_is_served_in_its_order_and_the_two_take_turns() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let first = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let mut waiting = vec![
            ("backup 1", wait(&runs, Kind::Backup)),
            ("backup 2", wait(&runs, Kind::Backup)),
            ("backup 3", wait(&runs, Kind::Backup)),
            ("restore 1", wait(&runs, Kind::Restore)),
            ("restore 2", wait(&runs, Kind::Restore)),
        ];
        drop(first);
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let (name, turn) = served(&mut waiting);
            assert!(waiting.iter_mut().all(|(_, wait)| wait.now_or_never().is_none()), "two at once");
            order.push(name);
            drop(turn);
        }
        assert_eq!(order, ["restore 1", "backup 1", "restore 2", "backup 2", "backup 3"]);
    }

    #[test]
    fn who_stops_waiting_keeps_no_place() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let first = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let gone = wait(&runs, Kind::Restore);
        let mut stays = wait(&runs, Kind::Backup);
        drop(gone);
        drop(first);
        assert!((&mut stays).now_or_never().is_some());
    }

    #[test]
    fn a_place_that_was_given_and_never_taken_comes_back() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let first = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let given = wait(&runs, Kind::Restore);
        drop(first);
        drop(given);
        assert!(wait(&runs, Kind::Backup).now_or_never().is_some());
    }
}
