//! Why an archive cannot be read.

use std::io;

pub use crate::tar::header::HeaderProblem;

/// Why an archive cannot be read. After any of them nothing more is read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source's own error.
    #[error("cannot read the archive")]
    Source(#[source] io::Error),
    /// The source ends too soon.
    #[error(
        "the archive ends in the middle, after {inflated} bytes of its content; it was not stored completely, \
         restore from another backup"
    )]
    Truncated {
        /// Bytes of the tarball that were there.
        inflated: u64,
    },
    /// The source is not what a gzip reader takes, or something follows it.
    #[error(
        "the archive is no gzip, or damaged, after {inflated} bytes of its content; restore from another backup"
    )]
    Gzip {
        /// Bytes of the tarball that could be read.
        inflated: u64,
        /// What the decompressor says.
        #[source]
        source: io::Error,
    },
    /// A block between two files that is no header of one.
    #[error(
        "the tar header after `{after}` cannot be read: {problem}; the archive is damaged or forged, restore from \
         another backup"
    )]
    Header {
        /// The entry before it, empty at the beginning.
        after: String,
        /// What is wrong.
        problem: HeaderProblem,
    },
    /// An entry that no backup has.
    #[error("entry `{entry}` of the archive {problem}; it is damaged or forged, restore from another backup")]
    Entry {
        /// Its path, escaped and cut.
        entry: String,
        /// What is wrong.
        problem: EntryProblem,
    },
    /// More than anybody's cluster holds.
    #[error(
        "the archive has more than {most} {what} at `{entry}`, the most that is read; restore from another backup, \
         or leave less in it"
    )]
    Limit {
        /// What is counted.
        what: Limit,
        /// The limit.
        most: u64,
        /// The entry that went over it, escaped and cut.
        entry: String,
    },
    /// No `metadata/version`.
    #[error("the archive has no `metadata/version`, so it is no backup; restore from another one")]
    VersionMissing,
    /// A `metadata/version` that is no version.
    #[error("`metadata/version` of the archive says `{0}`, which is no version; restore from another backup")]
    VersionUnreadable(String),
    /// A `metadata/version` of a time to come.
    #[error("the archive is of format {0}; this release reads up to 1.1, use a newer one")]
    VersionTooNew(String),
    /// Content after the end of the tarball.
    #[error("something follows the end of the archive; it is damaged or forged, restore from another backup")]
    Trailing,
    /// The call before has failed.
    #[error("the archive cannot be read on after an error; begin again")]
    Ended,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    /// It begins with a slash.
    #[error("has an absolute path")]
    Absolute,
    /// A `..` in it.
    #[error("climbs with `..`")]
    Climbs,
    /// Not the one way to write the path.
    #[error("has an empty part or a `.` in its path")]
    Unclean,
    /// What climbs, or is absolute, where backslashes separate folders.
    #[error("walks with backslashes")]
    Backslash,
    /// NUL or another control character.
    #[error("has a control character in its path")]
    Control,
    /// Not UTF-8.
    #[error("has a path that is not UTF-8")]
    NotUtf8,
    /// A hard or symbolic link.
    #[error("is a link")]
    Link,
    /// A device or a pipe.
    #[error("is a device")]
    Device,
    /// A kind of entry that backups do not have, by its flag.
    #[error("is of kind `{}`, which no backup has", .0.escape_ascii())]
    Kind(u8),
    /// A folder with content.
    #[error("is a folder with content")]
    FolderWithContent,
    /// A file with a slash at its end.
    #[error("is a file with the path of a folder")]
    FileAsFolder,
    /// The same object, or version, once more.
    #[error("comes twice")]
    Twice,
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// [`Limits::entries`](super::Limits::entries).
    #[error("entries")]
    Entries,
    /// [`Limits::inflated`](super::Limits::inflated).
    #[error("bytes")]
    Inflated,
    /// [`Limits::ratio`](super::Limits::ratio).
    #[error("bytes for each that is stored")]
    Ratio,
    /// [`Limits::resources`](super::Limits::resources).
    #[error("kinds of objects")]
    Resources,
    /// [`Limits::namespaces`](super::Limits::namespaces).
    #[error("namespaces")]
    Namespaces,
}
