//! A set of a million fingerprints in nine MiB.

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
