//! What a server says, made fit to be shown: short, one line, without a credential.

/// Longer words are cut.
const LONGEST: usize = 300;
/// Shorter parts of a credential are no secret by themselves and would blank out ordinary words.
const SHORTEST_SECRET: usize = 5;

/// Texts that must not be shown.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let long = |secret: &&str| secret.len() >= SHORTEST_SECRET;
        Self(secrets.into_iter().filter(long).map(str::to_owned).collect())
    }

    /// These and more.
    pub(crate) fn and<'a>(&self, more: impl IntoIterator<Item = &'a str>) -> Self {
        let Self(mut all) = Self::new(more);
        all.extend_from_slice(&self.0);
        Self(all)
    }

    /// The words in one bounded line, with every secret blanked out.
    pub(crate) fn clean(&self, words: &str) -> String {
        let mut clean = words.to_owned();
        for secret in &self.0 {
            clean = clean.replace(secret.as_str(), "***");
        }
        let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut visible = line.chars().filter(|c| !c.is_control());
        let mut shown: String = visible.by_ref().take(LONGEST).collect();
        if visible.next().is_some() {
            shown.push('…');
        }
        shown
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// Code and message of an error that a store answers with: XML of S3, Azure and GCS, or JSON of a token service.
pub(crate) fn code_and_message(body: &str) -> (Option<&str>, Option<&str>) {
    let element = |name: &str| between(body, &format!("<{name}>"), &format!("</{name}>"));
    match (element("Code"), element("Message")) {
        (None, None) => {
            let code = json(body, "error");
            (code, json(body, "error_description").or_else(|| json(body, "message")))
        }
        found => found,
    }
}

fn json<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("\"{key}\""))?;
    let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    value.split_once('"').map(|(value, _)| value)
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(open)?;
    rest.split_once(close).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_blanked_out_wherever_it_stands() {
        let secrets = Secrets::new(["hunter22", "abc"]);
        assert_eq!(secrets.clean("got hunter22, not hunter22x; abc"), "got ***, not ***x; abc");
    }

    #[test]
    fn words_are_one_bounded_line() {
        let secrets = Secrets::default();
        assert_eq!(secrets.clean(" a\n\tb\u{7}c "), "a bc");
        let long = secrets.clean(&"é".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn code_and_message_are_found_in_what_stores_answer() {
        for (body, code, message) in [
            (
                "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>Gone.</Message></Error>",
                "NoSuchKey",
                "Gone.",
            ),
            ("{\"error\": \"invalid_grant\", \"error_description\":\"Bad JWT\"}", "invalid_grant", "Bad JWT"),
        ] {
            assert_eq!(code_and_message(body), (Some(code), Some(message)), "{body}");
        }
        assert_eq!(code_and_message("<html>504</html>"), (None, None));
        assert_eq!(code_and_message("<Code>open <Message>"), (None, None));
        assert_eq!(code_and_message("{\"error\": {\"message\": \"m\"}}"), (None, Some("m")));
    }
}
