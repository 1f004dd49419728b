//! What the engines of a fleet make of a schedule.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kurator_api::cluster::ClusterReference;
use kurator_api::fleet::{Engine, Fleet, FleetClusterStatus, MemberBackupStatus};
use kurator_schedule::{Dialect, check};

use super::super::kinds::engine;

/// What is to be known of a schedule in these clusters of a fleet, or in all if none is named.
///
/// # Errors
/// None of them follows it.
pub(super) fn followed(
    schedule: &str,
    fleet: &Fleet,
    clusters: &[&ClusterReference],
    now: Timestamp,
) -> Result<Vec<String>, String> {
    let is_meant = |row: &&FleetClusterStatus| {
        let is_it = |one: &&ClusterReference| one.name == row.name && one.cluster_kind() == Ok(row.kind);
        clusters.is_empty() || clusters.iter().any(is_it)
    };
    let rows = fleet.status.iter().flat_map(|status| &status.clusters).filter(is_meant);
    let mut dialects: Vec<_> = rows.filter_map(|row| dialect(row.backup.as_ref()?)).collect();
    // Before there are rows, the Fleet itself may say who will read it.
    if dialects.is_empty() && engine(fleet) == Some(Engine::Builtin) {
        dialects.push(Dialect::GoCron);
    }
    dialects.sort_unstable();
    dialects.dedup();
    let check = check(schedule, &dialects, now);
    match check.refusal() {
        Some(why) => {
            let readers: Vec<_> = dialects.iter().map(ToString::to_string).collect();
            Err(format!(
                "--schedule: fleet `{}` reads it as {}: {why}",
                fleet.name_any(),
                readers.join(" or ")
            ))
        }
        None => Ok(check.warnings.iter().map(ToString::to_string).collect()),
    }
}

/// How schedules are read in a cluster, as far as known.
fn dialect(backup: &MemberBackupStatus) -> Option<Dialect> {
    match (backup.engine, &backup.server_version) {
        (Some(Engine::Builtin), _) => Some(Dialect::GoCron),
        (_, version) => version.as_deref().map(Dialect::of_velero),
    }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::words;
    use super::*;

    fn said(schedule: &str, rows: Value, clusters: &[&str]) -> Result<Vec<String>, String> {
        let fleet: Fleet = serde_json::from_value(json!({
            "metadata": {"name": "f"}, "spec": {"clusters": []}, "status": {"clusters": rows},
        }))
        .unwrap();
        let clusters: Vec<_> = clusters.iter().map(|name| words::cluster(name).unwrap()).collect();
        let clusters: Vec<_> = clusters.iter().collect();
        followed(schedule, &fleet, &clusters, "2026-11-01T12:00:00Z".parse().unwrap())
    }

    fn row(name: &str, backup: Value) -> Value {
        json!({"name": name, "kind": "AttachedCluster", "backup": backup})
    }

    #[test]
    fn a_schedule_is_refused_that_no_engine_of_the_fleet_follows() {
        let new =
            json!([row("a", json!({"engine": "Builtin"})), row("b", json!({"serverVersion": "v1.18.3"}))]);
        let why = said("*/60 * * * *", new, &[]).unwrap_err();
        let expected = "--schedule: fleet `f` reads it as Velero 1.18.3 and newer: `*/60` in the minute field has a step as long";
        assert!(why.starts_with(expected), "{why}");
        let old = json!([row("a", json!({"serverVersion": "v1.17.0"}))]);
        assert_eq!(said("*/60 * * * *", old, &[]), Ok(vec![]));
    }

    #[test]
    fn a_schedule_that_some_follow_is_told_with_those_that_do_not() {
        let rows =
            json!([row("a", json!({"serverVersion": "v1.14.0"})), row("b", json!({"engine": "Builtin"}))]);
        let remarks = said("TZ=UTC 0 2 * * *", rows.clone(), &[]).unwrap();
        assert!(
            remarks.iter().any(|remark| remark.starts_with("refused by Velero up to 1.14")),
            "{remarks:?}"
        );
        assert_eq!(said("TZ=UTC 0 2 * * *", rows, &["b"]), Ok(vec![]));
    }

    #[test]
    fn what_nobody_knows_of_a_fleet_refuses_no_schedule() {
        assert_eq!(said("*/60 * * * *", json!([row("a", json!({}))]), &[]), Ok(vec![]));
    }
}
