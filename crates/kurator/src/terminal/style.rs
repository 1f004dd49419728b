//! Text as a place can show it: in colour or not, and as wide as it is.

/// What the place can show that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) colour: bool,
    pub(crate) bars: bool,
    /// Characters in a line.
    pub(crate) width: usize,
}

/// Blanks before what belongs to a heading.
pub(crate) const INDENT: &str = "  ";
pub(crate) const BOLD: &str = "1";
pub(crate) const DIM: &str = "2";
pub(crate) const RED: &str = "31";
pub(crate) const GREEN: &str = "32";
pub(crate) const CYAN: &str = "36";

impl Style {
    /// Without a code the text is as it is.
    pub(crate) fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Breaks a text between words; a word that is longer than a line has one of its own.
    pub(crate) fn wrap(self, text: &str, code: &str) -> Vec<String> {
        let room = self.width.saturating_sub(INDENT.len()).max(1);
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in plain(text).split(' ').filter(|word| !word.is_empty()) {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        lines.iter().map(|line| format!("{INDENT}{}", self.paint(code, line))).collect()
    }

    /// Cuts a line at the end of the terminal.
    pub(crate) fn cut(self, text: &str) -> String {
        let text = plain(text);
        if text.chars().count() <= self.width {
            return text;
        }
        text.chars().take(self.width.saturating_sub(1)).chain(['…']).collect()
    }

    /// Cuts a line in its middle, where its end tells it from others.
    pub(crate) fn cut_in_the_middle(self, text: &str) -> String {
        let text: Vec<_> = plain(text).chars().collect();
        let Some(over) = text.len().checked_sub(self.width).filter(|over| *over > 0) else {
            return text.into_iter().collect();
        };
        let begin = self.width / 2;
        let end = begin + over + 1;
        text.iter().take(begin).chain(&['…']).chain(text.iter().skip(end)).collect()
    }
}

/// What comes from clusters must not steer a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
