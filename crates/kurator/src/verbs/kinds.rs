//! The kinds that verbs know, and what a line about an object of each says.

use clap::ValueEnum;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject};
use kube::{Resource, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::cluster::{AttachedCluster, Cluster};
use kurator_api::condition::{self, Condition};
use kurator_api::fleet::{Engine, Fleet, FleetClusterStatus, FleetStatus};
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use serde::de::DeserializeOwned;

use super::run::Run;

/// A kind, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// Clusters that are attached or that Kurator made
    Clusters,
    /// Fleets of clusters
    Fleets,
    /// Backups, once or by a schedule
    Backups,
    /// Restores
    Restores,
    /// Migrations
    Migrates,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Clusters, Self::Fleets, Self::Backups, Self::Restores, Self::Migrates];

    /// The types of the API that it stands for; the first is always there.
    pub(crate) fn types(self) -> Vec<ApiResource> {
        match self {
            Self::Clusters => {
                vec![ApiResource::erase::<AttachedCluster>(&()), ApiResource::erase::<Cluster>(&())]
            }
            Self::Fleets => vec![ApiResource::erase::<Fleet>(&())],
            Self::Backups => vec![ApiResource::erase::<Backup>(&())],
            Self::Restores => vec![ApiResource::erase::<Restore>(&())],
            Self::Migrates => vec![ApiResource::erase::<Migrate>(&())],
        }
    }

    /// Reads a kind as kubectl would: one or many, in any case, also with its group.
    ///
    /// # Errors
    /// For a kind that is not known, with those that are.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let typed = text.to_lowercase();
        let is_named = |kind: &&Self| {
            kind.types().iter().any(|of| {
                let names = [of.kind.to_lowercase(), of.plural.clone()];
                names.iter().any(|name| typed == *name || typed == format!("{name}.{}", of.group))
            })
        };
        let known = Self::ALL.iter().find(is_named);
        known.copied().ok_or_else(|| {
            let known = Self::ALL.map(|kind| format!("{}s", kind.singular())).join(", ");
            format!("`{text}` is no kind that is known here; write one of {known}")
        })
    }

    /// One of it, for people.
    pub(crate) const fn singular(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Fleets => "fleet",
            Self::Backups => "backup",
            Self::Restores => "restore",
            Self::Migrates => "migrate",
        }
    }

    /// The columns between the name and the age.
    pub(crate) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Clusters => &["KIND", "READY"],
            Self::Fleets => &["PHASE", "CLUSTERS", "ENGINE", "BUCKET"],
            Self::Backups => &["FLEET", "PHASE", "CLUSTERS", "SCHEDULE", "LAST SUCCESS"],
            Self::Restores => &["BACKUP", "PHASE", "CLUSTERS"],
            Self::Migrates => &["FROM", "TO", "PHASE", "CLUSTERS"],
        }
    }

    /// Whether a column is shown also where there is little room.
    pub(crate) fn is_brief(column: &str) -> bool {
        matches!(column, "READY" | "PHASE" | "CLUSTERS")
    }

    /// The cells of one object in these columns, and what `wide` adds behind the age: its message.
    ///
    /// # Errors
    /// For an object that is not what its type says.
    pub(crate) fn cells(
        self,
        object: &DynamicObject,
        now: Timestamp,
    ) -> Result<(Vec<String>, String), serde_json::Error> {
        Ok(match self {
            Self::Clusters if is_attached(object) => {
                let cluster: AttachedCluster = typed(object)?;
                let status = cluster.status.unwrap_or_default();
                let cells = vec!["AttachedCluster".to_owned(), truth(status.ready)];
                (cells, ready_message(&status.conditions))
            }
            Self::Clusters => {
                let cluster: Cluster = typed(object)?;
                let cells = vec!["Cluster".to_owned(), truth(cluster.is_ready())];
                (cells, ready_message(&cluster.status.unwrap_or_default().conditions))
            }
            Self::Fleets => of_fleet(&typed(object)?),
            Self::Backups => {
                let backup: Backup = typed(object)?;
                let run = Run::from(&backup);
                let last = backup.status.as_ref().and_then(|status| status.last_success);
                let last = last.map(|last| age(last, now)).unwrap_or_default();
                let schedule = backup.spec.schedule().unwrap_or_default().to_owned();
                let message = run.message().to_owned();
                (vec![backup.spec.destination.fleet, run.state(), run.clusters, schedule, last], message)
            }
            Self::Restores => {
                let restore: Restore = typed(object)?;
                let run = Run::from(&restore);
                let message = run.message().to_owned();
                (vec![restore.spec.backup_name, run.state(), run.clusters], message)
            }
            Self::Migrates => {
                let migrate: Migrate = typed(object)?;
                let run = Run::from(&migrate);
                let message = run.message().to_owned();
                let names = |clusters: &[kurator_api::cluster::ClusterReference]| {
                    clusters.iter().map(|cluster| cluster.name.as_str()).collect::<Vec<_>>().join(",")
                };
                let from = names(&migrate.spec.source_cluster.clusters);
                (vec![from, names(&migrate.spec.target_cluster.clusters), run.state(), run.clusters], message)
            }
        })
    }
}

/// Who executes the backups of a Fleet, as far as known.
pub(crate) fn engine(fleet: &Fleet) -> Option<Engine> {
    let plugin = fleet.spec.plugin.as_ref()?.backup.as_ref()?;
    // Which engine a Fleet without a word on it has is the hub's to say: its members' rows do.
    let mut rows = fleet.status.iter().flat_map(|status| &status.clusters);
    plugin.engine.or_else(|| rows.find_map(|row| row.backup.as_ref()?.engine))
}

fn of_fleet(fleet: &Fleet) -> (Vec<String>, String) {
    let status = fleet.status.clone().unwrap_or_default();
    let plugin = fleet.spec.plugin.as_ref().and_then(|plugin| plugin.backup.as_ref());
    let engine = engine(fleet).map(|engine| engine.as_str().to_owned());
    let bucket = plugin.map(|plugin| plugin.storage.location.bucket.clone());
    let phase = status.phase.map(|phase| format!("{phase:?}")).unwrap_or_default();
    let cells =
        vec![phase, ready_clusters(fleet, &status), engine.unwrap_or_default(), bucket.unwrap_or_default()];
    (cells, ready_message(&status.conditions))
}

/// In how many clusters everything is as the Fleet asks, and of how many. What the status itself counts is another thing:
/// clusters that answer, whatever their plugin says.
fn ready_clusters(fleet: &Fleet, status: &FleetStatus) -> String {
    let listed = &fleet.spec.clusters;
    let is_good = |row: &&FleetClusterStatus| {
        let is_listed =
            listed.iter().any(|cluster| cluster.name == row.name && cluster.cluster_kind() == Ok(row.kind));
        is_listed && row.ready && row.backup.as_ref().is_none_or(|backup| backup.ready)
    };
    format!("{}/{}", status.clusters.iter().filter(is_good).count(), listed.len())
}

fn is_attached(object: &DynamicObject) -> bool {
    let kind = object.types.as_ref().map(|types| types.kind.as_str());
    kind == Some(&*AttachedCluster::kind(&()))
}

/// The object in its own type.
pub(crate) fn typed<K: DeserializeOwned>(object: &DynamicObject) -> Result<K, serde_json::Error> {
    serde_json::from_value(serde_json::to_value(object)?)
}

fn truth(is: bool) -> String {
    if is { "True" } else { "False" }.to_owned()
}

fn ready_message(conditions: &[Condition]) -> String {
    let ready = conditions.iter().find(|condition| condition.type_ == condition::READY);
    ready.and_then(|ready| ready.message.clone()).unwrap_or_default()
}

/// The age of an object, empty for one that was never stored.
pub(crate) fn age_of(object: &DynamicObject, now: Timestamp) -> String {
    object.creation_timestamp().map(|at| age(at.0, now)).unwrap_or_default()
}

/// How long ago, in the two largest units that kubectl would show.
pub(crate) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{minutes}m"),
        10_800..28_800 if minutes % 60 > 0 => format!("{hours}h{}m", minutes % 60),
        10_800..172_800 => format!("{hours}h"),
        172_800..691_200 if hours % 24 > 0 => format!("{days}d{}h", hours % 24),
        _ => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_kind_is_known_by_every_name_that_kubectl_takes() {
        for name in ["backup", "Backup", "backups", "backup.backup.kurator.dev", "backups.backup.kurator.dev"]
        {
            assert_eq!(Kind::parse(name), Ok(Kind::Backups), "{name}");
        }
        for name in ["clusters", "AttachedCluster", "attachedclusters.cluster.kurator.dev", "cluster"] {
            assert_eq!(Kind::parse(name), Ok(Kind::Clusters), "{name}");
        }
        let known = "`backups.velero.io` is no kind that is known here; write one of clusters, fleets, backups, restores, migrates";
        assert_eq!(Kind::parse("backups.velero.io"), Err(known.to_owned()));
    }

    #[test]
    fn an_age_has_two_units_at_most() {
        let ago = |seconds| age(Timestamp::UNIX_EPOCH, Timestamp::from_second(seconds).unwrap());
        let shown = [5, 119, 125, 600, 7_300, 11_000, 30_000, 180_000, 900_000].map(ago);
        assert_eq!(shown, ["5s", "119s", "2m5s", "10m", "121m", "3h3m", "8h", "2d2h", "10d"]);
    }

    #[test]
    fn a_line_says_what_an_object_is_about() {
        let at = "2026-01-01T00:00:00Z";
        let ready =
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": at, "message": "all well"}]);
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let cases = [
            (
                Kind::Clusters,
                json!({"apiVersion": "cluster.kurator.dev/v1alpha1", "kind": "AttachedCluster", "metadata": {"name": "a"},
                    "status": {"ready": true, "conditions": ready}}),
                vec!["AttachedCluster", "True"],
            ),
            (
                Kind::Fleets,
                json!({"apiVersion": "fleet.kurator.dev/v1alpha1", "kind": "Fleet", "metadata": {"name": "f"},
                    "spec": {"clusters": [{"name": "a", "kind": "AttachedCluster"}, {"name": "b", "kind": "AttachedCluster"}], "plugin": {"backup": {"storage": {"secretName": "s",
                        "location": {"bucket": "velero", "provider": "aws", "endpoint": "e"}}}}},
                    "status": {"phase": "Running", "readyClusters": 2, "conditions": ready,
                        "clusters": [{"name": "a", "kind": "AttachedCluster", "ready": true, "backup": {"engine": "Builtin", "ready": true}},
                            {"name": "b", "kind": "AttachedCluster", "ready": true,
                                "backup": {"engine": "Builtin", "ready": false, "reason": "ServedByAnother"}}]}}),
                vec!["Running", "1/2", "Builtin", "velero"],
            ),
            (
                Kind::Backups,
                json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Backup", "metadata": {"name": "b"},
                    "spec": {"destination": {"fleet": "f"}, "schedule": "0 0 * * *"},
                    "status": {"phase": "Enabled", "summary": {"status": "2/2"}, "lastSuccess": at, "conditions": ready}}),
                vec!["f", "Enabled", "2/2", "0 0 * * *", "60s"],
            ),
            (
                Kind::Restores,
                json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Restore", "metadata": {"name": "r"},
                    "spec": {"backupName": "b"}, "status": {"conditions": ready}}),
                vec!["b", "Pending", ""],
            ),
            (
                Kind::Migrates,
                json!({"apiVersion": "backup.kurator.dev/v1alpha1", "kind": "Migrate", "metadata": {"name": "m"},
                    "spec": {"sourceCluster": {"fleet": "f", "clusters": [{"name": "a"}]},
                        "targetCluster": {"fleet": "f", "clusters": [{"name": "b"}, {"name": "c"}]}},
                    "status": {"phase": "RestoreInProgress", "summary": {"status": "0/2"}, "conditions": ready}}),
                vec!["a", "b,c", "RestoreInProgress", "0/2"],
            ),
        ];
        for (kind, found, cells) in cases {
            let (said, message) = kind.cells(&object(found), now).unwrap();
            assert_eq!(said, cells, "{kind:?}");
            assert_eq!(said.len(), kind.columns().len());
            assert_eq!(message, "all well");
        }
    }
}
