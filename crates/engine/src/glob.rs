//! Globs as Velero reads them: `*`, `**`, `?`, `[abc]`, `[a-z]`, `[!abc]`, `{a,b}`, and `\` before what is meant as it
//! stands. There are no separators, so `*` and `**` are the same.
//!
//! Patterns come from strangers. Alternatives are multiplied out when a pattern is read, within a limit, so that
//! matching needs no memory and at most the product of the two lengths in steps.

use std::collections::HashSet;
use std::fmt;

/// Longest pattern, in bytes.
const LONGEST: usize = 1024;
/// Most patterns that alternatives are multiplied out to.
const MOST_ALTERNATIVES: usize = 256;
/// Deepest nesting of alternatives.
const DEEPEST: usize = 8;

/// A pattern for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    /// None: the text itself.
    patterns: Option<Vec<Pattern>>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pattern: {why}")]
pub struct GlobError {
    text: String,
    why: &'static str,
}

type Pattern = Vec<Token>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[a-z]`, `[abc]`
    Class {
        not: bool,
        class: Class,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Class {
    Range(char, char),
    List(String),
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with the pattern: a bracket or brace that isn't closed, an empty or mixed class (`[a-z0-9]`), or
    /// more than 1,024 bytes, 256 alternatives or 8 levels of braces.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        let refuse = |why| GlobError { text: shown(text), why };
        if text.len() > LONGEST {
            return Err(refuse("it is longer than 1,024 bytes"));
        }
        if !text.contains(['*', '?', '[', '{', '\\']) {
            return Ok(Self { text: text.to_owned(), patterns: None });
        }
        let mut reader = Reader { rest: text };
        let patterns = reader.sequence(0).map_err(refuse)?;
        Ok(Self { text: text.to_owned(), patterns: Some(patterns) })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is `*` alone.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.text == "*"
    }

    /// Whether it stands for nothing but itself.
    #[must_use]
    pub const fn is_literal(&self) -> bool {
        self.patterns.is_none()
    }

    /// Whether it matches all of `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.patterns {
            None => self.text == name,
            Some(patterns) => patterns.iter().any(|pattern| matches(pattern, name)),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The beginning of a text that may be long.
fn shown(text: &str) -> String {
    const SHOWN: usize = 100;
    if text.len() <= SHOWN {
        text.to_owned()
    } else {
        format!("{}…", &text[..text.floor_char_boundary(SHOWN)])
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Up to the end of the text; below the top, up to the `,` or `}` that ends the alternative, which is left.
    fn sequence(&mut self, depth: usize) -> Result<Vec<Pattern>, &'static str> {
        let mut read = vec![Pattern::new()];
        loop {
            let token = match self.peek() {
                None => return Ok(read),
                Some(',' | '}') if depth > 0 => return Ok(read),
                Some('{') => {
                    self.next();
                    read = multiplied(&read, &self.alternatives(depth + 1)?)?;
                    continue;
                }
                Some(next) => {
                    self.next();
                    match next {
                        '*' => Token::Many,
                        '?' => Token::One,
                        '[' => self.class()?,
                        '\\' => Token::Char(self.next().ok_or("it ends behind a backslash")?),
                        next => Token::Char(next),
                    }
                }
            };
            for pattern in &mut read {
                // Two stars match what one does, in more steps.
                if token != Token::Many || pattern.last() != Some(&Token::Many) {
                    pattern.push(token.clone());
                }
            }
        }
    }

    /// What follows an opening brace.
    fn alternatives(&mut self, depth: usize) -> Result<Vec<Pattern>, &'static str> {
        if depth > DEEPEST {
            return Err("its braces are nested deeper than 8 levels");
        }
        let mut all = Vec::new();
        loop {
            all.extend(self.sequence(depth)?);
            if all.len() > MOST_ALTERNATIVES {
                return Err(TOO_MANY);
            }
            match self.next() {
                Some(',') => {}
                Some(_) => return Ok(all),
                None => return Err("a brace is not closed"),
            }
        }
    }

    /// What follows an opening bracket.
    fn class(&mut self) -> Result<Token, &'static str> {
        const OPEN: &str = "a bracket is not closed";
        let not = self.peek() == Some('!');
        if not {
            self.next();
        }
        let mut ahead = self.rest.chars();
        if let (Some(low), Some('-')) = (ahead.next(), ahead.next()) {
            self.next();
            self.next();
            let high = self.next().ok_or(OPEN)?;
            return match self.next() {
                Some(']') if low <= high => Ok(Token::Class { not, class: Class::Range(low, high) }),
                Some(']') => Err("a range ends before it begins"),
                Some(_) => Err("a bracket holds one range or a list of characters, not both"),
                None => Err(OPEN),
            };
        }
        let mut list = String::new();
        loop {
            match self.next().ok_or(OPEN)? {
                ']' if list.is_empty() => return Err("a bracket is empty"),
                ']' => return Ok(Token::Class { not, class: Class::List(list) }),
                '\\' => list.push(self.next().ok_or(OPEN)?),
                next => list.push(next),
            }
        }
    }
}

const TOO_MANY: &str = "its braces have more than 256 alternatives";

fn multiplied(heads: &[Pattern], tails: &[Pattern]) -> Result<Vec<Pattern>, &'static str> {
    if heads.len() * tails.len() > MOST_ALTERNATIVES {
        return Err(TOO_MANY);
    }
    Ok(heads.iter().flat_map(|head| tails.iter().map(move |tail| [&head[..], &tail[..]].concat())).collect())
}

/// The classical walk: on a mismatch the last star takes one character more.
fn matches(pattern: &[Token], name: &str) -> bool {
    let (mut at, mut rest) = (0, name);
    let mut star: Option<(usize, &str)> = None;
    loop {
        let mut behind = rest.chars();
        match (pattern.get(at), behind.next()) {
            (Some(Token::Many), _) => {
                star = Some((at, rest));
                at += 1;
                continue;
            }
            (None, None) => return true,
            (Some(token), Some(next)) if token.takes(next) => {
                at += 1;
                rest = behind.as_str();
                continue;
            }
            _ => {}
        }
        let Some((of, from)) = star else { return false };
        let mut behind = from.chars();
        if behind.next().is_none() {
            return false;
        }
        rest = behind.as_str();
        star = Some((of, rest));
        at = of + 1;
    }
}

impl Token {
    fn takes(&self, next: char) -> bool {
        match self {
            Self::Char(char) => *char == next,
            Self::One => true,
            Self::Many => false,
            Self::Class { not, class } => {
                *not != match class {
                    Class::Range(low, high) => (*low..=*high).contains(&next),
                    Class::List(list) => list.contains(next),
                }
            }
        }
    }
}

/// Patterns of which one has to match. Asking costs one look-up, and one match for each that isn't literal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globs {
    literals: HashSet<String>,
    patterns: Vec<Glob>,
}

impl Globs {
    /// Adds one more.
    pub fn insert(&mut self, glob: Glob) {
        if glob.is_literal() {
            self.literals.insert(glob.text);
        } else if !self.patterns.contains(&glob) {
            self.patterns.push(glob);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.patterns.is_empty()
    }

    /// Whether one of them is `*`.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.patterns.iter().any(Glob::is_any)
    }

    /// Whether there is `*` and nothing else.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.literals.is_empty() && self.patterns.len() == 1 && self.has_any()
    }

    /// Whether one of them matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.literals.contains(name) || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

impl FromIterator<Glob> for Globs {
    fn from_iter<I: IntoIterator<Item = Glob>>(globs: I) -> Self {
        let mut all = Self::default();
        globs.into_iter().for_each(|glob| all.insert(glob));
        all
    }
}

#[cfg(test)]
mod tests;
