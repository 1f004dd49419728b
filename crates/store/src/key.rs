//! What a key is.

/// What a key that can't be one is answered with.
pub(crate) const NO_KEY: &str =
    "this is no key; use parts of visible characters with one slash between two, and neither `.` nor `..`";

/// Whether every kind of store can keep something under this key.
pub(crate) fn is_key(key: &str) -> bool {
    key.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_nowhere_but_down() {
        for key in ["a", "a/b.c/..d", "a b/~#?%20ä"] {
            assert!(is_key(key), "{key}");
        }
        for key in ["", "/a", "a/", "a//b", ".", "..", "a/./b", "a/..", "a\nb", "a\0", "a\u{85}b"] {
            assert!(!is_key(key), "{key:?}");
        }
    }
}
