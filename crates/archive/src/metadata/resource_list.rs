//! The names of all objects of a backup or a restore, by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::chains::{Chain, Chains, DiskError};
use crate::metadata::MetadataError;
use crate::sorted::{Merge, RUN, put, runs};

/// A whole list in memory, as [`metadata::read`](super::read) gives one: group, version and kind (`apps/v1/Deployment`)
/// to names, those in a namespace with it before a slash.
pub type ResourceList = BTreeMap<String, Vec<String>>;

/// How much of a kind waits in memory before it goes to the disk, in bytes.
const WAITING: usize = 1 << 10;

/// What a restore did with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Created,
    /// It was there and has changed.
    Updated,
    /// It could not be restored.
    Failed,
    /// It was there and stays as it is.
    Skipped,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// Collects names and writes them as Velero does, kinds and names sorted.
///
/// Names wait in a file without a name. Memory: 1 KiB for each kind, and some MiB to sort one whose names did not come
/// in order.
#[derive(Debug)]
pub struct ResourceListWriter {
    folder: PathBuf,
    chains: Chains,
    kinds: BTreeMap<String, Kind>,
    run: usize,
}

#[derive(Debug)]
struct Kind {
    chain: Chain,
    waiting: Vec<u8>,
    last: String,
    is_sorted: bool,
}

impl ResourceListWriter {
    /// An empty list with a temporary file in `folder`.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn new(folder: &Path) -> Result<Self, DiskError> {
        Self::with_run(folder, RUN)
    }

    fn with_run(folder: &Path, run: usize) -> Result<Self, DiskError> {
        let chains = Chains::create(folder).map_err(|source| DiskError::of(folder, source))?;
        Ok(Self { folder: folder.to_owned(), chains, kinds: BTreeMap::new(), run })
    }

    /// Adds an object; `api_version` and `kind` are its own words (`apps/v1`, `Deployment`). A restore says what it
    /// did. Each object is to be added once.
    ///
    /// # Errors
    /// [`DiskError`]
    pub fn add(
        &mut self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
        action: Option<Action>,
    ) -> Result<(), DiskError> {
        let mut entry = namespace.map_or_else(String::new, |namespace| format!("{namespace}/"));
        entry.push_str(name);
        if let Some(action) = action {
            entry.push_str(&format!("({action})"));
        }
        let Self { chains, kinds, folder, .. } = self;
        let kind = kinds.entry(format!("{api_version}/{kind}")).or_insert_with(|| Kind {
            chain: chains.start(),
            waiting: Vec::new(),
            last: String::new(),
            is_sorted: true,
        });
        put(&mut kind.waiting, &entry);
        kind.is_sorted &= kind.last <= entry;
        kind.last = entry;
        if kind.waiting.len() >= WAITING {
            let appended = chains.append(&mut kind.chain, &kind.waiting);
            kind.waiting.clear();
            appended.map_err(|source| DiskError::of(folder, source))?;
        }
        Ok(())
    }

    /// Writes the file, gzipped, and returns the sink.
    ///
    /// # Errors
    /// [`MetadataError::Sink`] with the sink's own error, [`MetadataError::Disk`].
    pub fn finish<W: Write>(mut self, sink: W) -> Result<W, MetadataError> {
        let folder = std::mem::take(&mut self.folder);
        let mut gzip = GzEncoder::new(sink, Compression::default());
        let mut say = |text: &str| gzip.write_all(text.as_bytes()).map_err(MetadataError::Sink);
        let disk = |source| MetadataError::Disk(DiskError::of(&folder, source));
        say("{")?;
        for (number, (key, mut kind)) in std::mem::take(&mut self.kinds).into_iter().enumerate() {
            self.chains.append(&mut kind.chain, &kind.waiting).map_err(disk)?;
            say(if number == 0 { "" } else { "," })?;
            say(&json(&key)?)?;
            say(":[")?;
            let sorted = match kind.is_sorted {
                true => vec![kind.chain],
                false => runs(&mut self.chains, &kind.chain, self.run).map_err(disk)?,
            };
            let mut merged = Merge::new(&self.chains, &sorted).map_err(disk)?;
            let mut separator = "";
            while let Some(entry) = merged.next().map_err(disk)? {
                say(separator)?;
                say(&json(&entry)?)?;
                separator = ",";
            }
            say("]")?;
        }
        say("}\n")?;
        gzip.finish().map_err(MetadataError::Sink)
    }
}

fn json(text: &str) -> Result<String, MetadataError> {
    serde_json::to_string(text).map_err(|error| MetadataError::Sink(error.into()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;
    use crate::metadata;

    fn text(file: &[u8]) -> String {
        let mut text = String::new();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn names_are_sorted_whatever_the_order_they_came_in(
            names in proptest::collection::vec((0..3_u8, proptest::option::of("[a-c]{1,2}"), "[a-z\"\u{e9}-]{1,90}"), 0..120),
            run in 1..2000_usize,
        ) {
            let mut expected = ResourceList::new();
            let mut writer = ResourceListWriter::with_run(&std::env::temp_dir(), run).unwrap();
            for (kind, namespace, name) in &names {
                let entry = namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}/{name}"));
                expected.entry(format!("v1/K{kind}")).or_default().push(entry);
                writer.add("v1", &format!("K{kind}"), namespace.as_deref(), name, None).unwrap();
            }
            expected.values_mut().for_each(|names| names.sort());
            let file = writer.finish(Vec::new()).unwrap();
            let read: ResourceList = metadata::read("list", Some(&file[..]), metadata::MOST).unwrap();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn the_list_of_a_backup_is_spelled_as_velero_does() {
        let mut writer = ResourceListWriter::new(&std::env::temp_dir()).unwrap();
        writer.add("v1", "Pod", Some("b"), "p", None).unwrap();
        writer.add("v1", "Pod", Some("a"), "q", None).unwrap();
        writer.add("v1", "Namespace", None, "a", None).unwrap();
        writer.add("apps/v1", "Deployment", Some("a"), "d", None).unwrap();
        assert_eq!(
            text(&writer.finish(Vec::new()).unwrap()),
            "{\"apps/v1/Deployment\":[\"a/d\"],\"v1/Namespace\":[\"a\"],\"v1/Pod\":[\"a/q\",\"b/p\"]}\n"
        );
    }

    #[test]
    fn the_list_of_a_restore_says_what_was_done() {
        let mut writer = ResourceListWriter::new(&std::env::temp_dir()).unwrap();
        for (name, action) in
            [("a", Action::Created), ("b", Action::Updated), ("c", Action::Failed), ("d", Action::Skipped)]
        {
            writer.add("v1", "Secret", Some("n"), name, Some(action)).unwrap();
        }
        writer.add("v1", "Namespace", None, "n", Some(Action::Created)).unwrap();
        assert_eq!(
            text(&writer.finish(Vec::new()).unwrap()),
            "{\"v1/Namespace\":[\"n(created)\"],\
             \"v1/Secret\":[\"n/a(created)\",\"n/b(updated)\",\"n/c(failed)\",\"n/d(skipped)\"]}\n"
        );
    }

    #[test]
    fn an_empty_list_is_an_object() {
        let writer = ResourceListWriter::new(&std::env::temp_dir()).unwrap();
        assert_eq!(text(&writer.finish(Vec::new()).unwrap()), "{}\n");
    }
}
