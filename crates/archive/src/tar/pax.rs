//! Extended attributes: names too long for a header.

use crate::tar::header::HeaderProblem;

/// What extended attributes say of the next entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) path: Option<Vec<u8>>,
    /// Of the content, in bytes.
    pub(crate) size: Option<u64>,
}

impl Attributes {
    /// Reads records of the form `LENGTH KEY=VALUE\n`. Times and owners do not matter here; files with holes, whose
    /// content is not what is stored, are refused.
    pub(crate) fn read(mut records: &[u8]) -> Result<Self, HeaderProblem> {
        let mut attributes = Self::default();
        while !records.is_empty() {
            let (key, value, rest) = record(records).ok_or(HeaderProblem::Attributes)?;
            records = rest;
            match key {
                b"path" if value.contains(&0) => return Err(HeaderProblem::Nul),
                b"path" => attributes.path = Some(value.to_vec()),
                b"size" => attributes.size = Some(decimal(value).ok_or(HeaderProblem::Size)?),
                _ if key.starts_with(b"GNU.sparse.") => return Err(HeaderProblem::Attributes),
                _ => {}
            }
        }
        Ok(attributes)
    }
}

/// The record that gives the next entry its path.
pub(crate) fn path_record(path: &str) -> String {
    let rest = format!(" path={path}\n");
    // The length counts its own digits.
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}")
}

/// Key, value and what follows the first record.
fn record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().position(|b| *b == b' ')?;
    let length = usize::try_from(decimal(&records[..blank])?).ok()?;
    let (record, rest) = records.split_at_checked(length)?;
    let pair = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = pair.iter().position(|b| *b == b'=')?;
    Some((&pair[..equals], &pair[equals + 1..], rest))
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_path_that_is_written_is_read_the_same(path in "[^\0]{1,1200}") {
            let read = Attributes::read(path_record(&path).as_bytes());
            prop_assert_eq!(read, Ok(Attributes { path: Some(path.into_bytes()), size: None }));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Attributes::read(&bytes);
        }
    }

    #[test]
    fn the_length_counts_its_own_digits() {
        assert_eq!(path_record("a"), "9 path=a\n");
        assert_eq!(path_record(&"a".repeat(90)), format!("99 path={}\n", "a".repeat(90)));
        assert_eq!(path_record(&"a".repeat(91)), format!("101 path={}\n", "a".repeat(91)));
    }

    #[test]
    fn path_and_size_are_read_and_the_rest_is_passed_over() {
        let read = Attributes::read(b"19 mtime=1700000.5\n9 path=a\n12 size=123\n15 path=la=s\nt\n");
        assert_eq!(read, Ok(Attributes { path: Some(b"la=s\nt".to_vec()), size: Some(123) }));
    }

    #[test]
    fn records_that_do_not_add_up_are_refused() {
        for records in [
            &b"x"[..],
            b"10 path=a",
            b"8 path=a\n",
            b"11 path=a\n",
            b"0 path=a\n",
            b"2 path=a\n",
            b"99999999999999999999 path=a\n",
            b"+10 path=a\n",
            b"7 path\n",
            b" path=a\n",
            b"25 GNU.sparse.major=1.00\n",
        ] {
            assert_eq!(Attributes::read(records), Err(HeaderProblem::Attributes), "{records:?}");
        }
        assert_eq!(Attributes::read(b"11 size=-1\n"), Err(HeaderProblem::Size));
        assert_eq!(Attributes::read(b"12 path=a\0b\n"), Err(HeaderProblem::Nul));
    }
}
