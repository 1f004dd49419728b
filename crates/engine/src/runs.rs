//! How many runs go at once: each needs memory, however many clusters a process serves.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::budget::Budget;

/// What runs that have stepped aside may hold all together, in bytes for each place.
const ASIDE: usize = 16 << 20;

/// What a run is, for the order in which it gets its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Takes something out of a cluster.
    Backup,
    /// Brings something into a cluster, which somebody waits for.
    Restore,
}

/// A number of places for runs.
///
/// Each kind is served in the order of arrival, over all clusters. Where both wait they take turns, so that a restore
/// waits for one backup at most that has not begun, and no backup waits for ever. Who has stepped aside and comes back
/// is served before them: what it holds goes with its end.
#[derive(Debug)]
pub struct Runs {
    waiting: Mutex<Waiting>,
    aside: Budget,
    /// All that `aside` has, in bytes.
    most_aside: usize,
}

#[derive(Debug)]
struct Waiting {
    free: usize,
    returning: VecDeque<oneshot::Sender<Turn>>,
    backups: VecDeque<oneshot::Sender<Turn>>,
    restores: VecDeque<oneshot::Sender<Turn>>,
    last: Kind,
}

/// A place that is taken, given back when this is dropped.
#[derive(Debug)]
struct Turn(Option<Arc<Runs>>);

/// The place of one run, given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    runs: Arc<Runs>,
    turn: Mutex<Option<Turn>>,
}

impl Runs {
    /// As many places.
    #[must_use]
    pub fn new(places: NonZeroUsize) -> Arc<Self> {
        let [returning, backups, restores] = [const { VecDeque::new() }; 3];
        let waiting = Waiting { free: places.get(), returning, backups, restores, last: Kind::Backup };
        let most_aside = places.get().saturating_mul(ASIDE);
        let aside = Budget::new(most_aside);
        Arc::new(Self { waiting: Mutex::new(waiting), aside, most_aside })
    }

    /// Waits for a place. Who stops waiting holds nobody up.
    pub async fn place(self: &Arc<Self>, kind: Kind) -> Place {
        let turn = self.turn(|waiting| waiting.queue(kind)).await;
        Place { runs: Arc::clone(self), turn: Mutex::new(Some(turn)) }
    }

    async fn turn(
        self: &Arc<Self>,
        queue: impl FnOnce(&mut Waiting) -> &mut VecDeque<oneshot::Sender<Turn>>,
    ) -> Turn {
        let (give, given) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            queue(&mut waiting).push_back(give);
        }
        self.give();
        // The sender is in the queue until it is used.
        given.await.unwrap_or(Turn(None))
    }

    /// Gives the free places to those who wait.
    fn give(self: &Arc<Self>) {
        loop {
            let next = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
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

impl Place {
    /// Does something that takes long and little memory while others have the place; the run holds `bytes` meanwhile.
    /// Where too much is held aside already, or it would be too much by itself, it keeps the place.
    pub(crate) async fn aside<T>(&self, bytes: usize, work: impl Future<Output = T>) -> T {
        if bytes > self.runs.most_aside {
            return work.await;
        }
        let mut work = pin!(work);
        let _held = tokio::select! {
            biased;
            done = &mut work => return done,
            held = self.runs.aside.hold(bytes) => held,
        };
        self.have(None);
        let done = work.await;
        self.have(Some(self.runs.turn(|waiting| &mut waiting.returning).await));
        done
    }

    fn have(&self, turn: Option<Turn>) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
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
        while let Some(next) = self.returning.pop_front() {
            if !next.is_closed() {
                return Some(next);
            }
        }
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
        runs.waiting.lock().unwrap_or_else(PoisonError::into_inner).free += 1;
        runs.give();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::Pin;

    type Wait = Pin<Box<dyn Future<Output = Place>>>;

    fn wait(runs: &Arc<Runs>, kind: Kind) -> Wait {
        let runs = Arc::clone(runs);
        let mut wait: Wait = Box::pin(async move { runs.place(kind).await });
        // Its first poll puts it into the queue.
        match (&mut wait).now_or_never() {
            Some(place) => Box::pin(std::future::ready(place)),
            None => wait,
        }
    }

    /// Which of those who wait gets the place that is free.
    fn served(waiting: &mut Vec<(&'static str, Wait)>) -> (&'static str, Place) {
        let found = waiting.iter_mut().enumerate().find_map(|(i, (_, wait))| Some((i, wait.now_or_never()?)));
        let (at, place) = found.unwrap();
        (waiting.remove(at).0, place)
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
            let (name, place) = served(&mut waiting);
            assert!(waiting.iter_mut().all(|(_, wait)| wait.now_or_never().is_none()), "two at once");
            order.push(name);
            drop(place);
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

    #[test]
    fn while_a_run_is_aside_another_has_its_place_and_it_comes_back_before_who_has_not_begun() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let first = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let mut aside = Box::pin(first.aside(1, ended));
        assert!((&mut aside).now_or_never().is_none());
        let second = wait(&runs, Kind::Restore).now_or_never().unwrap();
        let mut third = wait(&runs, Kind::Restore);
        end.send(()).unwrap();
        assert!((&mut aside).now_or_never().is_none(), "two at once");
        drop(second);
        aside.now_or_never().unwrap().unwrap();
        assert!((&mut third).now_or_never().is_none(), "two at once");
        drop(first);
        assert!(third.now_or_never().is_some());
    }

    #[test]
    fn work_that_ends_at_once_gives_no_place_away() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let first = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let mut second = wait(&runs, Kind::Backup);
        assert!(first.aside(1, std::future::ready(())).now_or_never().is_some());
        assert!((&mut second).now_or_never().is_none());
    }

    #[test]
    fn who_holds_more_than_there_is_room_aside_keeps_its_place() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let first = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let mut aside = Box::pin(first.aside(ASIDE + 1, std::future::pending::<()>()));
        assert!((&mut aside).now_or_never().is_none());
        assert!(wait(&runs, Kind::Backup).now_or_never().is_none(), "it has given its place away");
    }

    #[test]
    fn who_finds_no_room_aside_keeps_its_place_until_there_is() {
        let runs = Runs::new(NonZeroUsize::MIN);
        let large = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let (end, ended) = oneshot::channel::<()>();
        let mut aside = Box::pin(large.aside(ASIDE, ended));
        assert!((&mut aside).now_or_never().is_none());

        let small = wait(&runs, Kind::Backup).now_or_never().unwrap();
        let mut keeps = Box::pin(small.aside(1, std::future::pending::<()>()));
        assert!((&mut keeps).now_or_never().is_none());
        let mut third = wait(&runs, Kind::Backup);
        assert!((&mut third).now_or_never().is_none(), "it has given its place away");

        end.send(()).unwrap();
        assert!((&mut aside).now_or_never().is_none(), "two at once");
        drop(aside);
        assert!((&mut keeps).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_some(), "there is room aside");
    }
}
