//! Which change wakes which objects. Everything that a controller's answer depends on is followed from
//! here, so that no controller ever polls.

use std::sync::Arc;

use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::cluster::{AttachedCluster, Cluster, ClusterKey, ClusterKind};
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero::RequestPhase;
use kurator_member::member::Change;

use crate::fleet::recent::Recent;
use crate::heartbeat::Heartbeats;
use crate::hub::{Guarded, Hub, HubKind, has_finalizer, in_namespace};
use crate::run::kinds::{Run, RunPhase};
use crate::served::Engines;
use crate::wake::WakeSet;

/// One set of wakes per controller.
pub(crate) struct Wakes {
    pub(crate) attached: Arc<WakeSet<Guarded<AttachedCluster>>>,
    pub(crate) provisioned: Arc<WakeSet<Guarded<Cluster>>>,
    pub(crate) fleets: Arc<WakeSet<Guarded<Fleet>>>,
    pub(crate) backups: Arc<WakeSet<Guarded<Backup>>>,
    pub(crate) restores: Arc<WakeSet<Guarded<Restore>>>,
    pub(crate) migrates: Arc<WakeSet<Guarded<Migrate>>>,
}

impl Wakes {
    pub(crate) fn new() -> Self {
        Self {
            attached: WakeSet::new(),
            provisioned: WakeSet::new(),
            fleets: WakeSet::new(),
            backups: WakeSet::new(),
            restores: WakeSet::new(),
            migrates: WakeSet::new(),
        }
    }
}

/// Turns changes on the hub and in the members into wakes.
pub(crate) struct Router {
    pub(crate) hub: Arc<Hub>,
    pub(crate) wakes: Wakes,
    pub(crate) heartbeats: Heartbeats,
    pub(crate) engines: Engines,
    pub(crate) recent: Recent,
}

impl Router {
    /// A cluster object or its connection changed.
    pub(crate) fn cluster_changed(&self, key: &ClusterKey) {
        match key.kind {
            ClusterKind::AttachedCluster => self.wakes.attached.wake(reference(&key.namespace, &key.name)),
            ClusterKind::Cluster => self.wakes.provisioned.wake(reference(&key.namespace, &key.name)),
        }
        self.members_of_fleets_changed(key);
    }

    fn members_of_fleets_changed(&self, key: &ClusterKey) {
        self.fleets_with(key);
        self.runs_changed(&key.namespace);
    }

    /// Something that any run of a namespace may wait for has changed.
    pub(crate) fn runs_changed(&self, namespace: &str) {
        self.unfinished_backups(namespace, |_| true);
        self.readers(namespace);
    }

    /// A Fleet changed: whoever refers to it may have more, fewer or other clusters.
    pub(crate) fn fleet_changed(&self, namespace: &str, name: &str) {
        self.engines.fleet_changed(namespace, false);
        self.wakes.fleets.wake(reference(namespace, name));
        self.unfinished_backups(namespace, |backup| backup.spec.destination.fleet == name);
        self.readers(namespace);
        self.held_clusters(namespace);
        for fleet in in_namespace(&self.hub.fleets, namespace) {
            if fleet.name_any() != name {
                self.wakes.fleets.wake(reference(namespace, &fleet.name_any()));
            }
        }
    }

    pub(crate) fn backup_changed(&self, namespace: &str, name: &str) {
        self.wakes.backups.wake(reference(namespace, name));
        self.fleets_that_clean_up(namespace);
        self.held_clusters(namespace);
        self.unfinished_restores(namespace, |restore| restore.spec.backup_name == name);
    }

    pub(crate) fn restore_changed(&self, namespace: &str, name: &str) {
        self.wakes.restores.wake(reference(namespace, name));
        self.fleets_that_clean_up(namespace);
        self.held_clusters(namespace);
        // What is being deleted waits for those who restore from it.
        self.unfinished_backups(namespace, |backup| backup.metadata.deletion_timestamp.is_some());
    }

    pub(crate) fn migrate_changed(&self, namespace: &str, name: &str) {
        self.wakes.migrates.wake(reference(namespace, name));
        self.fleets_that_clean_up(namespace);
        self.held_clusters(namespace);
    }

    /// A Secret of the hub changed: it may hold a kubeconfig or the key of an object store.
    pub(crate) fn secret_changed(&self, namespace: &str, name: &str) {
        for cluster in in_namespace(&self.hub.attached, namespace) {
            let names_it =
                |c: &AttachedCluster| c.spec.kubeconfig.as_ref().is_some_and(|secret| secret.name == name);
            if cluster.0.as_ref().is_ok_and(names_it) {
                self.wakes.attached.wake(reference(namespace, &cluster.name_any()));
            }
        }
        for cluster in in_namespace(&self.hub.provisioned, namespace) {
            if cluster.0.as_ref().is_ok_and(|c| c.kubeconfig().name == name) {
                self.wakes.provisioned.wake(reference(namespace, &cluster.name_any()));
            }
        }
        for fleet in in_namespace(&self.hub.fleets, namespace) {
            let plugin = |f: &Fleet| f.spec.plugin.as_ref().and_then(|p| p.backup.clone());
            let names_it = |f: &Fleet| plugin(f).is_some_and(|backup| backup.storage.secret_name == name);
            if fleet.0.as_ref().is_ok_and(names_it) {
                self.recent.forget();
                self.wakes.fleets.wake(reference(namespace, &fleet.name_any()));
                self.readers(namespace);
            }
        }
    }

    /// Something in a member changed.
    pub(crate) fn member_changed(&self, key: &ClusterKey, change: &Change) {
        self.engines.wake(key);
        match change {
            Change::Liveness => self.cluster_changed(key),
            Change::Resynced(_) => {
                self.engines.location_changed(key);
                self.members_of_fleets_changed(key);
            }
            Change::Backup(backup) => {
                self.wake_owner(backup.as_ref());
                self.readers(&key.namespace);
            }
            Change::Restore(restore) => self.wake_owner(restore.as_ref()),
            Change::Schedule(schedule) => {
                self.wake_owner(schedule.as_ref());
                self.fleets_that_clean_up(&key.namespace);
            }
            Change::DeleteRequest(request) => self.wake_owner(request.as_ref()),
            Change::Location(location) => {
                self.engines.location_changed(key);
                if self.heartbeats.location_says_something_new(key, location) {
                    self.members_of_fleets_changed(key);
                }
            }
            Change::StatusRequest(request) => {
                let phase = request.status.as_ref().and_then(|status| status.phase.as_ref());
                match phase {
                    Some(RequestPhase::Processed) => self.heartbeats.answered(key),
                    _ => self.heartbeats.is_asked(key),
                }
                self.fleets_with(key);
            }
            Change::Secret(_) => {
                self.fleets_with(key);
                self.readers(&key.namespace);
            }
        }
    }

    /// Wakes the hub object that a Velero object was made for.
    pub(crate) fn wake_owner<K: ResourceExt>(&self, child: &K) {
        let Some((kind, namespace, name)) =
            child.annotations().get(names::OWNER_ANNOTATION).and_then(|o| parse_owner(o))
        else {
            return;
        };
        match kind {
            "Backup" => self.wakes.backups.wake(reference(namespace, name)),
            "Restore" => self.wakes.restores.wake(reference(namespace, name)),
            "Migrate" => self.wakes.migrates.wake(reference(namespace, name)),
            _ => {}
        }
    }

    pub(crate) fn fleets_with(&self, key: &ClusterKey) {
        for fleet in in_namespace(&self.hub.fleets, &key.namespace) {
            let lists_it = |f: &Fleet| {
                f.spec.clusters.iter().any(|entry| entry.name == key.name)
                    || f.status.as_ref().is_some_and(|s| s.clusters.iter().any(|row| row.name == key.name))
            };
            if fleet.0.as_ref().is_ok_and(lists_it) {
                self.wakes.fleets.wake(reference(&key.namespace, &fleet.name_any()));
            }
        }
    }

    /// They wait for the end of what runs in the clusters that they clean up.
    fn fleets_that_clean_up(&self, namespace: &str) {
        let pending = Reason::MemberCleanupPending.as_str();
        for fleet in in_namespace(&self.hub.fleets, namespace) {
            let cleans_up = |f: &Fleet| {
                let mut rows = f.status.iter().flat_map(|status| &status.clusters);
                f.metadata.deletion_timestamp.is_some() || rows.any(|r| r.reason.as_deref() == Some(pending))
            };
            if fleet.0.as_ref().is_ok_and(cleans_up) {
                self.wakes.fleets.wake(reference(namespace, &fleet.name_any()));
            }
        }
    }

    /// Cluster objects whose finalizer goes when nobody needs them any more.
    fn held_clusters(&self, namespace: &str) {
        let waits = |cluster: &Guarded<AttachedCluster>| {
            cluster.namespace().as_deref() == Some(namespace)
                && has_finalizer(cluster, names::CLUSTER_FINALIZER)
                && (cluster.meta().deletion_timestamp.is_some()
                    || !cluster.labels().contains_key(names::FLEET_NAME_LABEL))
        };
        for cluster in self.hub.attached.state_filter(waits) {
            self.wakes.attached.wake(reference(namespace, &cluster.name_any()));
        }
    }

    fn unfinished_backups(&self, namespace: &str, concerned: impl Fn(&Backup) -> bool) {
        for backup in in_namespace(&self.hub.backups, namespace) {
            if backup.0.as_ref().is_ok_and(|b| !is_finished(b) && concerned(b)) {
                self.wakes.backups.wake(reference(namespace, &backup.name_any()));
            }
        }
    }

    /// Whoever restores from what lies in another cluster's place, or has something to take away from there.
    fn readers(&self, namespace: &str) {
        self.unfinished_restores(namespace, |_| true);
        for migrate in in_namespace(&self.hub.migrates, namespace) {
            if migrate.0.as_ref().is_ok_and(is_awake) {
                self.wakes.migrates.wake(reference(namespace, &migrate.name_any()));
            }
        }
    }

    fn unfinished_restores(&self, namespace: &str, concerned: impl Fn(&Restore) -> bool) {
        for restore in in_namespace(&self.hub.restores, namespace) {
            if restore.0.as_ref().is_ok_and(|r| (!is_finished(r) || has_mount(r)) && concerned(r)) {
                self.wakes.restores.wake(reference(namespace, &restore.name_any()));
            }
        }
    }
}

/// Whether a Restore may have to clean up when its Backup has expired.
fn has_mount(restore: &Restore) -> bool {
    let rows = restore.status.as_ref().map(|status| status.restore_details.as_slice()).unwrap_or_default();
    rows.iter().any(|row| row.source_location.is_some())
}

/// Whether a Migrate is not over, or may have to clean up when its backup has expired.
fn is_awake(migrate: &Migrate) -> bool {
    let rows = migrate.status.as_ref().map(|status| status.target_cluster_status.as_slice());
    migrate.metadata.deletion_timestamp.is_some()
        || !crate::migrate::is_finished(migrate)
        || rows.unwrap_or_default().iter().any(|row| row.source_location.is_some())
}

fn is_finished<R: Run>(object: &R) -> bool {
    object.meta().deletion_timestamp.is_none() && object.phase().is_some_and(RunPhase::is_finished)
}

fn parse_owner(reference: &str) -> Option<(&str, &str, &str)> {
    let (kind, path) = reference.split_once(' ')?;
    let (namespace, name) = path.split_once('/')?;
    Some((kind, namespace, name))
}

fn reference<K: HubKind>(namespace: &str, name: &str) -> ObjectRef<Guarded<K>> {
    ObjectRef::new(name).within(namespace)
}
