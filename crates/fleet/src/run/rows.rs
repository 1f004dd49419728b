//! One row per selected cluster: what the status of a Backup or Restore says of it, and what all rows
//! together mean. Pure.

use kurator_api::backup::{RowPhase, StoredAt, Summary};
use kurator_api::cluster::ClusterKey;
use kurator_api::condition;
use kurator_api::reason::Reason;

use crate::text;

/// From this many clusters on, rows in good order are kept short.
pub(crate) const SHORT_FROM: usize = 500;
/// Above this many clusters, progress alone is not worth a write.
const NO_PROGRESS_ABOVE: usize = 100;

/// What is said of one cluster; `S` is the Velero status shown beside it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row<S> {
    pub(crate) cluster: ClusterKey,
    /// UID of the cluster that the Velero object was seen in.
    pub(crate) seen_in: Option<String>,
    /// Name of the Velero object, once one was created or found.
    pub(crate) child: Option<String>,
    /// Where a backup lies.
    pub(crate) stored: Option<StoredAt>,
    /// Name of the Velero Backup that a restore takes its content from.
    pub(crate) source: Option<String>,
    /// Name of the storage location that was made for a restore to read from.
    pub(crate) source_location: Option<String>,
    /// Volume claims that a backup has without the data of their volumes.
    pub(crate) without_data: Option<u32>,
    /// Last seen status of the Velero object.
    pub(crate) status: Option<S>,
    pub(crate) phase: RowPhase,
    pub(crate) reason: Option<Reason>,
    pub(crate) message: Option<String>,
}

impl<S> Row<S> {
    pub(crate) fn new(cluster: ClusterKey) -> Self {
        let phase = RowPhase::Pending;
        Self {
            cluster,
            seen_in: None,
            child: None,
            stored: None,
            source: None,
            source_location: None,
            without_data: None,
            status: None,
            phase,
            reason: None,
            message: None,
        }
    }

    pub(crate) fn because(mut self, reason: Reason, message: impl AsRef<str>) -> Self {
        self.reason = Some(reason);
        self.message = Some(one_line(message.as_ref())).filter(|text| !text.is_empty());
        self
    }

    /// Cuts the message to so many bytes.
    pub(crate) fn cut(&mut self, most: usize) {
        cut(&mut self.message, most);
    }

    pub(crate) fn in_phase(mut self, phase: RowPhase) -> Self {
        self.phase = phase;
        self
    }

    /// Whether a Velero object is known to have been made for this row.
    pub(crate) fn started(&self) -> bool {
        self.phase == RowPhase::InProgress || self.status.is_some()
    }
}

/// A row in the form that a status has it.
pub(crate) trait Details: Clone + PartialEq {
    type Status: Clone;

    fn cluster(&self, namespace: &str) -> ClusterKey;
    fn read(&self, cluster: ClusterKey) -> Row<Self::Status>;
    fn write(row: &Row<Self::Status>) -> Self;
    /// Leaves of a Velero status only its phase and the time of completion.
    fn shorten(status: &mut Self::Status);
    fn clear_progress(&mut self);
}

/// All rows of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rows<S>(pub(crate) Vec<Row<S>>);

impl<S: Clone> Rows<S> {
    fn phases(&self) -> impl Iterator<Item = RowPhase> + '_ {
        self.0.iter().map(|row| row.phase)
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary::of(self.phases().map(Some))
    }

    pub(crate) fn aggregate(&self) -> Aggregate {
        aggregate(self.phases())
    }

    /// The first row that waits for something, and what for.
    pub(crate) fn first_wait(&self) -> Option<&Row<S>> {
        self.0.iter().find(|row| !row.phase.is_terminal() && row.message.is_some())
    }

    /// As the status has them; of large fleets, rows in good order keep only what they must.
    pub(crate) fn write<D: Details<Status = S>>(&self) -> Vec<D> {
        let many = self.0.len() >= SHORT_FROM;
        self.0.iter().map(|row| if many { D::write(&short::<D>(row)) } else { D::write(row) }).collect()
    }
}

fn short<D: Details>(row: &Row<D::Status>) -> Row<D::Status> {
    let mut row = row.clone();
    if matches!(row.phase, RowPhase::Completed | RowPhase::InProgress) {
        if let Some(status) = &mut row.status {
            D::shorten(status);
        }
        row.stored = None;
        row.reason = None;
        row.message = None;
    }
    row
}

/// Whether two statuses differ only by how far the work has come, in a fleet where that is not worth a write.
pub(crate) fn only_progress<D: Details>(before: &[D], now: &[D]) -> bool {
    if now.len() <= NO_PROGRESS_ABOVE || before.len() != now.len() {
        return false;
    }
    let plain = |details: &D| {
        let mut details = details.clone();
        details.clear_progress();
        details
    };
    before.iter().zip(now).all(|(a, b)| a == b || plain(a) == plain(b))
}

/// What all rows together mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// No cluster at all: never a success.
    Nothing,
    /// No row has started.
    Pending,
    InProgress,
    Completed,
    PartiallyFailed,
    Failed,
}

fn aggregate(phases: impl IntoIterator<Item = RowPhase>) -> Aggregate {
    let Summary { total, pending, in_progress, completed, failed, .. } =
        Summary::of(phases.into_iter().map(Some));
    match () {
        () if total == 0 => Aggregate::Nothing,
        () if pending == total => Aggregate::Pending,
        () if pending + in_progress > 0 => Aggregate::InProgress,
        () if completed == total => Aggregate::Completed,
        () if failed == total => Aggregate::Failed,
        () => Aggregate::PartiallyFailed,
    }
}

/// Fit for a row that may say as much as a condition: line breaks gone.
pub(crate) fn one_line(text: &str) -> String {
    condition::shorten(&text::one_line(text), condition::MAX_MESSAGE)
}

/// Cuts the message of a row to so many bytes.
pub(crate) fn cut(message: &mut Option<String>, most: usize) {
    if let Some(message) = message.as_mut().filter(|message| message.len() > most) {
        *message = condition::shorten(message, most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RowPhase::{Completed, Failed, FailedValidation, InProgress, PartiallyFailed, Pending};

    #[test]
    fn k15_the_phase_follows_from_the_rows() {
        let table: &[(&[RowPhase], Aggregate)] = &[
            (&[Pending, Pending], Aggregate::Pending),
            (&[Pending, InProgress], Aggregate::InProgress),
            (&[Pending, Completed], Aggregate::InProgress),
            (&[InProgress, Failed], Aggregate::InProgress),
            (&[Completed, Completed], Aggregate::Completed),
            (&[Failed, FailedValidation], Aggregate::Failed),
            (&[Completed, Failed], Aggregate::PartiallyFailed),
            (&[PartiallyFailed, PartiallyFailed], Aggregate::PartiallyFailed),
            (&[Completed, PartiallyFailed], Aggregate::PartiallyFailed),
        ];
        for (rows, expected) in table {
            assert_eq!(aggregate(rows.iter().copied()), *expected, "{rows:?}");
        }
    }

    #[test]
    fn k09_no_rows_are_never_a_success() {
        assert_eq!(aggregate([]), Aggregate::Nothing);
    }

    #[test]
    fn a_message_of_several_lines_becomes_one() {
        assert_eq!(one_line("error:\n  no such\tbucket\n"), "error: no such bucket");
    }
}
