//! The stores of Fleets as they were read a moment ago, for looks at the locations of thousands of members: each would
//! read the same Secret once more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kurator_api::fleet::Fleet;
use tokio::time::Instant;

use super::store::Store;
use crate::hub::Guarded;

/// How old what is kept may be, where the watch of the Secrets is broken and does not tell.
const OLDEST: Duration = Duration::from_secs(10);

/// What was read, by the UID of the Fleet.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Stores>);

#[derive(Default)]
struct Stores {
    kept: HashMap<String, Kept>,
    /// How often a key has changed.
    changes: u64,
}

struct Kept {
    /// The version of the Fleet that it was read for.
    fleet: Weak<Guarded<Fleet>>,
    at: Instant,
    store: Arc<Store>,
}

/// Before something is read: what is told to have changed meanwhile is not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun(u64);

impl Recent {
    /// The store of this version of a Fleet.
    pub(super) fn get(&self, fleet: &Arc<Guarded<Fleet>>) -> Option<Arc<Store>> {
        let stores = self.stores();
        let kept = stores.kept.get(uid(fleet)?)?;
        let is_good = kept.fleet.ptr_eq(&Arc::downgrade(fleet)) && kept.at.elapsed() < OLDEST;
        is_good.then(|| Arc::clone(&kept.store))
    }

    pub(super) fn begin(&self) -> Begun {
        Begun(self.stores().changes)
    }

    pub(super) fn keep(&self, begun: Begun, fleet: &Arc<Guarded<Fleet>>, store: &Arc<Store>) {
        let mut stores = self.stores();
        let Some(uid) = uid(fleet).filter(|_| stores.changes == begun.0) else { return };
        stores.kept.retain(|_, kept| kept.fleet.strong_count() > 0);
        let kept = Kept { fleet: Arc::downgrade(fleet), at: Instant::now(), store: Arc::clone(store) };
        stores.kept.insert(uid.to_owned(), kept);
    }

    /// The key of a store has changed.
    pub(crate) fn forget(&self) {
        let mut stores = self.stores();
        stores.changes = stores.changes.wrapping_add(1);
        stores.kept.clear();
    }

    fn stores(&self) -> MutexGuard<'_, Stores> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn uid(fleet: &Arc<Guarded<Fleet>>) -> Option<&str> {
    fleet.0.as_ref().ok()?.metadata.uid.as_deref()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fleet() -> Arc<Guarded<Fleet>> {
        let metadata = json!({"name": "f", "namespace": "default", "uid": "1"});
        Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap())
    }

    fn store() -> Arc<Store> {
        let location =
            json!({"bucket": "b", "provider": "aws", "endpoint": "http://s3.example", "region": "r"});
        let storage = json!({"location": location, "secretName": "keys"});
        let spec = json!({"clusters": [], "plugin": {"backup": {"storage": storage}}});
        Arc::new(Store::of_test(json!({"metadata": {"name": "f", "uid": "1"}, "spec": spec})))
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_is_kept_for_one_version_of_its_fleet_and_ten_seconds() {
        let (recent, this, other) = (Recent::default(), fleet(), fleet());
        assert!(recent.get(&this).is_none());
        recent.keep(recent.begin(), &this, &store());
        assert!(recent.get(&this).is_some());
        assert!(recent.get(&other).is_none());
        tokio::time::advance(OLDEST).await;
        assert!(recent.get(&this).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_changes_is_read_again_also_if_it_does_while_it_is_read() {
        let (recent, fleet) = (Recent::default(), fleet());
        recent.keep(recent.begin(), &fleet, &store());
        let begun = recent.begin();
        recent.forget();
        assert!(recent.get(&fleet).is_none());
        recent.keep(begun, &fleet, &store());
        assert!(recent.get(&fleet).is_none());
        recent.keep(recent.begin(), &fleet, &store());
        assert!(recent.get(&fleet).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_fleet_that_is_gone_nothing_is_kept() {
        let (recent, gone) = (Recent::default(), fleet());
        recent.keep(recent.begin(), &gone, &store());
        drop(gone);
        let metadata = json!({"name": "g", "uid": "2"});
        let another = Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap());
        recent.keep(recent.begin(), &another, &store());
        assert_eq!(recent.stores().kept.len(), 1);
    }
}
