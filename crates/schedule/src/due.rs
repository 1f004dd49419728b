//! When Velero starts the next backup of a schedule.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::Cron;

/// When a schedule comes due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRun {
    /// At the first check of Velero, one a minute, after this time. It may lie in the past.
    At(Timestamp),
    /// At every check: where no time of the next five years fits, the library answers with the year 1, and Velero
    /// takes that for a time long past.
    EveryCheck,
}

impl NextRun {
    /// Whether Velero starts a backup when it checks at `now`.
    pub fn is_due(self, now: Timestamp) -> bool {
        match self {
            Self::At(time) => now > time,
            Self::EveryCheck => true,
        }
    }
}

/// The time from which Velero looks for the next one: the last backup, without one the schedule's creation, and a
/// later skip instead of either. There is no catching up: one run follows, however many were missed.
pub fn base(
    created: Timestamp,
    last_backup: Option<Timestamp>,
    last_skipped: Option<Timestamp>,
) -> Timestamp {
    let base = last_backup.unwrap_or(created);
    last_skipped.map_or(base, |skipped| base.max(skipped))
}

/// When `cron` comes due next, counted from [`base`], on a server in `server_zone`.
pub fn next_run(cron: &Cron, base: Timestamp, server_zone: &TimeZone) -> NextRun {
    cron.next_after(base, server_zone).map_or(NextRun::EveryCheck, NextRun::At)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn run(expression: &str, base: &str) -> NextRun {
        next_run(&Cron::parse(expression, Dialect::GoCron).unwrap(), time(base), &TimeZone::UTC)
    }

    #[test]
    fn k24_a_monthly_schedule_created_mid_month_runs_first_on_the_first() {
        let next = run("0 0 1 * *", "2026-03-17T10:20:30Z");
        assert_eq!(next, NextRun::At(time("2026-04-01T00:00:00Z")));
        assert!(!next.is_due(time("2026-03-31T23:59:59Z")));
    }

    #[test]
    fn a_run_is_due_after_its_time_and_not_at_it() {
        let next = run("@hourly", "2026-03-17T10:20:30Z");
        assert!(!next.is_due(time("2026-03-17T11:00:00Z")));
        assert!(next.is_due(time("2026-03-17T11:00:00.000000001Z")));
    }

    #[test]
    fn runs_missed_are_one_run() {
        let base = base(time("2026-01-01T00:00:00Z"), Some(time("2026-03-01T00:00:10Z")), None);
        let next = next_run(&Cron::parse("@daily", Dialect::GoCron).unwrap(), base, &TimeZone::UTC);
        assert_eq!(next, NextRun::At(time("2026-03-02T00:00:00Z")));
        assert!(next.is_due(time("2026-03-09T12:00:00Z")));
    }

    #[test]
    fn the_base_is_the_last_backup_else_the_creation_and_a_later_skip_wins() {
        let [first, second, third] =
            ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"].map(time);
        for (created, backup, skipped, expected) in [
            (first, None, None, first),
            (first, Some(second), None, second),
            (second, Some(first), None, first),
            (first, Some(second), Some(third), third),
            (first, Some(third), Some(second), third),
            (first, None, Some(second), second),
            (second, None, Some(first), second),
        ] {
            assert_eq!(base(created, backup, skipped), expected);
        }
    }

    #[test]
    fn a_schedule_that_never_comes_due_is_always_due() {
        let next = run("0 0 30 2 *", "2026-01-01T00:00:00Z");
        assert_eq!(next, NextRun::EveryCheck);
        assert!(next.is_due(time("2026-01-01T00:00:00Z")));
    }
}
