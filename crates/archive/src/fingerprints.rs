//! A set of a million fingerprints in nine MiB.

use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::marker::PhantomData;

/// How many lists the fingerprints are spread over; few enough to start with, many enough to keep each short.
const LISTS: usize = 4096;
/// How much a full list grows by. Doubling would waste half of the memory.
const GROWTH: usize = 32;

/// 64-bit fingerprints in short sorted lists: 8 bytes each and little more, and never a large move or copy.
///
/// Two different objects among a million share one with a chance of 1 in 30 million; who makes an archive cannot
/// bring it about, as the key of the hash is new in each process.
#[derive(Clone, Debug)]
pub(crate) struct Fingerprints {
    lists: Vec<Vec<u64>>,
    count: u64,
}

impl Fingerprints {
    pub(crate) fn new() -> Self {
        Self { lists: vec![Vec::new(); LISTS], count: 0 }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn contains(&self, print: u64) -> bool {
        self.lists[list_of(print)].binary_search(&print).is_ok()
    }

    /// Whether it is new.
    pub(crate) fn insert(&mut self, print: u64) -> bool {
        let list = &mut self.lists[list_of(print)];
        let Err(place) = list.binary_search(&print) else { return false };
        if list.len() == list.capacity() {
            list.reserve_exact(GROWTH);
        }
        list.insert(place, print);
        self.count += 1;
        true
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, print: u64) -> bool {
        let list = &mut self.lists[list_of(print)];
        let Ok(place) = list.binary_search(&print) else { return false };
        list.remove(place);
        self.count -= 1;
        true
    }
}

/// What has been seen of `T`, by fingerprint: 9 bytes for each, however long it is.
///
/// As [`Fingerprints`] it may take one thing for another with a chance of 1 in 30 million among a million.
pub struct Seen<T: ?Sized> {
    keys: RandomState,
    prints: Fingerprints,
    of: PhantomData<fn(&T)>,
}

impl<T: Hash + ?Sized> Seen<T> {
    /// Remembers `one`; whether it is new.
    pub fn insert(&mut self, one: &T) -> bool {
        self.prints.insert(self.keys.hash_one(one))
    }

    /// Whether it has been seen.
    pub fn contains(&self, one: &T) -> bool {
        self.prints.contains(self.keys.hash_one(one))
    }

    /// How many have been seen.
    pub fn count(&self) -> u64 {
        self.prints.count()
    }
}

impl<T: ?Sized> Default for Seen<T> {
    fn default() -> Self {
        Self { keys: RandomState::new(), prints: Fingerprints::new(), of: PhantomData }
    }
}

impl<'a, T: Hash + ?Sized> FromIterator<&'a T> for Seen<T> {
    fn from_iter<I: IntoIterator<Item = &'a T>>(all: I) -> Self {
        let mut seen = Self::default();
        for one in all {
            seen.insert(one);
        }
        seen
    }
}

impl<T: ?Sized> Clone for Seen<T> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), prints: self.prints.clone(), of: PhantomData }
    }
}

impl<T: ?Sized> fmt::Debug for Seen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seen({})", self.prints.count())
    }
}

fn list_of(print: u64) -> usize {
    (print % LISTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(steps in proptest::collection::vec((0..3_u8, 0..40_u64), 0..200)) {
            let (mut prints, mut model) = (Fingerprints::new(), HashSet::new());
            for (step, print) in steps {
                // Half of them fall into one list.
                let print = if print % 2 == 0 { print * LISTS as u64 } else { print };
                match step {
                    0 => prop_assert_eq!(prints.insert(print), model.insert(print)),
                    1 => prop_assert_eq!(prints.remove(print), model.remove(&print)),
                    _ => prop_assert_eq!(prints.contains(print), model.contains(&print)),
                }
                prop_assert_eq!(prints.count(), model.len() as u64);
            }
        }
    }

    #[test]
    fn what_was_seen_is_known_by_its_value() {
        let mut seen = Seen::<str>::default();
        assert!(seen.insert("a") && !seen.insert("a") && seen.insert("b"));
        assert!(seen.contains("b") && !seen.contains("c"));
        assert_eq!((seen.count(), seen.clone().contains("a")), (2, true));
    }

    #[test]
    fn a_million_take_less_than_ten_mib() {
        let mut prints = Fingerprints::new();
        for i in 0..1_000_000_u64 {
            // A walk over all residues, as hashes make one.
            prints.insert(i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        let bytes: usize = prints.lists.iter().map(|list| list.capacity() * 8 + size_of::<Vec<u64>>()).sum();
        assert!(bytes < 10 << 20, "{bytes}");
    }
}
