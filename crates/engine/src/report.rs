//! What went wrong in a run, and its log.
//!
//! As Velero 1.18: every warning and every error is a line of the log, stands in the results below what it concerns,
//! and counts in the status; one error makes a run partial.

use std::fmt;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;
use kurator_archive::metadata::results::{Messages, Results};
use kurator_member::clock::Clock;
use tempfile::SpooledTempFile;

use crate::files;

/// Messages that are kept word by word; more of them only count.
const KEPT: usize = 5_000;
/// The same in bytes, of all that are kept.
const KEPT_BYTES: usize = 2 << 20;
/// Longest message, in bytes.
const LONGEST: usize = 4 << 10;

/// What a message concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About<'a> {
    /// The run as a whole.
    Run,
    /// Something outside of all namespaces.
    Cluster,
    /// Something in this namespace.
    Namespace(&'a str),
}

impl<'a> From<Option<&'a str>> for About<'a> {
    fn from(namespace: Option<&'a str>) -> Self {
        namespace.map_or(Self::Cluster, Self::Namespace)
    }
}

#[derive(Debug, Default)]
struct Level {
    messages: Messages,
    kept: u64,
    bytes: usize,
    count: u64,
    first: Option<String>,
}

impl Level {
    fn add(&mut self, about: About<'_>, message: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| message.to_owned());
        if self.kept >= KEPT as u64 || self.bytes + message.len() > KEPT_BYTES {
            return;
        }
        self.kept += 1;
        self.bytes += message.len();
        let list = match about {
            About::Run => &mut self.messages.velero,
            About::Cluster => &mut self.messages.cluster,
            About::Namespace(name) => self.messages.namespaces.entry(name.to_owned()).or_default(),
        };
        list.push(message.to_owned());
    }

    fn close(self) -> (Messages, u64) {
        let Self { mut messages, kept, count, .. } = self;
        let more = count - kept;
        if more > 0 {
            messages.velero.push(format!("and {more} more"));
        }
        (messages, count)
    }
}

/// Collects what one run has to say.
pub struct Report {
    /// `backup=velero/name`
    subject: String,
    clock: Arc<dyn Clock>,
    inner: Mutex<Inner>,
}

struct Inner {
    log: GzEncoder<SpooledTempFile>,
    /// Why the log is not complete.
    broken: Option<io::Error>,
    warnings: Level,
    errors: Level,
}

/// A report that is complete.
#[derive(Debug)]
pub struct Reported {
    /// The log, gzipped: in memory or, if it is long, in a file without a name.
    pub log: SpooledTempFile,
    /// The results.
    pub results: Results,
    /// How many warnings there were.
    pub warnings: u64,
    /// How many errors there were.
    pub errors: u64,
    /// The first error; without one, the first warning.
    pub first: Option<String>,
}

impl Reported {
    /// What to tell of the errors, or else of the warnings, if there are any; `all` says where the rest is.
    #[must_use]
    pub fn problems(&self, all: &str) -> Option<String> {
        let first = self.first.as_ref()?;
        let (count, what) = if self.errors > 0 { (self.errors, "error") } else { (self.warnings, "warning") };
        Some(match count {
            1 => format!("1 {what} ({all}): {first}"),
            _ => format!("{count} {what}s ({all}), the first: {first}"),
        })
    }
}

impl Report {
    /// Of the `kind` (`backup`, `restore`) called `name` in `namespace`. A long log waits in `folder`.
    #[must_use]
    pub fn new(kind: &str, namespace: &str, name: &str, clock: Arc<dyn Clock>, folder: &Path) -> Self {
        let inner = Inner {
            log: GzEncoder::new(files::draft(folder), Compression::default()),
            broken: None,
            warnings: Level::default(),
            errors: Level::default(),
        };
        Self { subject: format!("{kind}={namespace}/{name}"), clock, inner: Mutex::new(inner) }
    }

    /// A step that was taken.
    pub fn info(&self, message: impl fmt::Display) {
        self.line(&mut self.inner(), "info", &message.to_string());
    }

    /// Something to know that harms nothing that was asked for.
    pub fn warning(&self, about: About<'_>, message: impl fmt::Display) {
        let message = cut(message.to_string());
        let mut inner = self.inner();
        self.line(&mut inner, "warning", &message);
        inner.warnings.add(about, &message);
    }

    /// Something that was asked for and not done.
    pub fn error(&self, about: About<'_>, message: impl fmt::Display) {
        let message = cut(message.to_string());
        let mut inner = self.inner();
        self.line(&mut inner, "error", &message);
        inner.errors.add(about, &message);
    }

    /// Whether anything that was asked for was not done.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.inner().errors.count > 0
    }

    /// Ends it.
    ///
    /// # Errors
    /// The folder does not take the log; that is a warning as long as the log can be ended.
    pub fn close(self) -> io::Result<Reported> {
        let mut inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = inner.broken {
            inner.warnings.add(About::Run, &format!("the log is not complete: {error}"));
        }
        let first = inner.errors.first.take().or(inner.warnings.first.take());
        let (warning_messages, warnings) = inner.warnings.close();
        let (error_messages, errors) = inner.errors.close();
        let results = Results { errors: error_messages, warnings: warning_messages };
        Ok(Reported { log: inner.log.finish()?, results, warnings, errors, first })
    }

    fn line(&self, inner: &mut Inner, level: &str, message: &str) {
        let now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ");
        if inner.broken.is_some() {
            return;
        }
        let written = writeln!(inner.log, "time=\"{now}\" level={level} msg={message:?} {}", self.subject);
        inner.broken = written.err();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(mut message: String) -> String {
    if message.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};

    use kurator_member::clock::SystemClock;

    use super::*;

    fn report() -> Report {
        Report::new("backup", "velero", "daily", Arc::new(SystemClock), &std::env::temp_dir())
    }

    #[test]
    fn a_message_stands_in_the_log_and_below_what_it_concerns() {
        let report = report();
        report.info("began");
        report.warning(About::Cluster, "w");
        report.error(About::Namespace("shop"), "said \"no\"");
        report.error(About::Run, "x");
        assert!(report.has_errors());
        let mut reported = report.close().unwrap();
        assert_eq!(reported.results.warnings.cluster, ["w"]);
        assert_eq!(reported.results.errors.namespaces["shop"], ["said \"no\""]);
        assert_eq!(reported.results.errors.velero, ["x"]);
        assert_eq!((reported.warnings, reported.errors), (1, 2));
        let told = reported.problems("backups/daily/daily-results.gz").unwrap();
        assert_eq!(told, "2 errors (backups/daily/daily-results.gz), the first: said \"no\"");
        let mut log = String::new();
        reported.log.rewind().unwrap();
        flate2::read::GzDecoder::new(&mut reported.log).read_to_string(&mut log).unwrap();
        let lines: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(
            lines,
            [
                "level=info msg=\"began\" backup=velero/daily",
                "level=warning msg=\"w\" backup=velero/daily",
                "level=error msg=\"said \\\"no\\\"\" backup=velero/daily",
                "level=error msg=\"x\" backup=velero/daily",
            ]
        );
    }

    #[test]
    fn a_million_messages_are_counted_and_not_kept() {
        let report = report();
        for n in 0..KEPT + 7 {
            report.warning(About::Namespace("a"), n);
        }
        let reported = report.close().unwrap();
        assert_eq!(reported.results.warnings.namespaces["a"].len(), KEPT);
        assert_eq!(reported.results.warnings.velero, ["and 7 more"]);
        assert_eq!(reported.warnings, KEPT as u64 + 7);
    }

    #[test]
    fn long_messages_are_kept_up_to_a_number_of_bytes() {
        let report = report();
        let fit = KEPT_BYTES / LONGEST;
        for _ in 0..=fit {
            report.error(About::Cluster, "x".repeat(LONGEST));
        }
        let reported = report.close().unwrap();
        assert_eq!(reported.results.errors.cluster.len(), fit);
        assert_eq!(reported.results.errors.velero, ["and 1 more"]);
    }

    #[test]
    fn a_long_log_waits_on_the_disk() {
        let report = report();
        for n in 0..40_000_u64 {
            report.info(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        assert!(report.close().unwrap().log.is_rolled());
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = cut("é".repeat(LONGEST));
        assert!(message.len() <= LONGEST + '…'.len_utf8());
        assert!(message.ends_with("é…"));
    }
}
