//! Patterns of types, such as `*.apps`: as [`crate::glob`], but `*` and `?` stop at dots and `**` doesn't.

use regex::{Regex, RegexBuilder};

/// What one pattern may cost when compiled, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A pattern of types.
#[derive(Clone, Debug)]
pub(super) enum Glob {
    /// Nothing in it is special.
    Name(String),
    /// Something is.
    Pattern(Regex),
}

/// A pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` {fault}")]
pub(super) struct GlobError {
    pattern: String,
    fault: &'static str,
}

impl Glob {
    /// Reads a pattern.
    pub(super) fn parse(pattern: &str) -> Result<Self, GlobError> {
        if !pattern.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Self::Name(pattern.to_owned()));
        }
        let fault = |fault| GlobError { pattern: pattern.to_owned(), fault };
        let expression = expression(pattern).map_err(fault)?;
        RegexBuilder::new(&expression)
            .size_limit(MAX_COMPILED)
            .build()
            .map(Self::Pattern)
            .map_err(|_| fault("is too long or has a range that runs backwards"))
    }

    /// Whether it stands for `name`.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

/// The regular expression that says the same.
fn expression(pattern: &str) -> Result<String, &'static str> {
    const ONE: &str = "[^.]";
    let mut out = String::from("(?s)^(?:");
    let mut open = 0_usize;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.extend([ONE, "*"]),
            '?' => out.push_str(ONE),
            '[' => out.push_str(&class(&mut rest)?),
            ']' => return Err("closes a bracket `]` that nothing opened"),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            ',' if open > 0 => out.push('|'),
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            '}' => return Err("closes a brace `}` that nothing opened"),
            '\\' => out.push_str(&literal(rest.next().ok_or("ends with a backslash")?)),
            other => out.push_str(&literal(other)),
        }
    }
    if open > 0 {
        return Err("opens a brace `{` that nothing closes");
    }
    out.push_str(")$");
    Ok(out)
}

/// The class that began with `[`.
fn class(rest: &mut impl Iterator<Item = char>) -> Result<String, &'static str> {
    const OPEN: &str = "opens a bracket `[` that nothing closes";
    let mut members = Vec::new();
    loop {
        match rest.next().ok_or(OPEN)? {
            ']' => break,
            '\\' => members.push(rest.next().ok_or(OPEN)?),
            other => members.push(other),
        }
    }
    let negated = members.first() == Some(&'!');
    let members = &members[usize::from(negated)..];
    let inner = match members {
        [] => return Err("holds an empty bracket `[]`"),
        [from, '-', to] => format!("{}-{}", in_class(*from), in_class(*to)),
        each => each.iter().copied().map(in_class).collect(),
    };
    Ok(format!("[{}{inner}]", if negated { "^" } else { "" }))
}

fn literal(c: char) -> String {
    regex::escape(c.encode_utf8(&mut [0; 4]))
}

fn in_class(c: char) -> String {
    if c.is_alphanumeric() { c.to_string() } else { format!("\\x{{{:x}}}", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn each_special_character_stands_for_what_velero_reads_in_it() {
        // As gobwas/glob 0.2.3 with the separator `.`.
        for (pattern, name, yes) in [
            ("pods", "pods", true),
            ("pods", "pod", false),
            ("*.apps", "deployments.apps", true),
            ("*.apps", "a.b.apps", false),
            ("*", "deployments.apps", false),
            ("**", "deployments.apps", true),
            ("a?", "ab", true),
            ("a?", "a.", false),
            ("a?", "a", false),
            ("[ab]c", "bc", true),
            ("[!ab]c", "bc", false),
            ("[a-c]1", "b1", true),
            ("[a.]1", "-1", false),
            ("{pods,*.apps}", "daemonsets.apps", true),
            ("{pods,*.apps}", "services", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("a.c", "abc", false),
        ] {
            assert_eq!(matches(pattern, name), yes, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_read_says_why() {
        for (pattern, sentence) in [
            ("a[b", "the pattern `a[b` opens a bracket `[` that nothing closes"),
            ("a]", "the pattern `a]` closes a bracket `]` that nothing opened"),
            ("a[]", "the pattern `a[]` holds an empty bracket `[]`"),
            ("{a", "the pattern `{a` opens a brace `{` that nothing closes"),
            ("a}", "the pattern `a}` closes a brace `}` that nothing opened"),
            ("a\\", "the pattern `a\\` ends with a backslash"),
            ("[z-a]", "the pattern `[z-a]` is too long or has a range that runs backwards"),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap_err().to_string(), sentence);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(pattern in ".{0,40}", name in ".{0,40}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(&name);
            }
        }
    }
}
