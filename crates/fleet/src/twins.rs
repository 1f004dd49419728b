//! Which Fleet has each cluster that the hub serves, whatever its cluster objects are called: one cluster has one engine.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use kurator_api::cluster::ClusterKey;

/// What the Fleets of this process have taken, by the cluster's UID.
#[derive(Default)]
pub(crate) struct Twins(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    taken: HashMap<String, Taken>,
    /// Who came too late, and for which cluster.
    late: HashMap<ClusterKey, String>,
}

struct Taken {
    /// UID of the Fleet.
    fleet: String,
    /// Its objects that lead there.
    keys: BTreeSet<ClusterKey>,
}

impl Twins {
    /// Takes the cluster with this `uid` for a Fleet, which knows it as `key`; or tells as what another Fleet has it.
    pub(crate) fn take(&self, uid: &str, fleet: &str, key: &ClusterKey) -> Result<(), ClusterKey> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { taken, late } = &mut *inner;
        let mine = || Taken { fleet: fleet.to_owned(), keys: BTreeSet::new() };
        let found = taken.entry(uid.to_owned()).or_insert_with(mine);
        if found.fleet != fleet
            && let Some(holder) = found.keys.first()
        {
            late.insert(key.clone(), uid.to_owned());
            return Err(holder.clone());
        }
        fleet.clone_into(&mut found.fleet);
        found.keys.insert(key.clone());
        late.remove(key);
        Ok(())
    }

    /// A Fleet has these clusters and no others. Who came too late for one of the others may take it now.
    pub(crate) fn keep_only(&self, fleet: &str, clusters: &[ClusterKey]) -> Vec<ClusterKey> {
        let kept: BTreeSet<_> = clusters.iter().collect();
        self.leave(|held, key| held == fleet && !kept.contains(key))
    }

    /// A cluster object leads nowhere any more.
    pub(crate) fn forget(&self, key: &ClusterKey) -> Vec<ClusterKey> {
        self.leave(|_, held| held == key)
    }

    fn leave(&self, leaves: impl Fn(&str, &ClusterKey) -> bool) -> Vec<ClusterKey> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { taken, late } = &mut *inner;
        taken.retain(|_, Taken { fleet, keys }| {
            keys.retain(|key| !leaves(fleet, key));
            !keys.is_empty()
        });
        late.extract_if(|_, uid| !taken.contains_key(uid)).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::cluster::ClusterKind;

    fn key(name: &str) -> ClusterKey {
        ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: name.into() }
    }

    #[test]
    fn the_first_fleet_has_a_cluster_until_it_leaves_and_who_waits_for_it_is_named() {
        let twins = Twins::default();
        assert_eq!(twins.take("uid", "first", &key("a")), Ok(()));
        assert_eq!(twins.take("uid", "second", &key("b")), Err(key("a")));
        assert_eq!(twins.take("uid", "first", &key("a")), Ok(()));
        assert_eq!(twins.keep_only("first", &[key("a")]), []);
        assert_eq!(twins.take("uid", "second", &key("b")), Err(key("a")));
        assert_eq!(twins.keep_only("first", &[]), [key("b")]);
        assert_eq!(twins.take("uid", "second", &key("b")), Ok(()));
        assert_eq!(twins.take("uid", "first", &key("a")), Err(key("b")));
        assert_eq!(twins.forget(&key("b")), [key("a")]);
    }

    #[test]
    fn which_of_its_own_objects_stands_for_a_cluster_is_the_fleets_affair() {
        let twins = Twins::default();
        assert_eq!(twins.take("uid", "fleet", &key("a")), Ok(()));
        assert_eq!(twins.take("uid", "fleet", &key("b")), Ok(()));
        assert_eq!(twins.keep_only("fleet", &[key("b")]), []);
        assert_eq!(twins.take("uid", "other", &key("c")), Err(key("b")));
    }
}
