//! What is known of a thing in a member cluster.

use jiff::Timestamp;

/// A thing in a member: seen, seen to be missing, or not known at the moment.
///
/// The three are kept apart because they allow different things: creation is planned only on `Absent`, and
/// `Unknown` blocks the member that it was said of and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge<T> {
    /// Nobody can say: no complete list yet, the watch is broken, or the member is not alive.
    Unknown {
        /// When knowledge ended (UTC).
        since: Timestamp,
        /// One sentence for a status, without credentials.
        why: String,
    },
    /// A complete list, kept up by a watch, does not contain it.
    Absent,
    /// The newest version seen.
    Present(T),
}

impl<T> Knowledge<T> {
    /// The thing, if it is known to exist.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(thing) => Some(thing),
            Self::Absent | Self::Unknown { .. } => None,
        }
    }

    /// Known not to exist. Not the opposite of "present".
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Neither seen nor seen to be missing.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }

    /// Says the same of `f(thing)`.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Knowledge<U> {
        match self {
            Self::Present(thing) => Knowledge::Present(f(thing)),
            Self::Absent => Knowledge::Absent,
            Self::Unknown { since, why } => Knowledge::Unknown { since, why },
        }
    }
}
