//! From a raw Backup to one that can be planned. After this, nobody looks at the raw spec.

use std::collections::BTreeMap;

use kurator_api::backup::{Backup, BackupSpec};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::names::ChildKind;
use kurator_api::reason::Reason;
use kurator_api::velero;

use super::template;
use crate::destination;
use crate::hub::Guarded;
use crate::location;
use crate::run::kinds::Run;
use crate::run::{Owner, Started, Unfit, policy_problems};

/// A one-time Backup whose clusters are known.
pub(super) struct ValidBackup {
    pub(super) run: Started<velero::BackupStatus>,
    /// UID of the Fleet if its backup plugin decides on the storage location.
    pub(super) plugin_of: Option<String>,
    /// Why nothing more starts in the Fleet's clusters, if so.
    pub(super) over: Option<(Reason, String)>,
    /// What every member's Velero Backup asks for; the storage location is filled in per member.
    pub(super) template: velero::BackupSpec,
}

pub(super) fn validate(
    backup: &Backup,
    fleet: Option<&Guarded<Fleet>>,
    hub: &str,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<ValidBackup, Unfit> {
    let over = destination::over(&backup.spec.destination.fleet, fleet);
    let fleet = fleet.and_then(|fleet| fleet.0.as_ref().ok());
    let owner = owner(backup, hub);
    let run = match Started::begun(&owner, &backup.said()) {
        Some(begun) => begun,
        None => {
            let clusters = first_look(backup, fleet, labels)?;
            if let Some(why) = fleet.and_then(destination::leaving) {
                return Err(Unfit::waiting(Reason::FleetNotFound, why));
            }
            Started::first(owner, clusters)
        }
    };
    Ok(ValidBackup {
        run,
        over,
        plugin_of: fleet.and_then(location::plugin_of),
        template: template::spec(backup.spec.policy.as_ref()),
    })
}

pub(super) fn owner(backup: &Backup, hub: &str) -> Owner {
    Owner::new(backup, ChildKind::Backup, hub, backup.spec.destination.fleet.clone())
}

/// Everything that is checked once, before the Backup starts.
fn first_look(
    backup: &Backup,
    fleet: Option<&Fleet>,
    labels: impl Fn(&ClusterKey) -> BTreeMap<String, String>,
) -> Result<Vec<ClusterKey>, Unfit> {
    let spec = &backup.spec;
    let named = &spec.destination.fleet;
    let mut problems = spec_problems(spec);
    let resolve = |fleet| destination::resolve(fleet, &spec.destination, "spec.destination", labels);
    let mut reason = Reason::InvalidSpec;
    let clusters = match fleet.map(resolve).transpose() {
        Ok(clusters) => clusters,
        Err(unresolved) => {
            if problems.is_empty() {
                reason = destination::reason(&unresolved);
            }
            problems.extend(unresolved.iter().map(ToString::to_string));
            None
        }
    };
    if !problems.is_empty() {
        return Err(Unfit::stalled(reason, &problems));
    }
    if spec.paused == Some(true) {
        return Err(Unfit::waiting(Reason::Paused, "spec.paused is true; set it to false to start"));
    }
    match clusters {
        None => Err(Unfit::waiting(
            Reason::FleetNotFound,
            format!(
                "spec.destination.fleet: there is no Fleet `{named}` in this namespace; create it or name another"
            ),
        )),
        Some(clusters) if clusters.is_empty() => Err(Unfit::waiting(
            Reason::NoClusters,
            format!("no cluster is selected: fleet `{named}` has none that match spec.destination"),
        )),
        Some(clusters) => Ok(clusters),
    }
}

/// What is wrong with a spec whatever the fleet is.
pub(super) fn spec_problems(spec: &BackupSpec) -> Vec<String> {
    let policy = spec.policy.as_ref();
    let mut problems = policy_problems(
        policy.and_then(|policy| policy.resource_filter.as_ref()),
        policy.and_then(|policy| policy.ttl.as_deref()),
    );
    if spec.destination.fleet.is_empty() {
        problems.push("spec.destination.fleet: is empty; name a Fleet of this namespace".to_owned());
    }
    problems
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests {
    use super::*;
    use crate::standing::Standing;
    use kube::core::DeserializeGuard;
    use serde_json::json;

    fn fleet(clusters: serde_json::Value) -> Guarded<Fleet> {
        DeserializeGuard(Ok(serde_json::from_value(json!({
            "metadata": {"name": "quickstart", "namespace": "default", "uid": "f"}, "spec": {"clusters": clusters},
        }))
        .unwrap()))
    }

    fn backup(spec: serde_json::Value) -> Backup {
        serde_json::from_value(
            json!({"metadata": {"name": "b", "namespace": "default", "uid": "u"}, "spec": spec}),
        )
        .unwrap()
    }

    fn refused(backup: &Backup, fleet: Option<&Guarded<Fleet>>) -> (Standing, Reason, String) {
        match validate(backup, fleet, "hub", |_| BTreeMap::new()) {
            Ok(_) => panic!("accepted"),
            Err(Unfit(verdict)) => (verdict.standing, verdict.reason, verdict.message),
        }
    }

    #[test]
    fn k09_a_fleet_without_clusters_is_waited_for() {
        let backup = backup(json!({"destination": {"fleet": "quickstart"}}));
        let (standing, reason, _) = refused(&backup, Some(&fleet(json!([]))));
        assert_eq!((standing, reason), (Standing::Underway, Reason::NoClusters));
    }

    #[test]
    fn a_missing_fleet_is_waited_for() {
        let backup = backup(json!({"destination": {"fleet": "later"}}));
        let (standing, reason, message) = refused(&backup, None);
        assert_eq!((standing, reason), (Standing::Underway, Reason::FleetNotFound));
        assert_eq!(
            message,
            "spec.destination.fleet: there is no Fleet `later` in this namespace; create it or name another"
        );
    }

    #[test]
    fn a_fleet_that_is_being_deleted_starts_nothing_new() {
        let mut leaving = fleet(json!([{"name": "a"}]));
        if let Ok(fleet) = &mut leaving.0 {
            fleet.metadata.deletion_timestamp =
                serde_json::from_value(json!("2026-11-01T00:00:00Z")).unwrap();
        }
        let mut backup = backup(json!({"destination": {"fleet": "quickstart"}}));
        assert_eq!(refused(&backup, Some(&leaving)).1, Reason::FleetNotFound);
        backup.status = serde_json::from_value(
            json!({"backupDetails": [{"clusterName": "a", "clusterKind": "AttachedCluster"}]}),
        )
        .unwrap();
        let valid = validate(&backup, Some(&leaving), "hub", |_| BTreeMap::new());
        let over = valid.ok().and_then(|valid| valid.over);
        assert_eq!(over.map(|(reason, _)| reason), Some(Reason::FleetNotFound));
    }

    #[test]
    fn b3_what_has_not_started_when_its_fleet_goes_says_that_the_fleet_is_not_there() {
        let mut backup = backup(json!({"destination": {"fleet": "quickstart"}}));
        backup.status = serde_json::from_value(
            json!({"backupDetails": [{"clusterName": "a", "clusterKind": "AttachedCluster", "reason": "LocationPending"}]}),
        )
        .unwrap();
        let over = |fleet: Option<&Guarded<Fleet>>| {
            validate(&backup, fleet, "hub", |_| BTreeMap::new()).ok().and_then(|valid| valid.over)
        };
        let gone = "there is no Fleet `quickstart` any more; create it again, or delete this object";
        assert_eq!(over(None), Some((Reason::FleetNotFound, gone.to_owned())));
        assert_eq!(over(Some(&fleet(json!([{"name": "a"}])))), None);
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let backup = backup(json!({
            "destination": {"fleet": "quickstart", "clusters": [{"name": "x"}]},
            "policy": {"ttl": "30d", "resourceFilter": {"labelSelector": {}, "orLabelSelectors": [{}]}},
        }));
        let (standing, reason, message) = refused(&backup, Some(&fleet(json!([{"name": "a"}]))));
        assert_eq!((standing, reason), (Standing::Stalled, Reason::InvalidSpec));
        for part in ["spec.policy.resourceFilter: ", "spec.policy.ttl: ", "spec.destination.clusters[0]: "] {
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_paused_backup_is_not_started() {
        let backup = backup(json!({"destination": {"fleet": "quickstart"}, "paused": true}));
        assert_eq!(refused(&backup, Some(&fleet(json!([{"name": "a"}])))).1, Reason::Paused);
    }

    #[test]
    fn once_started_the_written_rows_are_the_clusters() {
        let mut backup = backup(json!({"destination": {"fleet": "quickstart"}}));
        backup.status = Some(
            serde_json::from_value(json!({
                "startTimestamp": "2026-11-01T00:00:00Z",
                "backupDetails": [{"clusterName": "gone", "clusterKind": "AttachedCluster"}],
            }))
            .unwrap(),
        );
        let Ok(valid) = validate(&backup, Some(&fleet(json!([{"name": "new"}]))), "hub", |_| BTreeMap::new())
        else {
            panic!("refused")
        };
        let clusters: Vec<_> = valid.run.clusters.iter().map(ToString::to_string).collect();
        assert_eq!(clusters, ["AttachedCluster default/gone"]);
    }
}
