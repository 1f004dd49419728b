//! What the hub's objects still need in a cluster, for whoever wants to clean it up or to leave it.

use std::cell::LazyCell;
use std::collections::HashMap;

use jiff::Timestamp;
use kube::{Resource, ResourceExt};
use kurator_api::backup::{Backup, BackupDetails, DeletionPolicy, RowPhase};
use kurator_api::cluster::{ClusterKey, ClusterKind, ClusterReference};
use kurator_api::condition::{self, Condition};
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::restore::{Restore, RestoreDetails};

use crate::hub::{Guarded, Hub, in_namespace};
use crate::text;

/// How many other objects a sentence names.
const NAMES_SHOWN: usize = 3;

/// What a row says of a cluster.
struct Part<'a> {
    kind: ClusterKind,
    name: &'a str,
    phase: Option<RowPhase>,
    reason: Option<&'a str>,
    /// Something was made in the cluster, or it has answered and may yet show what was.
    made: bool,
    /// When the data that was stored goes by itself; `None` if none was stored.
    stored_until: Option<Timestamp>,
}

impl Part<'_> {
    fn key(&self, namespace: &str) -> ClusterKey {
        ClusterKey { namespace: namespace.to_owned(), kind: self.kind, name: self.name.to_owned() }
    }

    /// Runs, or is being started.
    fn is_running(&self) -> bool {
        match self.phase {
            Some(RowPhase::InProgress) => true,
            Some(RowPhase::Pending) => self.reason == Some(Reason::InProgress.as_str()),
            None | Some(_) => false,
        }
    }
}

/// An object that has a part in clusters.
trait Takes: Resource<DynamicType = ()> {
    fn parts(&self) -> Vec<Part<'_>>;
    /// Whether its deletion needs the storage location.
    const DELETION_NEEDS_STORE: bool;
    /// Where it says that the data is to go with it, if it does.
    fn deletes_data(&self) -> Option<&'static str>;
    fn conditions(&self) -> Option<&[Condition]>;
}

fn part_of_restore(row: &RestoreDetails) -> Part<'_> {
    Part {
        kind: row.cluster_kind,
        name: &row.cluster_name,
        phase: row.phase,
        reason: row.reason.as_deref(),
        made: [&row.cluster_uid, &row.restore_name_in_cluster, &row.source_location]
            .into_iter()
            .any(Option::is_some),
        stored_until: None,
    }
}

/// Whether the cluster of this row has ever answered: in one that has not nothing of ours can be.
pub(crate) fn has_been_there(row: &BackupDetails) -> bool {
    let schedule = row.schedule.as_ref().and_then(|schedule| schedule.schedule_name_in_cluster.as_ref());
    schedule.or(row.cluster_uid.as_ref()).or(row.backup_name_in_cluster.as_ref()).is_some()
}

fn part_of_backup(row: &BackupDetails) -> Part<'_> {
    let stored = row.backup_name_in_cluster.is_some() && row.phase != Some(RowPhase::FailedValidation);
    let status = row.backup_status_in_cluster.as_ref().filter(|_| stored);
    let stored_until = status.map(|status| status.expiration.unwrap_or(Timestamp::MAX));
    Part {
        kind: row.cluster_kind,
        name: &row.cluster_name,
        phase: row.phase,
        reason: row.reason.as_deref(),
        made: has_been_there(row),
        stored_until,
    }
}

impl Takes for Backup {
    const DELETION_NEEDS_STORE: bool = true;

    fn parts(&self) -> Vec<Part<'_>> {
        self.status.iter().flat_map(|status| &status.backup_details).map(part_of_backup).collect()
    }

    fn deletes_data(&self) -> Option<&'static str> {
        (self.spec.deletion_policy == Some(DeletionPolicy::Delete)).then_some("spec.deletionPolicy")
    }

    fn conditions(&self) -> Option<&[Condition]> {
        self.status.as_ref().map(|status| status.conditions.as_slice())
    }
}

impl Takes for Restore {
    const DELETION_NEEDS_STORE: bool = false;

    fn parts(&self) -> Vec<Part<'_>> {
        self.status.iter().flat_map(|status| &status.restore_details).map(part_of_restore).collect()
    }

    fn deletes_data(&self) -> Option<&'static str> {
        None
    }

    fn conditions(&self) -> Option<&[Condition]> {
        self.status.as_ref().map(|status| status.conditions.as_slice())
    }
}

impl Takes for Migrate {
    const DELETION_NEEDS_STORE: bool = true;

    fn parts(&self) -> Vec<Part<'_>> {
        let source = self.status.iter().flat_map(|status| &status.source_cluster_status);
        let targets = self.status.iter().flat_map(|status| &status.target_cluster_status);
        source.map(part_of_backup).chain(targets.map(part_of_restore)).collect()
    }

    fn deletes_data(&self) -> Option<&'static str> {
        let policy = self.spec.policy.as_ref().and_then(|policy| policy.deletion_policy);
        (policy == Some(DeletionPolicy::Delete)).then_some("spec.policy.deletionPolicy")
    }

    fn conditions(&self) -> Option<&[Condition]> {
        self.status.as_ref().map(|status| status.conditions.as_slice())
    }
}

fn is_leaving<T: Takes>(object: &T) -> bool {
    let metadata = object.meta();
    metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_some_and(|held| !held.is_empty())
}

/// What the deletion of an object waits for, in its own words.
struct Waits<'a> {
    reason: Reason,
    message: &'a str,
    /// Where the message goes over to one cluster, and which.
    example: Option<(usize, &'a str)>,
}

impl<'a> Waits<'a> {
    fn of<T: Takes>(object: &'a T) -> Option<Self> {
        let ready = condition::find(object.conditions()?, condition::READY)?;
        let reasons = [Reason::DeletionRefused, Reason::MemberCleanupPending];
        let reason = reasons.into_iter().find(|reason| ready.is_because(*reason))?;
        let message = ready.message.as_deref()?;
        let example = |part: Part<'a>| Some((message.rfind(&format!("; {}: ", part.name))?, part.name));
        Some(Self { reason, message, example: object.parts().into_iter().find_map(example) })
    }

    /// The same, as far as it is about this cluster.
    fn about(&self, cluster: &str) -> String {
        let message = match self.example {
            Some((at, of)) if of != cluster => &self.message[..at],
            Some(_) | None => self.message,
        };
        format!("{}: {message}", self.reason.as_str())
    }
}

/// Something on the hub that still needs the storage location of a cluster.
struct Use {
    who: String,
    why: String,
    needs_help: bool,
}

/// What still needs the storage location of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InUse {
    /// One sentence.
    pub(crate) why: String,
    /// Whether it stays so until a person does something.
    pub(crate) needs_help: bool,
}

/// What still needs the storage location of clusters.
#[derive(Default)]
pub(crate) struct Uses(HashMap<ClusterKey, Vec<Use>>);

impl Uses {
    /// Of all that needs this cluster, one is told in full: one that somebody must help with, if there is any.
    pub(crate) fn of(&self, cluster: &ClusterKey) -> Option<InUse> {
        let all = self.0.get(cluster)?;
        let told = all.iter().find(|one| one.needs_help).or(all.first())?;
        let others = all.iter().filter(|one| !std::ptr::eq(*one, told));
        let others: Vec<_> = others.map(|one| one.who.clone()).collect();
        let also = match others.is_empty() {
            true => String::new(),
            false => format!("needed by {} too; ", text::some_of(&others, NAMES_SHOWN)),
        };
        // Last, because it is what may be cut off.
        Some(InUse { why: format!("{also}{} {}", told.who, told.why), needs_help: told.needs_help })
    }
}

/// What still needs the storage location of clusters of this namespace.
pub(crate) fn uses(hub: &Hub, namespace: &str, now: Timestamp) -> Uses {
    let mut all = Uses::default();
    for object in in_namespace(&hub.backups, namespace) {
        object.0.iter().for_each(|object| note(&mut all, namespace, object, now));
    }
    for object in in_namespace(&hub.restores, namespace) {
        object.0.iter().for_each(|object| note(&mut all, namespace, object, now));
    }
    for object in in_namespace(&hub.migrates, namespace) {
        object.0.iter().for_each(|object| note(&mut all, namespace, object, now));
    }
    all
}

fn note<T: Takes>(all: &mut Uses, namespace: &str, object: &T, now: Timestamp) {
    let leaving = is_leaving(object);
    let waits = LazyCell::new(|| Waits::of(object));
    let being_deleted = |cluster: &str| match &*waits {
        Some(waits) => {
            let why = format!("is being deleted: {}", waits.about(cluster));
            (why, waits.reason == Reason::DeletionRefused)
        }
        None => ("is being deleted".to_owned(), false),
    };
    let deletes_data = object.deletes_data();
    for part in object.parts() {
        let stored = part.stored_until.is_some_and(|until| until > now);
        let (why, needs_help) = match deletes_data.filter(|_| stored) {
            _ if leaving && (T::DELETION_NEEDS_STORE || part.is_running()) => being_deleted(part.name),
            _ if part.is_running() => ("has not ended there; let it end, or delete it".to_owned(), false),
            Some(field) => {
                (format!("is to delete its data there; set {field} to `Retain`, or delete it first"), true)
            }
            None => continue,
        };
        let who = format!("{} `{}`", T::kind(&()), object.name_any());
        all.0.entry(part.key(namespace)).or_default().push(Use { who, why, needs_help });
    }
}

/// An object that something is to be removed for from a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Its kind and name.
    pub(crate) who: String,
    /// What it waits for, if it says so.
    pub(crate) why: Option<String>,
}

/// Who has something in a cluster that is to be removed from it; so its connection stays although its object is gone,
/// and its object stays although it is being deleted.
pub(crate) fn needed(hub: &Hub, key: &ClusterKey) -> Option<Need> {
    let namespace = &key.namespace;
    let fleets = in_namespace(&hub.fleets, namespace);
    let by_fleet = fleets.iter().find_map(|fleet| has_plugin(fleet.0.as_ref().ok()?, key));
    by_fleet
        .or_else(|| {
            in_namespace(&hub.backups, namespace).iter().find_map(|o| leaves(o.0.as_ref().ok()?, key))
        })
        .or_else(|| {
            in_namespace(&hub.restores, namespace).iter().find_map(|o| leaves(o.0.as_ref().ok()?, key))
        })
        .or_else(|| {
            in_namespace(&hub.migrates, namespace).iter().find_map(|o| leaves(o.0.as_ref().ok()?, key))
        })
}

/// The Fleet that has claimed a cluster by its label, if it is there.
pub(crate) fn holder(hub: &Hub, key: &ClusterKey) -> Option<Need> {
    let label = hub.labels(key).remove(names::FLEET_NAME_LABEL)?;
    let is_it = |fleet: &Guarded<Fleet>| {
        fleet.namespace().as_ref() == Some(&key.namespace) && names::label_value(&fleet.name_any()) == label
    };
    let found = hub.fleets.state_filter(is_it);
    found.first().map(|fleet| Need { who: format!("Fleet `{}`", fleet.name_any()), why: None })
}

fn has_plugin(fleet: &Fleet, key: &ClusterKey) -> Option<Need> {
    let mut rows = fleet.status.iter().flat_map(|status| &status.clusters);
    let row = rows.find(|row| row.kind == key.kind && row.name == key.name && row.backup.is_some())?;
    let pending = row.reason.as_deref() == Some(Reason::MemberCleanupPending.as_str());
    Some(Need { who: format!("Fleet `{}`", fleet.name_any()), why: row.message.clone().filter(|_| pending) })
}

fn leaves<T: Takes>(object: &T, key: &ClusterKey) -> Option<Need> {
    let all_go = is_leaving(object);
    let goes = |part: &Part<'_>| {
        let is_to_go = all_go || part.reason == Some(Reason::MemberCleanupPending.as_str());
        is_to_go && (part.made || part.is_running())
    };
    let concerned = object.parts().iter().any(|part| goes(part) && part.key(&key.namespace) == *key);
    let who = || format!("{} `{}`", T::kind(&()), object.name_any());
    concerned.then(|| Need {
        who: who(),
        why: Waits::of(object).filter(|_| all_go).map(|waits| waits.about(&key.name)),
    })
}

/// Whether a Fleet that stays wants this cluster.
pub(crate) fn is_listed(hub: &Hub, key: &ClusterKey) -> bool {
    // Asked for each of thousands of clusters that are listed: names first, and nothing is made of the others.
    let names_it = |reference: &ClusterReference| {
        reference.name == key.name && reference.key(&key.namespace).is_ok_and(|named| named == *key)
    };
    let lists = |fleet: &Fleet| {
        fleet.metadata.deletion_timestamp.is_none() && fleet.spec.clusters.iter().any(names_it)
    };
    in_namespace(&hub.fleets, &key.namespace).iter().any(|fleet| fleet.0.as_ref().is_ok_and(lists))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said<T: Takes + serde::de::DeserializeOwned>(
        metadata: &serde_json::Value,
        status: &serde_json::Value,
    ) -> Vec<String> {
        let object: T =
            serde_json::from_value(json!({"metadata": metadata, "spec": spec(), "status": status})).unwrap();
        let mut all = Uses::default();
        note(&mut all, "default", &object, Timestamp::from_second(1_800_000_000).unwrap());
        told(&all)
    }

    fn told(all: &Uses) -> Vec<String> {
        let why = |key: &ClusterKey| all.of(key).unwrap().why;
        let mut told: Vec<_> = all.0.keys().map(|key| format!("{}: {}", key.name, why(key))).collect();
        told.sort();
        told
    }

    fn spec() -> serde_json::Value {
        let destination = json!({"fleet": "quickstart"});
        json!({
            "destination": destination, "backupName": "b", "sourceCluster": destination, "targetCluster": destination,
        })
    }

    fn row(name: &str, phase: &str, reason: &str) -> serde_json::Value {
        json!({"clusterKind": "AttachedCluster", "clusterName": name, "phase": phase, "reason": reason})
    }

    #[test]
    fn what_runs_or_is_being_started_holds_its_cluster_and_what_waits_does_not() {
        let rows = json!([
            row("ended", "Completed", "Completed"),
            row("runs", "InProgress", "InProgress"),
            row("starts", "Pending", "InProgress"),
            row("waits", "Pending", "Unreachable"),
        ]);
        let named = json!({"name": "x"});
        let expected = ["Backup", "Restore"].map(|kind| {
            let what = format!("{kind} `x` has not ended there; let it end, or delete it");
            vec![format!("runs: {what}"), format!("starts: {what}")]
        });
        assert_eq!(said::<Backup>(&named, &json!({"backupDetails": rows})), expected[0]);
        assert_eq!(said::<Restore>(&named, &json!({"restoreDetails": rows})), expected[1]);
        let migrate = json!({
            "sourceClusterStatus": row("ended", "Completed", "Completed"),
            "targetClusterStatus": [row("runs", "InProgress", "InProgress")],
        });
        let expected = "runs: Migrate `x` has not ended there; let it end, or delete it";
        assert_eq!(said::<Migrate>(&named, &migrate), [expected]);
    }

    #[test]
    fn data_that_is_to_be_deleted_holds_its_cluster_until_it_expires() {
        let stored = |name: &str, expiration: &str| {
            let mut row = row(name, "Completed", "Completed");
            row["backupNameInCluster"] = json!("x");
            row["backupStatusInCluster"] = json!({"phase": "Completed", "expiration": expiration});
            row
        };
        let mut before_the_first_run = row("waits", "Pending", "Enabled");
        before_the_first_run["backupStatusInCluster"] = json!({});
        let rows = json!([
            stored("kept", "2099-01-01T00:00:00Z"),
            stored("expired", "2020-01-01T00:00:00Z"),
            row("never", "Failed", "Failed"),
            before_the_first_run,
        ]);
        let said = |policy: &str| -> Vec<String> {
            let mut object =
                json!({"metadata": {"name": "x"}, "spec": spec(), "status": {"backupDetails": rows}});
            object["spec"]["deletionPolicy"] = json!(policy);
            let backup: Backup = serde_json::from_value(object).unwrap();
            let mut all = Uses::default();
            note(&mut all, "default", &backup, Timestamp::from_second(1_800_000_000).unwrap());
            all.0.into_keys().map(|key| key.name).collect()
        };
        assert_eq!(said("Delete"), ["kept"]);
        assert!(said("Retain").is_empty());
    }

    fn leaving() -> serde_json::Value {
        json!({"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["y"]})
    }

    #[test]
    fn a_backup_that_is_being_deleted_holds_all_its_clusters_and_a_restore_those_where_it_runs() {
        let rows = json!([row("m1", "Completed", "Completed"), row("m2", "InProgress", "InProgress")]);
        let expected = ["m1: Backup `x` is being deleted", "m2: Backup `x` is being deleted"];
        assert_eq!(said::<Backup>(&leaving(), &json!({"backupDetails": rows})), expected);
        let said = said::<Restore>(&leaving(), &json!({"restoreDetails": rows}));
        assert_eq!(said, ["m2: Restore `x` is being deleted"]);
    }

    /// What an object says that waits with its deletion, or with something else.
    fn waiting(reason: &str) -> serde_json::Value {
        let condition = json!({
            "type": "Ready", "status": "False", "reason": reason, "message": "m1: mend it",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let mut row = row("m1", "Completed", "Completed");
        row["backupNameInCluster"] = json!("x");
        json!({"conditions": [condition], "backupDetails": [row]})
    }

    #[test]
    fn what_is_being_deleted_holds_its_cluster_with_the_reason_that_it_gives_itself() {
        for reason in ["DeletionRefused", "MemberCleanupPending"] {
            let expected = format!("m1: Backup `x` is being deleted: {reason}: m1: mend it");
            assert_eq!(said::<Backup>(&leaving(), &waiting(reason)), [expected]);
        }
        let expected = "m1: Backup `x` is being deleted";
        assert_eq!(said::<Backup>(&leaving(), &waiting("Completed")), [expected], "said before its deletion");
    }

    #[test]
    fn a_cluster_is_told_nothing_of_the_trouble_of_another() {
        let rows = json!([row("m1", "Completed", "Completed"), row("m2", "Completed", "Completed")]);
        let mut status = waiting("DeletionRefused");
        status["conditions"][0]["message"] = json!("set it to `Retain`; m1: the engine can't");
        status["backupDetails"] = rows;
        let refused = "Backup `x` is being deleted: DeletionRefused: set it to `Retain`";
        let expected = [format!("m1: {refused}; m1: the engine can't"), format!("m2: {refused}")];
        assert_eq!(said::<Backup>(&leaving(), &status), expected);
    }

    #[test]
    fn all_that_needs_a_cluster_is_named_and_first_what_somebody_must_help_with() {
        let mut all = Uses::default();
        let mut add = |metadata: serde_json::Value, status: serde_json::Value| {
            let backup = json!({"metadata": metadata, "spec": spec(), "status": status});
            let backup: Backup = serde_json::from_value(backup).unwrap();
            note(&mut all, "default", &backup, Timestamp::UNIX_EPOCH);
        };
        add(json!({"name": "runs"}), json!({"backupDetails": [row("m1", "InProgress", "InProgress")]}));
        add(leaving(), waiting("DeletionRefused"));
        let expected =
            "m1: needed by Backup `runs` too; Backup `x` is being deleted: DeletionRefused: m1: mend it";
        assert_eq!(told(&all), [expected]);
        assert!(all.0.keys().all(|key| all.of(key).unwrap().needs_help));
    }

    #[test]
    fn a_cluster_that_never_answered_waits_for_nothing_that_is_to_go() {
        let key =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: "m1".into() };
        let holds = |reason: &str, metadata: &serde_json::Value, made: &str| {
            let mut row = row("m1", "Pending", reason);
            if !made.is_empty() {
                row[made] = json!("x");
            }
            let status = json!({"backupDetails": [row]});
            let object = json!({"metadata": metadata, "spec": spec(), "status": status});
            leaves(&serde_json::from_value::<Backup>(object).unwrap(), &key).is_some()
        };
        let stays = json!({"name": "x"});
        for (reason, metadata) in [("Unreachable", &leaving()), ("MemberCleanupPending", &stays)] {
            assert!(!holds(reason, metadata, ""), "{reason}");
            assert!(holds(reason, metadata, "backupNameInCluster"), "{reason}");
            assert!(holds(reason, metadata, "clusterUid"), "{reason}");
        }
        assert!(holds("InProgress", &leaving(), ""), "it is being created");
    }

    #[test]
    fn a_cluster_learns_why_the_deletion_of_what_has_something_in_it_waits() {
        let metadata = leaving();
        let object = json!({"metadata": metadata, "spec": spec(), "status": waiting("DeletionRefused")});
        let backup: Backup = serde_json::from_value(object).unwrap();
        let key =
            ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: "m1".into() };
        let why = Some("DeletionRefused: m1: mend it".to_owned());
        assert_eq!(leaves(&backup, &key), Some(Need { who: "Backup `x`".into(), why }));
    }
}
