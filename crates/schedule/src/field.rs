//! One field: which values of minute, hour, day, month or weekday fit.

use crate::error::{Field, Problem};
use crate::{CronError, Dialect};

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
pub(crate) const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values that fit, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mask {
    bits: u64,
    /// Written as `*` or `?`, which changes how the two day fields go together.
    star: bool,
}

impl Mask {
    /// Whether `value` fits. All values that a clock or calendar shows are small and not negative.
    pub(crate) fn has(self, value: i8) -> bool {
        u32::try_from(value)
            .ok()
            .and_then(|value| 1u64.checked_shl(value))
            .is_some_and(|bit| self.bits & bit != 0)
    }

    /// Whether nothing fits, as in a field of a single comma.
    pub(crate) fn is_empty(self) -> bool {
        self.bits == 0
    }
}

/// The five fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) minute: Mask,
    pub(crate) hour: Mask,
    pub(crate) day_of_month: Mask,
    pub(crate) month: Mask,
    pub(crate) day_of_week: Mask,
    /// Whether one fitting day field is enough.
    pub(crate) either_day: bool,
}

impl Fields {
    pub(crate) fn parse(texts: [&str; 5], dialect: Dialect) -> Result<Self, CronError> {
        let [minute, hour, day_of_month, month, day_of_week] = texts;
        let minute = mask(minute, Field::Minute, dialect)?;
        let hour = mask(hour, Field::Hour, dialect)?;
        let day_of_month = mask(day_of_month, Field::DayOfMonth, dialect)?;
        let month = mask(month, Field::Month, dialect)?;
        let day_of_week = mask(day_of_week, Field::DayOfWeek, dialect)?;
        let either_day = !dialect.is_newest() && !day_of_month.star && !day_of_week.star;
        Ok(Self { minute, hour, day_of_month, month, day_of_week, either_day })
    }

    /// Whether a day fits by its number in the month and its weekday, where Sunday is 0.
    pub(crate) fn day_fits(&self, day: i8, weekday: i8) -> bool {
        let (by_day, by_weekday) = (self.day_of_month.has(day), self.day_of_week.has(weekday));
        if self.either_day { by_day || by_weekday } else { by_day && by_weekday }
    }
}

/// What may stand in a field.
struct Bounds {
    low: u64,
    high: u64,
    names: &'static [&'static str],
    allowed: &'static str,
    example: &'static str,
}

impl Bounds {
    fn of(field: Field, dialect: Dialect) -> Self {
        match field {
            Field::Minute => Self { low: 0, high: 59, names: &[], allowed: "0 to 59", example: "0-29" },
            Field::Hour => Self { low: 0, high: 23, names: &[], allowed: "0 to 23", example: "8-17" },
            Field::DayOfMonth => Self { low: 1, high: 31, names: &[], allowed: "1 to 31", example: "1-7" },
            Field::Month => Self {
                low: 1,
                high: 12,
                names: &MONTHS,
                allowed: "1 to 12 or JAN to DEC",
                example: "JAN-MAR",
            },
            Field::DayOfWeek if dialect.is_newest() => Self {
                low: 0,
                high: 7,
                names: &WEEKDAYS,
                allowed: "0 to 7 or SUN to SAT",
                example: "MON-FRI",
            },
            Field::DayOfWeek => {
                let allowed = "0 to 6 or SUN to SAT, where 0 is Sunday";
                Self { low: 0, high: 6, names: &WEEKDAYS, allowed, example: "MON-FRI" }
            }
        }
    }

    fn value(&self, text: &str) -> Result<u64, Problem> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(self.low + index as u64);
        }
        number(text).ok_or(Problem::NotANumber { allowed: self.allowed, names: !self.names.is_empty() })
    }

    /// How many values lie in a range. The newest dialect does not check the highest value of a wrapping range's
    /// beginning and the lowest of its end, so this may pass below zero, as it does there.
    fn size(&self, start: u64, end: u64) -> u64 {
        if start > end {
            self.high
                .wrapping_sub(start)
                .wrapping_add(1)
                .wrapping_add(end)
                .wrapping_sub(self.low)
                .wrapping_add(1)
        } else {
            end - start + 1
        }
    }

    /// The bits of a range. One that wraps counts on beyond the highest value and is folded back.
    fn bits(&self, start: u64, end: u64, step: u64) -> u64 {
        let round = self.high - self.low + 1;
        let last = if start > end { end + round } else { end };
        let mut bits = 0;
        let mut value = start;
        while value <= last {
            bits |= 1 << if value > self.high { (value - self.low) % round + self.low } else { value };
            value += step;
        }
        bits
    }
}

/// A number as Go reads it: a sign is allowed, a negative number is none.
fn number(text: &str) -> Option<u64> {
    text.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok())
}

fn mask(text: &str, field: Field, dialect: Dialect) -> Result<Mask, CronError> {
    let bounds = Bounds::of(field, dialect);
    let mut mask = Mask::default();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let part_mask = range(part, &bounds, field, dialect).map_err(|problem| CronError::Field {
            field,
            part: part.to_owned(),
            problem,
        })?;
        mask.bits |= part_mask.bits;
        mask.star |= part_mask.star;
    }
    if matches!(field, Field::DayOfWeek) && mask.has(7) {
        mask.bits = mask.bits & !(1 << 7) | 1;
    }
    Ok(mask)
}

/// One part of a list: a star, a value or a range, each perhaps with a step.
fn range(part: &str, bounds: &Bounds, field: Field, dialect: Dialect) -> Result<Mask, Problem> {
    if dialect.is_newest() && is_foreign(part, field) {
        return Err(Problem::Foreign);
    }
    let mut halves = part.split('/');
    let (span, step_text) = (halves.next().unwrap_or_default(), halves.next());
    if halves.next().is_some() {
        return Err(Problem::Slashes);
    }
    let mut ends = span.split('-');
    let (first, second) = (ends.next().unwrap_or_default(), ends.next());
    let star = first == "*" || first == "?";
    let (start, end) = if star {
        // What follows a star and a hyphen is read by nobody.
        (bounds.low, bounds.high)
    } else {
        if ends.next().is_some() {
            return Err(Problem::Hyphens { example: bounds.example });
        }
        let start = bounds.value(first).map_err(|problem| foreign_or(problem, part, field))?;
        let end = match second {
            Some(second) => bounds.value(second)?,
            // `5/15` runs to the end of the field.
            None if step_text.is_some() => bounds.high,
            None => start,
        };
        (start, end)
    };
    let step = step_text.map_or(Ok(1), |text| number(text).ok_or(Problem::StepUnreadable))?;
    check(start, end, step, bounds, dialect)?;
    Ok(Mask { bits: bounds.bits(start, end, step), star: star && !(step > 1 && dialect.step_clears_star()) })
}

fn check(start: u64, end: u64, step: u64, bounds: &Bounds, dialect: Dialect) -> Result<(), Problem> {
    if start < bounds.low || end > bounds.high {
        return Err(Problem::OutOfRange { allowed: bounds.allowed });
    }
    if start > end && !dialect.is_newest() {
        return Err(if start > bounds.high || end < bounds.low {
            Problem::OutOfRange { allowed: bounds.allowed }
        } else {
            Problem::Backwards { split: format!("{start}-{},{}-{end}", bounds.high, bounds.low) }
        });
    }
    if step == 0 {
        return Err(Problem::StepZero);
    }
    let size = bounds.size(start, end);
    if dialect.is_newest() && step > 1 && step >= size {
        return Err(Problem::StepLong { size });
    }
    Ok(())
}

/// Whether a part is refused for letters and signs of other schedulers, wherever in it they stand.
fn is_foreign(part: &str, field: Field) -> bool {
    part.starts_with('H')
        || match field {
            Field::DayOfMonth => part.contains(['L', 'l', 'W', 'w']),
            Field::DayOfWeek => part.contains('#'),
            Field::Minute | Field::Hour | Field::Month => false,
        }
}

/// The same complaint for the dialects to which such a part is just no number.
fn foreign_or(problem: Problem, part: &str, field: Field) -> Problem {
    if is_foreign(part, field) { Problem::Foreign } else { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, field: Field, dialect: Dialect) -> Vec<i8> {
        let mask = mask(text, field, dialect).unwrap();
        (0..64).filter(|value| mask.has(*value)).collect()
    }

    #[test]
    fn the_newest_dialect_reads_more_and_otherwise_alike() {
        for (text, field, older, newest) in [
            ("5/15", Field::Minute, Some(vec![5, 20, 35, 50]), Some(vec![5, 20, 35, 50])),
            ("1,,3,", Field::Hour, Some(vec![1, 3]), Some(vec![1, 3])),
            (",", Field::Hour, Some(vec![]), Some(vec![])),
            ("+7,09", Field::Hour, Some(vec![7, 9]), Some(vec![7, 9])),
            ("22-2", Field::Hour, None, Some(vec![0, 1, 2, 22, 23])),
            ("25-3", Field::Hour, None, Some(vec![1, 2, 3])),
            ("60/20", Field::Minute, None, Some(vec![0, 20, 40])),
            ("39-sep", Field::Month, None, Some(vec![])),
            ("nov-FEB", Field::Month, None, Some(vec![1, 2, 11, 12])),
            ("7", Field::DayOfWeek, None, Some(vec![0])),
            ("5-7", Field::DayOfWeek, None, Some(vec![0, 5, 6])),
            ("FRI-MON", Field::DayOfWeek, None, Some(vec![0, 1, 5, 6])),
            ("1/2", Field::DayOfWeek, Some(vec![1, 3, 5]), Some(vec![0, 1, 3, 5])),
            ("SUN-tue", Field::DayOfWeek, Some(vec![0, 1, 2]), Some(vec![0, 1, 2])),
            ("*/60", Field::Minute, Some(vec![0]), None),
            ("0-10/15", Field::Minute, Some(vec![0]), None),
            ("*-x/30", Field::Minute, Some(vec![0, 30]), Some(vec![0, 30])),
            ("*-L/15", Field::DayOfMonth, Some(vec![1, 16, 31]), None),
            ("*-#/5", Field::DayOfWeek, Some(vec![0, 5]), None),
            ("99999999999999999999", Field::Minute, None, None),
            ("-1", Field::Minute, None, None),
            ("5/-1", Field::Minute, None, None),
        ] {
            for (dialect, expected) in
                [(Dialect::Robfig1, &older), (Dialect::Robfig3, &older), (Dialect::GoCron, &newest)]
            {
                match expected {
                    Some(expected) => {
                        assert_eq!(&values(text, field, dialect), expected, "{text}, {dialect}")
                    }
                    None => assert!(mask(text, field, dialect).is_err(), "{text}, {dialect}"),
                }
            }
        }
    }
}
