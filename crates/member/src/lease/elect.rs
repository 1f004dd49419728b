//! The task that looks at the Lease and writes it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use kurator_api::names::{BACKUP_PLUGIN, PLUGIN_LABEL};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Claim, LeaseAction, LeaseState, Observed, Succession};
use crate::causes::chain;
use crate::clock::{Clock, SystemClock};

/// Longest time that a process which ends spends on handing the Lease back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Which Lease, and how fast.
#[derive(Clone)]
pub struct LeaseConfig {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who this process is. Must differ with every start: pod name and a random part.
    pub identity: String,
    /// Whom this process follows without waiting. It must lead there whenever it writes here: a gate in front of its
    /// client sees to that.
    pub succession: Option<Succession>,
    /// How long rivals believe a lease that does not move.
    pub lease_duration: Duration,
    /// How long this process believes its own last renewal. The difference to `lease_duration` is the time that
    /// a write already sent has to arrive before anybody else may lead.
    pub renew_deadline: Duration,
    /// Time between two looks.
    pub retry: Duration,
    /// For the times in the Lease, which are for people.
    pub clock: Arc<dyn Clock>,
}

impl LeaseConfig {
    /// The times that Kubernetes' own components use: 15 s, 10 s, 2 s.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            succession: None,
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Contends for the Lease until `stop` is cancelled or leadership is lost.
///
/// `client` must have an open [`WriteGate`](crate::gate::WriteGate): the elector has to write before it leads.
/// Cancel `stop` only after the writers have ended. The claim then turns to [`Claim::Lost`], the Lease is handed
/// back so that a rival takes it at its next look, and the channel closes: that is the end of the task.
#[must_use]
pub fn elect(client: Client, config: LeaseConfig, stop: CancellationToken) -> watch::Receiver<Claim> {
    let (claim, receiver) = watch::channel(Claim::Waiting { holder: None });
    let state = LeaseState::new(config.identity.clone(), config.lease_duration, config.succession.clone());
    let api = Api::namespaced(client, &config.namespace);
    TaskTracker::new().spawn(Elector { api, config, state, claim }.run(stop));
    receiver
}

struct Elector {
    api: Api<Lease>,
    config: LeaseConfig,
    state: LeaseState,
    claim: watch::Sender<Claim>,
}

/// What a look at the Lease came to.
enum Outcome {
    Leading,
    Waiting { holder: String, until: Instant },
    SteppedDown,
}

impl Elector {
    async fn run(mut self, stop: CancellationToken) {
        while let Some(next_look) = stop.run_until_cancelled(self.look()).await {
            let Some(next_look) = next_look else {
                tracing::warn!(lease = %self.config.name, "leadership lost");
                return;
            };
            if stop.run_until_cancelled(sleep_until(next_look)).await.is_none() {
                break;
            }
        }
        self.release().await;
    }

    /// One look, and when to look again; `None` when there is nothing more to look at.
    async fn look(&mut self) -> Option<Instant> {
        let started = Instant::now();
        // Before the limit of the whole request: a server that hangs must leave time for a second try.
        let limit = self.config.renew_deadline / 2;
        let outcome = match timeout(limit, self.attempt(started)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if is_conflict(&error) => return Some(self.later(started)),
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.config.name, "cannot reach the lease: {}", chain(&error));
                return Some(self.later(started));
            }
            Err(_) => {
                tracing::warn!(lease = %self.config.name, "the lease did not answer within {limit:?}");
                return Some(self.later(started));
            }
        };
        match outcome {
            Outcome::Leading => {
                if !matches!(*self.claim.borrow(), Claim::Held { .. }) {
                    tracing::info!(lease = %self.config.name, identity = %self.config.identity, "leading");
                }
                // Counted from before the write was sent: rivals count from after it arrived.
                self.claim.send_replace(Claim::Held { until: started + self.config.renew_deadline });
                Some(self.later(started))
            }
            Outcome::Waiting { holder, until } => {
                let waiting = Claim::Waiting { holder: Some(holder) };
                self.claim.send_if_modified(|claim| {
                    let changed = *claim != waiting;
                    *claim = waiting;
                    changed
                });
                Some(self.later(started).min(until))
            }
            Outcome::SteppedDown => {
                self.claim.send_replace(Claim::Lost);
                None
            }
        }
    }

    async fn attempt(&mut self, now: Instant) -> kube::Result<Outcome> {
        let found = self.api.get_opt(&self.config.name).await?;
        let action = self.state.step(now, observe(found.as_ref()));
        match (action, found) {
            (LeaseAction::Create, _) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.config.name.clone()),
                        // What carries it stays where it is when this cluster is migrated.
                        labels: Some([(PLUGIN_LABEL.to_owned(), BACKUP_PLUGIN.to_owned())].into()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.signed(None)),
                };
                self.api.create(&PostParams::default(), &lease).await?;
            }
            (LeaseAction::Take | LeaseAction::Renew, Some(mut lease)) => {
                lease.spec = Some(self.signed(lease.spec.as_ref()));
                // Carries the resource version that was looked at: refused if a rival was faster.
                self.api.replace(&self.config.name, &PostParams::default(), &lease).await?;
            }
            (LeaseAction::Wait { holder, until }, _) => return Ok(Outcome::Waiting { holder, until }),
            (LeaseAction::StepDown, _) | (LeaseAction::Take | LeaseAction::Renew, None) => {
                return Ok(Outcome::SteppedDown);
            }
        }
        self.state.written();
        Ok(Outcome::Leading)
    }

    /// The spec with this process as holder.
    fn signed(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = self.micro_now();
        let mine = before.and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.config.identity);
        let (acquired, transitions) = match before {
            Some(spec) if mine => (spec.acquire_time.clone(), spec.lease_transitions),
            Some(spec) => (None, Some(spec.lease_transitions.unwrap_or(0).saturating_add(1))),
            None => (None, Some(0)),
        };
        LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: i32::try_from(self.config.lease_duration.as_secs().max(1)).ok(),
            acquire_time: acquired.or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: transitions,
            ..LeaseSpec::default()
        }
    }

    /// Closes the gate, then hands the Lease back.
    async fn release(mut self) {
        self.claim.send_replace(Claim::Lost);
        if !self.state.is_held() {
            return;
        }
        match timeout(RELEASE_TIMEOUT, self.hand_back()).await {
            Ok(Ok(())) => tracing::info!(lease = %self.config.name, "lease released"),
            Ok(Err(error)) => {
                tracing::warn!(lease = %self.config.name, "cannot release the lease: {}", chain(&error));
            }
            Err(_) => tracing::warn!(lease = %self.config.name, "the lease was not released in time"),
        }
    }

    async fn hand_back(&mut self) -> kube::Result<()> {
        let Some(mut lease) = self.api.get_opt(&self.config.name).await? else { return Ok(()) };
        let now = self.micro_now();
        match &mut lease.spec {
            Some(spec) if spec.holder_identity.as_ref() == Some(&self.config.identity) => {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
                spec.renew_time = Some(now);
            }
            _ => return Ok(()),
        }
        self.api.replace(&self.config.name, &PostParams::default(), &lease).await.map(drop)
    }

    /// Rivals that started together must not go on looking together.
    fn later(&self, from: Instant) -> Instant {
        from + self.config.retry.mul_f64(1.0 - fastrand::f64() / 5.0)
    }

    /// Kubernetes keeps microseconds.
    fn micro_now(&self) -> MicroTime {
        let now = self.config.clock.now();
        MicroTime(Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now))
    }
}

fn observe(found: Option<&Lease>) -> Observed<'_> {
    let Some(lease) = found else { return Observed::Absent };
    let spec = lease.spec.as_ref();
    Observed::Lease {
        holder: spec.and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty()),
        resource_version: lease.metadata.resource_version.as_deref().unwrap_or_default(),
        duration: spec
            .and_then(|spec| spec.lease_duration_seconds)
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
    }
}

/// A rival wrote first.
fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_conflict() || status.is_already_exists())
}
