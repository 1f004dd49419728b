//! From a raw Restore to one that can be planned. After this, nobody looks at the raw spec.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, RowPhase};
use kurator_api::cluster::ClusterKey;
use kurator_api::condition;
use kurator_api::fleet::Fleet;
use kurator_api::names::ChildKind;
use kurator_api::reason::Reason;
use kurator_api::restore::Restore;
use kurator_api::velero;

use super::template;
use crate::backup::schedule;
use crate::destination;
use crate::hub::Guarded;
use crate::location;
use crate::run::kinds::{Run, RunPhase};
use crate::run::rows::{Details, Rows};
use crate::run::{Owner, Started, Unfit};
use crate::text;

/// A Restore whose clusters are known.
pub(super) struct ValidRestore {
    pub(super) run: Started<velero::RestoreStatus>,
    /// What every member's Velero Restore asks for; the source is filled in per member.
    pub(super) template: velero::RestoreSpec,
    /// UID of the Fleet if its backup plugin decides on the storage location.
    pub(super) plugin_of: Option<String>,
    /// Why nothing more begins in the Fleet's clusters, if so.
    pub(super) over: Option<(Reason, String)>,
    /// The Backup, while it exists.
    pub(super) source: Option<Backup>,
    /// Name of the Velero Backup that the spec asks for instead of what the Backup made.
    pub(super) named: Option<String>,
    /// Whether it makes its runs by the clock.
    pub(super) scheduled: bool,
    /// Its rows, by cluster.
    pub(super) source_rows: BTreeMap<ClusterKey, BackupDetails>,
}

impl ValidRestore {
    /// Writes into each row which run it restores, once that is known; a name once written stays. Of a schedule, that
    /// is what was `chosen` in the cluster.
    pub(super) fn freeze_sources(
        &self,
        rows: &mut Rows<velero::RestoreStatus>,
        mut chosen: BTreeMap<ClusterKey, String>,
    ) {
        for row in rows.0.iter_mut().filter(|row| row.source.is_none()) {
            row.source = chosen.remove(&row.cluster).or_else(|| self.one_run(&row.cluster));
        }
    }

    /// Says in every row that has just ended well that what it restored was incomplete, if so.
    pub(super) fn note_incomplete(&self, rows: &mut Rows<velero::RestoreStatus>) {
        let room = condition::room(rows.0.len());
        for row in rows.0.iter_mut().filter(|row| is_restorable(row.phase)) {
            let had_ended =
                self.run.recorded.get(&row.cluster).is_some_and(|before| before.phase.is_terminal());
            let source = self.source_rows.get(&row.cluster);
            let source = source.filter(|source| source.backup_name_in_cluster == row.source);
            let is_partial = source.is_some_and(|source| source.phase == Some(RowPhase::PartiallyFailed));
            if is_partial && !had_ended {
                let said = row.message.iter().map(String::as_str);
                let said: Vec<_> = ["the backup is incomplete"].into_iter().chain(said).collect();
                row.message = Some(condition::shorten(&said.join("; "), room));
            }
        }
    }

    fn one_run(&self, cluster: &ClusterKey) -> Option<String> {
        let run = self.source_rows.get(cluster).filter(|_| !self.scheduled)?;
        run.backup_name_in_cluster.clone().filter(|_| run.phase.is_some_and(is_restorable))
    }
}

/// As Velero: a partial backup can be restored, one that failed can't.
pub(super) fn is_restorable(phase: RowPhase) -> bool {
    matches!(phase, RowPhase::Completed | RowPhase::PartiallyFailed)
}

pub(super) fn validate(
    restore: &Restore,
    source: Option<&Guarded<Backup>>,
    fleet: Option<&Guarded<Fleet>>,
    hub: &str,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
    now: Timestamp,
) -> Result<ValidRestore, Unfit> {
    let source = source.and_then(|backup| backup.0.as_ref().ok());
    let owner = owner(restore, source, hub);
    let over = Some(&owner.fleet).filter(|named| !named.is_empty());
    let over = over.and_then(|named| destination::over(named, fleet));
    let fleet = fleet.and_then(|fleet| fleet.0.as_ref().ok());
    let namespace = owner.namespace.clone();
    let begun = Started::begun(&owner, &restore.said());
    let template = match template::spec(restore.spec.policy.as_ref()) {
        Ok(template) => template,
        // Kurator let pass what Velero can't do, and its runs are over.
        Err(_) if begun.as_ref().is_some_and(Started::is_over) => velero::RestoreSpec::default(),
        Err(problems) => return Err(Unfit::stalled(Reason::InvalidSpec, &problems)),
    };
    let run = match begun {
        Some(begun) => begun,
        None => {
            let clusters = first_look(restore, source, fleet, labels, now)?;
            if let Some(why) = fleet.and_then(destination::leaving) {
                return Err(Unfit::waiting(Reason::FleetNotFound, why));
            }
            Started::first(owner, clusters)
        }
    };
    let rows = source.and_then(|backup| backup.status.as_ref()).map(|status| status.backup_details.clone());
    let source_rows =
        rows.unwrap_or_default().into_iter().map(|row| (row.cluster(&namespace), row)).collect();
    let scheduled = source.is_some_and(schedule::concerns);
    let named = restore.spec.named_in_cluster().map(str::to_owned);
    let plugin_of = fleet.and_then(location::plugin_of);
    Ok(ValidRestore {
        run,
        template,
        plugin_of,
        over,
        source: source.cloned(),
        named,
        scheduled,
        source_rows,
    })
}

pub(super) fn owner(restore: &Restore, source: Option<&Backup>, hub: &str) -> Owner {
    let named = restore.spec.destination.as_ref().map(|destination| destination.fleet.clone());
    let fleet = named.or_else(|| source.map(|backup| backup.spec.destination.fleet.clone()));
    Owner::new(restore, ChildKind::Restore, hub, fleet.unwrap_or_default())
}

/// Everything that is checked once, before the Restore starts.
fn first_look(
    restore: &Restore,
    source: Option<&Backup>,
    fleet: Option<&Fleet>,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
    now: Timestamp,
) -> Result<Vec<ClusterKey>, Unfit> {
    let named = &restore.spec.backup_name;
    if restore.spec.named_in_cluster().is_some() {
        let Some(destination) = &restore.spec.destination else {
            let problem = "spec.backupNameInCluster: needs spec.destination, which says in which clusters it is restored";
            return Err(Unfit::stalled(Reason::InvalidSpec, &[problem.to_owned()]));
        };
        return in_fleet(destination, fleet, labels);
    }
    let Some(source) = source else {
        let message = format!(
            "spec.backupName: there is no Backup `{named}` in this namespace; create it or name another"
        );
        return Err(Unfit::waiting(Reason::BackupNotFound, message));
    };
    let covered = covered(source);
    let scheduled = schedule::concerns(source);
    if scheduled && covered.is_empty() {
        let message = format!("spec.backupName: Backup `{named}` has no run in any cluster yet");
        return Err(Unfit::waiting(Reason::NoCompleteRun, message));
    }
    let wanted = match &restore.spec.destination {
        None => covered.clone(),
        Some(destination) => {
            let clusters = resolve(destination, source, fleet, labels)?;
            not_covered(&clusters, &covered, named)?;
            clusters
        }
    };
    // Of a schedule there is always another run to come: each cluster waits for its own.
    if scheduled {
        return Ok(wanted);
    }
    let rows = rows_of(source, &wanted);
    if let Some(at) = all_expired(&rows, now) {
        let message = format!("spec.backupName: Backup `{named}` {}", has_expired(at));
        return Err(Unfit::stalled(Reason::BackupExpired, &[message]));
    }
    match source.phase() {
        Some(RunPhase::Failed | RunPhase::FailedValidation) => Err(Unfit::stalled(
            Reason::BackupFailed,
            &[format!(
                "spec.backupName: Backup `{named}` failed in every cluster; there is nothing to restore"
            )],
        )),
        _ if rows.iter().any(|row| row.phase.is_some_and(RowPhase::is_terminal)) => Ok(wanted),
        _ => Err(Unfit::waiting(
            Reason::BackupNotFinished,
            format!("Backup `{named}` has not finished in any of the selected clusters"),
        )),
    }
}

fn resolve(
    destination: &kurator_api::backup::Destination,
    source: &Backup,
    fleet: Option<&Fleet>,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<Vec<ClusterKey>, Unfit> {
    let (asked, of_backup) = (&destination.fleet, &source.spec.destination.fleet);
    if asked != of_backup {
        let message = format!(
            "spec.destination.fleet: `{asked}` is not the fleet `{of_backup}` of the Backup; use that one"
        );
        return Err(Unfit::stalled(Reason::InvalidSpec, &[message]));
    }
    if destination.clusters.is_empty() && destination.cluster_selector.is_none() {
        return Ok(covered(source));
    }
    in_fleet(destination, fleet, labels)
}

/// The clusters of the Fleet that a destination means.
fn in_fleet(
    destination: &kurator_api::backup::Destination,
    fleet: Option<&Fleet>,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<Vec<ClusterKey>, Unfit> {
    let asked = &destination.fleet;
    let Some(fleet) = fleet else {
        let message = format!("spec.destination.fleet: there is no Fleet `{asked}` in this namespace");
        return Err(Unfit::waiting(Reason::FleetNotFound, message));
    };
    let clusters =
        destination::resolve(fleet, destination, "spec.destination", labels).map_err(|problems| {
            let reason = destination::reason(&problems);
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Unfit::stalled(reason, &problems)
        })?;
    if clusters.is_empty() {
        return Err(Unfit::waiting(Reason::NoClusters, "no cluster matches spec.destination"));
    }
    Ok(clusters)
}

fn not_covered(wanted: &[ClusterKey], covered: &[ClusterKey], backup: &str) -> Result<(), Unfit> {
    let known: HashSet<_> = covered.iter().collect();
    let foreign: Vec<_> = wanted
        .iter()
        .filter(|key| !known.is_empty() && !known.contains(key))
        .map(|key| {
            let (kind, name) = (key.kind.as_str(), &key.name);
            format!("spec.destination.clusters: {kind} `{name}` is not covered by Backup `{backup}`; name clusters that are")
        })
        .collect();
    if foreign.is_empty() { Ok(()) } else { Err(Unfit::stalled(Reason::ClusterNotInBackup, &foreign)) }
}

fn covered(source: &Backup) -> Vec<ClusterKey> {
    let namespace = source.namespace().unwrap_or_default();
    let rows = source.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
    rows.iter().map(|row| row.cluster(&namespace)).collect()
}

/// When the run of this row expired, if it has.
pub(super) fn expired_at(row: &BackupDetails, now: Timestamp) -> Option<Timestamp> {
    row.backup_status_in_cluster.as_ref()?.expiration.filter(|expiration| *expiration <= now)
}

/// When the last of these runs expired, if there was something to restore in any and that is gone from all.
fn all_expired(rows: &[&BackupDetails], now: Timestamp) -> Option<Timestamp> {
    let restorable = rows
        .iter()
        .filter(|row| !row.phase.is_some_and(|phase| phase.is_terminal() && !is_restorable(phase)));
    let expired: Option<Vec<_>> = restorable.map(|row| expired_at(row, now)).collect();
    expired?.into_iter().max()
}

/// Goes on from the name of what has.
pub(super) fn has_expired(at: Timestamp) -> String {
    format!("expired at {} and is not restored any more; restore another one", text::time(at))
}

/// The row of each of these clusters: the first, where Kurator wrote several.
fn rows_of<'a>(source: &'a Backup, clusters: &[ClusterKey]) -> Vec<&'a BackupDetails> {
    let namespace = source.namespace().unwrap_or_default();
    let all = source.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
    let rows: HashMap<_, _> = all.iter().rev().map(|row| (row.cluster(&namespace), row)).collect();
    clusters.iter().filter_map(|cluster| rows.get(cluster).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::rows::Row;
    use kube::core::DeserializeGuard;
    use serde_json::{Value, json};

    fn guarded<K: serde::de::DeserializeOwned>(whole: Value) -> Guarded<K> {
        DeserializeGuard(Ok(serde_json::from_value(whole).unwrap()))
    }

    #[test]
    fn what_was_restored_of_an_incomplete_backup_says_so_once() {
        let source = guarded::<Backup>(json!({
            "metadata": {"name": "b", "namespace": "default"}, "spec": {"destination": {"fleet": "f"}},
            "status": {"phase": "PartiallyFailed", "backupDetails": [
                {"clusterKind": "AttachedCluster", "clusterName": "a", "phase": "PartiallyFailed", "backupNameInCluster": "x"},
                {"clusterKind": "AttachedCluster", "clusterName": "z", "phase": "Completed", "backupNameInCluster": "y"},
            ]},
        }));
        let fleet = guarded::<Fleet>(json!({"metadata": {"name": "f", "namespace": "default"}, "spec": {
            "clusters": [{"kind": "AttachedCluster", "name": "a"}, {"kind": "AttachedCluster", "name": "z"}],
        }}));
        let restore = json!({
            "metadata": {"name": "r", "namespace": "default", "uid": "u"}, "spec": {"backupName": "b"},
        });
        let restore: Restore = serde_json::from_value(restore).unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let mut valid =
            validate(&restore, Some(&source), Some(&fleet), "hub", |_| BTreeMap::new(), now).ok().unwrap();
        let rows = valid.run.clusters.iter().zip(["x", "y"]).map(|(cluster, source)| {
            let row = Row::new(cluster.clone()).in_phase(RowPhase::Completed);
            Row { source: Some(source.to_owned()), ..row.because(Reason::Completed, "2 warnings") }
        });
        let mut rows = Rows(rows.collect());
        valid.note_incomplete(&mut rows);
        let messages = |rows: &Rows<velero::RestoreStatus>| {
            rows.0.iter().filter_map(|row| row.message.clone()).collect::<Vec<_>>()
        };
        let expected = ["the backup is incomplete; 2 warnings", "2 warnings"];
        assert_eq!(messages(&rows), expected);
        valid.run.recorded = rows.0.iter().map(|row| (row.cluster.clone(), row.clone())).collect();
        valid.note_incomplete(&mut rows);
        assert_eq!(messages(&rows), expected);
    }

    #[test]
    fn a_fleet_that_is_being_deleted_starts_nothing_new() {
        let look = |fleet: &Value, status: Value| {
            let row = json!({
                "clusterKind": "AttachedCluster", "clusterName": "a", "phase": "Completed", "backupNameInCluster": "x",
            });
            let source = guarded::<Backup>(json!({
                "metadata": {"name": "b", "namespace": "default"}, "spec": {"destination": {"fleet": "f"}},
                "status": {"phase": "Completed", "backupDetails": [row]},
            }));
            let fleet = guarded::<Fleet>(json!({"metadata": fleet, "spec": {}}));
            let restore = json!({
                "metadata": {"name": "r", "namespace": "default", "uid": "u"}, "spec": {"backupName": "b"},
                "status": status,
            });
            let restore: Restore = serde_json::from_value(restore).unwrap();
            let now = Timestamp::UNIX_EPOCH;
            validate(&restore, Some(&source), Some(&fleet), "hub", |_| BTreeMap::new(), now)
        };
        let leaving =
            json!({"name": "f", "namespace": "default", "deletionTimestamp": "2026-11-01T00:00:00Z"});
        let Err(Unfit(verdict)) = look(&leaving, json!(null)) else { panic!("it starts") };
        assert_eq!(verdict.reason, Reason::FleetNotFound);
        let expected = "Fleet `f` is being deleted, and nothing begins in its clusters any more; create it again when it is \
                        gone, or delete this object";
        assert_eq!(verdict.message, expected);
        let begun = json!({"restoreDetails": [{"clusterKind": "AttachedCluster", "clusterName": "a"}]});
        assert!(look(&leaving, begun).is_ok_and(|valid| valid.over.is_some()));
        let staying = json!({"name": "f", "namespace": "default"});
        assert!(look(&staying, json!(null)).is_ok_and(|valid| valid.over.is_none()));
    }
}
