//! What no schedule should say, whoever runs it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::check_all;

/// Why no Velero could follow the expression, or none would as it is meant; in words that can follow the name of a field.
pub fn refusal(expression: &str, now: Timestamp) -> Option<String> {
    if pause(expression).is_some_and(|pause| pause.starts_with('-')) {
        return Some(format!("`{expression}` is no time to come; use one such as `@every 6h`"));
    }
    let check = check_all(expression, now);
    if let Some(error) = check.refusal() {
        return Some(error.to_string());
    }
    let never = check.accepted.iter().all(|cron| cron.next_after(now, &TimeZone::UTC).is_none());
    never.then(|| {
        format!(
            "`{expression}` fits no time of the next five years, and Velero would start a backup every minute; choose \
             a day that comes"
        )
    })
}

/// What stands after `@every`.
pub fn pause(expression: &str) -> Option<&str> {
    let at = expression.find("@every ")?;
    Some(expression[at..].trim_start_matches("@every ").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(expression: &str) -> Option<String> {
        refusal(expression, "2026-11-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn what_some_velero_follows_is_not_refused() {
        for expression in ["0 2 * * *", "@daily", "@every 6h", "TZ=Europe/Berlin 0 2 * * MON"] {
            assert_eq!(refused(expression), None, "{expression}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_in_the_words_of_the_newest() {
        assert!(refused("nope").unwrap().starts_with("1 instead of 5 fields; use minute"));
        assert!(refused("").unwrap().starts_with("the expression is empty"));
    }

    #[test]
    fn a_time_that_never_comes_is_refused() {
        assert!(refused("0 0 30 2 *").unwrap().contains("fits no time of the next five years"));
        assert_eq!(
            refused("@every -1h").unwrap(),
            "`@every -1h` is no time to come; use one such as `@every 6h`"
        );
    }
}
