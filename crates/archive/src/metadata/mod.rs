//! The files beside the tarball.
//!
//! Keys, their order and their spelling are Velero's, with capitals where Go found no name. Fields that are not known
//! here are passed over. A file that is missing, empty or `null` reads as one without content, as it does for Velero.

pub mod operations;
pub mod resource_list;
pub mod results;
mod shape;
#[cfg(test)]
mod tests;
pub mod volumes;

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::chains::DiskError;

/// The most bytes of a file that are read, before compression, unless the caller knows better.
pub const MOST: u64 = 32 << 20;

/// Objects that pass through as they are: PodVolumeBackups, snapshots of volume plugins.
pub type RawObjects = Vec<Box<RawValue>>;

/// Reads a gzipped JSON file, in one or several gzip members, of at most `most` bytes before compression. `file` is
/// its key, for messages; a `source` of `None` is a file that is missing.
///
/// Memory: what the content takes as `T`.
///
/// # Errors
/// [`MetadataError::Unreadable`], [`MetadataError::TooLarge`]
pub fn read<T: DeserializeOwned + Default>(
    file: &str,
    source: Option<impl Read>,
    most: u64,
) -> Result<T, MetadataError> {
    let Some(source) = source else { return Ok(T::default()) };
    let mut source = BufReader::new(source);
    let unreadable = |source| MetadataError::Unreadable { file: file.to_owned(), source };
    if source.fill_buf().map_err(unreadable)?.is_empty() {
        return Ok(T::default());
    }
    let mut content = BufReader::new(MultiGzDecoder::new(source).take(most.saturating_add(1)));
    let parsed = parse(&mut content);
    if content.get_ref().limit() == 0 {
        return Err(MetadataError::TooLarge { file: file.to_owned(), most });
    }
    parsed.map_err(|error| unreadable(error.into()))
}

/// One value and nothing after it. To have seen the end is to have checked what gzip says of it.
fn parse<T: DeserializeOwned + Default>(content: &mut impl BufRead) -> serde_json::Result<T> {
    if content.fill_buf().map_err(serde_json::Error::io)?.is_empty() {
        return Ok(T::default());
    }
    let mut json = serde_json::Deserializer::from_reader(content);
    let value = Option::<T>::deserialize(&mut json)?;
    json.end()?;
    Ok(value.unwrap_or_default())
}

/// Writes a gzipped JSON file, the same bytes for the same value, and returns the sink.
///
/// # Errors
/// [`MetadataError::Sink`] with the sink's own error.
pub fn write<W: Write>(value: &impl Serialize, sink: W) -> Result<W, MetadataError> {
    let mut gzip = GzEncoder::new(sink, Compression::default());
    let written = serde_json::to_writer(&mut gzip, value).map_err(io::Error::from);
    let written = written.and_then(|()| gzip.write_all(b"\n")).and_then(|()| gzip.finish());
    written.map_err(MetadataError::Sink)
}

/// Writes a gzipped JSON file with a list, as [`write`] would, one element after the other, and returns the sink.
///
/// # Errors
/// [`MetadataError::Sink`] with the sink's own error, [`MetadataError::Disk`] with that of the elements.
pub fn write_each<T: Serialize, W: Write>(
    values: impl IntoIterator<Item = Result<T, DiskError>>,
    sink: W,
) -> Result<W, MetadataError> {
    let mut gzip = GzEncoder::new(sink, Compression::default());
    let mut before = "[";
    for value in values {
        let value = value?;
        let written = gzip.write_all(before.as_bytes());
        written
            .and_then(|()| serde_json::to_writer(&mut gzip, &value).map_err(io::Error::from))
            .map_err(MetadataError::Sink)?;
        before = ",";
    }
    let end = if before == "[" { "[]\n" } else { "]\n" };
    gzip.write_all(end.as_bytes()).and_then(|()| gzip.finish()).map_err(MetadataError::Sink)
}

/// Why a file beside the tarball cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Not gzip, not JSON, or of another shape.
    #[error("`{file}` is no gzipped JSON as Velero writes it; remove the file, which then counts as empty")]
    Unreadable {
        /// Its key.
        file: String,
        /// What the parser says.
        #[source]
        source: io::Error,
    },
    /// More content than anybody's cluster gives.
    #[error("`{file}` has more than {most} bytes of content, the most that is read; use another backup")]
    TooLarge {
        /// Its key.
        file: String,
        /// The limit.
        most: u64,
    },
    /// More entries than anybody's cluster gives.
    #[error("`{file}` has more than {most} entries, the most that is read; use another backup")]
    TooMany {
        /// Its key.
        file: String,
        /// The limit.
        most: u64,
    },
    /// The sink's own error.
    #[error("cannot write a file of the backup")]
    Sink(#[source] io::Error),
    /// The disk cannot take what does not fit memory, or give it back.
    #[error(transparent)]
    Disk(#[from] DiskError),
}
