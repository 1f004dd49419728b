//! Where people look: a terminal, on which what is under way is drawn again and again, or anything else, which gets each
//! line once.

pub(crate) mod rows;
pub(crate) mod style;

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use style::{INDENT, Style};

/// Width of a line where nobody says.
const WIDTH: usize = 100;

/// Which of the process's streams.
#[derive(Clone, Copy)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// One of the process's streams, as people see it.
pub(crate) struct Terminal {
    stream: Stream,
    is_live: bool,
    colour: bool,
    /// Lines at the end that are drawn anew.
    drawn: usize,
    /// Why something could not be written first, such as a full disk.
    lost: Option<String>,
}

impl Terminal {
    pub(crate) fn of(stream: Stream) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_terminal = match stream {
            Stream::Out => std::io::stdout().is_terminal(),
            Stream::Err => std::io::stderr().is_terminal(),
        };
        let is_live = is_terminal && set("TERM").is_none_or(|term| term != "dumb");
        Self { stream, is_live, colour: is_live && set("NO_COLOR").is_none(), drawn: 0, lost: None }
    }

    /// Whether lines can be drawn again.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Lines and columns; looked up anew each time, since a window changes its size.
    fn size(&self) -> (Option<usize>, usize) {
        let size = match self.stream {
            Stream::Out => rustix::termios::tcgetwinsize(std::io::stdout()),
            Stream::Err => rustix::termios::tcgetwinsize(std::io::stderr()),
        };
        let size = size.ok().filter(|_| self.is_live);
        let known = |size: u16| Some(usize::from(size)).filter(|size| *size > 0);
        (size.and_then(|size| known(size.ws_row)), size.and_then(|size| known(size.ws_col)).unwrap_or(WIDTH))
    }

    pub(crate) fn style(&self) -> Style {
        Style { colour: self.colour, bars: self.is_live, width: self.size().1 }
    }

    /// Writes lines that stay.
    pub(crate) fn write(&mut self, lines: &[String]) {
        self.drawn = 0;
        self.put(&joined(lines));
    }

    /// Writes lines in the place of those that were drawn before.
    pub(crate) fn draw(&mut self, lines: &[String]) {
        let lines = fitting(lines, self.size().0);
        let text = back(self.drawn) + &joined(&lines);
        self.drawn = lines.len();
        self.put(&text);
    }

    fn put(&mut self, text: &str) {
        let put = match self.stream {
            Stream::Out => {
                let mut out = std::io::stdout().lock();
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
            Stream::Err => std::io::stderr().lock().write_all(text.as_bytes()),
        };
        // A reader that has gone away has seen enough.
        if let Some(error) = put.err().filter(|error| error.kind() != ErrorKind::BrokenPipe) {
            self.lost.get_or_insert_with(|| error.to_string());
        }
    }

    /// Whether all of it could be written.
    ///
    /// # Errors
    /// Why something could not.
    pub(crate) fn written(&self) -> anyhow::Result<()> {
        match (&self.lost, self.stream) {
            (None, _) => Ok(()),
            (Some(why), Stream::Out) => anyhow::bail!("cannot write to stdout: {why}"),
            (Some(why), Stream::Err) => anyhow::bail!("cannot write to stderr: {why}"),
        }
    }
}

/// Up to the first of so many lines, and away with them.
fn back(lines: usize) -> String {
    if lines > 0 { format!("\x1b[{lines}A\x1b[J") } else { String::new() }
}

/// As many lines as a window of this height can take back: what has left it at the top cannot be drawn again.
fn fitting(lines: &[String], height: Option<usize>) -> Vec<String> {
    let room = height.map_or(usize::MAX, |height| height.saturating_sub(1).max(2));
    if lines.len() <= room {
        return lines.to_vec();
    }
    let (shown, more) = lines.split_at(room - 1);
    let more = format!("{INDENT}… and {} more", more.len());
    shown.iter().cloned().chain([more]).collect()
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_drawn_than_can_be_taken_back() {
        let lines: Vec<_> = (0..5).map(|line| line.to_string()).collect();
        assert_eq!(fitting(&lines, Some(6)), lines);
        assert_eq!(fitting(&lines, Some(5)), ["0", "1", "2", "  … and 2 more"]);
        assert_eq!(fitting(&lines, Some(1)), ["0", "  … and 4 more"]);
        assert_eq!(fitting(&lines, None), lines);
    }

    #[test]
    fn what_is_drawn_again_takes_the_place_of_what_was() {
        assert_eq!([back(0), back(3)], ["", "\x1b[3A\x1b[J"]);
    }
}
