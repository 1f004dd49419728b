//! The search for the next time that fits.
//!
//! The steps are those of the Go libraries, because what they do around a change of the clocks follows from how they
//! step: month, day, hour and minute in turn, each from where the one before left off, and all again from the new
//! time whenever a unit rolls over. A day or a month is added on the calendar, an hour or a minute on the clock.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::Dialect;
use crate::field::Fields;

/// How many years after the present one are searched.
pub(crate) const YEARS: i16 = 5;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;

/// The next time that fits, or `None` where there is none within [`YEARS`].
pub(crate) fn next(
    fields: &Fields,
    dialect: Dialect,
    after: Timestamp,
    zone: &TimeZone,
) -> Option<Timestamp> {
    if fields.minute.is_empty() || fields.hour.is_empty() || fields.month.is_empty() {
        return None;
    }
    let mut search = Search { fields, dialect, zone, at: seconds(after)?.checked_add(1)?, stepped: false };
    let limit = search.local()?.year().checked_add(YEARS)?;
    while search.local()?.year() <= limit {
        if search.month()? && search.day()? && search.hour()? && search.minute()? && search.second()? {
            return Timestamp::from_second(search.at).ok();
        }
    }
    None
}

/// The time `pause` seconds later, on a whole second.
pub(crate) fn after_pause(pause: i64, after: Timestamp) -> Option<Timestamp> {
    Timestamp::from_second(seconds(after)?.checked_add(pause)?).ok()
}

/// Whole seconds since 1970, towards the past.
fn seconds(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000_000)).ok()
}

struct Search<'a> {
    fields: &'a Fields,
    dialect: Dialect,
    zone: &'a TimeZone,
    /// Seconds since 1970.
    at: i64,
    /// Whether a unit was stepped, which resets the smaller ones once.
    stepped: bool,
}

/// A step answers `Some(true)` where its unit fits, `Some(false)` where a larger unit rolled over, and `None` at the
/// end of time.
impl Search<'_> {
    fn month(&mut self) -> Option<bool> {
        while !self.fields.month.has(self.local()?.month()) {
            if self.first_step() {
                self.at = self.instant(self.local()?.date().first_of_month().at(0, 0, 0, 0))?;
            }
            let local = self.local()?;
            // The 31st of a month with 30 days is the 1st of the one after.
            let month = local.date().first_of_month().checked_add(1.month()).ok()?;
            let date = month.checked_add((i64::from(local.day()) - 1).days()).ok()?;
            self.at = self.instant(date.to_datetime(local.time()))?;
            if self.local()?.month() == 1 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn day(&mut self) -> Option<bool> {
        loop {
            let local = self.local()?;
            if self.fields.day_fits(local.day(), local.weekday().to_sunday_zero_offset()) {
                return Some(true);
            }
            if self.first_step() {
                self.at = self.instant(local.date().at(0, 0, 0, 0))?;
            }
            let (before, local) = (self.at, self.local()?);
            self.at = self.instant(local.date().tomorrow().ok()?.to_datetime(local.time()))?;
            if self.dialect.mends_midnight() {
                // Midnight did not exist: the nearest hour that should have been it.
                let hour = i64::from(self.local()?.hour());
                self.at += HOUR * if hour > 12 { 24 - hour } else { -hour };
            }
            if self.at <= before {
                // A zone that leapt over the date line leaves out a day, on which the libraries step forever.
                return None;
            }
            if self.local()?.day() == 1 {
                return Some(false);
            }
        }
    }

    fn hour(&mut self) -> Option<bool> {
        while !self.fields.hour.has(self.local()?.hour()) {
            if self.first_step() {
                let local = self.local()?;
                self.at = self.instant(local.date().at(local.hour(), 0, 0, 0))?;
            }
            let before = self.local()?.hour();
            self.at += HOUR;
            let hour = self.local()?.hour();
            if self.dialect.is_newest() && hour - before == 2 && self.fields.hour.has(hour - 1) {
                // The clocks left out an hour that fits: it is made up for in the one that follows.
                return Some(true);
            }
            if hour == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn minute(&mut self) -> Option<bool> {
        while !self.fields.minute.has(self.local()?.minute()) {
            if self.first_step() {
                self.at -= self.at.rem_euclid(MINUTE);
            }
            self.at += MINUTE;
            if self.local()?.minute() == 0 {
                return Some(false);
            }
        }
        Some(true)
    }

    fn second(&mut self) -> Option<bool> {
        let second = i64::from(self.local()?.second());
        if second == 0 {
            return Some(true);
        }
        self.stepped = true;
        self.at += MINUTE - second;
        Some(false)
    }

    fn first_step(&mut self) -> bool {
        !std::mem::replace(&mut self.stepped, true)
    }

    /// What the clocks of the zone show.
    fn local(&self) -> Option<DateTime> {
        Timestamp::from_second(self.at).ok().map(|time| self.zone.to_datetime(time))
    }

    /// When the clocks of the zone show `local`. For a time that they leave out or show twice Go's rule counts: the
    /// offset is the one in force at the time that the offset at `local`, taken for UTC, leads to.
    fn instant(&self, local: DateTime) -> Option<i64> {
        let as_utc = TimeZone::UTC.to_timestamp(local).ok()?.as_second();
        let guess = as_utc - self.offset(as_utc)?;
        Some(as_utc - self.offset(guess)?)
    }

    fn offset(&self, at: i64) -> Option<i64> {
        Timestamp::from_second(at).ok().map(|time| i64::from(self.zone.to_offset(time).seconds()))
    }
}

#[cfg(test)]
mod tests;
