//! Where the dialects disagree about an expression, in words for people.

use std::fmt;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::field::{Fields, WEEKDAYS};
use crate::next::YEARS;
use crate::{Cron, CronError, Dialect, Timing};

/// How several dialects take one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The readings of the dialects that accept it, in the order in which they were asked.
    pub accepted: Vec<Cron>,
    /// What the others object to.
    pub refused: Vec<(Dialect, CronError)>,
    /// What a person should know before using it: refusals by some, and disagreements of those that accept it.
    pub warnings: Vec<Warning>,
}

impl Check {
    /// The error to show where no dialect accepts the expression: that of the newest.
    pub fn refusal(&self) -> Option<&CronError> {
        let newest = self.refused.iter().max_by_key(|(dialect, _)| *dialect);
        newest.filter(|_| self.accepted.is_empty()).map(|(_, error)| error)
    }
}

/// Something to know about an expression that at least one dialect accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// These refuse it.
    Refused {
        /// Who.
        by: Vec<Dialect>,
        /// Why.
        error: CronError,
    },
    /// Both day fields are restricted, and they go together differently.
    Days {
        /// Who runs on days that fit both.
        both: Vec<Dialect>,
        /// Who runs on days that fit one.
        either: Vec<Dialect>,
    },
    /// The day-of-week field names different days.
    Weekdays {
        /// The days, and who reads them so.
        readings: Vec<(String, Vec<Dialect>)>,
    },
    /// The clocks of the zone leave out a time that is asked for.
    ClockChange {
        /// The zone that the expression names.
        zone: String,
        /// The run that only some make, in that zone.
        run: DateTime,
        /// Who makes it.
        made_by: Dialect,
        /// Who leaves it out.
        left_out_by: Dialect,
    },
    /// It has times without a next one, and then Velero runs it at every check.
    RunsDry {
        /// To whom.
        dialects: Vec<Dialect>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { by, error } => write!(f, "refused by {}: {error}", Named(by)),
            Self::Days { both, either } => write!(
                f,
                "days must fit both day fields for {}, one of them for {}; leave one of the fields `*`",
                Named(both),
                Named(either)
            ),
            Self::Weekdays { readings } => {
                f.write_str("the day-of-week field means ")?;
                for (index, (days, dialects)) in readings.iter().enumerate() {
                    write!(f, "{}{days} for {}", if index > 0 { ", " } else { "" }, Named(dialects))?;
                }
                f.write_str("; list the days by name")
            }
            Self::ClockChange { zone, run, made_by, left_out_by } => write!(
                f,
                "when the clocks of {zone} change, {made_by} runs on {} at {} and {left_out_by} does not; \
                 choose an hour that no change leaves out",
                run.date(),
                run.strftime("%H:%M")
            ),
            Self::RunsDry { dialects } => write!(
                f,
                "there are five years or more without a fitting day or time for {}, which then starts a backup \
                 every minute; choose days that come every year",
                Named(dialects)
            ),
        }
    }
}

/// Dialects in a sentence.
struct Named<'a>(&'a [Dialect]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if Dialect::ALL.iter().all(|dialect| self.0.contains(dialect)) {
            return f.write_str("every Velero");
        }
        for (index, dialect) in self.0.iter().enumerate() {
            write!(f, "{}{dialect}", if index > 0 { " or " } else { "" })?;
        }
        Ok(())
    }
}

/// [`check`] with every dialect there is.
pub fn check_all(expression: &str, now: Timestamp) -> Check {
    check(expression, &Dialect::ALL, now)
}

/// Reads `expression` as each of `dialects` and compares what they make of it from `now` on.
pub fn check(expression: &str, dialects: &[Dialect], now: Timestamp) -> Check {
    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    for dialect in dialects.iter().copied() {
        match Cron::parse(expression, dialect) {
            Ok(cron) => accepted.push(cron),
            Err(error) => refused.push((dialect, error)),
        }
    }
    let mut warnings = Vec::new();
    if !accepted.is_empty() {
        let refusals = group(refused.iter().map(|(dialect, error)| (error.clone(), *dialect)));
        warnings.extend(refusals.into_iter().map(|(error, by)| Warning::Refused { by, error }));
        warnings.extend(weekdays(&accepted));
        warnings.extend(days(&accepted));
        warnings.extend(clock_change(&accepted, now));
        warnings.extend(runs_dry(&accepted, now));
    }
    Check { accepted, refused, warnings }
}

/// Puts those together that say the same, in the order of their first.
fn group<T: PartialEq>(said: impl Iterator<Item = (T, Dialect)>) -> Vec<(T, Vec<Dialect>)> {
    let mut groups: Vec<(T, Vec<Dialect>)> = Vec::new();
    for (what, dialect) in said {
        match groups.iter_mut().find(|(other, _)| *other == what) {
            Some((_, dialects)) => dialects.push(dialect),
            None => groups.push((what, vec![dialect])),
        }
    }
    groups
}

fn with_fields(accepted: &[Cron]) -> impl Iterator<Item = (&Fields, Dialect)> {
    accepted.iter().filter_map(|cron| match &cron.timing {
        Timing::Fields(fields) => Some((fields, cron.dialect)),
        Timing::Every(_) | Timing::Never => None,
    })
}

fn weekdays(accepted: &[Cron]) -> Option<Warning> {
    let named = |fields: &Fields| {
        let fitting = (0..).zip(WEEKDAYS).filter(|(value, _)| fields.day_of_week.has(*value));
        fitting.map(|(_, name)| name.to_uppercase()).collect::<Vec<_>>().join(",")
    };
    let readings = group(with_fields(accepted).map(|(fields, dialect)| (named(fields), dialect)));
    (readings.len() > 1).then_some(Warning::Weekdays { readings })
}

fn days(accepted: &[Cron]) -> Option<Warning> {
    let fitting = |fields: &Fields| {
        let every_day = (1..=31).flat_map(|day| (0..7).map(move |weekday| (day, weekday)));
        every_day.filter(|(day, weekday)| fields.day_fits(*day, *weekday)).collect::<Vec<_>>()
    };
    let of_rule = |either| with_fields(accepted).filter(move |(fields, _)| fields.either_day == either);
    let differ =
        of_rule(false).any(|(one, _)| of_rule(true).any(|(other, _)| fitting(one) != fitting(other)));
    let named = |either| of_rule(either).map(|(_, dialect)| dialect).collect();
    differ.then(|| Warning::Days { both: named(false), either: named(true) })
}

/// The first run around a change of the clocks that one dialect makes and another does not. Asked only where the
/// expression names a zone: a server's own is UTC nearly everywhere.
fn clock_change(accepted: &[Cron], now: Timestamp) -> Option<Warning> {
    let around = SignedDuration::from_hours(2);
    accepted.windows(2).find_map(|pair| {
        let [one, other] = pair else { return None };
        let zone = one.zone.as_ref()?;
        let name = zone.iana_name()?;
        let end = zone.to_datetime(now).checked_add(YEARS.years()).ok()?;
        let changes = zone.following(now).map(|change| change.timestamp());
        changes.take_while(|change| zone.to_datetime(*change) < end).find_map(|change| {
            let (from, to) = (change.checked_sub(around).ok()?, change.checked_add(around).ok()?);
            let (runs, other_runs) = (runs(one, zone, from, to), runs(other, zone, from, to));
            let only = |run: &&Timestamp, others: &[Timestamp]| !others.contains(run);
            let (run, made_by, left_out_by) = match runs.iter().find(|run| only(run, &other_runs)) {
                Some(run) => (run, one, other),
                None => (other_runs.iter().find(|run| only(run, &runs))?, other, one),
            };
            Some(Warning::ClockChange {
                zone: name.to_owned(),
                run: zone.to_datetime(*run),
                made_by: made_by.dialect,
                left_out_by: left_out_by.dialect,
            })
        })
    })
}

/// The wall-clock runs between two times.
fn runs(cron: &Cron, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    match &cron.timing {
        Timing::Fields(_) => {
            let runs = std::iter::successors(cron.next_after(from, zone), |run| cron.next_after(*run, zone));
            runs.take_while(|run| *run <= to).collect()
        }
        Timing::Every(_) | Timing::Never => Vec::new(),
    }
}

fn runs_dry(accepted: &[Cron], now: Timestamp) -> Option<Warning> {
    let year = TimeZone::UTC.to_datetime(now).year();
    let dialects: Vec<_> =
        accepted.iter().filter(|cron| has_gap(&cron.timing, year)).map(|cron| cron.dialect).collect();
    (!dialects.is_empty()).then_some(Warning::RunsDry { dialects })
}

/// Whether so many years in a row have no fitting day that the search gives up. The calendar repeats every 28 years.
fn has_gap(timing: &Timing, from: i16) -> bool {
    let fields = match timing {
        Timing::Fields(fields) => fields,
        Timing::Every(_) => return false,
        Timing::Never => return true,
    };
    if fields.minute.is_empty() || fields.hour.is_empty() {
        return true;
    }
    let mut without = 0;
    (from..from.saturating_add(28 + YEARS)).any(|year| {
        without = if has_day(fields, year) { 0 } else { without + 1 };
        without >= YEARS
    })
}

fn has_day(fields: &Fields, year: i16) -> bool {
    let days = std::iter::successors(Date::new(year, 1, 1).ok(), |day| day.tomorrow().ok());
    days.take_while(|day| day.year() == year).any(|day| {
        fields.month.has(day.month()) && fields.day_fits(day.day(), day.weekday().to_sunday_zero_offset())
    })
}

#[cfg(test)]
mod tests;
