//! From a raw Migrate to one that can be planned. After this, nobody looks at the raw spec.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kurator_api::backup::{BackupDetails, Destination};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::names::ChildKind;
use kurator_api::reason::Reason;
use kurator_api::restore::RestoreDetails;
use kurator_api::velero;

use super::template;
use crate::destination;
use crate::hub::Guarded;
use crate::location;
use crate::run::rows::{Details, Row};
use crate::run::{Owner, Started, Unfit, policy_problems};

const SOURCE: &str = "spec.sourceCluster";
const TARGET: &str = "spec.targetCluster";

/// A Migrate whose clusters are known.
pub(super) struct ValidMigrate {
    /// The first stage, in one cluster.
    pub(super) source: Started<velero::BackupStatus>,
    pub(super) source_cluster: ClusterKey,
    /// The second stage.
    pub(super) targets: Started<velero::RestoreStatus>,
    /// Whether the clusters are written down.
    pub(super) begun: bool,
    /// Why nothing more begins in the clusters of the source's Fleet, if so.
    pub(super) source_over: Option<(Reason, String)>,
    /// The same of the targets' Fleet.
    pub(super) targets_over: Option<(Reason, String)>,
    /// UID of the source's Fleet if its backup plugin decides on the storage location.
    pub(super) plugin_of: Option<String>,
    /// What the source's Velero Backup asks for; the storage location is filled in.
    pub(super) backup: velero::BackupSpec,
    /// What the targets' Velero Restores ask for; the Backup is filled in.
    pub(super) restore: velero::RestoreSpec,
    /// Whether an incomplete backup is good enough.
    pub(super) allow_partially_failed: bool,
}

/// The Fleets that a Migrate names, as far as they are there.
pub(super) struct Fleets<'a> {
    pub(super) source: Option<&'a Guarded<Fleet>>,
    pub(super) target: Option<&'a Guarded<Fleet>>,
}

/// What the status has of a Migrate that has begun.
pub(super) struct Begun {
    pub(super) source: Option<Row<velero::BackupStatus>>,
    pub(super) targets: Vec<Row<velero::RestoreStatus>>,
    pub(super) at: Option<Timestamp>,
}

/// Reads the rows of the status. Kurator writes rows and no time.
pub(super) fn begun(migrate: &Migrate, namespace: &str) -> Begun {
    let status = migrate.status.clone().unwrap_or_default();
    let source = status.source_cluster_status.filter(|row: &BackupDetails| !row.cluster_name.is_empty());
    let read = |row: &RestoreDetails| row.read(row.cluster(namespace));
    Begun {
        source: source.map(|row| row.read(row.cluster(namespace))),
        targets: status.target_cluster_status.iter().map(read).collect(),
        at: status.start_timestamp,
    }
}

/// On whose behalf the source is backed up.
pub(super) fn source_owner(migrate: &Migrate, hub: &str) -> Owner {
    let owner = Owner::new(migrate, ChildKind::Migrate, hub, migrate.spec.source_cluster.fleet.clone());
    Owner { harmless: true, ..owner }
}

/// On whose behalf the targets are restored.
pub(super) fn target_owner(migrate: &Migrate, hub: &str) -> Owner {
    Owner::new(migrate, ChildKind::Migrate, hub, migrate.spec.target_cluster.fleet.clone())
}

pub(super) fn validate(
    migrate: &Migrate,
    fleets: &Fleets<'_>,
    hub: &str,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<ValidMigrate, Unfit> {
    let (source_owner, target_owner) = (source_owner(migrate, hub), target_owner(migrate, hub));
    let Begun { source, targets, at } = begun(migrate, &source_owner.namespace);
    let has_begun = at.is_some() || source.is_some() || !targets.is_empty();
    let read = [fleets.source, fleets.target].map(|fleet| fleet.and_then(|fleet| fleet.0.as_ref().ok()));
    let (source_cluster, target_clusters) = match &source {
        Some(row) if !targets.is_empty() => {
            (row.cluster.clone(), targets.iter().map(|row| row.cluster.clone()).collect())
        }
        _ => {
            let clusters = first_look(migrate, read, labels)?;
            if let Some(why) = read.into_iter().flatten().find_map(destination::leaving) {
                return Err(Unfit::waiting(Reason::FleetNotFound, why));
            }
            clusters
        }
    };
    let policy = migrate.spec.policy.as_ref();
    Ok(ValidMigrate {
        source: Started {
            owner: source_owner,
            clusters: vec![source_cluster.clone()],
            recorded: source.into_iter().map(|row| (row.cluster.clone(), row)).collect(),
            at,
        },
        source_cluster,
        targets: Started {
            owner: target_owner,
            clusters: target_clusters,
            recorded: targets.into_iter().map(|row| (row.cluster.clone(), row)).collect(),
            at,
        },
        begun: has_begun,
        source_over: destination::over(&migrate.spec.source_cluster.fleet, fleets.source),
        targets_over: destination::over(&migrate.spec.target_cluster.fleet, fleets.target),
        plugin_of: read[0].and_then(location::plugin_of),
        backup: template::backup(policy),
        restore: template::restore(policy),
        allow_partially_failed: policy.and_then(|policy| policy.allow_partially_failed) == Some(true),
    })
}

/// Everything that is checked once, before the Migrate starts: the source and the targets.
fn first_look(
    migrate: &Migrate,
    [source_fleet, target_fleet]: [Option<&Fleet>; 2],
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<(ClusterKey, Vec<ClusterKey>), Unfit> {
    let spec = &migrate.spec;
    let policy = spec.policy.as_ref();
    let mut problems = policy_problems(
        policy.and_then(|policy| policy.resource_filter.as_ref()),
        policy.and_then(|policy| policy.ttl.as_deref()),
    );
    for (at, destination) in [(SOURCE, &spec.source_cluster), (TARGET, &spec.target_cluster)] {
        if destination.fleet.is_empty() {
            problems.push(format!("{at}.fleet: is empty; name a Fleet of this namespace"));
        }
    }
    let mut reason = Reason::InvalidSpec;
    let mut resolve = |fleet: Option<&Fleet>, destination: &Destination, at| {
        let found = fleet.map(|fleet| destination::resolve(fleet, destination, at, &labels));
        match found.transpose() {
            Ok(clusters) => clusters,
            Err(unresolved) => {
                if problems.is_empty() {
                    reason = destination::reason(&unresolved);
                }
                problems.extend(unresolved.iter().map(ToString::to_string));
                None
            }
        }
    };
    let sources = resolve(source_fleet, &spec.source_cluster, SOURCE);
    let targets = resolve(target_fleet, &spec.target_cluster, TARGET);
    if let Some(sources) = sources.as_ref().filter(|sources| sources.len() != 1) {
        problems.push(not_one(sources.len(), &spec.source_cluster.fleet));
        reason = Reason::InvalidSpec;
    }
    let source = sources.as_ref().and_then(|sources| sources.first());
    let chosen = !spec.target_cluster.clusters.is_empty() || spec.target_cluster.cluster_selector.is_some();
    if let (Some(source), Some(targets), true) = (source, &targets, chosen)
        && targets.contains(source)
    {
        let (kind, name) = (source.kind.as_str(), &source.name);
        problems.push(format!(
            "{TARGET}: {kind} `{name}` is the source and can't be a target; take it off the targets"
        ));
        reason = Reason::InvalidSpec;
    }
    if !problems.is_empty() {
        return Err(Unfit::stalled(reason, &problems));
    }
    let (source, targets) = match (source, targets) {
        (Some(source), Some(targets)) => (source.clone(), targets),
        (None, _) => return Err(no_fleet(SOURCE, &spec.source_cluster.fleet)),
        (Some(_), None) => return Err(no_fleet(TARGET, &spec.target_cluster.fleet)),
    };
    let targets: Vec<_> = targets.into_iter().filter(|target| *target != source).collect();
    if targets.is_empty() {
        let fleet = &spec.target_cluster.fleet;
        let message =
            format!("{TARGET}: no cluster of fleet `{fleet}` other than the source is selected; add one");
        return Err(Unfit::waiting(Reason::NoClusters, message));
    }
    Ok((source, targets))
}

fn not_one(found: usize, fleet: &str) -> String {
    format!(
        "{SOURCE}: comes to {found} clusters of fleet `{fleet}`, and a migration has one source; name exactly one in \
         {SOURCE}.clusters"
    )
}

fn no_fleet(at: &str, named: &str) -> Unfit {
    let message =
        format!("{at}.fleet: there is no Fleet `{named}` in this namespace; create it or name another");
    Unfit::waiting(Reason::FleetNotFound, message)
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests;
