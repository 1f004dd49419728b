//! Where the walk is written to, and who is waited for.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, BufReader, Stdin};

use super::render::{self, Facts, Part};
use crate::terminal::rows::{Row, rows};
use crate::terminal::{Stream, Terminal};

/// Lines of the log that are shown when something failed.
const TAIL: usize = 20;
/// Characters of each of them.
const TAIL_WIDTH: usize = 400;

pub(super) struct Screen {
    terminal: Terminal,
    /// Where Enter comes from before each step, if it is waited for; one reader, which loses nothing between two steps.
    enter: Option<BufReader<Stdin>>,
    shows_yaml: bool,
    began: Instant,
    rows: Vec<Row>,
}

impl Screen {
    pub(super) fn new(waits: bool, shows_yaml: bool) -> Self {
        let enter = waits.then(|| BufReader::new(tokio::io::stdin()));
        let terminal = Terminal::of(Stream::Out);
        Self { terminal, enter, shows_yaml, began: Instant::now(), rows: Vec::new() }
    }

    pub(super) fn up(&mut self, facts: &Facts) {
        self.terminal.write(&render::up(self.terminal.style(), facts));
    }

    pub(super) async fn begin(&mut self, number: usize, of: usize, title: &str, text: &str) {
        self.terminal.write(&render::begin(self.terminal.style(), number, of, title, text));
        if let Some(enter) = &mut self.enter {
            self.terminal.write(&["  Enter goes on, Ctrl-C ends".to_owned()]);
            let pressed = enter.read_line(&mut String::new()).await.is_ok_and(|read| read > 0);
            if !pressed {
                self.enter = None;
                self.terminal
                    .write(&["  Nobody can press it: there is no stdin. It goes on by itself".to_owned()]);
            }
        }
        self.began = Instant::now();
        self.rows.clear();
    }

    pub(super) fn yaml(&mut self, text: &str) {
        if self.shows_yaml {
            self.terminal.write(&render::yaml(self.terminal.style(), text));
        }
    }

    pub(super) fn applied(&mut self, name: &str) {
        self.terminal.write(&[render::applied(self.terminal.style(), name)]);
    }

    /// How what is followed stands now.
    pub(super) fn progress(&mut self, now: &[Row]) {
        if self.rows == now {
            return;
        }
        self.rows = now.to_vec();
        if self.terminal.is_live() {
            self.terminal.draw(&rows(self.terminal.style(), now));
        }
    }

    pub(super) fn end(&mut self, told: Result<&[String], ()>) {
        let style = self.terminal.style();
        let mut lines = if self.terminal.is_live() { Vec::new() } else { rows(style, &self.rows) };
        lines.extend(render::end(style, told, self.began.elapsed()));
        self.terminal.write(&lines);
    }

    /// Whether all of it could be written.
    pub(super) fn written(&self) -> anyhow::Result<()> {
        self.terminal.written()
    }

    pub(super) fn summary(&mut self, parts: &[Part]) {
        self.terminal.write(&render::summary(self.terminal.style(), parts));
    }
}

/// Shows the end of the log on stderr.
pub(super) fn tail(log: &Path) {
    let Ok(text) = std::fs::read_to_string(log) else { return };
    let lines: Vec<_> = text.lines().collect();
    let last = lines.iter().skip(lines.len().saturating_sub(TAIL));
    let text: String =
        last.map(|line| format!("  {}\n", line.chars().take(TAIL_WIDTH).collect::<String>())).collect();
    if !text.is_empty() {
        // Nothing can be done about a closed stderr.
        let _closed = write!(std::io::stderr(), "end of the log:\n{text}");
    }
}
