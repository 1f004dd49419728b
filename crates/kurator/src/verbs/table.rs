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
    fn a_cell_cannot_steer_the_terminal() {
        assert_eq!(table(["A"], [vec!["x\u{1b}[31m\ny".to_owned()]]), "A\nx [31m y\n");
    }
}
