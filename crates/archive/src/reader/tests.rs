//! What is read, and every way in which an archive can be wrong.

use std::error::Error as _;
use std::io::{self, Write};
use std::num::NonZeroUsize;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::tar::header::Header;
use crate::tar::{BLOCK, padding, pax};
use crate::writer::ArchiveWriter;

type Found = Vec<(String, String)>;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn read(archive: &[u8], limits: Limits) -> Result<(Found, Summary), ReadError> {
    let mut reader = Reader::new(archive, limits);
    let mut found = Vec::new();
    while let Some(item) = reader.next_item()? {
        found.push((item.path.to_string(), String::from_utf8_lossy(item.json).into_owned()));
    }
    Ok((found, reader.summary().clone()))
}

fn refused(tar: &[u8]) -> String {
    read(&gzip(tar), Limits::default()).unwrap_err().to_string()
}

/// An entry as attackers write them, by hand.
fn raw(kind: u8, name: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = Header::write(kind, name, content.len() as u64, 0).to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len() + padding(content.len() as u64), 0);
    bytes
}

fn version_entry() -> Vec<u8> {
    raw(b'0', b"metadata/version", b"1.1.0\n")
}

/// A whole tarball around some entries.
fn around(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = version_entry();
    tar.extend(entries.concat());
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

const POD: &str = "resources/pods/namespaces/a/p.json";
const FORGED: &str = "it is damaged or forged, restore from another backup";

/// As Velero writes: each object in both copies, here with folders too.
fn as_velero(items: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    let mut add = |path: &str, content: &str, kind| {
        let mut header = ::tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    };
    add("metadata/version", "1.1.0\n", ::tar::EntryType::Regular);
    add("resources/", "", ::tar::EntryType::Directory);
    for (resource, scope, json) in items {
        add(&format!("resources/{resource}/"), "", ::tar::EntryType::Directory);
        add(&format!("resources/{resource}/{scope}.json"), json, ::tar::EntryType::Regular);
        let copy = format!("resources/{resource}/v1-preferredversion/{scope}.json");
        add(&copy, json, ::tar::EntryType::Regular);
    }
    tar.into_inner().unwrap()
}

#[test]
fn what_velero_writes_is_read_with_each_object_once() {
    let long = format!("cluster/{}", "n".repeat(250));
    let tar = as_velero(&[
        ("pods", "namespaces/a/p", "{\"a\":1}"),
        ("namespaces", "cluster/a", "{}"),
        ("clusterroles.rbac.authorization.k8s.io", &long, "{\"b\":2}"),
        ("deployments.apps", "namespaces/a/d:\u{e9}", ""),
    ]);
    let (found, summary) = read(&gzip(&tar), Limits::default()).unwrap();
    let long = format!("resources/clusterroles.rbac.authorization.k8s.io/{long}.json");
    let expected = [
        (POD, "{\"a\":1}"),
        ("resources/namespaces/cluster/a.json", "{}"),
        (&*long, "{\"b\":2}"),
        ("resources/deployments.apps/namespaces/a/d:\u{e9}.json", ""),
    ];
    assert_eq!(found, expected.map(|(path, json)| (path.to_owned(), json.to_owned())));
    assert_eq!((summary.items, &*summary.format_version), (4, "1.1.0"));
    assert_eq!(summary.inflated, tar.len() as u64);
    assert!(summary.has_resources);
    assert_eq!((summary.unknown, summary.only_versioned), Default::default());
}

#[test]
fn a_long_path_is_read_in_each_dialect() {
    let path = format!("resources/roles.rbac.authorization.k8s.io/namespaces/a/{}.json", "n".repeat(200));
    let pax = raw(b'x', b"PaxHeaders.0/x", pax::path_record(&path).as_bytes());
    let gnu = raw(b'L', b"././@LongLink", format!("{path}\0").as_bytes());
    let split = {
        let mut header = ::tar::Header::new_ustar();
        header.set_path(path.replacen(&"n".repeat(150), "", 1)).unwrap();
        header.set_size(0);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let short = path.replacen(&"n".repeat(150), "", 1);
    let cut = &path.as_bytes()[..100];
    for (entries, expected) in [
        (vec![pax, raw(b'0', cut, b"")], &path),
        (vec![gnu, raw(b'0', cut, b"")], &path),
        (vec![split], &short),
    ] {
        let (found, _) = read(&gzip(&around(&entries)), Limits::default()).unwrap();
        assert_eq!(found, [(expected.clone(), String::new())]);
    }
}

#[test]
fn a_tarball_in_several_gzip_members_is_one() {
    let tar = as_velero(&[("pods", "namespaces/a/p", "{}")]);
    let members: Vec<u8> = tar.chunks(700).flat_map(gzip).collect();
    assert_eq!(read(&members, Limits::default()).unwrap().0, [(POD.to_owned(), "{}".to_owned())]);
}

#[test]
fn a_backup_packed_again_by_hand_is_read() {
    let mut tar = raw(b'5', b"./", b"");
    tar.extend(raw(b'g', b"pax_global_header", b"20 comment=whatever\n"));
    tar.extend(raw(b'5', b"./resources/", b""));
    tar.extend(raw(0, format!("./{POD}").as_bytes(), b"{}"));
    tar.extend(raw(b'0', b"./metadata/version", b"1"));
    tar.resize(20 * BLOCK, 0);
    let (found, summary) = read(&gzip(&tar), Limits::default()).unwrap();
    assert_eq!(found, [(POD.to_owned(), "{}".to_owned())]);
    assert_eq!(summary.format_version, "1");
}

#[test]
fn a_backup_without_resources_holds_zero_items() {
    let (found, summary) = read(&gzip(&around(&[])), Limits::default()).unwrap();
    assert_eq!((found.len(), summary.has_resources), (0, false));
    let (found, summary) = read(&gzip(&around(&[raw(b'5', b"resources", b"")])), Limits::default()).unwrap();
    assert_eq!((found.len(), summary.has_resources), (0, true));
}

#[test]
fn unknown_files_are_counted_with_ten_examples() {
    let mut entries: Vec<_> = (0..20).map(|i| raw(b'0', format!("extra/{i}").as_bytes(), b"x")).collect();
    entries.push(raw(b'0', b"resources/pods/namespaces/a/p.yaml", b"{}"));
    entries.push(raw(b'0', b"metadata/other", b"x"));
    let (found, summary) = read(&gzip(&around(&entries)), Limits::default()).unwrap();
    assert!(found.is_empty());
    assert_eq!(summary.unknown.count, 22);
    assert_eq!(summary.unknown.examples, (0..10).map(|i| format!("extra/{i}")).collect::<Vec<_>>());
}

#[test]
fn a_name_longer_than_any_objects_is_an_unknown_file() {
    let path = format!("resources/pods/cluster/{}.json", "n".repeat(1025));
    let record = pax::path_record(&path);
    let entries = [raw(b'x', b"x", record.as_bytes()), raw(b'0', b"x", b"{}")];
    let (found, summary) = read(&gzip(&around(&entries)), Limits::default()).unwrap();
    assert_eq!((found.len(), summary.unknown.count), (0, 1));
    assert_eq!(summary.unknown.examples, [format!("{}…", &path[..200])]);
}

#[test]
fn objects_only_in_a_copy_for_a_version_are_counted() {
    let copy = "resources/pods/v1beta1/namespaces/a/p.json";
    let preferred = "resources/pods/v1-preferredversion/namespaces/a/q.json";
    let entries = [
        raw(b'0', copy.as_bytes(), b"{}"),
        raw(b'0', b"resources/pods/v1-preferredversion/namespaces/a/p.json", b"{}"),
        raw(b'0', preferred.as_bytes(), b"{}"),
        raw(b'0', b"resources/pods/namespaces/a/q.json", b"{}"),
    ];
    let (found, summary) = read(&gzip(&around(&entries)), Limits::default()).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(summary.only_versioned, PassedOver { count: 1, examples: vec![copy.to_owned()] });
}

#[test]
fn entries_that_no_backup_has_are_refused_by_name() {
    let long_nul = raw(b'x', b"x", b"12 path=a\0b\n");
    for (entry, sentence) in [
        (raw(b'0', b"/etc/passwd", b""), "entry `/etc/passwd` of the archive has an absolute path"),
        (raw(b'0', b"resources/../../x", b""), "entry `resources/../../x` of the archive climbs with `..`"),
        (raw(b'5', b"../x/", b""), "entry `../x/` of the archive climbs with `..`"),
        (raw(b'0', b"a//b", b""), "entry `a//b` of the archive has an empty part or a `.` in its path"),
        (raw(b'0', b"", b""), "entry `` of the archive has an empty part or a `.` in its path"),
        (raw(b'0', b"..\\x", b""), r"entry `..\\x` of the archive walks with backslashes"),
        (raw(b'0', b"a\x1bb", b""), r"entry `a\u{1b}b` of the archive has a control character in its path"),
        (raw(b'0', b"a\xff", b""), "entry `a\u{fffd}` of the archive has a path that is not UTF-8"),
        (
            raw(b'1', POD.as_bytes(), b""),
            "entry `resources/pods/namespaces/a/p.json` of the archive is a link",
        ),
        (raw(b'2', b"x", b""), "entry `x` of the archive is a link"),
        (raw(b'3', b"x", b""), "entry `x` of the archive is a device"),
        (raw(b'4', b"x", b""), "entry `x` of the archive is a device"),
        (raw(b'6', b"x", b""), "entry `x` of the archive is a device"),
        (raw(b'S', b"x", b""), "entry `x` of the archive is of kind `S`, which no backup has"),
        (raw(b'\n', b"x", b""), r"entry `x` of the archive is of kind `\n`, which no backup has"),
        (raw(b'5', b"x", b"y"), "entry `x` of the archive is a folder with content"),
        (raw(b'0', b"x/", b""), "entry `x/` of the archive is a file with the path of a folder"),
        (
            [raw(b'0', POD.as_bytes(), b"{}"), raw(b'0', POD.as_bytes(), b"{}")].concat(),
            "entry `resources/pods/namespaces/a/p.json` of the archive comes twice",
        ),
        (version_entry(), "entry `metadata/version` of the archive comes twice"),
        (
            [raw(b'x', b"x", b"13 path=/abs\n"), raw(b'0', b"a", b"")].concat(),
            "entry `/abs` of the archive has an absolute path",
        ),
        (
            [raw(b'L', b"x", b"../up\0"), raw(b'0', b"a", b"")].concat(),
            "entry `../up` of the archive climbs with `..`",
        ),
    ] {
        assert_eq!(refused(&around(&[entry])), format!("{sentence}; {FORGED}"));
    }
    let nul = "the tar header after `metadata/version` cannot be read: its name goes on behind a NUL; the archive is \
               damaged or forged, restore from another backup";
    for entry in [raw(b'0', b"a\0b", b""), long_nul, raw(b'L', b"x", b"a\0b\0")] {
        assert_eq!(refused(&around(&[entry])), nul);
    }
}

#[test]
fn headers_that_cannot_be_read_are_refused() {
    let mut checksum = raw(b'0', b"x", b"");
    checksum[0] = b'y';
    let mut size = raw(b'0', b"x", b"");
    size[124..136].copy_from_slice(b"-0000000001\0");
    let size = with_checksum(&size);
    let large = vec![b'x'; 70_000];
    for (entry, problem) in [
        (checksum, "its checksum does not fit"),
        (size, "its size is no number"),
        (raw(b'x', b"x", b"what"), "its extended attributes cannot be read"),
        (raw(b'x', b"x", b"26 GNU.sparse.major=1.0.0\n"), "its extended attributes cannot be read"),
        (raw(b'g', b"x", b"9 path=a\n"), "its extended attributes cannot be read"),
        (raw(b'x', b"x", &large), "its extended attributes are larger than any path needs"),
        (raw(b'L', b"x", &large), "its extended attributes are larger than any path needs"),
        (raw(b'x', b"x", b"9 path=a\n"), "no entry follows its extended attributes"),
    ] {
        assert_eq!(
            refused(&around(&[entry])),
            format!(
                "the tar header after `metadata/version` cannot be read: {problem}; the archive is damaged or forged, \
                 restore from another backup"
            )
        );
    }
}

fn with_checksum(entry: &[u8]) -> Vec<u8> {
    let mut header = ::tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&entry[..BLOCK]);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn a_version_that_cannot_be_read_is_refused() {
    let of = |content: &[u8]| {
        let mut tar = raw(b'0', b"metadata/version", content);
        tar.resize(tar.len() + 2 * BLOCK, 0);
        refused(&tar)
    };
    for version in ["", "x", "0.1", "1.", "1..0", "1.1.0.0", "-1", "+1", "99999999999999999999"] {
        assert_eq!(
            of(version.as_bytes()),
            format!(
                "`metadata/version` of the archive says `{version}`, which is no version; restore from another backup"
            )
        );
    }
    assert_eq!(
        of(&[b'1'; 65]),
        "`metadata/version` of the archive says `65 bytes`, which is no version; restore from another backup"
    );
    for version in ["1.2", "1.2.0", "2", "10.0.0"] {
        assert_eq!(
            of(version.as_bytes()),
            format!("the archive is of format {version}; this release reads up to 1.1, use a newer one")
        );
    }
    assert_eq!(
        refused(&[0; 2 * BLOCK]),
        "the archive has no `metadata/version`, so it is no backup; restore from another one"
    );
}

#[test]
fn every_older_version_is_read() {
    for version in ["1", "1.0", "1.0.0", "1.1.0\n", "1.1.7", " 1 \n"] {
        let mut tar = raw(b'0', b"metadata/version", version.as_bytes());
        tar.resize(tar.len() + 2 * BLOCK, 0);
        let (_, summary) = read(&gzip(&tar), Limits::default()).unwrap();
        assert_eq!(summary.format_version, version.trim());
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let tar = around(&[raw(b'0', POD.as_bytes(), b"{}")]);
    for end in 0..tar.len() {
        let error = read(&gzip(&tar[..end]), Limits::default()).unwrap_err();
        assert!(matches!(error, ReadError::Truncated { .. }), "tar cut at {end}: {error}");
    }
    let archive = gzip(&tar);
    for end in 0..archive.len() {
        let error = read(&archive[..end], Limits::default()).unwrap_err();
        assert!(matches!(error, ReadError::Truncated { .. }), "gzip cut at {end}: {error}");
    }
    assert_eq!(
        refused(&tar[..512 + 3]),
        "the archive ends in the middle, after 512 bytes of its content; it was not stored completely, restore from \
         another backup"
    );
}

#[test]
fn what_follows_the_end_is_refused() {
    let trailing =
        "something follows the end of the archive; it is damaged or forged, restore from another backup";
    let mut tar = around(&[]);
    tar.extend(raw(b'0', POD.as_bytes(), b"{}"));
    assert_eq!(refused(&tar), trailing);
    let mut one_block = version_entry();
    one_block.resize(one_block.len() + BLOCK, 0);
    one_block.extend(raw(b'0', POD.as_bytes(), b"{}"));
    assert_eq!(refused(&one_block), trailing);

    let mut archive = gzip(&around(&[]));
    archive.extend(b"garbage after it");
    let error = read(&archive, Limits::default()).unwrap_err();
    assert!(matches!(error, ReadError::Gzip { .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the archive is no gzip, or damaged, after 2048 bytes of its content; restore from another backup"
    );
}

#[test]
fn what_is_no_gzip_is_refused() {
    let error = read(b"not an archive at all", Limits::default()).unwrap_err();
    assert!(matches!(error, ReadError::Gzip { inflated: 0, .. }), "{error}");
}

#[test]
fn a_source_that_fails_is_told_from_a_damaged_archive() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection reset"))
        }
    }
    let archive = gzip(&around(&[]));
    let mut reader = Reader::new(io::Read::chain(&archive[..20], Broken), Limits::default());
    let error = reader.next_item().unwrap_err();
    assert!(matches!(error, ReadError::Source(_)), "{error}");
    assert_eq!(error.source().unwrap().to_string(), "connection reset");
    assert!(matches!(reader.next_item(), Err(ReadError::Ended)), "an error is not the end of the archive");
}

#[test]
fn each_limit_holds_and_names_the_entry() {
    let entries: Vec<_> = (0..4)
        .map(|i| raw(b'0', format!("resources/pods/cluster/{i}.json").as_bytes(), &[b'x'; 600]))
        .collect();
    let archive = gzip(&around(&entries));
    let sentence = |most: u64, what: &str, entry: &str| {
        format!(
            "the archive has more than {most} {what} at `{entry}`, the most that is read; restore from another backup, \
             or leave less in it"
        )
    };
    let over = |limits: Limits| read(&archive, limits).unwrap_err().to_string();
    let limits = Limits { entries: 4, ..Limits::default() };
    assert_eq!(over(limits), sentence(4, "entries", "resources/pods/cluster/2.json"));
    let limits = Limits { inflated: 3000, ..Limits::default() };
    assert_eq!(over(limits), sentence(3000, "bytes", "resources/pods/cluster/0.json"));
    assert!(read(&archive, Limits { entries: 5, ..Limits::default() }).is_ok());
}

#[test]
fn the_content_of_a_long_object_is_passed_over() {
    let entries = [599, 600, 601].map(|length| {
        raw(b'0', format!("resources/pods/cluster/{length}.json").as_bytes(), &vec![b'x'; length])
    });
    let archive = gzip(&around(&entries));
    let mut reader = Reader::new(&archive[..], Limits { item: 600, ..Limits::default() });
    let mut found = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        found.push((item.size, item.json.len()));
    }
    assert_eq!(found, [(599, 599), (600, 600), (601, 0)]);
}

#[test]
fn a_size_beyond_all_limits_is_refused_before_anything_is_reserved() {
    let header = Header::write(b'0', b"resources/pods/cluster/p.json", u64::MAX, 0).to_vec();
    let error = read(&gzip(&around(&[header])), Limits::default()).unwrap_err();
    assert!(matches!(error, ReadError::Limit { what: Limit::Inflated, .. }), "{error}");
    let header = Header::write(b'0', b"unknown", u64::MAX, 0).to_vec();
    let error = read(&gzip(&around(&[header])), Limits::default()).unwrap_err();
    assert!(matches!(error, ReadError::Limit { what: Limit::Inflated, .. }), "{error}");
}

#[test]
fn a_bomb_is_refused_by_its_ratio() {
    let bomb = gzip(&around(&[raw(b'0', b"unknown", &vec![0; 8 << 20])]));
    let error = read(&bomb, Limits { ratio: 100, ..Limits::default() }).unwrap_err();
    assert!(matches!(error, ReadError::Limit { what: Limit::Ratio, most: 100, .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "the archive has more than 100 bytes for each that is stored at `unknown`, the most that is read; restore from \
         another backup, or leave less in it"
    );
}

#[test]
fn objects_that_are_all_alike_are_no_bomb() {
    let mut writer = ArchiveWriter::new(Vec::new(), NonZeroUsize::MIN, 0).unwrap();
    let resource: crate::GroupResource = "configmaps".parse().unwrap();
    let json = [b'x'; 600_000];
    for i in 0..20 {
        let path = ItemPath::new(resource.clone(), Some("a"), &format!("c{i}")).unwrap();
        writer.item(&path, &json).unwrap();
    }
    let (archive, written) = writer.finish().unwrap();
    assert!(written.inflated > 100 * written.stored, "{written:?}");
    assert_eq!(read(&archive, Limits::default()).unwrap().0.len(), 20);
}
