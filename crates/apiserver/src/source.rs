//! Where time and identity come from: handed in, so that a run can be replayed.

use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

/// The time of day, for creation and deletion times.
pub trait Clock: Send + Sync {
    /// The current time, UTC.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// Numbers that nobody else has: UIDs and generated names are made of them.
pub trait Numbers: Send + Sync {
    /// The next number, of 64 evenly distributed bits.
    fn next(&self) -> u64;
}

/// Numbers that follow from a seed (SplitMix64): the same seed gives the same UIDs and names.
#[derive(Debug)]
pub struct Seeded(AtomicU64);

impl Seeded {
    /// Numbers of this seed, from the first on.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Numbers for Seeded {
    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A random UUID (version 4), as objects carry.
pub(crate) fn uid(numbers: &dyn Numbers) -> String {
    let (high, low) = (numbers.next(), numbers.next());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        0x8000 | (low >> 48) & 0x3fff,
        low & 0xffff_ffff_ffff
    )
}

/// The five characters that end a generated name: neither vowels nor what looks like one another, as Kubernetes.
pub(crate) fn suffix(numbers: &dyn Numbers) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut number = numbers.next();
    let mut letter = || {
        let index = number % LETTERS.len() as u64;
        number /= LETTERS.len() as u64;
        char::from(LETTERS[usize::try_from(index).unwrap_or_default()])
    };
    (0..5).map(|_| letter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_uids() {
        assert_eq!(uid(&Seeded::new(7)), uid(&Seeded::new(7)));
        assert_ne!(uid(&Seeded::new(7)), uid(&Seeded::new(8)));
    }

    #[test]
    fn a_uid_is_a_version_4_uuid() {
        let uid = uid(&Seeded::new(1));
        let parts: Vec<usize> = uid.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&uid[14..15], "4");
        assert!("89ab".contains(&uid[19..20]), "{uid}");
    }

    #[test]
    fn a_suffix_has_five_letters() {
        assert_eq!(suffix(&Seeded::new(1)).len(), 5);
    }
}
