//! Names that somebody may have meant who has typed another.

use strsim::levenshtein;

/// Names that are proposed at the most.
const PROPOSED: usize = 3;

/// A question with the nearest of the names that there are, and a blank; nothing if none is near.
pub(crate) fn question<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let mut near: Vec<_> = known
        .into_iter()
        .map(|name| (levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance <= allowed(typed) || is_begun(typed, name))
        .collect();
    near.sort_unstable();
    near.truncate(PROPOSED);
    let names: Vec<_> = near.iter().map(|(_, name)| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("did you mean {}? ", names.join(" or ")) }
}

/// Letters that may be wrong.
fn allowed(typed: &str) -> usize {
    (typed.chars().count() / 3).max(1)
}

/// Whether one is the beginning of the other.
fn is_begun(typed: &str, name: &str) -> bool {
    typed.len() > 2 && (name.starts_with(typed) || typed.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_proposed_the_nearest_first() {
        let known = ["quickstart", "quickstop", "shop", "specific-ns"];
        assert_eq!(question("quickstar", known), "did you mean `quickstart` or `quickstop`? ");
        assert_eq!(question("specific", known), "did you mean `specific-ns`? ");
        assert_eq!(question("else", known), "");
    }
}
