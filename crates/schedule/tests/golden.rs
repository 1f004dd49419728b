//! What the three Go libraries answered, line by line.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kurator_schedule::{Cron, Dialect};

/// Made by asking `ParseStandard` of each library for three times in a row.
const GOLDEN: &str = include_str!("golden.tsv");

fn answer(expression: &str, dialect: Dialect, base: Timestamp, zone: &TimeZone) -> String {
    let Ok(cron) = Cron::parse(expression, dialect) else {
        return "refused".to_owned();
    };
    let mut times = Vec::new();
    let mut base = base;
    for _ in 0..3 {
        let Some(next) = cron.next_after(base, zone) else {
            times.push("never".to_owned());
            break;
        };
        times.push(next.to_string());
        base = next;
    }
    times.join(" ")
}

#[test]
fn every_dialect_answers_as_its_library() {
    let mut lines = 0;
    let mut wrong = Vec::new();
    for line in GOLDEN.lines().filter(|line| !line.starts_with('#')) {
        let [expression, zone, base, robfig1, robfig3, gocron] = line.split('\t').collect::<Vec<_>>()[..]
        else {
            panic!("not a row: {line}")
        };
        let (zone, base) = (TimeZone::get(zone).unwrap(), base.parse().unwrap());
        for (dialect, expected) in Dialect::ALL.into_iter().zip([robfig1, robfig3, gocron]) {
            let answer = answer(expression, dialect, base, &zone);
            if answer != expected {
                wrong.push(format!("{line}\n  {dialect}: {answer}"));
            }
        }
        lines += 1;
    }
    assert!(lines > 100, "{lines} rows");
    assert!(wrong.is_empty(), "{} of {lines}\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}
