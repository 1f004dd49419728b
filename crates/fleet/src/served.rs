//! Members whose velero.io objects the hub itself executes, for whoever runs the engines.
//!
//! The set is a level, not a stream of events: what it holds is to be served, everything else is not.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kube::ResourceExt as _;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, Fleet};
use kurator_api::names;
use kurator_api::velero::{BackupPhase, BackupStorageLocation};
use kurator_member::causes::chain;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use kurator_store::{Purpose, Store};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::ctx::Ctx;
use crate::fleet::places::{self, Refusal};
use crate::hub::{Guarded, in_namespace};
use crate::proof::{Proof, Proofs};
use crate::twins::Twins;

/// How long a location may differ from what its Fleet gives, as when the Fleet takes it over from Velero or moves it.
const MENDED_WITHIN: Duration = Duration::from_secs(15);

/// All members that are to be served now.
pub type ServedMembers = BTreeMap<ClusterKey, Arc<Served>>;

/// How far the engine of one member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It finds out whether somebody else serves the member.
    Starting,
    /// It serves.
    Serves {
        /// What it says it is.
        version: String,
    },
    /// Somebody else serves: one sentence that names who, and what to do.
    Refused(String),
    /// It could not begin, or has died, and is started again: why.
    Failed(String),
}

/// One member that is to be served.
pub struct Served {
    member: Arc<Member>,
    wake: Arc<Notify>,
    standing: Mutex<Standing>,
    /// Told of what may change which store a location means: a location of the member, a Fleet, the key of a store.
    news: watch::Sender<()>,
    /// How often such a key has changed.
    keys: AtomicU64,
    proofs: Mutex<Proofs>,
    /// Why the ends of runs are not told to their objects, by UID.
    untold: Mutex<HashMap<String, String>>,
    /// UID of the hub's namespace kube-system.
    hub: String,
    ctx: Weak<Ctx>,
}

impl Served {
    /// The cluster, watched.
    #[must_use]
    pub fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Told whenever anything about the member changes.
    #[must_use]
    pub fn wake(&self) -> &Arc<Notify> {
        &self.wake
    }

    /// Which hub serves it: the UID of its namespace kube-system.
    #[must_use]
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// Velero's namespace in the member.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        names::VELERO_NAMESPACE
    }

    /// The store that a location of the member means, with its credential as it is on the hub now.
    ///
    /// Which store that is follows from the objects of the hub alone. What the location says is only compared: one that
    /// the hub did not write is refused, and so is one that somebody changed, unless the hub mends it within seconds. Of
    /// another cluster's backups only those are handed out that somebody on the hub restores here.
    ///
    /// # Errors
    /// One sentence for the status of the location or run.
    pub async fn store(
        &self,
        location: &BackupStorageLocation,
        purpose: Purpose<'_>,
    ) -> Result<Arc<dyn Store>, String> {
        let given_up = Instant::now() + MENDED_WITHIN;
        let mut location = location.clone();
        let mut news = self.news.subscribe();
        loop {
            news.mark_unchanged();
            // What was handed in may be older than the last news.
            if let Knowledge::Present(now) = self.member.locations().get(&location.name_any()) {
                location = BackupStorageLocation::clone(&now);
            }
            let ctx = self.ctx.upgrade().ok_or("the hub is ending")?;
            match places::store(&ctx, self.member.id(), &location, purpose).await {
                Ok(store) => return ctx.stores.open(&store).await.map_err(|error| chain(&error)),
                Err(Refusal::Foreign(why)) => return Err(why),
                Err(Refusal::Differs(why)) => {
                    drop(ctx);
                    // The sender is here; its end would be that of the wait too.
                    if !matches!(timeout_at(given_up, news.changed()).await, Ok(Ok(()))) {
                        return Err(why);
                    }
                }
            }
        }
    }

    /// How often the key of a store has changed that a location of the member may mean.
    #[must_use]
    pub fn keys_changed(&self) -> u64 {
        self.keys.load(Relaxed)
    }

    /// Whether somebody on the hub wants to know if the store has the end that the Velero Backup with this UID claims.
    #[must_use]
    pub fn is_doubted(&self, backup: &str) -> bool {
        self.proofs().is_asked(backup)
    }

    /// The store has this end of the Velero Backup with this UID, whatever its status says.
    pub fn proven(&self, backup: &str, end: &BackupPhase) {
        let is_awaited = self.proofs().stored(backup, end.clone());
        if is_awaited {
            self.wake_owners(|uid| uid == backup);
        }
    }

    /// Whether the store has it cannot be seen now, since `why`.
    pub fn unproven(&self, backup: &str, why: &str) {
        let is_news = self.proofs().unseen(backup, why);
        if is_news {
            self.wake_owners(|uid| uid == backup);
        }
    }

    /// How the run with this UID has ended can't be told to its Velero object, since `why`; or that is over, without one.
    pub fn untold(&self, run: &str, why: Option<&str>) {
        let mut all = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match why {
            Some(why) => all.insert(run.to_owned(), why.to_owned()),
            None => all.remove(run),
        };
        drop(all);
        if before.as_deref() != why {
            self.wake_owners(|uid| uid == run);
        }
    }

    /// The member has these Velero Backups and no others.
    pub fn keep_only(&self, there: &dyn Fn(&str) -> bool) {
        self.proofs().keep_only(there);
    }

    fn proofs(&self) -> MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those for whom Velero Backups and Restores of the member were made.
    fn wake_owners(&self, concerned: impl Fn(&str) -> bool) {
        let Some(ctx) = self.ctx.upgrade() else { return };
        let is_of = |uid: Option<&str>| uid.is_some_and(&concerned);
        let backups = self.member.backups().select(|found| is_of(found.metadata.uid.as_deref()));
        backups.present().iter().flatten().for_each(|found| ctx.router.wake_owner(found.as_ref()));
        let restores = self.member.restores().select(|found| is_of(found.metadata.uid.as_deref()));
        restores.present().iter().flatten().for_each(|found| ctx.router.wake_owner(found.as_ref()));
    }

    /// Nobody proves anything any more to those who wait for it.
    fn end_of_proofs(&self) {
        let asked = self.proofs().take_asked();
        if !asked.is_empty() {
            self.wake_owners(|uid| asked.contains(uid));
        }
    }

    /// Tells the Fleet how far the engine is.
    pub fn say(&self, standing: Standing) {
        let serves_another = matches!(standing, Standing::Refused(_));
        let news = {
            let mut said = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
            let news = *said != standing;
            *said = standing;
            news
        };
        if serves_another {
            self.end_of_proofs();
        }
        if let Some(ctx) = self.ctx.upgrade().filter(|_| news) {
            ctx.router.fleets_with(self.member.id());
        }
    }

    fn standing(&self) -> Standing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether the hub executes the velero.io objects of a cluster. After a start of the hub its Fleet's last word counts
/// until the Fleet has been looked at.
pub(crate) fn is_served(ctx: &Ctx, cluster: &ClusterKey) -> bool {
    let says_so = |fleet: &Arc<Guarded<Fleet>>| {
        let row = ctx.hub.fleet_rows.row(fleet, cluster).and_then(|row| row.backup.as_ref());
        row.is_some_and(|backup| backup.engine == Some(Engine::Builtin))
    };
    ctx.router.engines.standing(cluster).is_some()
        || in_namespace(&ctx.hub.fleets, &cluster.namespace).iter().any(says_so)
}

/// What the Fleets want to be served.
pub(crate) struct Engines {
    published: watch::Sender<ServedMembers>,
    wanted: Mutex<HashMap<ClusterKey, Wanted>>,
    keys: Mutex<Keys>,
    twins: Twins,
}

/// The key of its store that each Fleet has, by the Fleet's UID: a hash, or why it can't be used.
#[derive(Default)]
struct Keys(HashMap<String, String>);

impl Keys {
    /// Whether the Fleet had another one when it was last looked at.
    fn is_another(&mut self, fleet: &str, key: &str) -> bool {
        let before = self.0.insert(fleet.to_owned(), key.to_owned());
        before.is_some_and(|before| before != key)
    }
}

struct Wanted {
    /// UID of the Fleet.
    fleet: String,
    served: Arc<Served>,
}

impl Engines {
    pub(crate) fn new(published: watch::Sender<ServedMembers>) -> Self {
        Self { published, wanted: Mutex::default(), keys: Mutex::default(), twins: Twins::default() }
    }

    /// These members of a Fleet are to be served, and none of its others. One that was connected anew begins anew.
    pub(crate) fn want(&self, ctx: &Arc<Ctx>, fleet: &str, clusters: &[ClusterKey]) {
        let (ended, begun) = {
            let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
            let (ended, begun) = adjust(&mut wanted, ctx, fleet, clusters);
            if !ended.is_empty() || !begun.is_empty() {
                self.publish(&wanted);
            }
            (ended, begun)
        };
        ended.iter().for_each(|served| served.end_of_proofs());
        self.twins.keep_only(fleet, clusters).iter().for_each(|late| ctx.router.fleets_with(late));
        let namespaces: BTreeSet<_> = begun.iter().map(|key| key.namespace.as_str()).collect();
        // Whoever has found nobody to ask for a proof asks now.
        namespaces.into_iter().for_each(|namespace| ctx.router.runs_changed(namespace));
    }

    /// Takes the cluster with this UID for a Fleet, which knows it as `key`; or tells as what another Fleet has it, and
    /// wakes this one when it has it no more.
    pub(crate) fn take(&self, uid: &str, fleet: &str, key: &ClusterKey) -> Result<(), ClusterKey> {
        self.twins.take(uid, fleet, key)
    }

    /// A connection has ended, and with it whatever worked over it. Whose turn it is now.
    pub(crate) fn end(&self, key: &ClusterKey) -> Vec<ClusterKey> {
        let late = self.twins.forget(key);
        self.end_engine(key);
        late
    }

    fn end_engine(&self, key: &ClusterKey) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(ended) = wanted.remove(key) else { return };
        self.publish(&wanted);
        drop(wanted);
        ended.served.end_of_proofs();
    }

    fn publish(&self, wanted: &HashMap<ClusterKey, Wanted>) {
        let all = wanted.iter().map(|(key, held)| (key.clone(), Arc::clone(&held.served)));
        self.published.send_replace(all.collect());
    }

    /// Something about a member changed.
    pub(crate) fn wake(&self, key: &ClusterKey) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = wanted.get(key) {
            held.served.wake.notify_one();
        }
    }

    /// What a location of a member means may have changed.
    pub(crate) fn location_changed(&self, key: &ClusterKey) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = wanted.get(key) {
            held.served.news.send_replace(());
        }
    }

    /// The store of a Fleet is opened with this key now, by its hash, or can't be, and why: each location in the namespace
    /// is looked at again if that was otherwise, be it that the Secret has changed or that the Fleet names another.
    pub(crate) fn key_is(&self, namespace: &str, fleet: &str, key: &str) {
        let is_another = self.keys.lock().unwrap_or_else(PoisonError::into_inner).is_another(fleet, key);
        if is_another {
            self.fleet_changed(namespace, true);
        }
    }

    /// A Fleet is gone.
    pub(crate) fn forget_key(&self, fleet: &str) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).0.remove(fleet);
    }

    /// Likewise of all members in a namespace, since a Fleet has changed; or the `key` of its store, and each location
    /// is to be looked at again.
    pub(crate) fn fleet_changed(&self, namespace: &str, key: bool) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, held) in wanted.iter().filter(|(cluster, _)| cluster.namespace == namespace) {
            if key {
                held.served.keys.fetch_add(1, Relaxed);
                held.served.wake.notify_one();
            }
            held.served.news.send_replace(());
        }
    }

    /// What the engine of a member has seen of the end of a Velero Backup; nothing where none is wanted. What it has not
    /// seen it is asked.
    pub(crate) fn proof(&self, key: &ClusterKey, backup: &str) -> Option<Proof> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let served = &wanted.get(key)?.served;
        // Held meanwhile: when it is refused after this, whoever has asked is told.
        let mut proofs = served.proofs();
        if matches!(served.standing(), Standing::Refused(_)) {
            return Some(Proof::Unneeded);
        }
        let (proof, is_news) = proofs.of(backup);
        if is_news {
            served.wake.notify_one();
        }
        Some(proof)
    }

    /// Why the end of the run with this UID is not told to its object, if its engine says so.
    pub(crate) fn untold(&self, key: &ClusterKey, run: &str) -> Option<String> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let untold = wanted.get(key)?.served.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.get(run).cloned()
    }

    /// How far the engine of a member is; nothing where none is wanted.
    pub(crate) fn standing(&self, key: &ClusterKey) -> Option<Standing> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.get(key).map(|held| held.served.standing())
    }
}

/// Puts these members of a Fleet there and none of its others; what has ended, and where something has begun.
fn adjust(
    wanted: &mut HashMap<ClusterKey, Wanted>,
    ctx: &Arc<Ctx>,
    fleet: &str,
    clusters: &[ClusterKey],
) -> (Vec<Arc<Served>>, Vec<ClusterKey>) {
    let (mut ended, mut begun) = (Vec::new(), Vec::new());
    let these: HashSet<_> = clusters.iter().collect();
    wanted.retain(|key, held| {
        let stays = held.fleet != fleet || these.contains(key);
        if !stays {
            // What the engine wrote says nothing of another server.
            ctx.router.heartbeats.forget(key);
            ended.push(Arc::clone(&held.served));
        }
        stays
    });
    for key in clusters {
        let Some(member) = ctx.members.get(key) else {
            ended.extend(wanted.remove(key).map(|held| held.served));
            continue;
        };
        if let Some(held) = wanted.get_mut(key).filter(|held| Arc::ptr_eq(&held.served.member, &member)) {
            // A Fleet that was made anew under its name takes over what the last one wanted.
            fleet.clone_into(&mut held.fleet);
            continue;
        }
        let served = Arc::new(Served {
            member,
            wake: Arc::new(Notify::new()),
            standing: Mutex::new(Standing::Starting),
            news: watch::Sender::new(()),
            keys: AtomicU64::new(0),
            proofs: Mutex::default(),
            untold: Mutex::default(),
            hub: ctx.hub.uid.clone(),
            ctx: Arc::downgrade(ctx),
        });
        let before = wanted.insert(key.clone(), Wanted { fleet: fleet.to_owned(), served });
        ended.extend(before.map(|held| held.served));
        begun.push(key.clone());
    }
    (ended, begun)
}

#[cfg(test)]
mod tests;
