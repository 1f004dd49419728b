//! The two kinds of run, on the hub and in the members, in the terms of this module.

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, BackupPhase, BackupStatus, RowPhase, Summary};
use kurator_api::cluster::ClusterKey;
use kurator_api::condition::Condition;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::restore::{Restore, RestoreDetails, RestorePhase, RestoreStatus};
use kurator_api::velero;
use serde::Serialize;

use super::child::{Outcome, VeleroRun};
use super::rows::{Details, Row};
use super::volumes;
use crate::hub::HubKind;
use crate::text;

/// Phases of a run on the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunPhase {
    Pending,
    InProgress,
    Completed,
    PartiallyFailed,
    Failed,
    FailedValidation,
    Deleting,
}

impl RunPhase {
    /// Whether nothing will change any more. A failed validation is not the end: an edit starts anew.
    pub(crate) const fn is_finished(self) -> bool {
        matches!(self, Self::Completed | Self::PartiallyFailed | Self::Failed)
    }
}

/// A status of either kind.
#[derive(Clone, Debug)]
pub(crate) struct Said<D> {
    pub(crate) phase: Option<RunPhase>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) details: Vec<D>,
    pub(crate) summary: Option<Summary>,
    pub(crate) observed_generation: Option<i64>,
    pub(crate) started: Option<Timestamp>,
    pub(crate) completed: Option<Timestamp>,
}

impl<D> Default for Said<D> {
    fn default() -> Self {
        Self {
            phase: None,
            conditions: Vec::new(),
            details: Vec::new(),
            summary: None,
            observed_generation: None,
            started: None,
            completed: None,
        }
    }
}

/// A kind on the hub that runs in many clusters.
pub(crate) trait Run: HubKind {
    type Status: Serialize + PartialEq + Sync + Send;
    type Details: Details;

    /// The phase alone, without a copy of all rows.
    fn phase(&self) -> Option<RunPhase>;
    fn said(&self) -> Said<Self::Details>;
    fn status(said: Said<Self::Details>) -> Self::Status;
}

macro_rules! run_kind {
    (
        $Kind:ident, $Status:ident, $Details:ident, $Phase:ident, $details:ident,
        // What only a schedule has.
        [$($scheduled:ident),*]
    ) => {
        impl Run for $Kind {
            type Status = $Status;
            type Details = $Details;

            fn phase(&self) -> Option<RunPhase> {
                let phase = self.status.as_ref().and_then(|status| status.phase);
                phase.and_then(|phase| RunPhase::try_from(phase).ok())
            }

            fn said(&self) -> Said<$Details> {
                let phase = self.phase();
                let Some($Status {
                    phase: _,
                    conditions,
                    $details,
                    summary,
                    observed_generation,
                    start_timestamp,
                    completion_timestamp,
                    $($scheduled: _,)*
                }) = self.status.clone()
                else {
                    return Said::default();
                };
                Said {
                    phase,
                    conditions,
                    details: $details,
                    summary,
                    observed_generation,
                    started: start_timestamp,
                    completed: completion_timestamp,
                }
            }

            fn status(said: Said<$Details>) -> $Status {
                let Said { phase, conditions, details, summary, observed_generation, started, completed } =
                    said;
                $Status {
                    phase: phase.map(Into::into),
                    conditions,
                    $details: details,
                    summary,
                    observed_generation,
                    start_timestamp: started,
                    completion_timestamp: completed,
                    $($scheduled: None,)*
                }
            }
        }

        impl From<RunPhase> for $Phase {
            fn from(phase: RunPhase) -> Self {
                match phase {
                    RunPhase::Pending => Self::Pending,
                    RunPhase::InProgress => Self::InProgress,
                    RunPhase::Completed => Self::Completed,
                    RunPhase::PartiallyFailed => Self::PartiallyFailed,
                    RunPhase::Failed => Self::Failed,
                    RunPhase::FailedValidation => Self::FailedValidation,
                    RunPhase::Deleting => Self::Deleting,
                }
            }
        }
    };
}

run_kind!(Backup, BackupStatus, BackupDetails, BackupPhase, backup_details, [last_success, next_run]);
run_kind!(Restore, RestoreStatus, RestoreDetails, RestorePhase, restore_details, []);

/// A phase of a scheduled Backup, which is no run.
pub(crate) struct OfASchedule;

impl TryFrom<BackupPhase> for RunPhase {
    type Error = OfASchedule;

    fn try_from(phase: BackupPhase) -> Result<Self, OfASchedule> {
        Ok(match phase {
            BackupPhase::Pending => Self::Pending,
            BackupPhase::InProgress => Self::InProgress,
            BackupPhase::Completed => Self::Completed,
            BackupPhase::PartiallyFailed => Self::PartiallyFailed,
            BackupPhase::Failed => Self::Failed,
            BackupPhase::FailedValidation => Self::FailedValidation,
            BackupPhase::Deleting => Self::Deleting,
            BackupPhase::Enabled | BackupPhase::Paused => return Err(OfASchedule),
        })
    }
}

impl From<RestorePhase> for RunPhase {
    fn from(phase: RestorePhase) -> Self {
        match phase {
            RestorePhase::Pending => Self::Pending,
            RestorePhase::InProgress => Self::InProgress,
            RestorePhase::Completed => Self::Completed,
            RestorePhase::PartiallyFailed => Self::PartiallyFailed,
            RestorePhase::Failed => Self::Failed,
            RestorePhase::FailedValidation => Self::FailedValidation,
            RestorePhase::Deleting => Self::Deleting,
        }
    }
}

impl Details for BackupDetails {
    type Status = velero::BackupStatus;

    fn cluster(&self, namespace: &str) -> ClusterKey {
        ClusterKey {
            namespace: namespace.to_owned(),
            kind: self.cluster_kind,
            name: self.cluster_name.clone(),
        }
    }

    fn read(&self, cluster: ClusterKey) -> Row<Self::Status> {
        Row {
            cluster,
            seen_in: self.cluster_uid.clone(),
            child: self.backup_name_in_cluster.clone(),
            stored: self.stored.clone(),
            source: None,
            source_location: None,
            without_data: self.volumes_without_data,
            status: self.backup_status_in_cluster.clone(),
            phase: self.phase.unwrap_or_else(|| {
                kurators_phase(self.backup_name_in_cluster.as_ref(), self.backup_status_in_cluster.as_ref())
            }),
            reason: self.reason.as_deref().and_then(Reason::of),
            message: self.message.clone(),
        }
    }

    fn write(row: &Row<Self::Status>) -> Self {
        Self {
            cluster_name: row.cluster.name.clone(),
            cluster_kind: row.cluster.kind,
            cluster_uid: row.seen_in.clone(),
            backup_name_in_cluster: row.child.clone(),
            backup_status_in_cluster: row.status.clone(),
            stored: row.stored.clone(),
            volumes_without_data: row.without_data,
            schedule: None,
            phase: Some(row.phase),
            reason: row.reason.map(|reason| reason.as_str().to_owned()),
            message: row.message.clone(),
        }
    }

    fn shorten(status: &mut Self::Status) {
        let velero::BackupStatus { phase, completion_timestamp, .. } = std::mem::take(status);
        *status = velero::BackupStatus { phase, completion_timestamp, ..velero::BackupStatus::default() };
    }

    fn clear_progress(&mut self) {
        if let Some(status) = &mut self.backup_status_in_cluster {
            status.progress = None;
        }
    }
}

impl Details for RestoreDetails {
    type Status = velero::RestoreStatus;

    fn cluster(&self, namespace: &str) -> ClusterKey {
        ClusterKey {
            namespace: namespace.to_owned(),
            kind: self.cluster_kind,
            name: self.cluster_name.clone(),
        }
    }

    fn read(&self, cluster: ClusterKey) -> Row<Self::Status> {
        Row {
            cluster,
            seen_in: self.cluster_uid.clone(),
            child: self.restore_name_in_cluster.clone(),
            stored: None,
            source: self.backup_name_in_cluster.clone(),
            source_location: self.source_location.clone(),
            without_data: None,
            status: self.restore_status_in_cluster.clone(),
            phase: self.phase.unwrap_or_else(|| {
                kurators_phase(self.restore_name_in_cluster.as_ref(), self.restore_status_in_cluster.as_ref())
            }),
            reason: self.reason.as_deref().and_then(Reason::of),
            message: self.message.clone(),
        }
    }

    fn write(row: &Row<Self::Status>) -> Self {
        Self {
            cluster_name: row.cluster.name.clone(),
            cluster_kind: row.cluster.kind,
            cluster_uid: row.seen_in.clone(),
            restore_name_in_cluster: row.child.clone(),
            backup_name_in_cluster: row.source.clone(),
            source_location: row.source_location.clone(),
            restore_status_in_cluster: row.status.clone(),
            phase: Some(row.phase),
            reason: row.reason.map(|reason| reason.as_str().to_owned()),
            message: row.message.clone(),
        }
    }

    fn shorten(status: &mut Self::Status) {
        let velero::RestoreStatus { phase, completion_timestamp, .. } = std::mem::take(status);
        *status = velero::RestoreStatus { phase, completion_timestamp, ..velero::RestoreStatus::default() };
    }

    fn clear_progress(&mut self) {
        if let Some(status) = &mut self.restore_status_in_cluster {
            status.progress = None;
        }
    }
}

/// The phase of a row that Kurator wrote: it names what it has created, and copies a status.
fn kurators_phase<S: VeleroStatus>(child: Option<&String>, status: Option<&S>) -> RowPhase {
    match (child, status) {
        (None, _) => RowPhase::Pending,
        (Some(_), None) => RowPhase::InProgress,
        (Some(_), Some(status)) => status.row_phase(),
    }
}

/// A Velero status, in the terms of a row.
trait VeleroStatus {
    fn row_phase(&self) -> RowPhase;
}

/// What is said of a run that found nothing to do, which is rarely meant.
const NOTHING: &str = "0 items: nothing is chosen by the filter";

macro_rules! velero_run {
    ($Kind:ident, $Status:ident, $Phase:ident, $noun:literal, $(#[$doc:meta])* needs $Needs:ty, $($proof:tt)*) => {
        impl VeleroStatus for velero::$Status {
            fn row_phase(&self) -> RowPhase {
                use velero::$Phase as P;
                match self.phase {
                    Some(P::Completed) => RowPhase::Completed,
                    Some(P::PartiallyFailed) => RowPhase::PartiallyFailed,
                    Some(P::Failed) => RowPhase::Failed,
                    Some(P::FailedValidation) => RowPhase::FailedValidation,
                    None | Some(_) => RowPhase::InProgress,
                }
            }
        }

        impl VeleroRun for velero::$Kind {
            type Status = velero::$Status;
            $(#[$doc])*
            type Needs = $Needs;

            fn outcome(&self) -> Outcome<Self::Status> {
                let status = self.status.clone().unwrap_or_default();
                let phase = status.row_phase();
                let velero::$Status { failure_reason, validation_errors, errors, warnings, .. } = &status;
                let logs = format!(concat!("velero ", $noun, " logs {} --namespace velero"), self.name_any());
                let told = || self.annotations().get(names::PROBLEMS_ANNOTATION).cloned();
                let message = complaint(failure_reason.as_deref(), validation_errors, *errors, *warnings, told, &logs);
                let is_empty = || status.progress.as_ref().is_some_and(|p| p.total_items.unwrap_or(0) == 0);
                let nothing = || (phase == RowPhase::Completed && is_empty()).then(|| NOTHING.to_owned());
                let message = message.or_else(nothing);
                Outcome { status, phase, message, without_data: volumes::without_data(self) }
            }

            $($proof)*
        }
    };
}

velero_run!(
    Backup, BackupStatus, BackupPhase, "backup", /** Name of the storage location. */ needs String,
    fn claim(&self) -> Option<&velero::BackupPhase> {
        self.status.as_ref()?.phase.as_ref().filter(|phase| phase.is_usable())
    }

    fn ending(&self, end: velero::BackupPhase) -> Self {
        let status = velero::BackupStatus { phase: Some(end), ..self.status.clone().unwrap_or_default() };
        Self { status: Some(status), ..self.clone() }
    }
);
velero_run!(Restore, RestoreStatus, RestorePhase, "restore", /** Name of the Velero Backup. */ needs String,);

/// How to learn more, because Velero's status only counts.
fn in_log(count: i64, what: &str, command: &str) -> String {
    let (plural, them) = if count == 1 { ("", "it") } else { ("s", "them") };
    format!("{count} {what}{plural}; `{command}` with the kubeconfig of the member tells of {them}")
}

/// Velero's own words about what went wrong, if anything did; what the built-in engine has `told`, where it has.
fn complaint(
    failure: Option<&str>,
    validation: &[String],
    errors: Option<i64>,
    warnings: Option<i64>,
    told: impl FnOnce() -> Option<String>,
    logs: &str,
) -> Option<String> {
    if let Some(failure) = failure.filter(|text| !text.is_empty()) {
        return Some(text::veleros_words(failure));
    }
    if !validation.is_empty() {
        return Some(text::veleros_words(&validation.join("; ")));
    }
    match (errors.unwrap_or(0), warnings.unwrap_or(0)) {
        (0, 0) => None,
        (0, warnings) => told().or_else(|| Some(in_log(warnings, "warning", logs))),
        (errors, _) => told().or_else(|| Some(in_log(errors, "error", logs))),
    }
}
