//! What people are told while they wait.

use super::super::note;
use super::super::run::Run;
use crate::terminal::rows::{self, rows};
use crate::terminal::style::{Style, plain};
use crate::terminal::{Stream, Terminal};

/// What people are told on stderr while they wait: on a terminal all clusters, drawn again when they change; elsewhere a
/// line for each change.
pub(super) struct Telling {
    terminal: Terminal,
    told: Vec<String>,
    /// What the run said last, whole.
    message: String,
}

impl Telling {
    pub(super) fn new() -> Self {
        Self { terminal: Terminal::of(Stream::Err), told: Vec::new(), message: String::new() }
    }

    pub(super) fn tell(&mut self, run: &Run) {
        self.message = run.message().to_owned();
        let is_live = self.terminal.is_live();
        let lines = if is_live { drawing(self.terminal.style(), run) } else { vec![run.line()] };
        if lines == self.told {
            return;
        }
        if is_live {
            self.terminal.draw(&lines);
        } else {
            lines.iter().for_each(|line| note(line));
        }
        self.told = lines;
    }

    /// What the run said last, of which a line may show the beginning only.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Tells the end, whole where it was cut.
    pub(super) fn end(&mut self, run: &Run) {
        let style = self.terminal.style();
        if self.terminal.is_live() && style.cut(&run.line()) != plain(&run.line()) {
            self.terminal.write(&style.wrap(run.message(), ""));
        }
    }

    /// Says something else, once; what is drawn next comes below it.
    pub(super) fn say(&mut self, text: &str) {
        self.terminal.write(&[plain(text)]);
        self.told.clear();
    }
}

/// A run, and a line with a bar for each of its clusters.
fn drawing(style: Style, run: &Run) -> Vec<String> {
    let clusters: Vec<_> = run.rows.iter().map(rows::Row::from).collect();
    [style.cut(&run.line())].into_iter().chain(rows(style, &clusters)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::restore::Restore;
    use serde_json::json;

    fn run() -> Run {
        let restore: Restore = serde_json::from_value(json!({
            "metadata": {"name": "r"}, "spec": {"backupName": "b"},
            "status": {"phase": "InProgress", "summary": {"status": "0/2"},
                "conditions": [{"type": "Ready", "status": "False", "message": "a: running", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "restoreDetails": [
                    {"clusterName": "a", "restoreStatusInCluster": {"phase": "InProgress", "progress": {"itemsRestored": 2, "totalItems": 5}}},
                    {"clusterName": "edge", "restoreStatusInCluster": {"phase": "InProgress", "progress": {"totalItems": 4}}},
                ]},
        }))
        .unwrap();
        Run::from(&restore)
    }

    #[test]
    fn on_a_terminal_each_cluster_has_a_bar() {
        let expected = [
            "InProgress, 0/2 clusters, 2/9 objects, a: running",
            "  a     ██████░░░░░░░░░░ InProgress  2/5 objects",
            "  edge  ░░░░░░░░░░░░░░░░ InProgress  0/4 objects",
        ];
        assert_eq!(drawing(Style { colour: false, bars: true, width: 80 }, &run()), expected);
        let coloured = drawing(Style { colour: true, bars: true, width: 80 }, &run());
        assert_eq!(coloured[1], "  a     \x1b[36m██████░░░░░░░░░░\x1b[0m InProgress  2/5 objects");
    }

    #[test]
    fn a_narrow_terminal_gets_lines_that_do_not_break() {
        let lines = drawing(Style { colour: true, bars: true, width: 40 }, &run());
        let expected = [
            "InProgress, 0/2 clusters, 2/9 objects, …",
            "  a     InProgress  2/5 objects",
            "  edge  InProgress  0/4 objects",
        ];
        assert_eq!(lines, expected);
    }
}
