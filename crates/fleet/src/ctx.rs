//! What every reconcile is handed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::core::error_boundary::InvalidObject;
use kube::runtime::events::{Event, EventType};
use kurator_api::condition::{self, Condition};
use kurator_api::fleet::{Engine, Installer};
use kurator_api::reason::Reason;
use kurator_member::clock::Clock;
use kurator_member::kubeconfig::TrustPolicy;
use kurator_store::Open;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::error::Error;
use crate::events::Events;
use crate::fleet::heir::Questions;
use crate::fleet::probe::Probes;
use crate::hub::{Hub, HubKind};
use crate::members::Members;
use crate::metrics::Metrics;
use crate::pace::{Pace, Turns};
use crate::route::Router;
use crate::run::deletion::Refusals;
use crate::standing::{Standing, Verdict};
use crate::writes::Writes;

/// Choices of whoever runs the hub.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who executes backups where a Fleet names no engine.
    pub default_engine: Engine,
    /// Installer of a backup plugin whose Fleet names none.
    pub default_installer: Installer,
    /// Which kubeconfigs of tenants are used.
    pub trust: TrustPolicy,
    /// Objects of one kind that are reconciled at the same time.
    pub concurrency: u16,
}

/// Shared by all controllers of this process.
pub(crate) struct Ctx {
    pub(crate) hub: Arc<Hub>,
    pub(crate) router: Arc<Router>,
    pub(crate) members: Members,
    pub(crate) stores: Arc<dyn Open>,
    pub(crate) writes: Arc<Writes>,
    pub(crate) probes: Arc<Probes>,
    pub(crate) pace: Pace,
    pub(crate) turns: Turns,
    pub(crate) backoff: Backoff,
    pub(crate) refusals: Refusals,
    pub(crate) questions: Questions,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<Events>,
    /// Whatever no pass waits for.
    pub(crate) work: TaskTracker,
    pub(crate) metrics: Metrics,
    pub(crate) options: Options,
}

/// How often a pass over an object failed in a row, by UID.
#[derive(Default)]
pub(crate) struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    pub(crate) fn next(&self, uid: &str) -> u32 {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = attempts.entry(uid.to_owned()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    pub(crate) fn reset(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Ctx {
    pub(crate) fn count_members(&self) {
        let (connected, alive) = self.members.count();
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.members_connected.set(gauge(connected));
        self.metrics.members_alive.set(gauge(alive));
    }

    /// Drops what is kept of an object that needs no more work.
    pub(crate) fn forget<K: HubKind>(&self, object: &K) {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        self.pace.forget(uid);
        self.writes.forget_owner(uid);
        self.refusals.forget(uid);
        self.router.heartbeats.forget_search(uid);
    }

    /// Says that an object can't be read, which somebody must mend. What has run or finished is still written
    /// in its status and counts again once it can be read, so that stays; `standing` is said of one that has no
    /// phase.
    pub(crate) async fn report_undecodable<K: HubKind>(
        &self,
        object: &K,
        error: &InvalidObject,
        standing: serde_json::Value,
    ) -> Result<(), Error> {
        let mut conditions = Vec::new();
        let verdict = Verdict::undecodable(error);
        verdict.record(&mut conditions, self.clock.now());
        let mut status = if self.hub.has_phase(object).await? { json!({}) } else { standing };
        status["conditions"] = json!(conditions);
        self.hub.merge_status(object, &status).await?;
        tracing::warn!(object = crate::hub::describe(object), "{}", verdict.message);
        Ok(())
    }

    /// Records an event if `said` is not what the object's Ready condition said before.
    ///
    /// Best effort: an event that can't be written must not hold up the work; the condition says the same.
    pub(crate) fn tell<K: HubKind>(&self, object: &K, before: &[Condition], said: &Verdict) {
        if condition::find(before, condition::READY).is_some_and(|ready| ready.is_because(said.reason)) {
            return;
        }
        let type_ = match said.standing {
            Standing::Stalled => EventType::Warning,
            // Waited for, because it may come; more often it is a name mistyped.
            Standing::Underway
                if matches!(
                    said.reason,
                    Reason::BackupNotFound | Reason::FleetNotFound | Reason::Unreachable
                ) =>
            {
                EventType::Warning
            }
            Standing::Ready | Standing::Underway => EventType::Normal,
        };
        tracing::info!(
            object = crate::hub::describe(object),
            reason = said.reason.as_str(),
            "{}",
            said.message
        );
        let event = Event {
            type_,
            reason: said.reason.as_str().to_owned(),
            note: Some(condition::shorten(&said.message, condition::MAX_MESSAGE)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let (events, about, object) =
            (Arc::clone(&self.events), object.object_ref(&()), crate::hub::describe(object));
        let now = self.clock.now();
        self.work.spawn(async move {
            if let Err(error) = events.publish(&event, &about, now).await {
                tracing::warn!(object, "cannot write an event: {error}");
            }
        });
    }
}
