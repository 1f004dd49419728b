//! Who else on the hub restores through a mount.

use std::collections::HashMap;

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::restore::RestoreDetails;

use crate::hub::{Hub, HubKind, in_namespace};
use crate::run::kinds::{Run as _, RunPhase};
use crate::run::rows::Details as _;

/// One row of a Restore or Migrate that reads through a mount.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct User {
    /// UID of the hub object.
    pub(super) owner: String,
    /// Name of the mount.
    pub(super) location: String,
    /// Name of the Backup.
    pub(super) backup: Option<String>,
    /// Whether it is over, so that it needs no more than the copy.
    pub(super) finished: bool,
}

/// Every row of objects of a namespace that are not being deleted, found by its cluster.
#[derive(Default)]
pub(super) struct Users {
    all: Vec<User>,
    by_key: HashMap<ClusterKey, Vec<usize>>,
    /// By the UID of the cluster: several cluster objects may lead to it.
    by_uid: HashMap<String, Vec<usize>>,
}

impl Users {
    /// `uid` tells of a cluster that is connected who it is.
    pub(super) fn of_namespace(
        hub: &Hub,
        namespace: &str,
        uid: impl Fn(&ClusterKey) -> Option<String>,
    ) -> Self {
        let mut users = Self::default();
        for restore in in_namespace(&hub.restores, namespace) {
            if let Ok(restore) = &restore.0 {
                let finished = restore.phase().is_some_and(RunPhase::is_finished);
                let rows = restore.status.as_ref().map(|status| status.restore_details.as_slice());
                users.add(restore, finished, rows.unwrap_or_default(), &uid);
            }
        }
        for migrate in in_namespace(&hub.migrates, namespace) {
            if let Ok(migrate) = &migrate.0 {
                let finished = crate::migrate::is_finished(migrate);
                let rows = migrate.status.as_ref().map(|status| status.target_cluster_status.as_slice());
                users.add(migrate, finished, rows.unwrap_or_default(), &uid);
            }
        }
        users
    }

    fn add<K: HubKind>(
        &mut self,
        object: &K,
        finished: bool,
        rows: &[RestoreDetails],
        uid: impl Fn(&ClusterKey) -> Option<String>,
    ) {
        if object.meta().deletion_timestamp.is_some() {
            return;
        }
        let namespace = object.namespace().unwrap_or_default();
        for row in rows {
            let Some(location) = row.source_location.clone() else { continue };
            let (at, cluster) = (self.all.len(), row.cluster(&namespace));
            self.all.push(User {
                owner: object.uid().unwrap_or_default(),
                location,
                backup: row.backup_name_in_cluster.clone(),
                finished,
            });
            for uid in row.cluster_uid.clone().into_iter().chain(uid(&cluster)) {
                self.by_uid.entry(uid).or_default().push(at);
            }
            self.by_key.entry(cluster).or_default().push(at);
        }
    }

    /// Those in this cluster, by its object and by its UID: some perhaps more than once.
    pub(super) fn here(&self, cluster: &ClusterKey, uid: Option<&str>) -> Vec<&User> {
        let by_uid = uid.and_then(|uid| self.by_uid.get(uid));
        let found = self.by_key.get(cluster).into_iter().chain(by_uid).flatten();
        found.filter_map(|at| self.all.get(*at)).collect()
    }
}

/// Whether somebody other than `owner` needs this copy, which expires then.
pub(super) fn need_copy(users: &[&User], owner: &str, location: &str, backup: &str, expired: bool) -> bool {
    users.iter().any(|user| {
        user.owner != owner
            && user.location == location
            && user.backup.as_deref() == Some(backup)
            && !(user.finished && expired)
    })
}

/// Whether somebody other than `owner` is going to make a copy in this location.
pub(super) fn need_location(users: &[&User], owner: &str, location: &str) -> bool {
    users.iter().any(|user| user.owner != owner && user.location == location && !user.finished)
}

/// Whether a Backup is past its time; one without a time never is.
pub(super) fn is_expired(expiration: Option<Timestamp>, now: Timestamp) -> bool {
    expiration.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use kurator_api::restore::Restore;
    use serde_json::json;

    fn user(owner: &str, backup: Option<&str>, finished: bool) -> User {
        User {
            owner: owner.to_owned(),
            location: "kurator-ro-1".to_owned(),
            backup: backup.map(str::to_owned),
            finished,
        }
    }

    #[test]
    fn a_copy_is_needed_by_any_other_that_restores_it_until_it_expires() {
        let need = |user, expired| need_copy(&[&user], "me", "kurator-ro-1", "b", expired);
        assert!(need(user("other", Some("b"), false), false));
        assert!(need(user("other", Some("b"), true), false));
        assert!(need(user("other", Some("b"), false), true), "a running restore reads it to its end");
        assert!(!need(user("other", Some("b"), true), true));
        assert!(!need(user("other", Some("c"), false), false));
        assert!(!need(user("me", Some("b"), false), false));
    }

    #[test]
    fn every_cluster_object_that_leads_to_the_cluster_counts() {
        let row = |name: &str, seen_in: Option<&str>| {
            let row = json!({
                "clusterKind": "AttachedCluster", "clusterName": name, "clusterUid": seen_in, "sourceLocation": name,
            });
            serde_json::from_value::<RestoreDetails>(row).unwrap()
        };
        let rows =
            [row("m1", None), row("alias", None), row("was-here", Some("here")), row("m2", Some("there"))];
        let metadata = json!({"name": "r", "namespace": "default", "uid": "other"});
        let restore = json!({"metadata": metadata, "spec": {"backupName": "b"}});
        let mut restore: Restore = serde_json::from_value(restore).unwrap();
        let found = |restore: &Restore| {
            let uid = |key: &ClusterKey| (key.name != "m2").then(|| "here".to_owned());
            let mut users = Users::default();
            users.add(restore, false, &rows, uid);
            let here = users.here(&rows[0].cluster("default"), Some("here"));
            here.iter().map(|user| user.location.clone()).collect::<BTreeSet<_>>()
        };
        assert_eq!(found(&restore), ["m1", "alias", "was-here"].map(str::to_owned).into());
        restore.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert_eq!(found(&restore), BTreeSet::new());
    }

    #[test]
    fn a_location_is_needed_by_any_other_that_is_not_over() {
        let need = |user| need_location(&[&user], "me", "kurator-ro-1");
        assert!(need(user("other", None, false)));
        assert!(!need(user("other", Some("b"), true)), "its copy keeps the location as long as it is there");
        assert!(!need(user("me", None, false)));
    }
}
