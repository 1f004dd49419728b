//! What objects that were taken bring in, as far as it has not been looked for: on the disk, in the order of its coming.

use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use kurator_archive::{DiskError, Queue};

use crate::backup::related::Reference;

/// What separates the parts of a record; no name has it.
const END: char = '\0';
/// So many of the last references are not written once more: of a thousand pods most name the same class.
const RECENT: usize = 1024;

/// References that wait. Some of them come several times.
#[derive(Debug)]
pub(super) struct Wanted {
    queue: Queue,
    keys: RandomState,
    /// Hashes of the last ones.
    recent: Vec<u64>,
}

/// A reference as it comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Want {
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Wanted {
    pub(super) fn new(folder: &Path) -> Self {
        Self { queue: Queue::new(folder), keys: RandomState::new(), recent: vec![0; RECENT] }
    }

    /// # Errors
    /// [`DiskError`]
    pub(super) fn push(&mut self, reference: &Reference) -> Result<(), DiskError> {
        let print = self.keys.hash_one(reference);
        let place = usize::try_from(print % RECENT as u64).unwrap_or_default();
        if std::mem::replace(&mut self.recent[place], print) == print {
            return Ok(());
        }
        let Reference { group, resource, namespace, name } = reference;
        let namespace = namespace.as_deref().unwrap_or_default();
        self.queue.push(format!("{group}{END}{resource}{END}{namespace}{END}{name}").as_bytes())
    }

    /// # Errors
    /// [`DiskError`]
    pub(super) fn pop(&mut self) -> Result<Option<Want>, DiskError> {
        let Some(record) = self.queue.pop()? else { return Ok(None) };
        let record = String::from_utf8_lossy(&record);
        let mut parts = record.splitn(4, END).map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        let (group, resource, namespace, name) = (part(), part(), part(), part());
        Ok(Some(Want { group, resource, namespace: Some(namespace).filter(|one| !one.is_empty()), name }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(namespace: Option<&str>, name: &str) -> Reference {
        let namespace = namespace.map(str::to_owned);
        Reference { group: "a.b", resource: "cs", namespace, name: name.to_owned() }
    }

    #[test]
    fn what_is_wanted_comes_back_in_its_order_and_what_was_just_wanted_once() {
        let mut wanted = Wanted::new(&std::env::temp_dir());
        for (namespace, name) in [(Some("n"), "x"), (None, "y:z"), (None, "y:z")] {
            wanted.push(&reference(namespace, name)).unwrap();
        }
        let want = |namespace: Option<&str>, name: &str| Want {
            group: "a.b".to_owned(),
            resource: "cs".to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        assert_eq!(wanted.pop().unwrap(), Some(want(Some("n"), "x")));
        assert_eq!(wanted.pop().unwrap(), Some(want(None, "y:z")));
        assert_eq!(wanted.pop().unwrap(), None);
    }
}
