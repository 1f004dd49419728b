use super::*;

fn now() -> Timestamp {
    "2026-05-05T12:00:00Z".parse().unwrap()
}

fn warnings(expression: &str) -> Vec<String> {
    check_all(expression, now()).warnings.iter().map(Warning::to_string).collect()
}

#[test]
fn what_all_read_alike_gives_no_warning() {
    for expression in [
        "@daily",
        "@every 6h",
        "30 2 * * *",
        "0 0 1 * ?",
        "0 0 * * MON-FRI",
        "5/15 * * JAN *",
        "0 0 29 2 *",
        "0 0 1-31 * *",
        "0 0 ? * 1/2,SUN",
    ] {
        assert_eq!(warnings(expression), Vec::<String>::new(), "{expression}");
    }
}

#[test]
fn days_that_must_fit_both_fields_or_one_are_pointed_out() {
    let both_or_one = "days must fit both day fields for Velero 1.18.3 and newer, one of them for Velero up to 1.14 or \
                       Velero 1.15 to 1.18.2; leave one of the fields `*`";
    assert_eq!(warnings("0 0 13 * FRI"), [both_or_one]);
    assert_eq!(warnings("0 0 1-31 * FRI"), [both_or_one]);
    assert_eq!(
        warnings("0 0 */2 * FRI"),
        [
            "days must fit both day fields for Velero up to 1.14 or Velero 1.18.3 and newer, one of them for Velero 1.15 \
          to 1.18.2; leave one of the fields `*`"
        ]
    );
}

#[test]
fn a_step_over_weekdays_that_reaches_a_second_sunday_is_pointed_out() {
    assert_eq!(
        warnings("0 0 * * 1/2"),
        [
            "the day-of-week field means MON,WED,FRI for Velero up to 1.14 or Velero 1.15 to 1.18.2, SUN,MON,WED,FRI for \
          Velero 1.18.3 and newer; list the days by name"
        ]
    );
}

#[test]
fn a_time_that_the_clocks_leave_out_is_pointed_out_only_in_a_zone_that_has_one() {
    assert_eq!(
        warnings("TZ=America/New_York 30 2 * * *")[1..],
        [
            "when the clocks of America/New_York change, Velero 1.18.3 and newer runs on 2027-03-14 at 03:30 and Velero \
          1.15 to 1.18.2 does not; choose an hour that no change leaves out"
        ]
    );
    for expression in
        ["TZ=America/New_York 30 4 * * *", "TZ=America/New_York 30 * * * *", "TZ=Asia/Tokyo 30 2 * * *"]
    {
        assert_eq!(warnings(expression).len(), 1, "{expression}");
    }
}

#[test]
fn an_expression_that_some_refuse_is_a_warning_with_their_sentence() {
    assert_eq!(
        warnings("TZ=UTC 0 6 * * *"),
        [
            "refused by Velero up to 1.14: `TZ=UTC` names a time zone, which Velero up to 1.14 cannot read; remove it or \
          update Velero"
        ]
    );
    assert_eq!(
        warnings("*/60 * * * *"),
        [
            "refused by Velero 1.18.3 and newer: `*/60` in the minute field has a step as long as its range; use less \
          than 60, or only the first value"
        ]
    );
    assert_eq!(
        warnings("0 22-2 * * *"),
        [
            "refused by Velero up to 1.14 or Velero 1.15 to 1.18.2: `22-2` in the hour field runs backwards; split it, as \
          in `22-23,0-2`"
        ]
    );
}

#[test]
fn only_the_dialects_asked_for_count() {
    let check = check("0 0 13 * FRI", &[Dialect::GoCron], now());
    assert_eq!((check.accepted.len(), check.warnings), (1, vec![]));
}

#[test]
fn an_expression_that_all_refuse_is_an_error_and_no_warning() {
    let check = check_all("60 * * * *", now());
    assert_eq!(check.refusal().unwrap().to_string(), "`60` in the minute field is out of range; use 0 to 59");
    assert_eq!(check.warnings, []);
    assert_eq!(check_all("0 22-2 * * *", now()).refusal(), None);
}

#[test]
fn a_schedule_that_would_back_up_every_minute_is_pointed_out() {
    let to_all = "there are five years or more without a fitting day or time for every Velero, which then starts a \
                  backup every minute; choose days that come every year";
    for expression in ["0 0 30 2 *", ", * * * *", "0 , * * *", "0 0 , * *"] {
        assert_eq!(warnings(expression), [to_all], "{expression}");
    }
    // 13 January is a Friday in 2034 and then not before 2045.
    let dry = |expression| match check_all(expression, now()).warnings.pop() {
        Some(Warning::RunsDry { dialects }) => dialects,
        other => panic!("{expression}: {other:?}"),
    };
    assert_eq!(dry("0 0 13 1 FRI"), [Dialect::GoCron]);
    assert_eq!(dry("@manual"), [Dialect::GoCron]);
    assert_eq!(dry("0 0 1 39-SEP *"), [Dialect::GoCron]);
    // At most five years in a row without such a Friday, and at most four.
    assert_eq!(dry("0 0 1,4 1 FRI"), [Dialect::GoCron]);
    assert_eq!(check("0 0 1,2 1 FRI", &[Dialect::GoCron], now()).warnings, []);
}
