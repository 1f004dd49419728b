//! How words of an archive's maker appear in messages: escaped and cut.

/// The most characters of a foreign word that a message repeats.
const MOST: usize = 200;

/// `bytes` as text that is safe in a log or a terminal.
pub(crate) fn shown(bytes: &[u8]) -> String {
    // Four bytes hold at least one character, so the rest need not be looked at.
    let start = &bytes[..bytes.len().min(4 * (MOST + 1))];
    let text = String::from_utf8_lossy(start);
    let mut shown: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_are_escaped_and_cut() {
        assert_eq!(shown(b"a:b"), "a:b");
        assert_eq!(shown(b"a\x1b[0m\n\0"), r"a\u{1b}[0m\n\0");
        assert_eq!(shown(b"a\xff"), "a\u{fffd}");
        assert_eq!(shown(&[b'x'; 200]), "x".repeat(200));
        assert_eq!(shown(&[b'x'; 100_000]), "x".repeat(200) + "…");
    }
}
