//! From an expression to its zone and timing.

use std::iter::Peekable;
use std::str::Chars;

use jiff::tz::TimeZone;

use crate::field::Fields;
use crate::{CronError, Dialect, Timing};

/// The longest expression that the newest dialect reads, in bytes.
const LONGEST: usize = 1024;

pub(crate) fn parse(expression: &str, dialect: Dialect) -> Result<(Option<TimeZone>, Timing), CronError> {
    if expression.is_empty() {
        return Err(CronError::Empty);
    }
    if dialect.is_newest() && expression.len() > LONGEST {
        return Err(CronError::TooLong { length: expression.len(), limit: LONGEST });
    }
    let (zone, rest) = split_zone(expression, dialect)?;
    if rest.starts_with('@') {
        return Ok((zone, descriptor(rest, dialect)?));
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let trimmed = rest.trim_start();
    if trimmed.len() < rest.len() && (trimmed.starts_with('@') || zone_prefix(trimmed).is_some()) {
        return Err(CronError::Blanks(trimmed.to_owned()));
    }
    let Ok(texts) = <[&str; 5]>::try_from(fields.as_slice()) else {
        return Err(if fields.is_empty() {
            CronError::Empty
        } else {
            CronError::FieldCount { found: fields.len() }
        });
    };
    Ok((zone, Timing::Fields(Fields::parse(texts, dialect)?)))
}

fn zone_prefix(expression: &str) -> Option<&'static str> {
    ["TZ=", "CRON_TZ="].into_iter().find(|prefix| expression.starts_with(prefix))
}

/// Takes the zone off the front. Only a space ends it.
fn split_zone(expression: &str, dialect: Dialect) -> Result<(Option<TimeZone>, &str), CronError> {
    let Some(prefix) = zone_prefix(expression) else {
        return Ok((None, expression));
    };
    let first = expression.split_whitespace().next().unwrap_or_default();
    if !dialect.reads_zones() {
        return Err(CronError::ZoneUnread { prefix: first.to_owned(), dialect });
    }
    let Some((given, rest)) = expression.split_once(' ') else {
        return Err(CronError::ZoneAlone(first.to_owned()));
    };
    let mut name = &given[prefix.len()..];
    if dialect.is_newest() {
        name = unquoted(name);
        if name.is_empty() {
            return Err(CronError::ZoneEmpty(given.to_owned()));
        }
    }
    let zone = zone(name)?;
    match rest.trim() {
        "" => Err(CronError::ZoneAlone(given.to_owned())),
        rest => Ok((zone, rest)),
    }
}

fn unquoted(name: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| name.strip_prefix(quote).and_then(|name| name.strip_suffix(quote)))
        .unwrap_or(name)
}

/// The zone of a name as Go finds it: no name is UTC, `Local` is the server's, and case matters.
fn zone(name: &str) -> Result<Option<TimeZone>, CronError> {
    match name {
        "" | "UTC" => return Ok(Some(TimeZone::UTC)),
        "Local" => return Ok(None),
        _ => {}
    }
    let unknown = || CronError::ZoneUnknown(name.to_owned());
    let zone = jiff::tz::db().get(name).map_err(|_| unknown())?;
    match zone.iana_name() {
        Some(right) if right == name => Ok(Some(zone)),
        Some(right) if !zone.is_unknown() => {
            Err(CronError::ZoneCase { given: name.to_owned(), right: right.to_owned() })
        }
        Some(_) | None => Err(unknown()),
    }
}

fn descriptor(text: &str, dialect: Dialect) -> Result<Timing, CronError> {
    let fields = match text {
        "@yearly" | "@annually" => ["0", "0", "1", "1", "*"],
        "@monthly" => ["0", "0", "1", "*", "*"],
        "@weekly" => ["0", "0", "*", "*", "0"],
        "@daily" | "@midnight" => ["0", "0", "*", "*", "*"],
        "@hourly" => ["0", "*", "*", "*", "*"],
        "@triggered" | "@manual" | "@none" if dialect.is_newest() => return Ok(Timing::Never),
        _ => {
            return match text.strip_prefix("@every ") {
                Some(duration) => every(duration, dialect),
                None if text.trim_end().len() < text.len() => {
                    Err(CronError::Blanks(text.trim_end().to_owned()))
                }
                None => Err(CronError::Descriptor(text.to_owned())),
            };
        }
    };
    Fields::parse(fields, dialect).map(Timing::Fields)
}

/// A pause in whole seconds: the rest is cut off, and less than one is one, where it is accepted.
fn every(text: &str, dialect: Dialect) -> Result<Timing, CronError> {
    let nanoseconds = go_duration(text).ok_or_else(|| CronError::Duration(text.to_owned()))?;
    let seconds = nanoseconds / 1_000_000_000;
    if dialect.is_newest() && seconds < 1 {
        return Err(CronError::DurationShort(text.to_owned()));
    }
    Ok(Timing::Every(seconds.max(1)))
}

/// A duration in the notation of Go, in nanoseconds: a sign, then numbers with units, such as `1h30m` or `1.5h`.
fn go_duration(text: &str) -> Option<i64> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut rest = rest.chars().peekable();
    let mut total: u64 = 0;
    while rest.peek().is_some() {
        total = total.checked_add(go_term(&mut rest)?)?;
        if total > 1 << 63 {
            return None;
        }
    }
    if negative { 0i64.checked_sub_unsigned(total) } else { i64::try_from(total).ok() }
}

/// One number with its unit.
fn go_term(rest: &mut Peekable<Chars<'_>>) -> Option<u64> {
    let whole = digits(rest);
    let fraction = rest.next_if_eq(&'.').map(|_| digits(rest)).unwrap_or_default();
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut unit = String::new();
    while let Some(letter) = rest.next_if(|letter| *letter != '.' && !letter.is_ascii_digit()) {
        unit.push(letter);
    }
    let unit: u64 = match unit.as_str() {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let part = fraction_of(&fraction, unit);
    whole.checked_mul(unit)?.checked_add(part).filter(|term| *term <= 1 << 63)
}

/// The part of a unit after the point. Go computes it in floating point, and so does this, lest a last digit differ.
fn fraction_of(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0u64, 1f64);
    for digit in digits.bytes().map(|digit| u64::from(digit - b'0')) {
        if value > i64::MAX.unsigned_abs() / 10 {
            break;
        }
        value = value * 10 + digit;
        scale *= 10.0;
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

fn digits(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    digits
}

#[cfg(test)]
mod tests;
