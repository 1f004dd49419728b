//! The members this process is connected to.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;
use kurator_member::connect::{Connect, ConnectError};
use kurator_member::gate::WriteGate;
use kurator_member::kubeconfig::TrustedConfig;
use kurator_member::member::{Change, Liveness, Member, MemberOptions, Trouble};

use tokio::time::Instant;

use crate::route::Router;
use crate::text;
use crate::usage;

/// A member that answers lists what it has within this time.
const LISTED_WITHIN: Duration = Duration::from_secs(10);

/// Why nothing can be done with a member, and what helps.
pub(crate) fn out_of_reach(
    whose: &impl std::fmt::Display,
    since: Timestamp,
    trouble: &Trouble,
) -> (Reason, String) {
    let since = text::time(since);
    match trouble {
        Trouble::NoAnswer(why) => {
            (Reason::Unreachable, format!("{whose} has not answered since {since}: {why}"))
        }
        Trouble::Unauthorized => (
            Reason::Unauthorized,
            format!(
                "the API server of {whose} refuses the kubeconfig since {since}; write a valid one into its Secret: \
                 {trouble}"
            ),
        ),
        Trouble::Forbidden(why) => (
            Reason::Forbidden,
            format!(
                "the API server of {whose} lets the kubeconfig do too little since {since}; grant its user `get` on \
                 namespace `kube-system`: {why}"
            ),
        ),
    }
}

/// All connections; one per cluster object.
pub(crate) struct Members {
    connected: RwLock<HashMap<ClusterKey, Connected>>,
    connect: Arc<dyn Connect>,
    gate: WriteGate,
    router: Arc<Router>,
    options: MemberOptions,
}

struct Connected {
    member: Arc<Member>,
    fingerprint: String,
}

/// What a controller may do with a member now.
pub(crate) enum Access {
    /// It answers, `since` then. Until `settled` its first lists may be under way, and not knowing says nothing.
    Alive { member: Arc<Member>, uid: String, since: Timestamp, settled: Option<Instant> },
    /// Not tried long enough to say anything; what was said before stands.
    Connecting,
    /// It does not, or it is not known how to reach it: what the status says.
    Away { reason: Reason, why: String },
}

impl Members {
    pub(crate) fn new(
        connect: Arc<dyn Connect>,
        gate: WriteGate,
        router: Arc<Router>,
        options: MemberOptions,
    ) -> Self {
        Self { connected: RwLock::default(), connect, gate, router, options }
    }

    /// Takes a member as connected.
    #[cfg(test)]
    pub(crate) fn hold(&self, member: &Arc<Member>) {
        let held = Connected { member: Arc::clone(member), fingerprint: String::new() };
        self.connected.write().unwrap_or_else(PoisonError::into_inner).insert(member.id().clone(), held);
    }

    pub(crate) fn get(&self, key: &ClusterKey) -> Option<Arc<Member>> {
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner);
        connected.get(key).map(|held| Arc::clone(&held.member))
    }

    pub(crate) fn access(&self, key: &ClusterKey) -> Access {
        let hub = &self.router.hub;
        if !hub.is_held(key) && usage::is_listed(hub, key) {
            // What is written there must not be left behind: its object is made to wait for that first.
            return Access::Connecting;
        }
        let Some(member) = self.get(key) else {
            let (reason, why) = match (hub.has_cluster(key), hub.fault(key)) {
                (true, Some(fault)) => fault,
                (true, None) => {
                    (Reason::Unreachable, format!("no connection to {key}: its Ready condition says why"))
                }
                (false, _) => {
                    let why = format!("there is no {key}; create it again, or delete this object");
                    (Reason::ClusterNotFound, why)
                }
            };
            return Access::Away { reason, why };
        };
        match member.liveness() {
            Liveness::Alive { uid, since, .. } => {
                Access::Alive { member, uid, since, settled: self.settled(since) }
            }
            Liveness::Connecting { why: None, .. } => Access::Connecting,
            Liveness::Connecting { since, why: Some(why) } | Liveness::Unreachable { since, why } => {
                let (reason, why) = out_of_reach(key, since, &why);
                Access::Away { reason, why }
            }
        }
    }

    /// When a member that answers since then must have told what it has; `None` if that is past.
    fn settled(&self, since: Timestamp) -> Option<Instant> {
        let left =
            LISTED_WITHIN.checked_sub(self.options.clock.now().duration_since(since).unsigned_abs())?;
        (!left.is_zero()).then(|| Instant::now() + left)
    }

    /// Connects with this kubeconfig unless that is how the member is connected already.
    pub(crate) fn connect(
        &self,
        key: &ClusterKey,
        config: &TrustedConfig,
    ) -> Result<Arc<Member>, ConnectError> {
        let fingerprint = config.fingerprint().to_owned();
        let mut connected = self.connected.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = connected.get(key).filter(|held| held.fingerprint == fingerprint) {
            return Ok(Arc::clone(&held.member));
        }
        let client = self.connect.connect(config, &self.gate)?;
        let (router, about) = (Arc::clone(&self.router), key.clone());
        let on_change = Arc::new(move |change: Change| router.member_changed(&about, &change));
        let member = Member::spawn(key.clone(), client, self.options.clone(), on_change);
        let held = Connected { member: Arc::clone(&member), fingerprint };
        connected.insert(key.clone(), held);
        Ok(member)
    }

    /// Ends the connection. Nothing in the member is touched.
    pub(crate) fn disconnect(&self, key: &ClusterKey) {
        let removed = self.connected.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        if removed.is_some() {
            self.router.heartbeats.forget(key);
            self.router.engines.end(key).iter().for_each(|late| self.router.fleets_with(late));
        }
    }

    /// Ends the connections of cluster objects that are gone, apart from those over which something of ours is still
    /// to be removed: nobody would have the way there any more.
    pub(crate) fn sweep(&self) {
        let hub = &self.router.hub;
        self.keep_only(|key| hub.has_cluster(key) || usage::needed(hub, key).is_some());
    }

    fn keep_only(&self, still_needed: impl Fn(&ClusterKey) -> bool) {
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<_> = connected.keys().filter(|key| !still_needed(key)).cloned().collect();
        drop(connected);
        for key in gone {
            self.disconnect(&key);
        }
    }

    /// How many members are connected, and how many of them answer.
    pub(crate) fn count(&self) -> (usize, usize) {
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner);
        (connected.len(), connected.values().filter(|held| held.member.is_alive()).count())
    }
}
