use jiff::ToSpan;
use proptest::prelude::*;

use super::*;
use crate::{Cron, Timing};

/// Zones with changes that are odd: half an hour, at midnight, in winter, over the date line.
const ZONES: [&str; 8] = [
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Pacific/Apia",
    "Africa/Monrovia",
];

fn dialect() -> impl Strategy<Value = Dialect> {
    proptest::sample::select(Dialect::ALL.to_vec())
}

fn zone() -> impl Strategy<Value = TimeZone> {
    proptest::sample::select(ZONES.to_vec()).prop_map(|name| TimeZone::get(name).unwrap())
}

/// Five fields that are mostly accepted.
fn expression() -> impl Strategy<Value = String> {
    "(\\*|[1-5]?[0-9]|[0-9]-[1-5][0-9]|\\*/[1-9]) (\\*|1?[0-9]|[0-9]-1[0-9]|\\*/[1-9]|,) \
     (\\*|[1-9]|[12][0-9]|3[01]|[1-9]-2[0-9]|\\*/[1-9]) (\\*|[1-9]|[1-5]-[6-9]) (\\*|\\?|[0-6]|MON-FRI|\\*/2)"
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_nanosecond()..=Timestamp::MAX.as_nanosecond())
        .prop_map(|nanosecond| Timestamp::from_nanosecond(nanosecond).unwrap())
}

/// A time from 2000 to 2033.
fn present() -> impl Strategy<Value = Timestamp> {
    (946_684_800i64..2_000_000_000).prop_map(|second| Timestamp::from_second(second).unwrap())
}

fn fits(cron: &Cron, local: DateTime) -> bool {
    let Timing::Fields(fields) = &cron.timing else { panic!("{cron} has no fields") };
    fields.minute.has(local.minute())
        && fields.hour.has(local.hour())
        && fields.month.has(local.month())
        && fields.day_fits(local.day(), local.weekday().to_sunday_zero_offset())
        && local.second() == 0
}

proptest! {
    #[test]
    fn no_text_makes_a_dialect_panic(
        text in "\\PC*|(TZ=|CRON_TZ=|@every |@)?[0-9*?/,\\-+A-Za-z#. \u{130}\u{661}]{0,40}",
        dialect in dialect(),
        after in present(),
    ) {
        if let Ok(cron) = Cron::parse(&text, dialect) {
            prop_assert_eq!(Cron::parse(&cron.to_string(), dialect), Ok(cron.clone()));
            prop_assert!(cron.next_after(after, &TimeZone::UTC).is_none_or(|next| next > after));
        }
        crate::check_all(&text, after);
    }

    #[test]
    fn the_search_ends_and_goes_forward_at_any_time_in_any_zone(
        expression in expression(),
        dialect in dialect(),
        after in timestamp(),
        zone in zone(),
    ) {
        if let Ok(cron) = Cron::parse(&expression, dialect) {
            prop_assert!(cron.next_after(after, &zone).is_none_or(|next| next > after));
        }
    }

    #[test]
    fn the_next_time_fits_and_none_before_it_does(
        expression in expression(),
        dialect in dialect(),
        after in present(),
    ) {
        let Ok(cron) = Cron::parse(&expression, dialect) else { return Ok(()) };
        let Some(next) = cron.next_after(after, &TimeZone::UTC) else { return Ok(()) };
        let local = |time| TimeZone::UTC.to_datetime(time);
        prop_assert!(fits(&cron, local(next)), "{cron} after {after}: {next}");
        let minutes = local(after).date().at(0, 0, 0, 0).series(1.minute());
        let between = minutes.skip_while(|time| *time <= local(after)).take_while(|time| *time < local(next));
        let earlier = between.take(5_000).find(|time| fits(&cron, *time));
        prop_assert_eq!(earlier, None, "{} after {}: {}", cron, after, next);
    }
}

#[test]
fn a_day_that_a_zone_leaves_out_ends_the_search() {
    let zone = TimeZone::get("Pacific/Apia").unwrap();
    let cron = Cron::parse("0 0 31 * *", Dialect::Robfig3).unwrap();
    assert_eq!(cron.next_after("2011-12-28T12:00:00Z".parse().unwrap(), &zone), None);
}

#[test]
fn time_ends_without_a_panic() {
    for expression in ["* * * * *", "0 0 1 1 *", "@every 2562047h"] {
        let cron = Cron::parse(expression, Dialect::GoCron).unwrap();
        assert_eq!(cron.next_after(Timestamp::MAX, &TimeZone::UTC), None, "{expression}");
    }
}
