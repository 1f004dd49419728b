//! What is followed, a line for each cluster.

use super::style::{CYAN, INDENT, Style, plain};

/// One cluster of what is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) phase: String,
    /// Done and in all, as far as known.
    pub(crate) objects: Option<(i64, i64)>,
    /// What lies in the object store of it.
    pub(crate) bytes: Option<u64>,
}

/// Narrower than this, a row has no bar.
const BAR_FROM: usize = 60;
const BAR: usize = 16;

/// The clusters of what is followed, a line each.
pub(crate) fn rows(style: Style, rows: &[Row]) -> Vec<String> {
    let widest = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    rows.iter().map(|row| self::row(style, row, widest)).collect()
}

fn row(style: Style, row: &Row, widest: usize) -> String {
    let mut text = format!("{INDENT}{:<widest$}  ", plain(&row.name));
    let has_bar = style.bars && style.width >= BAR_FROM;
    let bar = row.objects.filter(|_| has_bar).map(|(done, all)| bar(done, all));
    let mut facts = vec![plain(&row.phase)];
    facts.extend(row.objects.map(|(done, all)| format!("{done}/{all} objects")));
    facts.extend(row.bytes.map(bytes));
    if let Some(bar) = &bar {
        text.push_str(bar);
        text.push(' ');
    }
    let begin = text;
    let with = |facts: &[String]| format!("{begin}{}", facts.join("  "));
    // A fact that does not fit is left out; half of one would be read as another.
    while facts.len() > 1 && with(&facts).chars().count() > style.width {
        facts.pop();
    }
    let line = style.cut(&with(&facts));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_cluster_does_not_steer_the_terminal() {
        let row = Row { name: "a\x1b[2J".to_owned(), phase: "b\r".to_owned(), objects: None, bytes: None };
        let style = Style { colour: false, bars: false, width: 80 };
        let lines = rows(style, &[row]);
        assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
    }

    #[test]
    fn a_bar_is_never_longer_than_it_is() {
        for (done, all) in [(0, 0), (5, 3), (-1, 7), (i64::MAX, i64::MAX)] {
            assert_eq!(bar(done, all).chars().count(), BAR, "{done}/{all}");
        }
    }

    #[test]
    fn sizes_have_the_unit_that_suits_them() {
        assert_eq!([0, 1023, 1024, 1_572_864].map(bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB"]);
    }
}
