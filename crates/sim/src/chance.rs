//! Decisions that follow from a seed alone, whatever else happens meanwhile.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Where all that is accidental in a run comes from.
///
/// A decision depends on the seed and on what it is about, never on how many were made before: what one task does
/// shifts nothing for another.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    seed: u64,
}

impl Chance {
    /// All decisions of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// A number of 64 evenly distributed bits about `what`.
    #[must_use]
    pub fn number(self, what: impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, what).hash(&mut hasher);
        hasher.finish()
    }

    /// A number below `end`, which is not zero.
    #[must_use]
    pub fn below(self, end: u64, what: impl Hash) -> u64 {
        self.number(what) % end.max(1)
    }

    /// True so many times in a thousand.
    #[must_use]
    pub fn per_mille(self, times: u64, what: impl Hash) -> bool {
        self.below(1000, what) < times
    }
}
