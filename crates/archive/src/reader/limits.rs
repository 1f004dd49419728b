//! How much an archive may ask of its reader.

/// Absolute bounds on an archive. The defaults fit a cluster of a million objects and stop what nobody's cluster
/// holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of the tarball: files, folders and extended attributes. Default 4 million, of which Velero needs two
    /// for each object. The reader keeps 8 bytes of memory for each object.
    pub entries: u64,
    /// Bytes of one object that are held in memory; the content of longer ones is passed over. Default 4 MiB: an API
    /// server takes requests of 3 MiB, and may have added to what it stored.
    pub item: u64,
    /// Bytes of the whole tarball before compression. Default 16 GiB, as Velero's main branch.
    pub inflated: u64,
    /// How many times larger the tarball may be than what is stored, beyond the first MiB. Default 1,000: objects that
    /// are alike compress that well.
    pub ratio: u64,
    /// Kinds of objects. Default 10,000.
    pub resources: u64,
    /// Namespaces. Default 100,000.
    pub namespaces: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 4_000_000,
            item: 4 << 20,
            inflated: 16 << 30,
            ratio: 1_000,
            resources: 10_000,
            namespaces: 100_000,
        }
    }
}
