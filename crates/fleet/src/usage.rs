//! What the hub's objects still do in a cluster, for whoever wants to clean it up or to leave it.

use std::collections::HashMap;

use kube::{Resource, ResourceExt};
use kurator_api::backup::{Backup, RowPhase};
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::migrate::Migrate;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;

use crate::hub::{Hub, in_namespace};

/// What a row says of a cluster.
struct Part<'a> {
    kind: ClusterKind,
    name: &'a str,
    phase: Option<RowPhase>,
    reason: Option<&'a str>,
}

impl Part<'_> {
    fn key(&self, namespace: &str) -> ClusterKey {
        ClusterKey { namespace: namespace.to_owned(), kind: self.kind, name: self.name.to_owned() }
    }

    /// Runs, or is being started.
    fn is_running(&self) -> bool {
        match self.phase {
            Some(RowPhase::InProgress) => true,
            Some(RowPhase::Pending) => self.reason == Some(Reason::InProgress.as_str()),
            None | Some(_) => false,
        }
    }
}

/// An object that has a part in clusters.
trait Takes: Resource<DynamicType = ()> {
    fn parts(&self) -> Vec<Part<'_>>;
    /// Whether its deletion needs the storage location.
    const DELETION_NEEDS_STORE: bool;
}

macro_rules! part {
    ($row:expr) => {
        Part {
            kind: $row.cluster_kind,
            name: &$row.cluster_name,
            phase: $row.phase,
            reason: $row.reason.as_deref(),
        }
    };
}

impl Takes for Backup {
    const DELETION_NEEDS_STORE: bool = true;

    fn parts(&self) -> Vec<Part<'_>> {
        self.status.iter().flat_map(|status| &status.backup_details).map(|row| part!(row)).collect()
    }
}

impl Takes for Restore {
    const DELETION_NEEDS_STORE: bool = false;

    fn parts(&self) -> Vec<Part<'_>> {
        self.status.iter().flat_map(|status| &status.restore_details).map(|row| part!(row)).collect()
    }
}

impl Takes for Migrate {
    const DELETION_NEEDS_STORE: bool = true;

    fn parts(&self) -> Vec<Part<'_>> {
        let source = self.status.iter().flat_map(|status| &status.source_cluster_status);
        let targets = self.status.iter().flat_map(|status| &status.target_cluster_status);
        source.map(|row| part!(row)).chain(targets.map(|row| part!(row))).collect()
    }
}

fn is_leaving<T: Takes>(object: &T) -> bool {
    let metadata = object.meta();
    metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_some_and(|held| !held.is_empty())
}

/// What still needs the storage location of clusters of this namespace: one sentence per cluster.
pub(crate) fn running(hub: &Hub, namespace: &str) -> HashMap<ClusterKey, String> {
    let mut all = HashMap::new();
    for object in in_namespace(&hub.backups, namespace) {
        object.0.iter().for_each(|object| note(&mut all, namespace, object));
    }
    for object in in_namespace(&hub.restores, namespace) {
        object.0.iter().for_each(|object| note(&mut all, namespace, object));
    }
    for object in in_namespace(&hub.migrates, namespace) {
        object.0.iter().for_each(|object| note(&mut all, namespace, object));
    }
    all
}

fn note<T: Takes>(all: &mut HashMap<ClusterKey, String>, namespace: &str, object: &T) {
    let leaving = T::DELETION_NEEDS_STORE && is_leaving(object);
    let what = if leaving { "is being deleted" } else { "has not ended there" };
    for part in object.parts().into_iter().filter(|part| leaving || part.is_running()) {
        all.entry(part.key(namespace))
            .or_insert_with(|| format!("{} `{}` {what}", T::kind(&()), object.name_any()));
    }
}

/// Whether a cluster whose object is gone must stay connected: something of ours is to be removed from it.
pub(crate) fn is_needed(hub: &Hub, key: &ClusterKey) -> bool {
    let namespace = &key.namespace;
    let by_fleet = || {
        in_namespace(&hub.fleets, namespace).iter().filter_map(|fleet| fleet.0.as_ref().ok()).any(|fleet| {
            let mut rows = fleet.status.iter().flat_map(|status| &status.clusters);
            rows.any(|row| row.kind == key.kind && row.name == key.name && row.backup.is_some())
        })
    };
    by_fleet()
        || in_namespace(&hub.backups, namespace).iter().any(|o| o.0.iter().any(|o| leaves(o, key)))
        || in_namespace(&hub.restores, namespace).iter().any(|o| o.0.iter().any(|o| leaves(o, key)))
        || in_namespace(&hub.migrates, namespace).iter().any(|o| o.0.iter().any(|o| leaves(o, key)))
}

fn leaves<T: Takes>(object: &T, key: &ClusterKey) -> bool {
    is_leaving(object) && object.parts().iter().any(|part| part.key(&key.namespace) == *key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said<T: Takes + serde::de::DeserializeOwned>(
        metadata: &serde_json::Value,
        status: &serde_json::Value,
    ) -> Vec<String> {
        let object: T =
            serde_json::from_value(json!({"metadata": metadata, "spec": spec(), "status": status})).unwrap();
        let mut all = HashMap::new();
        note(&mut all, "default", &object);
        let mut said: Vec<_> = all.into_iter().map(|(key, what)| format!("{}: {what}", key.name)).collect();
        said.sort();
        said
    }

    fn spec() -> serde_json::Value {
        let destination = json!({"fleet": "quickstart"});
        json!({
            "destination": destination, "backupName": "b", "sourceCluster": destination, "targetCluster": destination,
        })
    }

    fn row(name: &str, phase: &str, reason: &str) -> serde_json::Value {
        json!({"clusterKind": "AttachedCluster", "clusterName": name, "phase": phase, "reason": reason})
    }

    #[test]
    fn what_runs_or_is_being_started_holds_its_cluster_and_what_waits_does_not() {
        let rows = json!([
            row("ended", "Completed", "Completed"),
            row("runs", "InProgress", "InProgress"),
            row("starts", "Pending", "InProgress"),
            row("waits", "Pending", "Unreachable"),
        ]);
        let named = json!({"name": "x"});
        let expected = ["Backup `x` has not ended there", "Restore `x` has not ended there"]
            .map(|what| vec![format!("runs: {what}"), format!("starts: {what}")]);
        assert_eq!(said::<Backup>(&named, &json!({"backupDetails": rows})), expected[0]);
        assert_eq!(said::<Restore>(&named, &json!({"restoreDetails": rows})), expected[1]);
        let migrate = json!({
            "sourceClusterStatus": row("ended", "Completed", "Completed"),
            "targetClusterStatus": [row("runs", "InProgress", "InProgress")],
        });
        assert_eq!(said::<Migrate>(&named, &migrate), ["runs: Migrate `x` has not ended there"]);
    }

    #[test]
    fn a_backup_that_is_being_deleted_holds_all_its_clusters_and_a_restore_none() {
        let rows = json!([row("m1", "Completed", "Completed")]);
        let leaving = json!({"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["y"]});
        assert_eq!(
            said::<Backup>(&leaving, &json!({"backupDetails": rows})),
            ["m1: Backup `x` is being deleted"]
        );
        assert!(said::<Restore>(&leaving, &json!({"restoreDetails": rows})).is_empty());
    }
}
