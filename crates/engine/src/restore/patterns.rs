//! Two lists of patterns: what is taken, and what is left out of that.

use crate::glob::{Glob, GlobError, Globs};

/// What is taken and what is not, as Velero 1.18's includes and excludes: empty or `*` takes everything, and
/// the list of what is left out wins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patterns {
    includes: Globs,
    excludes: Globs,
    everything: bool,
}

impl Patterns {
    /// Reads both lists. A `*` among what is left out has no meaning and is dropped, as Velero does.
    pub(crate) fn new<'a>(
        includes: impl IntoIterator<Item = &'a str>,
        excludes: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, GlobError> {
        let mut own = Self::default();
        for pattern in includes {
            own.includes.insert(Glob::parse(pattern)?);
        }
        for pattern in excludes.into_iter().filter(|name| *name != "*") {
            own.excludes.insert(Glob::parse(pattern)?);
        }
        own.everything = own.includes.is_empty() || own.includes.has_any();
        Ok(own)
    }

    /// Whether `name` is taken.
    pub(crate) fn takes(&self, name: &str) -> bool {
        !self.excludes.matches(name) && (self.everything || self.includes.matches(name))
    }

    /// Whether nothing at all is left out: no list, or `*` alone.
    pub(crate) fn takes_everything(&self) -> bool {
        self.excludes.is_empty() && (self.includes.is_empty() || self.includes.is_any())
    }
}

/// What is wrong with two lists together, in Velero's words.
pub(crate) fn contradictions(includes: &[String], excludes: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let distinct = |item: &&String| *item != &includes[0];
    if includes.iter().any(|item| item == "*") && includes.iter().any(|item| distinct(&item)) {
        faults.push("includes list must either contain '*' only, or a non-empty list of items".to_owned());
    }
    if excludes.iter().any(|item| item == "*") {
        faults.push("excludes list cannot contain '*'".to_owned());
    }
    let mut both: Vec<&String> = excludes.iter().filter(|item| includes.contains(item)).collect();
    both.sort();
    both.dedup();
    faults.extend(
        both.iter().map(|item| format!("excludes list cannot contain an item in the includes list: {item}")),
    );
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_wins_and_an_empty_list_takes_everything() {
        for (includes, excludes, name, yes) in [
            (&[][..], &[][..], "a", true),
            (&["*"], &["a"], "a", false),
            (&["*"], &["a"], "b", true),
            (&["a"], &[], "b", false),
            (&["a*"], &["ab*"], "abc", false),
            (&["a*"], &["ab*"], "ac", true),
            (&[], &["*"], "a", true),
        ] {
            let patterns = Patterns::new(includes.iter().copied(), excludes.iter().copied()).unwrap();
            assert_eq!(patterns.takes(name), yes, "{includes:?} {excludes:?} {name}");
        }
    }

    #[test]
    fn one_thing_left_out_is_not_everything() {
        let everything = |includes: &[&'static str], excludes: &[&'static str]| {
            Patterns::new(includes.iter().copied(), excludes.iter().copied()).unwrap().takes_everything()
        };
        assert!(everything(&[], &[]));
        assert!(everything(&["*"], &[]));
        assert!(!everything(&["*"], &["a"]));
        assert!(!everything(&["a*"], &[]));
    }

    #[test]
    fn contradictions_are_told_in_velero_s_words() {
        let lists = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            contradictions(&lists(&["*", "a", "b"]), &lists(&["*", "b", "a"])),
            [
                "includes list must either contain '*' only, or a non-empty list of items",
                "excludes list cannot contain '*'",
                "excludes list cannot contain an item in the includes list: *",
                "excludes list cannot contain an item in the includes list: a",
                "excludes list cannot contain an item in the includes list: b",
            ]
        );
        assert!(contradictions(&lists(&["*", "*"]), &lists(&["a"])).is_empty());
    }
}
