//! How values are written in messages for people.

use jiff::Timestamp;

/// RFC 3339, whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `a, b, c and 4 more`.
pub(crate) fn some_of(names: &[String], shown: usize) -> String {
    let listed = names.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(shown) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}
