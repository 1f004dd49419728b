//! Who else on the hub restores through a mount.

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

/// Every row in one cluster of objects of this namespace that are not being deleted. Several cluster objects may lead to
/// it: `is_here` tells by the row's, and by the UID of the cluster that the row was seen in.
pub(super) fn users(
    hub: &Hub,
    namespace: &str,
    is_here: impl Fn(&ClusterKey, Option<&str>) -> bool,
) -> Vec<User> {
    let is_here = |row: &RestoreDetails| is_here(&row.cluster(namespace), row.cluster_uid.as_deref());
    let mut users = Vec::new();
    for restore in in_namespace(&hub.restores, namespace) {
        if let Ok(restore) = &restore.0 {
            let finished = restore.phase().is_some_and(RunPhase::is_finished);
            let rows = restore.status.as_ref().map(|status| status.restore_details.as_slice());
            users.extend(of_object(restore, finished, rows.unwrap_or_default(), is_here));
        }
    }
    for migrate in in_namespace(&hub.migrates, namespace) {
        if let Ok(migrate) = &migrate.0 {
            let finished = crate::migrate::is_finished(migrate);
            let rows = migrate.status.as_ref().map(|status| status.target_cluster_status.as_slice());
            users.extend(of_object(migrate, finished, rows.unwrap_or_default(), is_here));
        }
    }
    users
}

fn of_object<K: HubKind>(
    object: &K,
    finished: bool,
    rows: &[RestoreDetails],
    is_here: impl Fn(&RestoreDetails) -> bool,
) -> Vec<User> {
    if object.meta().deletion_timestamp.is_some() {
        return Vec::new();
    }
    let user = |row: &RestoreDetails| {
        Some(User {
            owner: object.uid().unwrap_or_default(),
            location: row.source_location.clone()?,
            backup: row.backup_name_in_cluster.clone(),
            finished,
        })
    };
    rows.iter().filter(|row| is_here(row)).filter_map(user).collect()
}

/// Whether somebody other than `owner` needs this copy, which expires then.
pub(super) fn need_copy(users: &[User], owner: &str, location: &str, backup: &str, expired: bool) -> bool {
    users.iter().any(|user| {
        user.owner != owner
            && user.location == location
            && user.backup.as_deref() == Some(backup)
            && !(user.finished && expired)
    })
}

/// Whether somebody other than `owner` is going to make a copy in this location.
pub(super) fn need_location(users: &[User], owner: &str, location: &str) -> bool {
    users.iter().any(|user| user.owner != owner && user.location == location && !user.finished)
}

/// Whether a Backup is past its time; one without a time never is.
pub(super) fn is_expired(expiration: Option<Timestamp>, now: Timestamp) -> bool {
    expiration.is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
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
        let need = |user, expired| need_copy(&[user], "me", "kurator-ro-1", "b", expired);
        assert!(need(user("other", Some("b"), false), false));
        assert!(need(user("other", Some("b"), true), false));
        assert!(need(user("other", Some("b"), false), true), "a running restore reads it to its end");
        assert!(!need(user("other", Some("b"), true), true));
        assert!(!need(user("other", Some("c"), false), false));
        assert!(!need(user("me", Some("b"), false), false));
    }

    #[test]
    fn every_cluster_object_that_leads_to_the_cluster_counts() {
        let rows = ["m1", "alias", "m2"].map(|name| {
            let location = "kurator-ro-1";
            let row =
                json!({"clusterKind": "AttachedCluster", "clusterName": name, "sourceLocation": location});
            serde_json::from_value::<RestoreDetails>(row).unwrap()
        });
        let restore = json!({"metadata": {"name": "r", "uid": "other"}, "spec": {"backupName": "b"}});
        let mut restore: Restore = serde_json::from_value(restore).unwrap();
        let is_here = |row: &RestoreDetails| row.cluster_name != "m2";
        let users = of_object(&restore, false, &rows, is_here);
        assert_eq!(users, vec![user("other", None, false); 2]);
        restore.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap());
        assert_eq!(of_object(&restore, false, &rows, is_here), []);
    }

    #[test]
    fn a_location_is_needed_by_any_other_that_is_not_over() {
        let need = |user| need_location(&[user], "me", "kurator-ro-1");
        assert!(need(user("other", None, false)));
        assert!(!need(user("other", Some("b"), true)), "its copy keeps the location as long as it is there");
        assert!(!need(user("me", None, false)));
    }
}
