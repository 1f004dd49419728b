use jiff::tz::TimeZoneDatabase;

use super::*;
use crate::Cron;

fn refusal(expression: &str, dialect: Dialect) -> String {
    Cron::parse(expression, dialect).unwrap_err().to_string()
}

#[test]
fn k25_descriptors_and_zones_that_velero_accepts_are_accepted() {
    let accepted = |expression: &str, dialect| Cron::parse(expression, dialect).is_ok();
    for expression in
        ["@daily", "@midnight", "@hourly", "@weekly", "@monthly", "@yearly", "@annually", "@every 6h"]
    {
        assert!(Dialect::ALL.into_iter().all(|dialect| accepted(expression, dialect)), "{expression}");
    }
    for expression in ["TZ=Europe/Berlin 0 2 * * *", "CRON_TZ=UTC @daily"] {
        assert!(
            accepted(expression, Dialect::Robfig3) && accepted(expression, Dialect::GoCron),
            "{expression}"
        );
    }
}

#[test]
fn every_refusal_names_what_is_wrong_and_the_remedy() {
    for (expression, dialect, sentence) in [
        (
            "",
            Dialect::GoCron,
            "the expression is empty; give five fields such as `0 2 * * *`, or a descriptor such as `@daily`",
        ),
        (
            "  ",
            Dialect::GoCron,
            "the expression is empty; give five fields such as `0 2 * * *`, or a descriptor such as `@daily`",
        ),
        (
            "0 0 * * * *",
            Dialect::GoCron,
            "6 instead of 5 fields; use minute, hour, day of month, month and day of week",
        ),
        (" @daily", Dialect::GoCron, "`@daily` has blanks before or after it; remove them"),
        ("@daily ", Dialect::GoCron, "`@daily` has blanks before or after it; remove them"),
        (
            " TZ=UTC 0 2 * * *",
            Dialect::GoCron,
            "`TZ=UTC 0 2 * * *` has blanks before or after it; remove them",
        ),
        (
            "TZ=UTC",
            Dialect::Robfig3,
            "nothing follows `TZ=UTC`; add the fields after a blank, as in `TZ=UTC 0 2 * * *`",
        ),
        (
            "TZ=UTC  ",
            Dialect::GoCron,
            "nothing follows `TZ=UTC`; add the fields after a blank, as in `TZ=UTC 0 2 * * *`",
        ),
        (
            "TZ= 0 6 * * *",
            Dialect::GoCron,
            "`TZ=` names no time zone; write one such as `TZ=Europe/Berlin`, or remove it",
        ),
        (
            "TZ=Mars/Base 0 6 * * *",
            Dialect::Robfig3,
            "`Mars/Base` is no known time zone; use a name such as `UTC` or `Europe/Berlin`",
        ),
        (
            "TZ=europe/berlin 0 6 * * *",
            Dialect::Robfig3,
            "`europe/berlin` is no known time zone; write it as `Europe/Berlin`",
        ),
        (
            "@reboot",
            Dialect::GoCron,
            "`@reboot` is no descriptor; use `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` or one such as \
             `@every 6h`",
        ),
        (
            "@every 6x",
            Dialect::GoCron,
            "`6x` after `@every` is no duration; use one such as `90m` or `6h30m`",
        ),
        ("@every 100ms", Dialect::GoCron, "`100ms` after `@every` is less than a second; use `1s` or more"),
        ("60 * * * *", Dialect::Robfig1, "`60` in the minute field is out of range; use 0 to 59"),
        ("0 0 0 * *", Dialect::Robfig3, "`0` in the day-of-month field is out of range; use 1 to 31"),
        (
            "0 0 * * 7",
            Dialect::Robfig3,
            "`7` in the day-of-week field is out of range; use 0 to 6 or SUN to SAT, where 0 is Sunday",
        ),
        (
            "0 0 * 1,x *",
            Dialect::Robfig3,
            "`x` in the month field is no number or name; use 1 to 12 or JAN to DEC",
        ),
        ("0 x * * *", Dialect::Robfig3, "`x` in the hour field is no number; use 0 to 23"),
        (
            "0 8-12-17 * * *",
            Dialect::GoCron,
            "`8-12-17` in the hour field has more than one hyphen; write a range as `8-17`",
        ),
        (
            "0 */2/3 * * *",
            Dialect::GoCron,
            "`*/2/3` in the hour field has more than one slash; write a step as `*/2`",
        ),
        (
            "*/x * * * *",
            Dialect::GoCron,
            "`*/x` in the minute field has no number after the slash; write a step as `*/2`",
        ),
        ("*/0 * * * *", Dialect::GoCron, "`*/0` in the minute field has a step of 0; use 1 or more"),
        (
            "0 0 15W * *",
            Dialect::Robfig3,
            "`15W` in the day-of-month field uses L, W, H or #, which Velero does not read; list the values",
        ),
        (
            "H 0 * * *",
            Dialect::GoCron,
            "`H` in the minute field uses L, W, H or #, which Velero does not read; list the values",
        ),
    ] {
        assert_eq!(refusal(expression, dialect), sentence, "{expression}, {dialect}");
    }
}

#[test]
fn only_the_newest_dialect_limits_the_length() {
    let long = format!("0 0 * * {}", "1,".repeat(509));
    for (expression, expected) in [(long[..1024].to_owned(), true), (format!("{} ", &long[..1024]), false)] {
        assert_eq!(Cron::parse(&expression, Dialect::GoCron).is_ok(), expected);
        assert!(Cron::parse(&expression, Dialect::Robfig3).is_ok());
    }
    assert_eq!(
        refusal(&format!("{long}    "), Dialect::GoCron),
        "the expression is 1030 bytes long; use at most 1024"
    );
}

#[test]
fn a_sentence_stays_short_and_printable_whatever_it_quotes() {
    let sentence = refusal(&format!("{}\u{1b}[0m 0 * * *", "x".repeat(39)), Dialect::GoCron);
    assert_eq!(
        sentence,
        format!("`{}\u{fffd}…` in the minute field is no number; use 0 to 59", "x".repeat(39))
    );
}

#[test]
fn a_duration_is_read_as_in_go() {
    for (text, nanoseconds) in [
        ("0", Some(0)),
        ("-0", Some(0)),
        ("1h30m", Some(5_400_000_000_000)),
        ("1.5h", Some(5_400_000_000_000)),
        (".5m", Some(30_000_000_000)),
        ("1.s", Some(1_000_000_000)),
        ("-1.5s", Some(-1_500_000_000)),
        ("+1us1\u{b5}s1\u{3bc}s", Some(3_000)),
        ("2562047h47m16.854775807s", Some(i64::MAX)),
        ("2562047h47m16.854775808s", None),
        ("-2562047h47m16.854775808s", Some(i64::MIN)),
        ("99999999999999999999h", None),
        ("0.3333333333333333333h", Some(1_200_000_000_000)),
        ("", None),
        ("-", None),
        (".s", None),
        ("1", None),
        ("1d", None),
        ("1 h", None),
        ("1H", None),
        ("\u{661}h", None),
    ] {
        assert_eq!(go_duration(text), nanoseconds, "{text}");
    }
}

#[test]
fn the_zones_are_known_on_a_machine_without_a_zone_database() {
    let zone = TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
    assert_eq!(zone.iana_name(), Some("Europe/Berlin"));
}
