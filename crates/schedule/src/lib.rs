//! Cron exactly as Velero reads it.
//!
//! Velero has changed its cron library twice, and the three read the same expression differently: what one refuses
//! another accepts, and what all accept may mean different days. A [`Dialect`] is one of them, with its quirks.
//!
//! Start reading at [`Cron`]. [`next_run`] is the rule by which Velero starts a backup, [`check`] tells a person
//! where the dialects disagree, [`refusal`] why none of them does what is meant. Nothing here looks at a clock; the only
//! thing read is the time zone database.

mod dialect;
mod differ;
mod due;
mod error;
mod field;
mod next;
mod parse;
mod refusal;

pub use dialect::Dialect;
pub use differ::{Check, Warning, check, check_all};
pub use due::{NextRun, base, next_run};
pub use error::{CronError, Field, Problem};
pub use refusal::{pause, refusal};

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::field::Fields;

/// A cron expression that one dialect of Velero accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    expression: String,
    dialect: Dialect,
    /// The zone that the expression names; without one the server's applies.
    zone: Option<TimeZone>,
    timing: Timing,
}

/// When an expression comes due.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Timing {
    /// At wall-clock times.
    Fields(Fields),
    /// This many seconds after the time it is asked for.
    Every(i64),
    /// Not by itself (`@none` and the like).
    Never,
}

impl Cron {
    /// Reads `expression` as `dialect` does.
    pub fn parse(expression: &str, dialect: Dialect) -> Result<Self, CronError> {
        let (zone, timing) = parse::parse(expression, dialect)?;
        Ok(Self { expression: expression.to_owned(), dialect, zone, timing })
    }

    /// The first time strictly later than `after`, on a whole second. `server_zone` is the zone of the server that
    /// runs the schedule, used unless the expression names one.
    ///
    /// `None` says that no time of the next five years fits, which is not harmless: see [`next_run`].
    pub fn next_after(&self, after: Timestamp, server_zone: &TimeZone) -> Option<Timestamp> {
        let zone = self.zone.as_ref().unwrap_or(server_zone);
        match &self.timing {
            Timing::Fields(fields) => next::next(fields, self.dialect, after, zone),
            Timing::Every(seconds) => next::after_pause(*seconds, after),
            Timing::Never => None,
        }
    }

    /// The dialect it was read in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.expression)
    }
}
