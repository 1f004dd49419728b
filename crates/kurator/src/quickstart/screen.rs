//! Where the walk is written to: a terminal, on which what is under way is drawn again and again, or anything else, which
//! gets each line once.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::render::{self, Facts, Part, Row, Style};

/// Width of a line where nobody says.
const WIDTH: usize = 100;
/// Lines of the log that are shown when something failed.
const TAIL: usize = 20;
/// Characters of each of them.
const TAIL_WIDTH: usize = 400;

pub(super) struct Screen {
    is_terminal: bool,
    colour: bool,
    /// Wait for Enter before each step.
    waits: bool,
    shows_yaml: bool,
    began: Instant,
    rows: Vec<Row>,
    /// Lines that are drawn anew when the rows change.
    drawn: usize,
}

impl Screen {
    pub(super) fn new(waits: bool, shows_yaml: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = std::io::stdout().is_terminal() && set("TERM").is_none_or(|term| term != "dumb");
        let colour = is_terminal && set("NO_COLOR").is_none();
        Self { is_terminal, colour, waits, shows_yaml, began: Instant::now(), rows: Vec::new(), drawn: 0 }
    }

    /// Looked up anew each time: a window changes its size.
    fn style(&self) -> Style {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|_| self.is_terminal);
        let width = size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(WIDTH);
        Style { colour: self.colour, width }
    }

    pub(super) fn up(&mut self, facts: &Facts) {
        write(&render::up(self.style(), facts));
    }

    pub(super) async fn begin(&mut self, number: usize, of: usize, title: &str, text: &str) {
        write(&render::begin(self.style(), number, of, title, text));
        if self.waits {
            write(&["  Enter goes on".to_owned()]);
            let mut line = String::new();
            // Where there is nobody to wait for, it goes on.
            let _nobody = BufReader::new(tokio::io::stdin()).read_line(&mut line).await;
        }
        self.began = Instant::now();
        self.rows.clear();
        self.drawn = 0;
    }

    pub(super) fn yaml(&mut self, text: &str) {
        if self.shows_yaml {
            write(&render::yaml(self.style(), text));
        }
    }

    pub(super) fn applied(&mut self, name: &str) {
        write(&[render::applied(self.style(), name)]);
    }

    /// How what is followed stands now.
    pub(super) fn progress(&mut self, rows: &[Row]) {
        if self.rows == rows {
            return;
        }
        self.rows = rows.to_vec();
        if self.is_terminal {
            let lines = render::rows(self.style(), rows);
            // Up to the first of the lines, and away with them.
            let back = if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() };
            self.drawn = lines.len();
            put(&(back + &joined(&lines)));
        }
    }

    pub(super) fn end(&mut self, told: Result<&[String], ()>) {
        let style = self.style();
        let mut lines = if self.is_terminal { Vec::new() } else { render::rows(style, &self.rows) };
        lines.extend(render::end(style, told, self.began.elapsed()));
        write(&lines);
    }

    pub(super) fn summary(&mut self, parts: &[Part]) {
        write(&render::summary(self.style(), parts));
    }
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn write(lines: &[String]) {
    put(&joined(lines));
}

fn put(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // A reader that has gone away has seen enough.
    let _gone = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
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
