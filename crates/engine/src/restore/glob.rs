//! Patterns of names: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`, `{a,b}` and `\` before a character that stands for
//! itself, as Velero 1.18 reads them.

use regex::{Regex, RegexBuilder};

/// What one pattern may cost when compiled, in bytes.
const MAX_COMPILED: usize = 1 << 20;

/// A pattern of names.
#[derive(Clone, Debug)]
pub(crate) enum Glob {
    /// Nothing in it is special.
    Name(String),
    /// Something is.
    Pattern(Regex),
}

/// A pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` {fault}")]
pub(crate) struct GlobError {
    pattern: String,
    fault: &'static str,
}

impl Glob {
    /// Reads a pattern. With a `separator`, `*` and `?` stop at it and `**` doesn't.
    pub(crate) fn new(pattern: &str, separator: Option<char>) -> Result<Self, GlobError> {
        if !pattern.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Self::Name(pattern.to_owned()));
        }
        let fault = |fault| GlobError { pattern: pattern.to_owned(), fault };
        let expression = expression(pattern, separator).map_err(fault)?;
        RegexBuilder::new(&expression)
            .size_limit(MAX_COMPILED)
            .build()
            .map(Self::Pattern)
            .map_err(|_| fault("is too long or has a range that runs backwards"))
    }

    /// Whether it stands for `name`.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Pattern(pattern) => pattern.is_match(name),
        }
    }
}

/// The regular expression that says the same.
fn expression(pattern: &str, separator: Option<char>) -> Result<String, &'static str> {
    let one = separator.map_or_else(|| ".".to_owned(), |c| format!("[^{}]", regex::escape(&c.to_string())));
    let mut out = String::from("(?s)^(?:");
    let mut open = 0_usize;
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.extend([one.as_str(), "*"]),
            '?' => out.push_str(&one),
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

    fn matches(pattern: &str, separator: Option<char>, name: &str) -> bool {
        Glob::new(pattern, separator).unwrap().matches(name)
    }

    #[test]
    fn each_special_character_stands_for_what_velero_reads_in_it() {
        // As gobwas/glob 0.2.3.
        for (pattern, separator, name, yes) in [
            ("app", None, "app", true),
            ("app", None, "apps", false),
            ("app*", None, "app-1.a", true),
            ("*.apps", Some('.'), "deployments.apps", true),
            ("*", Some('.'), "deployments.apps", false),
            ("**", Some('.'), "deployments.apps", true),
            ("a?", None, "ab", true),
            ("a?", None, "a", false),
            ("[ab]c", None, "bc", true),
            ("[!ab]c", None, "bc", false),
            ("[a-c]1", None, "b1", true),
            ("[a.]1", None, "-1", false),
            ("{pods,*.apps}", Some('.'), "daemonsets.apps", true),
            ("{pods,*.apps}", Some('.'), "services", false),
            ("a\\*", None, "a*", true),
            ("a\\*", None, "ab", false),
            ("a.c", None, "abc", false),
        ] {
            assert_eq!(matches(pattern, separator, name), yes, "{pattern} {name}");
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
            assert_eq!(Glob::new(pattern, None).unwrap_err().to_string(), sentence);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_pattern_or_an_error(pattern in ".{0,40}", name in ".{0,40}") {
            if let Ok(glob) = Glob::new(&pattern, Some('.')) {
                glob.matches(&name);
            }
        }

        #[test]
        fn a_pattern_without_special_characters_is_a_name(pattern in "[a-z0-9.-]{0,20}", name in "[a-z0-9.-]{0,20}") {
            prop_assert_eq!(matches(&pattern, None, &name), pattern == name);
        }
    }
}
