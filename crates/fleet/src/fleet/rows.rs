//! The row of a cluster in a Fleet's status, found without going through all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Fleet, FleetClusterStatus};

use crate::hub::Guarded;

/// Where the rows are, per version of a Fleet that the hub's cache has handed out: what is held of another version is
/// never used.
#[derive(Default)]
pub(crate) struct RowIndex(Mutex<Vec<Version>>);

struct Version {
    fleet: Weak<Guarded<Fleet>>,
    rows: Arc<HashMap<ClusterKey, usize>>,
}

impl RowIndex {
    /// The row of a cluster; none if the Fleet says nothing of it. Of two the first counts.
    pub(crate) fn row<'a>(
        &self,
        fleet: &'a Arc<Guarded<Fleet>>,
        cluster: &ClusterKey,
    ) -> Option<&'a FleetClusterStatus> {
        let status = fleet.0.as_ref().ok()?.status.as_ref()?;
        status.clusters.get(*self.of(fleet).get(cluster)?)
    }

    fn of(&self, fleet: &Arc<Guarded<Fleet>>) -> Arc<HashMap<ClusterKey, usize>> {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let this = Arc::downgrade(fleet);
        if let Some(version) = versions.iter().find(|version| version.fleet.ptr_eq(&this)) {
            return Arc::clone(&version.rows);
        }
        versions.retain(|version| version.fleet.strong_count() > 0);
        let rows = Arc::new(positions(fleet));
        versions.push(Version { fleet: this, rows: Arc::clone(&rows) });
        rows
    }
}

fn positions(fleet: &Guarded<Fleet>) -> HashMap<ClusterKey, usize> {
    let Ok(fleet) = &fleet.0 else { return HashMap::new() };
    let namespace = fleet.metadata.namespace.clone().unwrap_or_default();
    let rows = fleet.status.iter().flat_map(|status| &status.clusters);
    let mut positions = HashMap::new();
    for (at, row) in rows.enumerate() {
        let key = ClusterKey { namespace: namespace.clone(), kind: row.kind, name: row.name.clone() };
        positions.entry(key).or_insert(at);
    }
    positions
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;
    use serde_json::json;

    fn fleet(names: &[&str]) -> Arc<Guarded<Fleet>> {
        let rows: Vec<_> =
            names.iter().map(|name| json!({"name": name, "kind": "AttachedCluster"})).collect();
        let metadata = json!({"name": "f", "namespace": "default"});
        let fleet = json!({"metadata": metadata, "spec": {}, "status": {"clusters": rows}});
        Arc::new(serde_json::from_value(fleet).unwrap())
    }

    fn key(name: &str) -> ClusterKey {
        ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: name.into() }
    }

    #[test]
    fn a_row_is_that_of_the_version_of_the_fleet_that_is_asked() {
        let index = RowIndex::default();
        let has = |fleet: &Arc<Guarded<Fleet>>, name: &str| {
            index.row(fleet, &key(name)).map(|row| row.name.clone())
        };
        let before = fleet(&["m1", "m2"]);
        assert_eq!(has(&before, "m2"), Some("m2".to_owned()));
        let after = fleet(&["m2", "m3"]);
        assert_eq!(has(&after, "m2"), Some("m2".to_owned()));
        assert_eq!(has(&after, "m1"), None);
        assert_eq!(has(&before, "m1"), Some("m1".to_owned()));
    }

    #[test]
    fn nothing_is_held_of_a_fleet_that_is_gone() {
        let index = RowIndex::default();
        for name in ["m1", "m2", "m3"] {
            assert!(index.row(&fleet(&[name]), &key(name)).is_some());
        }
        assert_eq!(index.0.lock().unwrap().len(), 1);
    }
}
