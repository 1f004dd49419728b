//! An archive on the disk, by kind of object, for a restore that takes the kinds in an order of its own.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chains::{Chain, ChainReader, Chains, DiskError};
use crate::item::GroupResource;
use crate::reader::{Limit, ReadError, Reader, Summary};

/// How much is read from the disk at once, in bytes.
const AHEAD: usize = 32 << 10;
/// The objects of an archive that a restore wants.
///
/// They lie in one file that has no name: nothing of the archive gets into the file system, and nothing stays behind
/// however the process ends. Memory: what the reader needs, the namespaces once, and for each kind a bit for each of
/// them.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    chains: Chains,
    resources: BTreeMap<GroupResource, Spooled>,
    namespaces: Arc<[Arc<str>]>,
    summary: Summary,
}

#[derive(Debug)]
struct Spooled {
    count: u64,
    has_cluster_scoped: bool,
    namespaces: Numbers,
    /// None if nobody wanted it.
    chain: Option<Chain>,
}

impl Spool {
    /// Reads a whole archive and keeps what is `wanted` in a file in `folder`. What is not is counted.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing stays behind.
    pub fn fill<R: Read>(
        mut reader: Reader<R>,
        folder: &Path,
        mut wanted: impl FnMut(&GroupResource) -> bool,
    ) -> Result<Self, SpoolError> {
        let failed = |source| DiskError::of(folder, source);
        let limits = reader.limits();
        let mut chains = Chains::create(folder).map_err(failed)?;
        let mut resources: BTreeMap<GroupResource, Spooled> = BTreeMap::new();
        let mut namespaces = Namespaces::default();
        let mut record = Vec::new();
        while let Some(item) = reader.next_item()? {
            let spooled =
                resources.entry(item.path.resource().clone()).or_insert_with_key(|resource| Spooled {
                    count: 0,
                    has_cluster_scoped: false,
                    namespaces: Numbers::default(),
                    chain: wanted(resource).then(|| chains.start()),
                });
            spooled.count += 1;
            let number = item.path.namespace().map(|namespace| namespaces.number(namespace));
            match number {
                Some(number) => spooled.namespaces.insert(number),
                None => spooled.has_cluster_scoped = true,
            }
            if let Some(chain) = &mut spooled.chain {
                put_record(&mut record, number, item.path.name(), item.json);
                chains.append(chain, &record).map_err(failed)?;
                record.shrink_to(AHEAD);
            }
            for (what, count, most) in [
                (Limit::Resources, resources.len() as u64, limits.resources),
                (Limit::Namespaces, namespaces.names.len() as u64, limits.namespaces),
            ] {
                if count > most {
                    return Err(reader.over(what, most).into());
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            chains,
            resources,
            namespaces: namespaces.names.into(),
            summary: reader.summary().clone(),
        })
    }

    /// What was in the archive as a whole.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// All kinds of objects in the archive, wanted or not, by name.
    pub fn resources(&self) -> impl Iterator<Item = SpooledResource<'_>> {
        self.resources.iter().map(|(resource, spooled)| SpooledResource {
            resource,
            spooled,
            namespaces: &self.namespaces,
        })
    }

    /// All namespaces that hold an object of any kind, in the order of the archive.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.namespaces.iter().map(|namespace| &**namespace)
    }

    /// The objects of one kind in the order of the archive; none if there are none or nobody wanted them. Any number
    /// of these iterators may run at a time, on any thread, and outlive the spool.
    pub fn items(&self, resource: &GroupResource) -> SpooledItems {
        let chain = self.resources.get(resource).and_then(|spooled| spooled.chain.as_ref());
        SpooledItems {
            records: chain.map(|chain| BufReader::with_capacity(AHEAD, self.chains.read(chain))),
            namespaces: Arc::clone(&self.namespaces),
            folder: self.folder.clone(),
        }
    }
}

/// One kind of objects in an archive.
#[derive(Clone, Copy, Debug)]
pub struct SpooledResource<'a> {
    resource: &'a GroupResource,
    spooled: &'a Spooled,
    namespaces: &'a [Arc<str>],
}

impl<'a> SpooledResource<'a> {
    /// Which.
    pub fn resource(&self) -> &'a GroupResource {
        self.resource
    }

    /// How many objects there are.
    pub fn count(&self) -> u64 {
        self.spooled.count
    }

    /// Whether the spool has them.
    pub fn is_wanted(&self) -> bool {
        self.spooled.chain.is_some()
    }

    /// Whether there is one outside of all namespaces.
    pub fn has_cluster_scoped(&self) -> bool {
        self.spooled.has_cluster_scoped
    }

    /// The namespaces that hold one, in the order of the archive.
    pub fn namespaces(&self) -> impl Iterator<Item = &'a str> {
        let Self { spooled, namespaces, .. } = *self;
        namespaces
            .iter()
            .enumerate()
            .filter(|(n, _)| spooled.namespaces.contains(*n))
            .map(|(_, name)| &**name)
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledItem {
    /// Its namespace in the archive; none for an object of the whole cluster.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: String,
    /// As it is stored. That it is the object that the path says, is not known yet: see
    /// [`check_identity`](crate::identity::check_identity).
    pub json: Vec<u8>,
}

/// The objects of one kind.
#[derive(Debug)]
pub struct SpooledItems {
    /// None when there is nothing more, or nothing more to be had.
    records: Option<BufReader<ChainReader>>,
    namespaces: Arc<[Arc<str>]>,
    folder: PathBuf,
}

impl Iterator for SpooledItems {
    type Item = Result<SpooledItem, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let records = self.records.as_mut()?;
        if records.buffer().is_empty() && records.get_ref().left() == 0 {
            return None;
        }
        let item = take_record(records, &self.namespaces);
        if item.is_err() {
            self.records = None;
        }
        Some(item.map_err(|source| DiskError::of(&self.folder, source).into()))
    }
}

/// Why an archive cannot be spooled.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The archive cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk cannot take it, or give it back.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Namespaces by number, in the order in which they came.
#[derive(Default)]
struct Namespaces {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, usize>,
}

impl Namespaces {
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let (name, number) = (Arc::<str>::from(name), self.names.len());
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }
}

/// A set of small numbers, a bit for each.
#[derive(Debug, Default)]
struct Numbers(Vec<u64>);

impl Numbers {
    fn insert(&mut self, number: usize) {
        let (word, bit) = (number / 64, number % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    fn contains(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }
}

/// A record is the number of its namespace, the lengths of its name and its JSON, and both.
fn put_record(record: &mut Vec<u8>, namespace: Option<usize>, name: &str, json: &[u8]) {
    record.clear();
    for number in [namespace.map_or(0, |number| number + 1), name.len(), json.len()] {
        record.extend_from_slice(&(number as u64).to_le_bytes());
    }
    record.extend_from_slice(name.as_bytes());
    record.extend_from_slice(json);
}

fn take_record(records: &mut impl Read, namespaces: &[Arc<str>]) -> io::Result<SpooledItem> {
    let mut number = || {
        let mut bytes = [0; size_of::<u64>()];
        records.read_exact(&mut bytes)?;
        usize::try_from(u64::from_le_bytes(bytes)).map_err(io::Error::other)
    };
    let (namespace, name, json) = (number()?, number()?, number()?);
    let mut name = vec![0; name];
    records.read_exact(&mut name)?;
    let mut json = vec![0; json];
    records.read_exact(&mut json)?;
    let namespace = match namespace {
        0 => None,
        number => Some(Arc::clone(namespaces.get(number - 1).ok_or(io::ErrorKind::InvalidData)?)),
    };
    let name = String::from_utf8(name).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(SpooledItem { namespace, name, json })
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::item::ItemPath;
    use crate::reader::Limits;
    use crate::writer::ArchiveWriter;

    const ITEMS: [(&str, Option<&str>, &str, &str); 6] = [
        ("pods", Some("b"), "p1", "{\"a\":1}"),
        ("namespaces", None, "b", "{}"),
        ("pods", Some("a"), "p1", ""),
        ("roles.rbac.authorization.k8s.io", Some("a"), "x:y", "{\"b\":2}"),
        ("pods", Some("b"), "p2", "{\"c\":3}"),
        ("secrets", Some("c"), "s", "{}"),
    ];

    fn archive(items: &[(&str, Option<&str>, &str, &str)]) -> Vec<u8> {
        let mut writer = ArchiveWriter::new(Vec::new(), NonZeroUsize::MIN, 0).unwrap();
        for (resource, namespace, name, json) in items {
            let path = ItemPath::new(resource.parse().unwrap(), *namespace, name).unwrap();
            writer.item(&path, json.as_bytes()).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn spool(limits: Limits) -> Result<Spool, SpoolError> {
        let archive = archive(&ITEMS);
        let wanted = |resource: &GroupResource| resource.as_str() != "secrets";
        Spool::fill(Reader::new(&archive[..], limits), &std::env::temp_dir(), wanted)
    }

    fn items(spool: &Spool, resource: &str) -> Vec<(Option<String>, String, String)> {
        let items = spool.items(&resource.parse().unwrap());
        items
            .map(|item| item.unwrap())
            .map(|item| {
                let json = String::from_utf8(item.json).unwrap();
                (item.namespace.map(|namespace| namespace.to_string()), item.name, json)
            })
            .collect()
    }

    fn expected(resource: &str) -> Vec<(Option<String>, String, String)> {
        let of = ITEMS.iter().filter(|item| item.0 == resource);
        of.map(|(_, ns, name, json)| (ns.map(str::to_owned), (*name).to_owned(), (*json).to_owned()))
            .collect()
    }

    #[test]
    fn each_kind_is_read_in_the_order_of_the_archive_and_as_often_as_wanted() {
        let spool = spool(Limits::default()).unwrap();
        for resource in ["pods", "namespaces", "roles.rbac.authorization.k8s.io", "pods"] {
            assert_eq!(items(&spool, resource), expected(resource), "{resource}");
        }
        assert_eq!(items(&spool, "deployments.apps"), []);
    }

    #[test]
    fn iterators_run_side_by_side_and_outlive_the_spool() {
        let spool = spool(Limits::default()).unwrap();
        let pods = "pods".parse().unwrap();
        let (one, two) = (spool.items(&pods), spool.items(&pods));
        drop(spool);
        let names: Vec<_> = one.zip(two).map(|(a, b)| (a.unwrap().name, b.unwrap().name)).collect();
        assert_eq!(names, ["p1", "p1", "p2"].map(|name| (name.to_owned(), name.to_owned())));
    }

    #[test]
    fn what_nobody_wants_is_counted_and_not_kept() {
        let spool = spool(Limits::default()).unwrap();
        let seen: Vec<_> = spool
            .resources()
            .map(|seen| {
                let namespaces: Vec<_> = seen.namespaces().collect();
                (
                    seen.resource().as_str(),
                    seen.count(),
                    seen.is_wanted(),
                    seen.has_cluster_scoped(),
                    namespaces,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("namespaces", 1, true, true, vec![]),
                ("pods", 3, true, false, vec!["b", "a"]),
                ("roles.rbac.authorization.k8s.io", 1, true, false, vec!["a"]),
                ("secrets", 1, false, false, vec!["c"]),
            ]
        );
        assert_eq!(items(&spool, "secrets"), []);
        assert_eq!(spool.namespaces().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(spool.summary().items, 6);
    }

    #[test]
    fn objects_of_any_size_are_kept() {
        let large = "x".repeat(300_000);
        let archive = archive(&[("pods", Some("a"), "p", &large), ("pods", Some("a"), "q", "{}")]);
        let spool =
            Spool::fill(Reader::new(&archive[..], Limits::default()), &std::env::temp_dir(), |_| true);
        let found = items(&spool.unwrap(), "pods");
        assert_eq!((found[0].2 == large, &*found[1].2), (true, "{}"));
    }

    #[test]
    fn too_many_kinds_or_namespaces_are_refused() {
        let refused = spool(Limits { resources: 2, ..Limits::default() }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the archive has more than 2 kinds of objects at \
             `resources/roles.rbac.authorization.k8s.io/namespaces/a/x:y.json`, the most that is read; restore from \
             another backup, or leave less in it"
        );
        let refused = spool(Limits { namespaces: 2, ..Limits::default() }).unwrap_err();
        assert!(
            refused.to_string().starts_with("the archive has more than 2 namespaces at `resources/secrets/")
        );
    }

    #[test]
    fn a_damaged_archive_is_no_spool() {
        let archive = archive(&ITEMS);
        let reader = Reader::new(&archive[..archive.len() - 1], Limits::default());
        let refused = Spool::fill(reader, &std::env::temp_dir(), |_| true).unwrap_err();
        assert!(matches!(refused, SpoolError::Read(ReadError::Truncated { .. })), "{refused}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let archive = archive(&ITEMS);
        let reader = Reader::new(&archive[..], Limits::default());
        let refused = Spool::fill(reader, Path::new("/nowhere"), |_| true).unwrap_err();
        assert!(refused.to_string().contains("`/nowhere`"), "{refused}");
    }
}
