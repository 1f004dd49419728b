//! Tables as kubectl prints them: columns side by side, no lines.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

/// Blanks between two columns.
const GAP: u16 = 3;

/// A table of `rows` under `header`, a line each, without blanks at their ends.
pub(crate) fn table(
    header: impl IntoIterator<Item = impl AsRef<str>>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.into_iter().map(|title| title.as_ref().to_owned()));
    table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| shown(cell)).collect::<Vec<_>>()));
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A table whose lines come one by one: a column is as wide as the widest cell so far.
#[derive(Default)]
pub(crate) struct Growing(Vec<usize>);

impl Growing {
    /// Makes room for a line.
    pub(crate) fn widen(&mut self, cells: &[String]) {
        self.0.resize(self.0.len().max(cells.len()), 0);
        for (width, cell) in self.0.iter_mut().zip(cells) {
            *width = shown(cell).chars().count().max(*width);
        }
    }

    /// A line with its end, without blanks before it.
    pub(crate) fn line(&mut self, cells: &[String]) -> String {
        self.widen(cells);
        let gap = usize::from(GAP);
        let cells = self.0.iter().zip(cells).map(|(width, cell)| format!("{:<1$}", shown(cell), width + gap));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    }
}

/// One line, and something to see where there is nothing.
fn shown(cell: &str) -> String {
    if cell.is_empty() {
        return "-".to_owned();
    }
    // What comes from clusters must not steer a terminal.
    cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![vec!["a".to_owned(), String::new()], vec!["longer".to_owned(), "x".to_owned()]];
        assert_eq!(table(["NAME", "B"], rows), "NAME     B\na        -\nlonger   x\n");
    }

    #[test]
    fn lines_that_come_one_by_one_stand_below_each_other() {
        let cells = |texts: [&str; 2]| texts.map(str::to_owned);
        let mut table = Growing::default();
        table.widen(&cells(["longer", ""]));
        assert_eq!(table.line(&cells(["NAME", "B"])), "NAME     B\n");
        assert_eq!(table.line(&cells(["a", ""])), "a        -\n");
        assert_eq!(table.line(&cells(["the longest", "x"])), "the longest   x\n");
        assert_eq!(table.line(&cells(["a", "x"])), "a             x\n");
    }

    #[test]
    fn a_cell_cannot_steer_the_terminal() {
        assert_eq!(table(["A"], [vec!["x\u{1b}[31m\ny".to_owned()]]), "A\nx [31m y\n");
    }
}
