//! How the walk looks: from what there is to tell to lines of text, and nothing else.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::terminal::style::{BOLD, CYAN, DIM, GREEN, INDENT, RED, Style, plain};

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
    /// Lines that are cut; `brief` where not all of `full` fits.
    Table {
        full: String,
        brief: String,
    },
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
    style.cut_in_the_middle(&format!("{INDENT}applied {name}"))
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
            Part::Table { full, brief } => {
                let room = style.width.saturating_sub(INDENT.len());
                let fits = full.lines().all(|line| line.chars().count() <= room);
                let table = if fits { full } else { brief };
                lines.extend(
                    table.lines().map(|line| style.cut(&format!("{INDENT}{line}")).trim_end().to_owned()),
                );
            }
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
