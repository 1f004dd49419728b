//! How far a run is.

/// Objects of a run, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many there are.
    pub total: u64,
    /// How many are done.
    pub done: u64,
}
