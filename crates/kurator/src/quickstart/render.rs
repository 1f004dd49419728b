//! How the walk looks: from what there is to tell to lines of text, and nothing else.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// What the place can show that is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) colour: bool,
    /// Characters in a line.
    pub(super) width: usize,
}

/// One cluster of what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) phase: String,
    /// Done and in all, as far as known.
    pub(super) objects: Option<(i64, i64)>,
    /// What lies in the object store of it.
    pub(super) bytes: Option<u64>,
}

/// What came up at the start.
pub(super) struct Facts {
    pub(super) members: usize,
    pub(super) server: String,
    pub(super) store: String,
    pub(super) took: Duration,
}

/// A part of the closing words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Title(String),
    Text(String),
    /// Never broken: it is to be copied.
    Command(String),
    /// A line of a table, which is cut.
    Line(String),
}

const INDENT: &str = "  ";
/// Narrower than this, a row has no bar.
const BAR_FROM: usize = 60;
const BAR: usize = 16;
const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

impl Style {
    /// Without a code the text is as it is.
    fn paint(self, code: &str, text: &str) -> String {
        if self.colour && !code.is_empty() && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// Breaks a text between words; a word that is longer than a line has one of its own.
    fn wrap(self, text: &str, code: &str) -> Vec<String> {
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
    fn cut(self, text: &str) -> String {
        let text = plain(text);
        if text.chars().count() <= self.width {
            return text;
        }
        text.chars().take(self.width.saturating_sub(1)).chain(['…']).collect()
    }
}

/// What comes from clusters must not steer a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The beginning: what there is.
pub(super) fn up(style: Style, facts: &Facts) -> Vec<String> {
    let Facts { members, server, store, took } = facts;
    let mut lines = vec![style.paint(BOLD, &style.cut(&format!("Up after {}", seconds(*took))))];
    let text = format!(
        "A hub and {members} members in this process ({server}), in memory; an object store beside them ({store}). The \
         controllers and the engine are those of `kurator serve`."
    );
    lines.extend(style.wrap(&text, DIM));
    lines
}

/// The heading of a step, and what it is about.
pub(super) fn begin(style: Style, number: usize, of: usize, title: &str, text: &str) -> Vec<String> {
    let mut lines = vec![String::new(), style.paint(BOLD, &style.cut(&format!("{number}/{of}  {title}")))];
    lines.extend(style.wrap(text, DIM));
    lines
}

/// YAML as it is applied. It is not cut: it is to be copied.
pub(super) fn yaml(style: Style, text: &str) -> Vec<String> {
    text.trim_end()
        .lines()
        .map(|line| format!("{INDENT}{INDENT}{}", style.paint(CYAN, &plain(line))))
        .collect()
}

/// What was applied.
pub(super) fn applied(style: Style, name: &str) -> String {
    style.cut(&format!("{INDENT}applied {name}"))
}

/// The clusters of what is followed, a line each.
pub(super) fn rows(style: Style, rows: &[Row]) -> Vec<String> {
    let widest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    rows.iter().map(|row| self::row(style, row, widest)).collect()
}

fn row(style: Style, row: &Row, widest: usize) -> String {
    let mut text = format!("{INDENT}{:<widest$}  ", plain(&row.name));
    let has_bar = style.colour && style.width >= BAR_FROM;
    let bar = row.objects.filter(|_| has_bar).map(|(done, all)| bar(done, all));
    let mut facts = vec![plain(&row.phase)];
    facts.extend(row.objects.map(|(done, all)| format!("{done}/{all} objects")));
    facts.extend(row.bytes.map(bytes));
    if let Some(bar) = &bar {
        text.push_str(bar);
        text.push(' ');
    }
    text.push_str(&facts.join("  "));
    let line = style.cut(&text);
    match bar {
        // Of the same length with the colour as without it.
        Some(bar) => line.replacen(&bar, &style.paint(CYAN, &bar), 1),
        None => line,
    }
}

fn bar(done: i64, all: i64) -> String {
    let (done, all) = (usize::try_from(done).unwrap_or(0), usize::try_from(all).unwrap_or(0));
    let full = done.min(all).saturating_mul(BAR).checked_div(all).unwrap_or(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// The end of a step.
pub(super) fn end(style: Style, told: Result<&[String], ()>, took: Duration) -> Vec<String> {
    let took = seconds(took);
    match told {
        Ok(told) => {
            let said = told.iter().filter(|said| !said.is_empty());
            let mut lines: Vec<_> = said.flat_map(|said| style.wrap(said, "")).collect();
            lines.push(format!(
                "{INDENT}{} {}",
                style.paint(GREEN, "done"),
                style.paint(DIM, &format!("in {took}"))
            ));
            lines
        }
        Err(()) => vec![format!("{INDENT}{} after {took}", style.paint(RED, "failed"))],
    }
}

/// The closing words.
pub(super) fn summary(style: Style, parts: &[Part]) -> Vec<String> {
    let mut lines = Vec::new();
    for part in parts {
        match part {
            Part::Title(title) => {
                lines.push(String::new());
                lines.push(style.paint(BOLD, &style.cut(title)));
            }
            Part::Text(text) => lines.extend(style.wrap(text, "")),
            Part::Command(command) => lines.push(format!("{INDENT}{}", style.paint(CYAN, command))),
            Part::Line(line) => lines.push(style.cut(&format!("{INDENT}{line}")).trim_end().to_owned()),
        }
    }
    lines
}

/// A time, as people say it.
fn seconds(time: Duration) -> String {
    if time < Duration::from_millis(100) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// A size, as people say it.
fn bytes(size: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
    let kib = size as f64 / 1024.0;
    match size {
        0..1024 => format!("{size} B"),
        1024..1_048_576 => format!("{kib:.1} KiB"),
        _ => format!("{:.1} MiB", kib / 1024.0),
    }
}
