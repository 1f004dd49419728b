//! Members whose velero.io objects the hub itself executes, for whoever runs the engines.
//!
//! The set is a level, not a stream of events: what it holds is to be served, everything else is not.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use kube::ResourceExt as _;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, Fleet};
use kurator_api::names;
use kurator_api::velero::{self, BackupStorageLocation};
use kurator_member::causes::chain;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use kurator_store::{Purpose, Store};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use crate::ctx::Ctx;
use crate::fleet::places::{self, Refusal};
use crate::hub::{Guarded, in_namespace};

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
    /// UIDs of Velero Backups whose end nobody but the engine tells.
    awaited: Mutex<HashSet<String>>,
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

    /// The engine has the Velero Backup with this UID before it: whoever else says that it has ended is not believed.
    pub fn awaits(&self, backup: &str) {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner).insert(backup.to_owned());
    }

    /// What its status says is true from now on.
    pub fn believes(&self, backup: &str) {
        if !self.awaited.lock().unwrap_or_else(PoisonError::into_inner).remove(backup) {
            return;
        }
        let Some(ctx) = self.ctx.upgrade() else { return };
        let was_not_believed = |found: &velero::Backup| {
            let phase = found.status.as_ref().and_then(|status| status.phase.as_ref());
            found.metadata.uid.as_deref() == Some(backup)
                && phase.is_some_and(velero::BackupPhase::is_terminal)
        };
        for found in self.member.backups().select(was_not_believed).present().into_iter().flatten() {
            ctx.router.wake_owner(found.as_ref());
        }
    }

    /// Tells the Fleet how far the engine is.
    pub fn say(&self, standing: Standing) {
        if !matches!(standing, Standing::Serves { .. }) {
            // The next one says anew what it has before it.
            let awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner).clone();
            awaited.iter().for_each(|backup| self.believes(backup));
        }
        let news = {
            let mut said = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
            let news = *said != standing;
            *said = standing;
            news
        };
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

/// Whether the end of a Velero Backup is not proven: somebody wrote it, and the engine of the hub has not run it.
pub(crate) fn is_unproven(ctx: &Ctx, cluster: &ClusterKey, uid: Option<&str>) -> bool {
    uid.is_some_and(|uid| ctx.router.engines.awaits(cluster, uid))
}

/// What the Fleets want to be served.
pub(crate) struct Engines {
    published: watch::Sender<ServedMembers>,
    wanted: Mutex<HashMap<ClusterKey, Wanted>>,
}

struct Wanted {
    /// UID of the Fleet.
    fleet: String,
    served: Arc<Served>,
}

impl Engines {
    pub(crate) fn new(published: watch::Sender<ServedMembers>) -> Self {
        Self { published, wanted: Mutex::default() }
    }

    /// These members of a Fleet are to be served, and none of its others. One that was connected anew begins anew.
    pub(crate) fn want(&self, ctx: &Arc<Ctx>, fleet: &str, clusters: &[ClusterKey]) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = false;
        let these: HashSet<_> = clusters.iter().collect();
        wanted.retain(|key, held| {
            let stays = held.fleet != fleet || these.contains(key);
            if !stays {
                // What the engine wrote says nothing of another server.
                ctx.router.heartbeats.forget(key);
                news = true;
            }
            stays
        });
        for key in clusters {
            let Some(member) = ctx.members.get(key) else {
                news |= wanted.remove(key).is_some();
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
                awaited: Mutex::default(),
                hub: ctx.hub.uid.clone(),
                ctx: Arc::downgrade(ctx),
            });
            wanted.insert(key.clone(), Wanted { fleet: fleet.to_owned(), served });
            news = true;
        }
        if news {
            self.publish(&wanted);
        }
    }

    /// A connection has ended, and with it whatever worked over it.
    pub(crate) fn end(&self, key: &ClusterKey) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.remove(key).is_some() {
            self.publish(&wanted);
        }
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

    /// Whether the engine of a member has this Velero Backup before it.
    fn awaits(&self, key: &ClusterKey, backup: &str) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.get(key).is_some_and(|held| {
            held.served.awaited.lock().unwrap_or_else(PoisonError::into_inner).contains(backup)
        })
    }

    /// How far the engine of a member is; nothing where none is wanted.
    pub(crate) fn standing(&self, key: &ClusterKey) -> Option<Standing> {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        wanted.get(key).map(|held| held.served.standing())
    }
}
