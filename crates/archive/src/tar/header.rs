//! The block before each file.

use crate::tar::BLOCK;

const NAME: std::ops::Range<usize> = 0..100;
const MODE: std::ops::Range<usize> = 100..108;
const UID: std::ops::Range<usize> = 108..116;
const GID: std::ops::Range<usize> = 116..124;
const SIZE: std::ops::Range<usize> = 124..136;
const MTIME: std::ops::Range<usize> = 136..148;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;

/// What marks a header of POSIX, the only one with a prefix: six bytes, and a version that no reader looks at.
const POSIX: &[u8; 8] = b"ustar\x0000";
const POSIX_MARK: usize = 6;
/// As Velero writes its files.
const VELERO_MODE: u64 = 0o755;

/// The longest name that a header has room for, in bytes.
pub(crate) const LONGEST_NAME: usize = NAME.end - NAME.start;

/// What a header announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    /// Attributes of the next entry.
    Pax,
    /// Attributes of all further entries.
    PaxGlobal,
    /// The name of the next entry, as GNU writes it.
    GnuName,
    /// The target of the next entry, a link, as GNU writes it.
    GnuTarget,
    HardLink,
    SymbolicLink,
    Device,
    /// Sparse files, volumes, and whatever else has been invented.
    Other(u8),
}

impl Kind {
    fn of(flag: u8) -> Self {
        match flag {
            b'0' | 0 => Self::File,
            b'1' => Self::HardLink,
            b'2' => Self::SymbolicLink,
            b'3' | b'4' | b'6' => Self::Device,
            b'5' => Self::Folder,
            b'x' => Self::Pax,
            b'g' => Self::PaxGlobal,
            b'L' => Self::GnuName,
            b'K' => Self::GnuTarget,
            other => Self::Other(other),
        }
    }
}

/// A header that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// The path, as bytes: nothing says that it is UTF-8.
    pub(crate) name: Vec<u8>,
    /// Of the content, in bytes.
    pub(crate) size: u64,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderProblem {
    /// The sum over the block is not the one in it.
    #[error("its checksum does not fit")]
    Checksum,
    /// The size is not a number.
    #[error("its size is no number")]
    Size,
    /// Bytes behind the end of the name; readers would disagree about it.
    #[error("its name goes on behind a NUL")]
    Nul,
    /// A record of extended attributes that cannot be read.
    #[error("its extended attributes cannot be read")]
    Attributes,
    /// More extended attributes, or a longer name, than any path needs.
    #[error("its extended attributes are larger than any path needs")]
    AttributesSize,
    /// The end, where the entry of the attributes should be.
    #[error("no entry follows its extended attributes")]
    AttributesAlone,
}

impl Header {
    /// Reads a block; `None` if it is all zeros, the mark of the end.
    pub(crate) fn read(block: &[u8; BLOCK]) -> Result<Option<Self>, HeaderProblem> {
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        if number(&block[CHECKSUM]) != Some(checksum(block)) {
            return Err(HeaderProblem::Checksum);
        }
        let mut name = Vec::new();
        if block[MAGIC].starts_with(&POSIX[..POSIX_MARK]) {
            name.extend_from_slice(text(&block[PREFIX])?);
            if !name.is_empty() {
                name.push(b'/');
            }
        }
        name.extend_from_slice(text(&block[NAME])?);
        let size = number(&block[SIZE]).ok_or(HeaderProblem::Size)?;
        Ok(Some(Self { kind: Kind::of(block[KIND]), name, size }))
    }

    /// The block for a file or its extended attributes, of `mtime` in seconds since 1970. A name that is too long is
    /// cut: its attributes then say the whole.
    pub(crate) fn write(kind: u8, name: &[u8], size: u64, mtime: u64) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let name = &name[..name.len().min(LONGEST_NAME)];
        block[NAME][..name.len()].copy_from_slice(name);
        put(&mut block[MODE], VELERO_MODE);
        put(&mut block[UID], 0);
        put(&mut block[GID], 0);
        put(&mut block[SIZE], size);
        put(&mut block[MTIME], mtime);
        block[KIND] = kind;
        block[MAGIC].copy_from_slice(POSIX);
        let sum = checksum(&block);
        put(&mut block[CHECKSUM.start..CHECKSUM.end - 1], sum);
        block[CHECKSUM.end - 1] = b' ';
        block
    }
}

/// The sum over a block, its own field counted as blanks.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let all: u64 = block.iter().map(|b| u64::from(*b)).sum();
    let own: u64 = block[CHECKSUM].iter().map(|b| u64::from(*b)).sum();
    all - own + 8 * u64::from(b' ')
}

/// A text up to its NUL; nothing may follow that.
fn text(field: &[u8]) -> Result<&[u8], HeaderProblem> {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    if field[end..].iter().any(|b| *b != 0) {
        return Err(HeaderProblem::Nul);
    }
    Ok(&field[..end])
}

/// Octal digits with blanks or NULs around them, or a big-endian number as GNU writes large ones.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, rest @ ..] = field {
        return rest
            .iter()
            .try_fold(0_u64, |value, b| value.checked_mul(256).map(|shifted| shifted + u64::from(*b)));
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() || rest.iter().any(|b| !matches!(b, 0 | b' ')) {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, b| match b {
        b'0'..=b'7' => value.checked_mul(8).map(|shifted| shifted + u64::from(b - b'0')),
        _ => None,
    })
}

/// Writes octal digits and a NUL, or as GNU does where they do not fit.
fn put(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    if value < 1 << (3 * digits) {
        field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
        field[digits] = 0;
    } else {
        field.fill(0);
        field[0] = 0x80;
        let start = field.len() - 8;
        field[start..].copy_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_that_is_written_is_read_the_same(
            name in "[a-z/.]{1,100}", size in any::<u64>(), mtime in 0..1_u64 << 40,
        ) {
            let block = Header::write(b'0', name.as_bytes(), size, mtime);
            let expected = Header { kind: Kind::File, name: name.into_bytes(), size };
            prop_assert_eq!(Header::read(&block), Ok(Some(expected)));
        }
    }

    #[test]
    fn the_tar_library_reads_our_header() {
        let block = Header::write(b'0', b"metadata/version", 6, 1_700_000_000);
        let mut read = ::tar::Header::new_old();
        read.as_mut_bytes().copy_from_slice(&block);
        assert_eq!(&*read.path_bytes(), b"metadata/version");
        assert_eq!((read.size().unwrap(), read.mtime().unwrap()), (6, 1_700_000_000));
        assert_eq!((read.mode().unwrap(), read.uid().unwrap(), read.gid().unwrap()), (0o755, 0, 0));
        assert_eq!(read.entry_type(), ::tar::EntryType::Regular);
        assert_eq!(u64::from(read.cksum().unwrap()), checksum(&block));
    }

    #[test]
    fn a_prefix_stands_before_the_name() {
        let mut header = ::tar::Header::new_ustar();
        let path = format!("{}/{}", "a".repeat(120), "b".repeat(90));
        header.set_path(&path).unwrap();
        header.set_size(0);
        header.set_cksum();
        let read = Header::read(header.as_bytes()).unwrap().unwrap();
        assert_eq!(read.name, path.as_bytes());
    }

    #[test]
    fn zeros_are_the_end() {
        assert_eq!(Header::read(&[0; BLOCK]), Ok(None));
    }

    #[test]
    fn numbers_are_octal_or_big_endian() {
        for (field, value) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"00000000010 ", Some(8)),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x00", Some(256)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"", None),
            (b"\0\0\0\0", None),
            (b"12 3", None),
            (b"8", None),
            (b"-1", None),
            (b"7777777777777777777777777", None),
        ] {
            assert_eq!(number(field), value, "{field:?}");
        }
    }

    #[test]
    fn a_changed_block_is_refused() {
        let mut block = Header::write(b'0', b"a", 0, 0);
        block[0] = b'b';
        assert_eq!(Header::read(&block), Err(HeaderProblem::Checksum));
    }

    #[test]
    fn a_name_that_goes_on_behind_a_nul_is_refused() {
        let block = Header::write(b'0', b"a\0b", 0, 0);
        assert_eq!(Header::read(&block), Err(HeaderProblem::Nul));
    }
}
