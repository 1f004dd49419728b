//! Objects whose last finalizer of ours is gone, while the cache still shows them with it: there is nothing to do for
//! them, and what a pass over them would start would never end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;

/// By UID, the version that was released. Kept until the cache shows another one, or none.
#[derive(Default)]
pub(crate) struct Released(Mutex<HashMap<String, String>>);

impl Released {
    /// The finalizer of this version was taken off.
    pub(crate) fn add(&self, object: &impl ResourceExt) {
        let version = object.resource_version().unwrap_or_default();
        self.versions().insert(object.uid().unwrap_or_default(), version);
    }

    /// Whether this is the version that was released.
    pub(crate) fn has(&self, object: &impl ResourceExt) -> bool {
        let versions = self.versions();
        let version = object.uid().and_then(|uid| versions.get(&uid));
        version.is_some_and(|version| Some(version) == object.resource_version().as_ref())
    }

    /// The cache has lost the object.
    pub(crate) fn forget(&self, object: &impl ResourceExt) {
        self.versions().remove(&object.uid().unwrap_or_default());
    }

    /// A cache was listed anew: it shows what is there.
    pub(crate) fn clear(&self) {
        self.versions().clear();
    }

    fn versions(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::api::ObjectMeta;
    use kurator_api::fleet::Fleet;

    fn fleet(version: &str) -> Fleet {
        of("uid", version)
    }

    fn of(uid: &str, version: &str) -> Fleet {
        let metadata = ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        };
        Fleet { metadata, ..Fleet::default() }
    }

    #[test]
    fn only_the_version_that_was_released_is() {
        let released = Released::default();
        assert!(!released.has(&fleet("1")));
        released.add(&fleet("1"));
        assert!(released.has(&fleet("1")));
        assert!(!released.has(&fleet("2")));
    }

    #[test]
    fn what_the_cache_has_lost_is_forgotten() {
        let released = Released::default();
        released.add(&fleet("1"));
        released.forget(&fleet("1"));
        assert!(!released.has(&fleet("1")));
    }

    #[test]
    fn of_each_object_the_last_version_that_was_released_is_kept_and_no_other() {
        let released = Released::default();
        for version in ["1", "2", "3"] {
            released.add(&of("a", version));
            released.add(&of("b", version));
        }
        assert_eq!(released.versions().len(), 2);
        released.forget(&of("a", "3"));
        assert_eq!((released.has(&of("a", "3")), released.has(&of("b", "3"))), (false, true));
        released.clear();
        assert!(released.versions().is_empty());
    }
}
