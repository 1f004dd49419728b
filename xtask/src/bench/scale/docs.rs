//! The table and the plot in `docs/`.

use anyhow::{Context, Result};

use super::measure::Measured;
use super::plot;
use crate::cargo::root;

const PAGE: &str = "docs/benchmarks.md";
const PLOT: &str = "docs/benchmarks-scale.svg";
/// What stands between these lines is written here.
const BEGIN: &str = "<!-- cargo xtask bench scale: begin -->\n";
const END: &str = "<!-- cargo xtask bench scale: end -->\n";

pub(super) fn write(all: &[Measured]) -> Result<()> {
    let (page, drawing) = (root().join(PAGE), root().join(PLOT));
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    let text = replaced(&text, &table(all)).with_context(|| format!("{PAGE} has no place for the table"))?;
    std::fs::write(&page, text).with_context(|| format!("cannot write {PAGE}"))?;
    std::fs::write(&drawing, plot::plot(all)).with_context(|| format!("cannot write {PLOT}"))
}

fn replaced(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table(all: &[Measured]) -> String {
    type Cell = fn(&Measured) -> String;
    const MIB: f64 = 1_048_576.0;
    let rows: [(&str, Cell, &str); 10] = [
        ("attached, and the Fleet Ready", |m| format!("{:.1} s", m.attach_s), ""),
        ("fan-out", |m| format!("**{:.1} s**", m.fanout_s), ""),
        ("members per second", |m| format!("{:.0}", m.members as f64 / m.fanout_s), ""),
        ("the hub's CPU time for it", |m| format!("{:.1} s", m.fanout_cpu_s), ""),
        ("hub lag", |m| format!("{:.0} ms", m.hub_lag_ms), ""),
        (
            "memory of the idle hub per member",
            |m| format!("**{:.0} KiB**", m.hub_kib_per_member),
            "200 KiB at 1,000",
        ),
        (
            "CPU time of the idle hub",
            |m| format!("**{:.1} %** of a core", m.idle_cpu_percent),
            "5 % at 1,000",
        ),
        ("peak of the hub", |m| format!("{:.0} MiB", m.hub_peak_mib), ""),
        ("status of the Backup", |m| format!("{:.2} MiB", m.status_bytes as f64 / MIB), "1 MiB at 3,000"),
        (
            "writes of the Backup, in all",
            |m| format!("{}, {:.2} MiB", m.backup_writes, m.backup_written_bytes as f64 / MIB),
            "",
        ),
    ];
    let line = |name: &str, cells: &mut dyn Iterator<Item = String>, bar: &str| {
        format!("| {name} | {} | {bar} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut text = line("members", &mut all.iter().map(|m| m.members.to_string()), "bar");
    text.push_str(&format!("|---|{}---|\n", "---|".repeat(all.len())));
    for (name, cell, bar) in rows {
        text.push_str(&line(name, &mut all.iter().map(cell), bar));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}after\n");
        assert_eq!(replaced(&page, "new\n"), Some(format!("before\n{BEGIN}new\n{END}after\n")));
        assert_eq!(replaced("no marks", "new"), None);
    }

    #[test]
    fn the_page_has_a_place_for_the_table() {
        let page = std::fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(replaced(&page, "").is_some());
    }
}
