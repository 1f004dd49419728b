//! Which namespaces a Backup takes, and how their patterns are written.

use std::collections::BTreeSet;

use crate::glob::{Glob, Globs};

use super::NamespaceFact;

/// Namespaces to take and to leave out, with their globs expanded where Velero 1.18 does: against the namespaces that
/// exist, unless all are included.
#[derive(Clone, Debug)]
pub(super) struct Namespaces {
    /// Sorted; none means all.
    include: Option<Vec<String>>,
    exclude: Globs,
    everything: bool,
    /// Globs that match no namespace.
    idle: Vec<String>,
}

impl Namespaces {
    pub(super) fn new(include: &[Glob], exclude: &[Glob], existing: &[NamespaceFact]) -> Self {
        if include.is_empty() || include.iter().any(Glob::is_any) {
            let everything = exclude.is_empty();
            return Self {
                include: None,
                exclude: exclude.iter().cloned().collect(),
                everything,
                idle: Vec::new(),
            };
        }
        let mut idle = Vec::new();
        let mut expanded = |globs: &[Glob]| {
            let mut names = BTreeSet::new();
            for glob in globs {
                if glob.is_literal() {
                    names.insert(glob.as_str().to_owned());
                    continue;
                }
                let matching = existing.iter().filter(|one| glob.matches(&one.name));
                let mut matching = matching.map(|one| one.name.clone()).peekable();
                if matching.peek().is_none() {
                    idle.push(glob.as_str().to_owned());
                }
                names.extend(matching);
            }
            names
        };
        let include = expanded(include);
        let exclude = expanded(exclude);
        // As Velero: nothing excluded, and included are all or, because its globs match none, "no names".
        let everything = exclude.is_empty()
            && (include.is_empty()
                || include.iter().eq(&existing.iter().map(|one| one.name.clone()).collect::<BTreeSet<_>>()));
        Self {
            include: Some(include.into_iter().collect()),
            exclude: exclude.iter().filter_map(|name| Glob::parse(name).ok()).collect(),
            everything,
            idle,
        }
    }

    pub(super) fn takes(&self, name: &str) -> bool {
        !self.exclude.matches(name)
            && self
                .include
                .as_ref()
                .is_none_or(|include| include.binary_search_by(|one| one.as_str().cmp(name)).is_ok())
    }

    /// Whether this is no filter. Velero's rules for cluster-scoped types depend on it.
    pub(super) const fn is_everything(&self) -> bool {
        self.everything
    }

    /// The namespaces to list, each on its own; none means that all are listed at once.
    pub(super) fn listed(&self) -> Option<Vec<&str>> {
        let include = self.include.as_ref()?;
        // The empty name is "no namespace"; a list of it would be one of all.
        let taken = include.iter().map(String::as_str).filter(|name| !name.is_empty() && self.takes(name));
        Some(taken.collect())
    }

    /// Namespaces that are named and don't exist.
    pub(super) fn missing(&self, existing: &[NamespaceFact]) -> Vec<String> {
        let existing: BTreeSet<&str> = existing.iter().map(|one| one.name.as_str()).collect();
        let named = self.include.iter().flatten();
        named.filter(|name| !existing.contains(name.as_str())).cloned().collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let idle = self.idle.iter();
        let mut warnings: Vec<String> =
            idle.map(|glob| format!("the pattern `{glob}` matches no namespace of the cluster")).collect();
        if self.include.as_ref().is_some_and(Vec::is_empty) {
            warnings.push(
                "no namespace matches spec.includedNamespaces: nothing is taken from any namespace"
                    .to_owned(),
            );
        }
        warnings
    }
}

/// A pattern for namespaces as Velero 1.18 allows it: `*`, `?` and `[abc]`.
///
/// # Errors
/// What is wrong with it, in Velero's words.
pub fn check_namespace_glob(pattern: &str) -> Result<Glob, String> {
    let refuse = |why: &str| Err(format!("wildcard pattern contains {why}"));
    if pattern.contains(['|', '(', ')', '!', '{', '}', ',']) {
        return refuse("unsupported characters: |, (, ), !, {, }, ,");
    }
    if pattern.contains("**") {
        return refuse("consecutive asterisks (only single * allowed)");
    }
    let mut rest = pattern;
    while let Some(at) = rest.find(['[', ']']) {
        if rest[at..].starts_with(']') {
            return refuse("unmatched closing bracket ']'");
        }
        match rest[at + 1..].find(']') {
            None => return refuse("unclosed bracket '['"),
            Some(0) => return refuse("empty bracket pattern '[]'"),
            Some(end) => rest = &rest[at + 1 + end + 1..],
        }
    }
    Glob::parse(pattern).map_err(|error| error.to_string())
}

/// The same for a Backup's lists, where what isn't a pattern has to be the name of a namespace. Velero takes the empty
/// text, too, as "no namespace".
///
/// # Errors
/// What is wrong with it, in Velero's words where it has some.
pub fn check_namespace_name(pattern: &str) -> Result<Glob, String> {
    let glob = check_namespace_glob(pattern)?;
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '*' | '?' | '[' | ']');
    if pattern.len() > 63 {
        return Err(format!("invalid namespace {pattern:?}: must be no more than 63 characters"));
    }
    let right = pattern.is_empty()
        || pattern.starts_with(is_end)
            && pattern.ends_with(is_end)
            && pattern.chars().all(|c| is_end(c) || c == '-');
    if right {
        Ok(glob)
    } else {
        Err(format!(
            "invalid namespace {pattern:?}: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        ))
    }
}
