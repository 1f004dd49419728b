//! An archive on the disk, by kind of object, for a restore that takes the kinds in an order of its own.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::chains::{Chain, ChainReader, Chains, DiskError};
use crate::fingerprints::Seen;
use crate::item::{GroupResource, ItemPath};
use crate::reader::{Limit, ReadError, Reader, Summary};

/// How much is read from the disk at once, in bytes.
const AHEAD: usize = 32 << 10;
/// Four numbers before each object, in bytes.
const HEAD: usize = 4 * size_of::<u64>();

/// The objects of an archive that a restore wants.
///
/// They lie in one file that has no name: nothing of the archive gets into the file system, and nothing stays behind
/// however the process ends. Memory: a few hundred bytes for each kind; while it is filled, what the reader needs and 9
/// bytes for each namespace.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    chains: Chains,
    resources: BTreeMap<GroupResource, Spooled>,
    summary: Summary,
}

#[derive(Debug)]
struct Spooled {
    count: u64,
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
        let mut namespaces = Seen::<str>::default();
        while let Some(item) = reader.next_item()? {
            let spooled = resources.entry(item.path.resource().clone()).or_insert_with_key(|resource| {
                Spooled { count: 0, chain: wanted(resource).then(|| chains.start()) }
            });
            spooled.count += 1;
            // A namespace counts by its own object, too: the restore keeps something of each.
            let own = || (item.path.resource().as_str() == "namespaces").then(|| item.path.name());
            if let Some(namespace) = item.path.namespace().or_else(own) {
                namespaces.insert(namespace);
            }
            if let Some(chain) = &mut spooled.chain {
                let head = head(&item.path, item.size, item.json.len());
                chains.append(chain, &head).and_then(|()| chains.append(chain, item.json)).map_err(failed)?;
            }
            for (what, count, most) in [
                (Limit::Resources, resources.len() as u64, limits.resources),
                (Limit::Namespaces, namespaces.count(), limits.namespaces),
            ] {
                if count > most {
                    return Err(reader.over(what, most).into());
                }
            }
        }
        Ok(Self { folder: folder.to_owned(), chains, resources, summary: reader.summary().clone() })
    }

    /// What was in the archive as a whole.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// All kinds of objects in the archive, wanted or not, by name.
    pub fn resources(&self) -> impl Iterator<Item = SpooledResource<'_>> {
        self.resources.iter().map(|(resource, spooled)| SpooledResource { resource, spooled })
    }

    /// The objects of one kind in the order of the archive; none if there are none or nobody wanted them. Any number
    /// of these iterators may run at a time, on any thread, and outlive the spool.
    pub fn items(&self, resource: &GroupResource) -> SpooledItems {
        let chain = self.resources.get(resource).and_then(|spooled| spooled.chain.as_ref());
        SpooledItems {
            records: chain.map(|chain| BufReader::with_capacity(AHEAD, self.chains.read(chain))),
            folder: self.folder.clone(),
        }
    }
}

/// One kind of objects in an archive.
#[derive(Clone, Copy, Debug)]
pub struct SpooledResource<'a> {
    resource: &'a GroupResource,
    spooled: &'a Spooled,
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
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpooledItem {
    /// Its namespace in the archive; none for an object of the whole cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Bytes that it has in the archive.
    pub size: u64,
    /// As it is stored; empty if it is longer than [`Limits::item`](crate::Limits::item). That it is the object that the path says, is not known yet: see
    /// [`check_identity`](crate::identity::check_identity).
    pub json: Vec<u8>,
}

/// The objects of one kind.
#[derive(Debug)]
pub struct SpooledItems {
    /// None when there is nothing more, or nothing more to be had.
    records: Option<BufReader<ChainReader>>,
    folder: PathBuf,
}

impl Iterator for SpooledItems {
    type Item = Result<SpooledItem, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        let records = self.records.as_mut()?;
        if records.buffer().is_empty() && records.get_ref().left() == 0 {
            return None;
        }
        let item = take_record(records);
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

/// What stands before the JSON of an object: how long its namespace is (one more, none without one), its name and its
/// JSON, how large it is in the archive, and the two names.
fn head(path: &ItemPath, size: u64, json: usize) -> Vec<u8> {
    let (namespace, name) = (path.namespace(), path.name());
    let mut head = Vec::with_capacity(HEAD + namespace.map_or(0, str::len) + name.len());
    for number in [namespace.map_or(0, |namespace| namespace.len() + 1), name.len(), json] {
        head.extend_from_slice(&(number as u64).to_le_bytes());
    }
    head.extend_from_slice(&size.to_le_bytes());
    head.extend_from_slice(namespace.unwrap_or_default().as_bytes());
    head.extend_from_slice(name.as_bytes());
    head
}

fn take_record(records: &mut impl Read) -> io::Result<SpooledItem> {
    let mut number = || {
        let mut bytes = [0; size_of::<u64>()];
        records.read_exact(&mut bytes)?;
        Ok::<_, io::Error>(u64::from_le_bytes(bytes))
    };
    let (namespace, name, json, size) = (number()?, number()?, number()?, number()?);
    let mut bytes = |length: u64| {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        records.read_exact(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
    let namespace = match namespace {
        0 => None,
        length => Some(text(bytes(length - 1)?)?),
    };
    let name = text(bytes(name)?)?;
    Ok(SpooledItem { namespace, name, size, json: bytes(json)? })
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
                (item.namespace, item.name, json)
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
            .map(|seen| (seen.resource().as_str(), seen.count(), seen.is_wanted()))
            .collect();
        assert_eq!(
            seen,
            [
                ("namespaces", 1, true),
                ("pods", 3, true),
                ("roles.rbac.authorization.k8s.io", 1, true),
                ("secrets", 1, false),
            ]
        );
        assert_eq!(items(&spool, "secrets"), []);
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
    fn an_object_that_is_too_long_is_there_without_its_content() {
        let limits = Limits { item: 6, ..Limits::default() };
        let archive = archive(&[("pods", None, "p", "{\"a\":1}"), ("pods", None, "q", "{}")]);
        let spool = Spool::fill(Reader::new(&archive[..], limits), &std::env::temp_dir(), |_| true).unwrap();
        let found: Vec<_> = spool.items(&"pods".parse().unwrap()).map(|item| item.unwrap()).collect();
        assert_eq!((found[0].size, &*found[0].json), (7, &b""[..]));
        assert_eq!((found[1].size, &*found[1].json), (2, &b"{}"[..]));
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
    fn namespaces_in_which_nothing_lies_count_as_namespaces() {
        let archive = archive(&["a", "b", "c"].map(|name| ("namespaces", None, name, "{}")));
        let filled = |namespaces| {
            let reader = Reader::new(&archive[..], Limits { namespaces, ..Limits::default() });
            Spool::fill(reader, &std::env::temp_dir(), |_| true)
        };
        assert!(filled(3).is_ok());
        let refused = filled(2).unwrap_err().to_string();
        assert!(
            refused.starts_with("the archive has more than 2 namespaces at `resources/namespaces/"),
            "{refused}"
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
