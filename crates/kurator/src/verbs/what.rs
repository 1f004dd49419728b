//! What a verb is asked about, as kubectl takes it: `KIND`, `KIND,KIND`, `KIND NAME…` or `KIND/NAME…`.

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, ValueEnum as _};

use super::kinds::Kind;
use super::words;

/// One word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// All objects of these kinds.
    Kinds(Vec<Kind>),
    /// One object.
    Object(Kind, String),
}

/// Reads a [`Word`], and tells shells which kinds there are.
#[derive(Clone)]
pub(crate) struct WordParser;

impl TypedValueParser for WordParser {
    type Value = Word;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Word, clap::Error> {
        word.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Kind::ALL.into_iter().filter_map(|kind| kind.to_possible_value())))
    }
}

fn word(text: &str) -> Result<Word, String> {
    match text.split_once('/') {
        Some((_, "")) => Err(format!("`{text}` has no name; write KIND/NAME")),
        Some((kind, text)) => Ok(Word::Object(Kind::parse(kind)?, name(text)?)),
        None => text.split(',').map(Kind::parse).collect::<Result<_, _>>().map(Word::Kinds),
    }
}

fn name(text: &str) -> Result<String, String> {
    words::name(text).map_err(|why| format!("`{text}`: {why}"))
}

/// Kinds, each with the names that are meant; none means all objects of the kind.
pub(crate) type Asked = Vec<(Kind, Vec<String>)>;

/// What `first` and the words behind it come to; nothing at all means every kind.
///
/// # Errors
/// Names that belong to no kind, or to several.
pub(crate) fn asked(first: Option<&Word>, names: &[String]) -> Result<Asked, String> {
    match first {
        None => Ok(Kind::ALL.map(|kind| (kind, Vec::new())).into()),
        Some(Word::Kinds(kinds)) => match (kinds.as_slice(), names) {
            (kinds, []) => Ok(kinds.iter().map(|kind| (*kind, Vec::new())).collect()),
            ([kind], names) => {
                let names = names.iter().map(|text| name(text)).collect::<Result<_, _>>()?;
                Ok(vec![(*kind, names)])
            }
            (_, [name, ..]) => {
                Err(format!("`{name}` follows several kinds; write KIND/NAME for each object"))
            }
        },
        Some(Word::Object(kind, name)) => {
            let mut asked = vec![(*kind, vec![name.clone()])];
            for text in names {
                let Word::Object(kind, name) = word(text)? else {
                    return Err(format!("`{text}` follows KIND/NAME; write KIND/NAME for it too"));
                };
                match asked.iter_mut().find(|(of, _)| *of == kind) {
                    Some((_, names)) => names.push(name),
                    None => asked.push((kind, vec![name])),
                }
            }
            Ok(asked)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Asked, String> {
        let (first, names) = words.split_first().unwrap();
        asked(Some(&word(first)?), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn every_way_to_ask_is_read() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cases: [(&[&str], Asked); 5] = [
            (&["backups"], vec![(Kind::Backups, vec![])]),
            (&["restores,backups"], vec![(Kind::Restores, vec![]), (Kind::Backups, vec![])]),
            (&["backup", "a", "b"], vec![(Kind::Backups, names(&["a", "b"]))]),
            (&["backup.backup.kurator.dev/a"], vec![(Kind::Backups, names(&["a"]))]),
            (
                &["backup/a", "restore/b", "backup/c"],
                vec![(Kind::Backups, names(&["a", "c"])), (Kind::Restores, names(&["b"]))],
            ),
        ];
        for (words, expected) in cases {
            assert_eq!(read(words), Ok(expected), "{words:?}");
        }
        assert_eq!(asked(None, &[]).unwrap().len(), Kind::ALL.len());
    }

    #[test]
    fn a_name_without_a_kind_of_its_own_is_refused() {
        let refused = [
            (
                &["backup,restore", "a"] as &[&str],
                "`a` follows several kinds; write KIND/NAME for each object",
            ),
            (&["backup/a", "restores"], "`restores` follows KIND/NAME; write KIND/NAME for it too"),
            (&["backup/"], "`backup/` has no name; write KIND/NAME"),
        ];
        for (words, why) in refused {
            assert_eq!(read(words), Err(why.to_owned()), "{words:?}");
        }
    }

    #[test]
    fn what_would_lead_elsewhere_is_no_name() {
        for words in [
            &["backup", "../restores/a"] as &[&str],
            &["backup", "a/status"],
            &["backup/a?b=c"],
            &["backup", "A B"],
        ] {
            let why = read(words).unwrap_err();
            assert!(why.contains("it is no name of an object; use lower case letters"), "{words:?}: {why}");
        }
    }
}
