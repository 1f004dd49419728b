//! From a raw Backup with a schedule to what is asked of the members. After this, nobody looks at the raw spec.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupPhase};
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::duration::GoDuration;
use kurator_api::fleet::{Engine, Fleet, MemberBackupStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_schedule::{Check, Dialect, check, pause, refusal};

use super::super::template;
use super::super::validate::{owner, spec_problems};
use crate::destination;
use crate::hub::Guarded;
use crate::location;
use crate::run::Owner;
use crate::standing::Verdict;

/// Velero's own look at what is due.
const VELERO_LOOKS_EVERY: std::time::Duration = std::time::Duration::from_secs(60);

/// What is asked of the members, and what is said of the whole where the rows don't say it.
pub(super) struct Asked {
    pub(super) owner: Owner,
    pub(super) aim: Aim,
    pub(super) instead: Option<Instead>,
}

/// Where the Schedule shall be.
pub(super) enum Aim {
    /// In these clusters, and in no other.
    In(Vec<ClusterKey>, Box<Wanted>),
    Nowhere,
    /// Where it is, as it is.
    Hold,
}

/// What every one of the clusters is asked for.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) expression: String,
    pub(super) paused: bool,
    /// The storage location is filled in per member.
    pub(super) template: velero::BackupSpec,
    /// UID of the Fleet if its backup plugin decides on the storage location.
    pub(super) plugin_of: Option<String>,
    /// What asks for a run now.
    pub(super) run_now: Option<String>,
    /// What a person should know of the expression.
    pub(super) remarks: Vec<String>,
}

/// A phase, unless that stays, and a verdict on the whole.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Instead {
    pub(super) phase: Option<BackupPhase>,
    pub(super) verdict: Verdict,
}

impl Instead {
    fn pending(reason: Reason, message: impl Into<String>) -> Self {
        Self { phase: Some(BackupPhase::Pending), verdict: Verdict::underway(reason, message) }
    }

    fn invalid(reason: Reason, problems: &[String]) -> Self {
        let verdict = Verdict::stalled(reason, problems.join("; "));
        Self { phase: Some(BackupPhase::FailedValidation), verdict }
    }
}

pub(super) fn validate(
    backup: &Backup,
    fleet: Option<&Guarded<Fleet>>,
    hub: &str,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
    now: Timestamp,
) -> Asked {
    let owner = owner(backup, hub);
    let (aim, instead) = match aim(backup, fleet, labels, now) {
        Ok(aim) => (aim, None),
        Err((aim, instead)) => (aim, Some(instead)),
    };
    Asked { owner, aim, instead }
}

fn aim(
    backup: &Backup,
    fleet: Option<&Guarded<Fleet>>,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
    now: Timestamp,
) -> Result<Aim, (Aim, Instead)> {
    let mut problems = spec_problems(&backup.spec);
    let invalid = |reason, problems: &[String]| Err((Aim::Hold, Instead::invalid(reason, problems)));
    let Some(expression) = backup.spec.schedule() else {
        if !problems.is_empty() {
            return invalid(Reason::InvalidSpec, &problems);
        }
        let message = "spec.schedule was cleared; the one run begins when the schedules are removed";
        return Err((Aim::Nowhere, Instead::pending(Reason::Waiting, message)));
    };
    let named = &backup.spec.destination.fleet;
    problems.extend(refusal(expression, now).map(|why| format!("spec.schedule: {why}")));
    let fleet = match fleet {
        _ if !problems.is_empty() => return invalid(Reason::InvalidSpec, &problems),
        None => {
            let message = format!(
                "spec.destination.fleet: there is no Fleet `{named}` in this namespace; create it or name another"
            );
            return Err((Aim::Nowhere, Instead::pending(Reason::FleetNotFound, message)));
        }
        Some(fleet) => match &fleet.0 {
            Ok(fleet) => match destination::leaving(fleet) {
                Some(why) => return Err((Aim::Nowhere, Instead::pending(Reason::FleetNotFound, why))),
                None => fleet,
            },
            Err(_) => {
                let message = format!("spec.destination.fleet: Fleet `{named}` cannot be read; mend it");
                let verdict = Verdict::underway(Reason::Waiting, message);
                return Err((Aim::Hold, Instead { phase: None, verdict }));
            }
        },
    };
    match destination::resolve(fleet, &backup.spec.destination, "spec.destination", labels) {
        Err(unresolved) => {
            let problems: Vec<_> = unresolved.iter().map(ToString::to_string).collect();
            invalid(destination::reason(&unresolved), &problems)
        }
        Ok(clusters) if clusters.is_empty() => {
            let message =
                format!("no cluster is selected: fleet `{named}` has none that match spec.destination");
            Err((Aim::Nowhere, Instead::pending(Reason::NoClusters, message)))
        }
        Ok(clusters) => {
            let wanted = Wanted {
                expression: expression.to_owned(),
                paused: backup.spec.paused == Some(true),
                template: template::spec(backup.spec.policy.as_ref()),
                plugin_of: location::plugin_of(fleet),
                run_now: asked_to_run(backup),
                remarks: remarks(expression, fleet, &clusters, now),
            };
            Ok(Aim::In(clusters, Box::new(wanted)))
        }
    }
}

/// What asks for a run now, cut to a length that every row has room for.
fn asked_to_run(backup: &Backup) -> Option<String> {
    let token = backup.annotations().get(names::RUN_NOW_ANNOTATION)?;
    (!token.is_empty()).then(|| names::label_value(token))
}

/// What the Veleros of these clusters take differently.
fn remarks(expression: &str, fleet: &Fleet, clusters: &[ClusterKey], now: Timestamp) -> Vec<String> {
    let plugins = Plugins::of(Some(fleet));
    let mut dialects: Vec<_> = clusters.iter().map(|cluster| plugins.dialect(cluster)).collect();
    dialects.sort_unstable();
    dialects.dedup();
    let Check { warnings, .. } = check(expression, &dialects, now);
    let often = pause(expression)
        .and_then(|pause| pause.parse::<GoDuration>().ok())
        .is_some_and(|pause| std::time::Duration::from(pause) < VELERO_LOOKS_EVERY);
    let is_veleros = |cluster| plugins.engine(cluster) != Some(Engine::Builtin);
    let often = (often && clusters.iter().any(is_veleros))
        .then(|| format!("`{expression}` runs once a minute, because Velero looks no more often"));
    warnings
        .iter()
        .map(ToString::to_string)
        .chain(often)
        .map(|warning| format!("spec.schedule: {warning}"))
        .collect()
}

/// What a Fleet says of the plugin in its clusters, found without going through all of them.
pub(super) struct Plugins<'a>(HashMap<(ClusterKind, &'a str), &'a MemberBackupStatus>);

impl<'a> Plugins<'a> {
    pub(super) fn of(fleet: Option<&'a Fleet>) -> Self {
        let rows = fleet.and_then(|fleet| fleet.status.as_ref()).map(|status| status.clusters.as_slice());
        // The first row of a cluster counts.
        let rows = rows.unwrap_or_default().iter().rev();
        Self(rows.filter_map(|row| Some(((row.kind, row.name.as_str()), row.backup.as_ref()?))).collect())
    }

    /// How Velero in this cluster reads cron: the newest way where its version is not known.
    pub(super) fn dialect(&self, cluster: &ClusterKey) -> Dialect {
        let version = self.in_cluster(cluster).and_then(|plugin| plugin.server_version.as_deref());
        Dialect::of_velero(version.unwrap_or_default())
    }

    fn engine(&self, cluster: &ClusterKey) -> Option<Engine> {
        self.in_cluster(cluster)?.engine
    }

    fn in_cluster(&self, cluster: &ClusterKey) -> Option<&'a MemberBackupStatus> {
        self.0.get(&(cluster.kind, cluster.name.as_str())).copied()
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests;
