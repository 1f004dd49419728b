//! Writes a backup's tarball.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use crate::compress::Compressor;
use crate::item::ItemPath;
use crate::tar::header::{Header, LONGEST_NAME};
use crate::tar::{BLOCK, padding, pax};

/// The version of the format that [`ArchiveWriter`] writes, for `status.formatVersion` of the Backup too.
///
/// 1.1 promises each object once more below its version, and a Velero with the feature `EnableAPIGroupVersions` would
/// look for it only there; of 1.0 it reads what every Velero reads.
pub const FORMAT_VERSION: &str = "1.0.0";

/// The path of the file with the version.
pub(crate) const VERSION_PATH: &str = "metadata/version";

/// How much of the tar stream goes into one gzip member, in bytes. Less would cost ratio, more memory.
const MEMBER: usize = 1 << 20;

/// Writes objects into a tarball, compressed on threads of its own.
///
/// Memory: about 1.3 MiB per thread and 3 MiB more, however many objects there are. The same objects in the same
/// order give the same bytes for any number of threads. The threads end with the writer, also when it is dropped
/// half-way; what the sink has got until then is no archive.
///
/// That no object comes twice is the caller's to see to.
pub struct ArchiveWriter<W> {
    out: Compressor<W>,
    /// Seconds since 1970.
    mtime: u64,
    written: Written,
    failed: bool,
}

/// What an archive holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Objects.
    pub items: u64,
    /// Bytes before compression, with what the tar format adds.
    pub inflated: u64,
    /// Bytes that the sink got.
    pub stored: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins an archive whose files are of `mtime`, in seconds since 1970.
    ///
    /// # Errors
    /// [`WriteError::Thread`] if the threads cannot be started.
    pub fn new(sink: W, threads: NonZeroUsize, mtime: u64) -> Result<Self, WriteError> {
        Self::with_member_size(sink, threads, mtime, MEMBER)
    }

    pub(crate) fn with_member_size(
        sink: W,
        threads: NonZeroUsize,
        mtime: u64,
        member: usize,
    ) -> Result<Self, WriteError> {
        let out = Compressor::start(sink, threads, member)?;
        let mut writer = Self { out, mtime, written: Written::default(), failed: false };
        writer.file(VERSION_PATH, format!("{FORMAT_VERSION}\n").as_bytes())?;
        Ok(writer)
    }

    /// Adds an object; `json` is stored as it is. Blocks while all threads are busy or the sink is.
    ///
    /// # Errors
    /// [`WriteError::Sink`] with the sink's own error, which may concern an earlier object; after it nothing works.
    pub fn item(&mut self, path: &ItemPath, json: &[u8]) -> Result<(), WriteError> {
        self.file(&path.to_string(), json)?;
        self.written.items += 1;
        Ok(())
    }

    /// Ends the archive and returns the sink, flushed.
    ///
    /// # Errors
    /// [`WriteError::Sink`] with the sink's own error.
    pub fn finish(mut self) -> Result<(W, Written), WriteError> {
        // Two blocks of zeros are the end of a tarball.
        self.push(&[0; 2 * BLOCK])?;
        let (sink, stored) = self.out.finish()?;
        Ok((sink, Written { stored, ..self.written }))
    }

    fn file(&mut self, path: &str, content: &[u8]) -> Result<(), WriteError> {
        if path.len() > LONGEST_NAME || !path.is_ascii() {
            let record = pax::path_record(path);
            self.entry(b'x', b"PaxHeaders.0/name", record.as_bytes())?;
        }
        self.entry(b'0', path.as_bytes(), content)
    }

    fn entry(&mut self, kind: u8, name: &[u8], content: &[u8]) -> Result<(), WriteError> {
        let size = content.len() as u64;
        self.push(&Header::write(kind, name, size, self.mtime))?;
        self.push(content)?;
        self.push(&[0; BLOCK][..padding(size)])
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        if self.failed {
            return Err(WriteError::Ended);
        }
        self.failed = true;
        self.out.write(bytes)?;
        self.failed = false;
        self.written.inflated += bytes.len() as u64;
        Ok(())
    }
}

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sink's own error.
    #[error("cannot write the archive")]
    Sink(#[source] io::Error),
    /// The machine gives no threads, or one died.
    #[error("cannot compress the archive")]
    Thread(#[source] io::Error),
    /// The call before has failed.
    #[error("the archive cannot go on after an error; begin a new one")]
    Ended,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;
    use crate::item::GroupResource;
    use crate::reader::{Limits, Reader};

    fn pod(name: &str) -> ItemPath {
        let pods: GroupResource = "pods".parse().unwrap();
        ItemPath::new(pods, Some("a"), name).unwrap()
    }

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn archive(items: &[(String, Vec<u8>)], count: usize, member: usize) -> Vec<u8> {
        let mut writer =
            ArchiveWriter::with_member_size(Vec::new(), threads(count), 1_700_000_000, member).unwrap();
        for (name, json) in items {
            writer.item(&pod(name), json).unwrap();
        }
        let (archive, written) = writer.finish().unwrap();
        assert_eq!((written.items, written.stored), (items.len() as u64, archive.len() as u64));
        archive
    }

    fn some_items(count: usize) -> Vec<(String, Vec<u8>)> {
        let json = |i: usize| format!("{{\"i\":{}}}", "7".repeat(i % 500)).into_bytes();
        (0..count).map(|i| (format!("p{i}"), json(i))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_written_is_read_the_same(
            contents in proptest::collection::btree_map(
                "[a-z:.\u{e9}]{1,3}[a-z]{1,200}",
                proptest::collection::vec(any::<u8>(), 0..1200),
                0..20,
            ),
            count in 1..4_usize,
            member in 200..5000_usize,
        ) {
            let items: Vec<_> = contents.into_iter().collect();
            let archive = archive(&items, count, member);
            let mut reader = Reader::new(&archive[..], Limits::default());
            for (name, json) in &items {
                let item = reader.next_item().unwrap().unwrap();
                prop_assert_eq!(item.path, pod(name));
                prop_assert_eq!(item.json, json);
            }
            prop_assert_eq!(reader.next_item().unwrap(), None);
        }
    }

    #[test]
    fn the_tar_library_reads_files_as_velero_writes_them() {
        let long = "n".repeat(200);
        let archive =
            archive(&[("p".to_owned(), b"{}".to_vec()), (long.clone(), b"{\"a\":1}".to_vec())], 2, 700);
        let mut tar = ::tar::Archive::new(flate2::read::MultiGzDecoder::new(&archive[..]));
        let found: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                io::Read::read_to_string(&mut entry, &mut content).unwrap();
                let header = entry.header();
                assert_eq!((header.mode().unwrap(), header.mtime().unwrap()), (0o755, 1_700_000_000));
                assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
                assert!(header.entry_type().is_file());
                (String::from_utf8(entry.path_bytes().into_owned()).unwrap(), content)
            })
            .collect();
        let expected = [
            ("metadata/version".to_owned(), "1.0.0\n".to_owned()),
            ("resources/pods/namespaces/a/p.json".to_owned(), "{}".to_owned()),
            (format!("resources/pods/namespaces/a/{long}.json"), "{\"a\":1}".to_owned()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_threads() {
        let items = some_items(300);
        let one = archive(&items, 1, 4096);
        assert_eq!(one, archive(&items, 1, 4096));
        assert_eq!(one, archive(&items, 5, 4096));
    }

    /// Fails after some bytes, as a store that is full.
    struct Full {
        room: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.room = self.room.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_sink_that_fails_ends_the_writer_with_its_error() {
        for room in [0, 100, 3000] {
            let mut writer = ArchiveWriter::with_member_size(Full { room }, threads(3), 0, 2000).unwrap();
            let json = [b'x'; 500];
            let failed = (0..10_000).find_map(|i| writer.item(&pod(&format!("p{i}")), &json).err());
            let Some(WriteError::Sink(error)) = failed else { panic!("{failed:?}") };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            let after = writer.item(&pod("q"), b"").unwrap_err();
            assert_eq!(after.to_string(), "the archive cannot go on after an error; begin a new one");
            assert!(matches!(writer.finish(), Err(WriteError::Ended)));
        }
    }

    #[test]
    fn a_sink_that_fails_at_the_end_fails_the_archive() {
        let writer = ArchiveWriter::new(Full { room: 10 }, threads(1), 0).unwrap();
        assert!(matches!(writer.finish(), Err(WriteError::Sink(_))));
    }

    #[test]
    fn the_sink_is_let_go_of_when_the_writer_is_dropped_half_way() {
        struct Counted(Arc<AtomicU64>);
        impl Write for Counted {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let stored = Arc::new(AtomicU64::new(0));
        let sink = Counted(Arc::clone(&stored));
        let mut writer = ArchiveWriter::with_member_size(sink, threads(3), 0, 1000).unwrap();
        for (name, json) in some_items(100) {
            writer.item(&pod(&name), &json).unwrap();
        }
        drop(writer);
        assert_eq!(Arc::strong_count(&stored), 1);
    }

    #[test]
    fn what_waits_for_the_threads_is_bounded() {
        let mut out = Compressor::start(Vec::new(), threads(2), 1000).unwrap();
        for _ in 0..100 {
            out.write(&[b'x'; 1000]).unwrap();
            assert!(out.waiting() <= 3, "{}", out.waiting());
        }
    }
}
