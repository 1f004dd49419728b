//! Durations as Go reads and writes them, because that is what Velero does with `ttl`.

use std::fmt;
use std::str::FromStr;

const NANOSECOND: u64 = 1;
const MICROSECOND: u64 = 1_000 * NANOSECOND;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A duration that is not negative, in nanoseconds, up to Go's limit of about 292 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GoDuration(u64);

/// A text that Go would not read as a duration, or a negative one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a duration: {fault}; write numbers with units, such as `720h` or `1h30m`")]
pub struct DurationError {
    value: String,
    fault: Fault,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("it is empty")]
    Empty,
    #[error("it is negative")]
    Negative,
    #[error("a number is missing")]
    NoNumber,
    #[error("a number has no unit")]
    NoUnit,
    #[error("the units are `ns`, `us`, `ms`, `s`, `m` and `h`")]
    UnknownUnit,
    #[error("it is longer than 292 years")]
    TooLong,
}

impl GoDuration {
    /// From nanoseconds; none above Go's limit.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Option<Self> {
        i64::try_from(nanos).is_ok().then_some(Self(nanos))
    }

    /// In nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whether it is zero, which Velero reads as "not set".
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl From<GoDuration> for std::time::Duration {
    fn from(duration: GoDuration) -> Self {
        Self::from_nanos(duration.0)
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        parse(value).map_err(|fault| DurationError { value: value.to_owned(), fault })
    }
}

fn parse(value: &str) -> Result<GoDuration, Fault> {
    if value.starts_with('-') {
        return Err(Fault::Negative);
    }
    let mut rest = value.strip_prefix('+').unwrap_or(value);
    match rest {
        "" => return Err(Fault::Empty),
        "0" => return Ok(GoDuration(0)),
        _ => {}
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (part, behind) = leading_part(rest)?;
        total = total.checked_add(part).ok_or(Fault::TooLong)?;
        rest = behind;
    }
    GoDuration::from_nanos(total).ok_or(Fault::TooLong)
}

/// The nanoseconds of the first number with its unit, and what follows it.
fn leading_part(text: &str) -> Result<(u64, &str), Fault> {
    let (whole, behind) = leading_digits(text);
    let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), leading_digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(Fault::NoNumber);
    }
    let end = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
    let (unit, behind) = behind.split_at(end);
    let unit = match unit {
        "" => return Err(Fault::NoUnit),
        "ns" => NANOSECOND,
        // Both signs for micro: U+00B5 and U+03BC.
        "us" | "µs" | "μs" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return Err(Fault::UnknownUnit),
    };
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| Fault::TooLong)? };
    let nanos = whole.checked_mul(unit).and_then(|nanos| nanos.checked_add(fraction_of(unit, fraction)));
    Ok((nanos.ok_or(Fault::TooLong)?, behind))
}

/// `0.<digits>` of a unit, cut to whole nanoseconds. Digits beyond the 15th can't matter: an hour has 13.
fn fraction_of(unit: u64, digits: &str) -> u64 {
    let digits = &digits[..digits.len().min(15)];
    let scaled = digits.bytes().fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'));
    let nanos = scaled * u128::from(unit) / 10_u128.pow(u32::try_from(digits.len()).unwrap_or(0));
    u64::try_from(nanos).unwrap_or(unit)
}

fn leading_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

impl fmt::Display for GoDuration {
    /// As Go's `Duration.String`: `720h0m0s`, `1m30s`, `1.5s`, `100ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        if nanos == 0 {
            return f.write_str("0s");
        }
        if nanos < SECOND {
            let (unit, name) = match nanos {
                MILLISECOND.. => (MILLISECOND, "ms"),
                MICROSECOND.. => (MICROSECOND, "µs"),
                _ => (NANOSECOND, "ns"),
            };
            return write!(f, "{}{name}", decimal(nanos, unit));
        }
        if nanos >= HOUR {
            write!(f, "{}h", nanos / HOUR)?;
        }
        if nanos >= MINUTE {
            write!(f, "{}m", nanos % HOUR / MINUTE)?;
        }
        write!(f, "{}s", decimal(nanos % MINUTE, SECOND))
    }
}

/// `nanos` in a unit that is a power of ten, without zeros at the end.
fn decimal(nanos: u64, unit: u64) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{fraction:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> u64 {
        text.parse::<GoDuration>().unwrap().as_nanos()
    }

    #[test]
    fn what_go_reads_is_read() {
        for (text, expected) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("720h", 720 * HOUR),
            ("1h30m", HOUR + 30 * MINUTE),
            ("1.5h", 90 * MINUTE),
            (".5h", 30 * MINUTE),
            ("5.s", 5 * SECOND),
            ("1h1h", 2 * HOUR),
            ("+5m", 5 * MINUTE),
            ("1us1µs1μs", 3 * MICROSECOND),
            ("1.9ns", 1),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_the_value_and_the_fault() {
        for (text, fault) in [
            ("", Fault::Empty),
            ("+", Fault::Empty),
            ("30d", Fault::UnknownUnit),
            ("1 h", Fault::UnknownUnit),
            ("5", Fault::NoUnit),
            ("1h5", Fault::NoUnit),
            ("h", Fault::NoNumber),
            (".h", Fault::NoNumber),
            ("--1h", Fault::Negative),
            ("9223372036854775808ns", Fault::TooLong),
            ("99999999999999999999h", Fault::TooLong),
        ] {
            let error = text.parse::<GoDuration>().unwrap_err();
            assert_eq!(error.fault, fault, "{text}");
        }
        assert_eq!(
            "30d".parse::<GoDuration>().unwrap_err().to_string(),
            "`30d` is not a duration: the units are `ns`, `us`, `ms`, `s`, `m` and `h`; \
             write numbers with units, such as `720h` or `1h30m`"
        );
    }

    #[test]
    fn a_negative_duration_keeps_nothing_and_is_refused() {
        assert_eq!("-1h".parse::<GoDuration>().unwrap_err().fault, Fault::Negative);
    }

    #[test]
    fn durations_are_written_as_go_does_and_read_back() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (4 * MINUTE + 5 * SECOND + MILLISECOND, "4m5.001s"),
            (5 * HOUR + 6 * SECOND, "5h0m6s"),
            (720 * HOUR, "720h0m0s"),
            (i64::MAX as u64, "2562047h47m16.854775807s"),
        ] {
            let duration = GoDuration::from_nanos(nanos).unwrap();
            assert_eq!(duration.to_string(), text);
            assert_eq!(text.parse::<GoDuration>().unwrap(), duration);
        }
    }
}
