//! How long ago something was, as people say it.

use jiff::Timestamp;
use serde_json::Value;

/// The time since then, or what is said of no time at all.
pub(super) fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str() {
        None | Some("") => "<unknown>".to_owned(),
        Some(time) => time
            .parse::<Timestamp>()
            .map_or_else(|_| "<invalid>".to_owned(), |then| shown(now.as_second() - then.as_second())),
    }
}

/// The time between two, or nothing where one is missing.
pub(super) fn between(start: &Value, end: &Value, now: Timestamp) -> String {
    let read = |time: &Value| time.as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let Some(start) = read(start) else { return String::new() };
    shown(read(end).unwrap_or(now).as_second() - start.as_second())
}

/// Seconds in the one or two largest units that say enough.
fn shown(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |large: i64, unit: &str, small: i64, rest: &str| match small {
        0 => format!("{large}{unit}"),
        small => format!("{large}{unit}{small}{rest}"),
    };
    match () {
        () if seconds < -1 => "<invalid>".to_owned(),
        () if seconds < 0 => "0s".to_owned(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 2920 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_its_largest_units() {
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (600, "10m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 60, "3h1m"),
            (8 * 3600, "8h"),
            (2 * 86400, "2d"),
            (2 * 86400 + 3600, "2d1h"),
            (8 * 86400, "8d"),
            (730 * 86400, "2y"),
            (800 * 86400, "2y70d"),
            (3000 * 86400, "8y"),
        ] {
            assert_eq!(shown(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn no_time_is_unknown() {
        assert_eq!(since(&Value::Null, Timestamp::UNIX_EPOCH), "<unknown>");
        assert_eq!(since(&"soon".into(), Timestamp::UNIX_EPOCH), "<invalid>");
    }
}
