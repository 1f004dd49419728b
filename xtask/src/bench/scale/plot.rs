//! The plot: one panel per quantity, one bar per size, and the most that is promised.

use std::fmt::Write as _;

use super::BARS;
use super::measure::Measured;

const PANEL: f64 = 240.0;
const HEIGHT: f64 = 220.0;
/// Room of the bars in a panel.
const ROOM: f64 = 140.0;
const BASE: f64 = 180.0;

/// One quantity.
struct Panel {
    title: &'static str,
    value: fn(&Measured) -> f64,
    /// The most that is promised for a size.
    most: fn(usize) -> Option<f64>,
}

const PANELS: [Panel; 3] = [
    Panel {
        title: "hub: KiB per member",
        value: |m| m.hub_kib_per_member,
        most: |members| promised(0, members),
    },
    Panel {
        title: "idle hub: % of a core",
        value: |m| m.idle_cpu_percent,
        most: |members| promised(1, members),
    },
    Panel { title: "fan-out: seconds", value: |m| m.fanout_s, most: |_| None },
];

fn promised(bar: usize, members: usize) -> Option<f64> {
    BARS.get(bar).filter(|bar| (bar.from..=bar.to).contains(&members)).map(|bar| bar.most)
}

/// An SVG drawing, whose colours suit light and dark pages.
pub(super) fn plot(all: &[Measured]) -> String {
    let width = PANEL * PANELS.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"11\" text-anchor=\"middle\" fill=\"#808890\">\n"
    );
    for (index, panel) in PANELS.iter().enumerate() {
        draw(&mut svg, PANEL * index as f64, panel, all);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, left: f64, panel: &Panel, all: &[Measured]) {
    let Panel { title, value, most } = panel;
    let promised = all.iter().filter_map(|measured| most(measured.members));
    let highest = all.iter().map(value).chain(promised).fold(f64::MIN_POSITIVE, f64::max);
    let height = |value: f64| ROOM * value / highest;
    let slot = (PANEL - 40.0) / all.len().max(1) as f64;
    let mut add = |line: String| {
        // A String takes everything.
        let _written = writeln!(svg, "{line}");
    };
    add(format!("<text x=\"{:.1}\" y=\"16\" font-size=\"13\">{title}</text>", left + PANEL / 2.0));
    for (index, measured) in all.iter().enumerate() {
        let middle = left + 20.0 + slot * (index as f64 + 0.5);
        let (value, half) = (value(measured), slot * 0.3);
        let top = BASE - height(value);
        add(format!(
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#3b82c4\"/>",
            middle - half,
            half * 2.0,
            BASE - top,
        ));
        add(format!("<text x=\"{middle:.1}\" y=\"{:.1}\">{value:.1}</text>", top - 4.0));
        add(format!("<text x=\"{middle:.1}\" y=\"{:.1}\">{}</text>", BASE + 16.0, measured.members));
        if let Some(most) = most(measured.members) {
            let (y, reach) = (BASE - height(most), slot * 0.45);
            add(format!(
                "<path d=\"M{:.1} {y:.1}H{:.1}\" stroke=\"#c43b3b\" stroke-dasharray=\"4 3\"/>",
                middle - reach,
                middle + reach,
            ));
        }
    }
    add(format!("<text x=\"{:.1}\" y=\"{:.1}\">members</text>", left + PANEL / 2.0, BASE + 32.0));
}
