//! What is wrong with an expression, in one sentence with its remedy.

use std::fmt;

use crate::Dialect;

/// Why a dialect refuses an expression. Each sentence stands alone and can follow the name of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// There is nothing.
    #[error(
        "the expression is empty; give five fields such as `0 2 * * *`, or a descriptor such as `@daily`"
    )]
    Empty,
    /// Longer than the dialect reads.
    #[error("the expression is {length} bytes long; use at most {limit}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// A zone or a descriptor that is not at the very beginning or end.
    #[error("`{}` has blanks before or after it; remove them", Shown(.0))]
    Blanks(String),
    /// A zone for a dialect without zones.
    #[error("`{}` names a time zone, which {dialect} cannot read; remove it or update Velero", Shown(prefix))]
    ZoneUnread {
        /// The prefix as given.
        prefix: String,
        /// Who does not read it.
        dialect: Dialect,
    },
    /// A zone and nothing else.
    #[error("nothing follows `{}`; add the fields after a blank, as in `TZ=UTC 0 2 * * *`", Shown(.0))]
    ZoneAlone(String),
    /// A zone without a name.
    #[error("`{}` names no time zone; write one such as `TZ=Europe/Berlin`, or remove it", Shown(.0))]
    ZoneEmpty(String),
    /// A zone that is in no database.
    #[error("`{}` is no known time zone; use a name such as `UTC` or `Europe/Berlin`", Shown(.0))]
    ZoneUnknown(String),
    /// A zone in the wrong case.
    #[error("`{}` is no known time zone; write it as `{right}`", Shown(given))]
    ZoneCase {
        /// As given.
        given: String,
        /// As the database spells it.
        right: String,
    },
    /// An `@word` that does not exist.
    #[error(
        "`{}` is no descriptor; use `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly` or one such as `@every 6h`",
        Shown(.0)
    )]
    Descriptor(String),
    /// An `@every` without a readable duration.
    #[error("`{}` after `@every` is no duration; use one such as `90m` or `6h30m`", Shown(.0))]
    Duration(String),
    /// An `@every` below the dialect's least.
    #[error("`{}` after `@every` is less than a second; use `1s` or more", Shown(.0))]
    DurationShort(String),
    /// Not five fields.
    #[error("{found} instead of 5 fields; use minute, hour, day of month, month and day of week")]
    FieldCount {
        /// How many there are.
        found: usize,
    },
    /// One part of one field.
    #[error("`{}` in the {field} field {problem}", Shown(part))]
    Field {
        /// Which field.
        field: Field,
        /// The part between commas, as given.
        part: String,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// A field of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// 1 to 31.
    DayOfMonth,
    /// 1 to 12, or a name.
    Month,
    /// 0 to 6 from Sunday, or a name; 7 is a second Sunday where the dialect knows it.
    DayOfWeek,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day-of-month",
            Self::Month => "month",
            Self::DayOfWeek => "day-of-week",
        })
    }
}

/// What is wrong with a part of a field; continues "`60` in the minute field …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Neither a number nor a name of this field.
    #[error("is no number{}; use {allowed}", if *.names { " or name" } else { "" })]
    NotANumber {
        /// What may stand there.
        allowed: &'static str,
        /// Whether names may.
        names: bool,
    },
    /// A number beyond the field.
    #[error("is out of range; use {allowed}")]
    OutOfRange {
        /// What may stand there.
        allowed: &'static str,
    },
    /// A range that ends before it begins, where ranges do not wrap.
    #[error("runs backwards; split it, as in `{split}`")]
    Backwards {
        /// The same as two ranges.
        split: String,
    },
    /// More than one hyphen.
    #[error("has more than one hyphen; write a range as `{example}`")]
    Hyphens {
        /// A range of this field.
        example: &'static str,
    },
    /// More than one slash.
    #[error("has more than one slash; write a step as `*/2`")]
    Slashes,
    /// A step that is no number.
    #[error("has no number after the slash; write a step as `*/2`")]
    StepUnreadable,
    /// A step of nothing.
    #[error("has a step of 0; use 1 or more")]
    StepZero,
    /// A step that never lands on a second value.
    #[error("has a step as long as its range; use less than {size}, or only the first value")]
    StepLong {
        /// How many values the range has.
        size: u64,
    },
    /// Syntax of other schedulers.
    #[error("uses L, W, H or #, which Velero does not read; list the values")]
    Foreign,
}

/// Text of a user within a sentence: short, and without what would garble a terminal.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 40;
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(LONGEST) {
            write!(f, "{}", if character.is_control() { '\u{fffd}' } else { character })?;
        }
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}
