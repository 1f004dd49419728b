//! One engine at a time: a Lease, held only while something is to be run.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures::future::select_all;
use kube::Client;
use kurator_api::names::ENGINE_LEASE;
use kurator_member::lease::{Claim, LeaseConfig, Succession, elect};
use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// The process that an engine works for, where it may only while it leads.
#[derive(Clone)]
pub struct Leader {
    /// Its claim to lead.
    pub claim: watch::Receiver<Claim>,
    /// Whom it follows: an engine of a process before it has stopped, and is not waited for.
    pub succession: Succession,
}

/// This engine's part in the Lease of its cluster and namespace.
pub(super) struct Tenure {
    client: Client,
    config: LeaseConfig,
    leader: Option<watch::Receiver<Claim>>,
    bid: Option<Bid>,
}

/// A claim that is raised, or being handed back.
struct Bid {
    claim: watch::Receiver<Claim>,
    stop: CancellationToken,
    /// Who was last said to hold the Lease instead.
    rival: Option<String>,
}

impl Drop for Bid {
    /// Who contends no longer does not keep others from it, however he ended.
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The right to work, for as long as the claims behind it are held.
///
/// Where the engine works for a process that leads, its claim is one of them: whoever leads next takes the Lease at once
/// and does not wait for this one to run out.
#[derive(Clone)]
pub(super) struct Held {
    lease: watch::Receiver<Claim>,
    leader: Option<watch::Receiver<Claim>>,
}

impl Tenure {
    /// No part yet. The client needs no Lease to write, but the leadership of the process that this is `led` by.
    pub(super) fn new(client: Client, namespace: &str, led: Option<Leader>) -> Self {
        let random = format!("{:016x}", fastrand::u64(..));
        let (leader, succession) = led.map(|led| (led.claim, led.succession)).unzip();
        let identity = match &succession {
            Some(succession) => succession.identity(&random),
            None => {
                let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "kurator".to_owned());
                format!("{host}_{random}")
            }
        };
        let config = LeaseConfig { succession, ..LeaseConfig::new(namespace, ENGINE_LEASE, identity) };
        Self { client, config, leader, bid: None }
    }

    /// Contends for the Lease while it is `wanted` and hands it back when it no longer is; the right to work once it
    /// is held.
    pub(super) fn tend(&mut self, wanted: bool) -> Option<Held> {
        if !wanted {
            if let Some(bid) = &self.bid {
                bid.stop.cancel();
            }
            return None;
        }
        let bid = self.bid.get_or_insert_with(|| {
            let stop = CancellationToken::new();
            let claim = elect(self.client.clone(), self.config.clone(), stop.clone());
            Bid { claim, stop, rival: None }
        });
        if let Claim::Waiting { holder: Some(holder) } = &*bid.claim.borrow()
            && bid.rival.as_ref() != Some(holder)
        {
            tracing::info!(
                lease = ENGINE_LEASE,
                holder,
                "another engine has the cluster, or had it when it died"
            );
            bid.rival = Some(holder.clone());
        }
        let held = Held { lease: bid.claim.clone(), leader: self.leader.clone() };
        (!bid.stop.is_cancelled() && held.is_held()).then_some(held)
    }

    /// Waits until there is something new to [`tend`](Self::tend).
    pub(super) async fn changed(&mut self) {
        let Some(bid) = &mut self.bid else { return std::future::pending().await };
        // The channel closes when the elector has ended, because the Lease was handed back or lost.
        if bid.claim.changed().await.is_err() {
            self.bid = None;
        }
    }

    /// Hands the Lease back, after all work has ended.
    pub(super) async fn end(mut self) {
        self.tend(false);
        if let Some(mut bid) = self.bid {
            while bid.claim.changed().await.is_ok() {}
        }
    }
}

/// Who of this engine wants the Lease, and whether it is held.
pub(super) struct Contest {
    wanted: watch::Sender<usize>,
    held: watch::Sender<Option<Held>>,
}

/// Somebody wants the Lease until this is dropped.
pub(super) struct Entry(Arc<Contest>);

impl Contest {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { wanted: watch::Sender::new(0), held: watch::Sender::new(None) })
    }

    pub(super) fn enter(self: &Arc<Self>) -> Entry {
        self.wanted.send_modify(|wanted| *wanted += 1);
        Entry(Arc::clone(self))
    }

    pub(super) fn is_wanted(&self) -> bool {
        *self.wanted.borrow() > 0
    }

    /// Told when somebody enters or leaves.
    pub(super) fn changes(&self) -> watch::Receiver<usize> {
        self.wanted.subscribe()
    }

    /// What [`Tenure::tend`] has come to.
    pub(super) fn tell(&self, held: Option<Held>) {
        self.held.send_replace(held);
    }
}

impl Entry {
    /// Waits until the Lease is held.
    pub(super) async fn held(&self) -> Held {
        let mut told = self.0.held.subscribe();
        loop {
            let held = told.borrow_and_update().clone().filter(Held::is_held);
            if let Some(held) = held {
                return held;
            }
            if told.changed().await.is_err() {
                // The sender is here.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.wanted.send_modify(|wanted| *wanted = wanted.saturating_sub(1));
    }
}

impl Held {
    /// By who needs nobody else to lead.
    #[cfg(test)]
    pub(super) fn by(lease: watch::Receiver<Claim>) -> Self {
        Self { lease, leader: None }
    }

    fn claims(&self) -> impl Iterator<Item = &watch::Receiver<Claim>> {
        [Some(&self.lease), self.leader.as_ref()].into_iter().flatten()
    }

    fn is_held(&self) -> bool {
        self.claims().all(|claim| claim.borrow().is_held())
    }

    /// Carries `work` out for as long as the Lease is held, and looks before each step of it: a process that was
    /// stopped, and goes on when another one has the Lease, takes none. `None` if it was broken off.
    pub(super) async fn carry_out<T>(self, work: impl Future<Output = T>) -> Option<T> {
        let mut lost = pin!(self.clone().lost());
        let mut work = pin!(work);
        poll_fn(|context| {
            if lost.as_mut().poll(context).is_ready() || !self.is_held() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }

    /// Waits until one of the claims is not held any more.
    async fn lost(self) {
        select_all(self.claims().map(|claim| Box::pin(run_out(claim.clone())))).await;
    }
}

/// Waits until the claim is not held any more.
async fn run_out(mut claim: watch::Receiver<Claim>) {
    loop {
        let until = match &*claim.borrow_and_update() {
            claim @ Claim::Held { until } if claim.is_held() => *until,
            _ => return,
        };
        tokio::select! {
            () = sleep_until(until) => {}
            changed = claim.changed() => if changed.is_err() {
                // Nobody renews it any more.
                sleep_until(until).await;
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::task::yield_now;
    use tokio::time::{Instant, advance, sleep};

    use super::*;

    fn held_for(seconds: u64) -> Claim {
        Claim::Held { until: Instant::now() + Duration::from_secs(seconds) }
    }

    #[tokio::test(start_paused = true)]
    async fn work_goes_on_while_the_lease_is_renewed() {
        let (claim, watched) = watch::channel(held_for(10));
        let renewals = async {
            for _ in 0..5 {
                sleep(Duration::from_secs(6)).await;
                claim.send_replace(held_for(10));
            }
        };
        let work = Held::by(watched).carry_out(async {
            sleep(Duration::from_secs(30)).await;
            "done"
        });
        let (done, ()) = tokio::join!(work, renewals);
        assert_eq!(done, Some("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_when_the_lease_is_lost_or_not_renewed() {
        for lost in [Some(Claim::Lost), Some(Claim::Waiting { holder: Some("other".to_owned()) }), None] {
            let (claim, watched) = watch::channel(held_for(10));
            let began = Instant::now();
            let takes_it = async {
                sleep(Duration::from_secs(3)).await;
                if let Some(lost) = lost.clone() {
                    claim.send_replace(lost);
                }
                std::future::pending::<()>().await;
            };
            let ended = tokio::select! {
                ended = Held::by(watched).carry_out(std::future::pending::<()>()) => ended,
                () = takes_it => None,
            };
            assert_eq!(ended, None);
            let seconds = if lost.is_some() { 3 } else { 10 };
            assert_eq!(began.elapsed(), Duration::from_secs(seconds), "{lost:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_for_a_process_ends_with_its_leadership_however_long_the_lease_is_held() {
        let table = [
            // A stalled or partitioned process: its leadership runs out and nobody says so.
            (held_for(4), None, 4),
            (held_for(40), Some(Claim::Lost), 3),
        ];
        for (leads, then, seconds) in table {
            let (_lease, watched) = watch::channel(held_for(60));
            let (leadership, leader) = watch::channel(leads);
            let began = Instant::now();
            let work = Held { lease: watched, leader: Some(leader) }.carry_out(std::future::pending::<()>());
            let loses_it = async {
                sleep(Duration::from_secs(3)).await;
                if let Some(then) = then.clone() {
                    leadership.send_replace(then);
                }
                std::future::pending::<()>().await;
            };
            let ended = tokio::select! {
                ended = work => ended,
                () = loses_it => None,
            };
            assert_eq!((ended, began.elapsed()), (None, Duration::from_secs(seconds)), "{then:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_slept_longer_than_its_lease_takes_no_further_step() {
        let (_claim, watched) = watch::channel(held_for(10));
        let steps = Cell::new(0);
        let work = Held::by(watched).carry_out(async {
            steps.set(1);
            yield_now().await;
            steps.set(2);
            // As a stopped process: time goes on and nothing runs.
            advance(Duration::from_secs(11)).await;
            steps.set(3);
        });
        assert_eq!(work.await, None);
        assert_eq!(steps.get(), 2);
    }
}
