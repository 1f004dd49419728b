//! What becomes of PersistentVolumes and of the data behind the claims on them.
//!
//! This engine moves no volume data. A volume whose data would have to come from a snapshot or from files in
//! the store is provisioned anew and empty, and its claim is told of; one that only points at its data is
//! restored as it is.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kurator_archive::Seen;
use serde_json::Value;

use super::object;
use super::plan::Plan;

/// How a volume's data was backed up, as the backup's volume info says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackupMethod {
    /// A snapshot of the cloud's.
    NativeSnapshot,
    /// Its files, read through a pod.
    PodVolumeBackup,
    /// A CSI snapshot, moved to the store or not.
    CsiSnapshot,
    /// Not at all.
    Skipped,
}

/// Why a restored claim comes without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoData {
    /// Its data is in a snapshot or in the store, and this engine moves no data.
    NotMoved(BackupMethod),
    /// Its data was not backed up, and its volume is of the kind that goes with its claim.
    NotBackedUp,
    /// Its volume is neither restored nor in the cluster.
    NoVolume,
}

impl fmt::Display for NoData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotMoved(BackupMethod::NativeSnapshot) => {
                "its data is in a volume snapshot, and this engine restores no volume data"
            }
            Self::NotMoved(BackupMethod::PodVolumeBackup) => {
                "its data is in a file system backup, and this engine restores no volume data"
            }
            Self::NotMoved(BackupMethod::CsiSnapshot) => {
                "its data is in a CSI snapshot, and this engine restores no volume data"
            }
            Self::NotMoved(BackupMethod::Skipped) | Self::NotBackedUp => "its data is not in the backup",
            Self::NoVolume => "its volume is neither restored nor in the cluster",
        })
    }
}

/// A claim that is restored without its data. Only counts if the claim is created: where it is there already,
/// so may be its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataLeftOut {
    /// Namespace that the claim is restored to.
    pub namespace: String,
    /// Name of the PersistentVolumeClaim.
    pub claim: String,
    /// Name of its PersistentVolume in the backup.
    pub volume: String,
    /// Why.
    pub reason: NoData,
}

impl fmt::Display for DataLeftOut {
    /// The warning that goes into the results of the namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, claim, volume, reason } = self;
        write!(
            f,
            "PersistentVolumeClaim {namespace}/{claim} is restored without the data of volume {volume}: {reason}"
        )
    }
}

/// What becomes of one PersistentVolume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Restored as it is.
    AsItIs,
    /// Left to the provisioner, which makes an empty one for the claim.
    Provisioned(NoData),
}

/// What the files of a backup say of the data of its volumes.
#[derive(Clone, Debug, Default)]
pub struct VolumeFacts {
    /// PersistentVolumes with volume info, by what that says.
    pub methods: BTreeMap<BackupMethod, Seen<str>>,
    /// PersistentVolumes with a native snapshot. Of this and the next ones only those without volume info count.
    pub native_snapshots: BTreeSet<String>,
    /// Claims (namespace and name in the backup) with a completed file system backup.
    pub pod_volume_backups: BTreeSet<(String, String)>,
    /// Claims with a CSI snapshot.
    pub csi_snapshots: BTreeSet<(String, String)>,
    /// PersistentVolumes that are in the cluster.
    pub in_cluster: Seen<str>,
}

/// What becomes of each PersistentVolume of a backup.
///
/// Filled with all of the backup's before the first claim is looked at, so that the order in which objects are
/// restored doesn't matter. Names are kept as fingerprints: there may be a million.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    fates: BTreeMap<Fate, Seen<str>>,
    in_cluster: Seen<str>,
}

impl Volumes {
    /// Decides on each PersistentVolume that the Restore takes, as Velero 1.18: with volume info
    /// by the method, else by what else the backup knows; a volume without data in the backup by its reclaim
    /// policy.
    pub fn decide(
        volumes: impl IntoIterator<Item = impl Borrow<Value>>,
        facts: VolumeFacts,
        plan: &Plan,
    ) -> Self {
        let mut fates = BTreeMap::<_, Seen<str>>::new();
        for volume in volumes {
            let fate = fate(volume.borrow(), &facts, plan.restore_volumes);
            fates.entry(fate).or_default().insert(object::name(volume.borrow()));
        }
        Self { fates, in_cluster: facts.in_cluster }
    }

    fn fate(&self, name: &str) -> Option<Fate> {
        self.fates.iter().find(|(_, names)| names.contains(name)).map(|(fate, _)| *fate)
    }

    /// Why the PersistentVolume of this name is left to the provisioner; none if it is restored as it is.
    #[must_use]
    pub fn provisioned(&self, name: &str) -> Option<NoData> {
        match self.fate(name)? {
            Fate::AsItIs => None,
            Fate::Provisioned(reason) => Some(reason),
        }
    }

    /// Why a claim that was bound to this volume comes without its data; none if the volume has it.
    #[must_use]
    pub fn no_data(&self, name: &str) -> Option<NoData> {
        match self.fate(name) {
            Some(Fate::AsItIs) => None,
            Some(Fate::Provisioned(reason)) => Some(reason),
            None => (!self.in_cluster.contains(name)).then_some(NoData::NoVolume),
        }
    }
}

fn fate(volume: &Value, facts: &VolumeFacts, restore_volumes: bool) -> Fate {
    match method(volume, facts) {
        // Velero restores the object as it is where it is told not to restore the snapshot.
        BackupMethod::NativeSnapshot if !restore_volumes => Fate::AsItIs,
        BackupMethod::Skipped => {
            let policy = object::text(volume, &["spec", "persistentVolumeReclaimPolicy"]);
            if policy == Some("Delete") { Fate::Provisioned(NoData::NotBackedUp) } else { Fate::AsItIs }
        }
        moved => Fate::Provisioned(NoData::NotMoved(moved)),
    }
}

fn method(volume: &Value, facts: &VolumeFacts) -> BackupMethod {
    let name = object::name(volume);
    if let Some((method, _)) = facts.methods.iter().find(|(_, names)| names.contains(name)) {
        return *method;
    }
    let of_claim = |field| object::text(volume, &["spec", "claimRef", field]).unwrap_or_default().to_owned();
    let claim = (of_claim("namespace"), of_claim("name"));
    if facts.native_snapshots.contains(name) {
        BackupMethod::NativeSnapshot
    } else if facts.pod_volume_backups.contains(&claim) {
        BackupMethod::PodVolumeBackup
    } else if facts.csi_snapshots.contains(&claim) {
        BackupMethod::CsiSnapshot
    } else {
        BackupMethod::Skipped
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::plan;
    use super::*;

    fn volume(name: &str, policy: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {
            "persistentVolumeReclaimPolicy": policy,
            "claimRef": {"namespace": "a", "name": format!("{name}-claim")},
        }})
    }

    fn of(method: BackupMethod) -> VolumeFacts {
        VolumeFacts { methods: [(method, Seen::from_iter(["pv"]))].into(), ..VolumeFacts::default() }
    }

    #[test]
    fn volume_info_decides_on_each_volume() {
        // As restoreItem of Velero 1.18, but for native snapshots, which this engine cannot restore.
        for (method, policy, restore, fate) in [
            (
                BackupMethod::NativeSnapshot,
                "Retain",
                true,
                Some(NoData::NotMoved(BackupMethod::NativeSnapshot)),
            ),
            (BackupMethod::NativeSnapshot, "Delete", false, None),
            (
                BackupMethod::PodVolumeBackup,
                "Retain",
                true,
                Some(NoData::NotMoved(BackupMethod::PodVolumeBackup)),
            ),
            (BackupMethod::CsiSnapshot, "Retain", false, Some(NoData::NotMoved(BackupMethod::CsiSnapshot))),
            (BackupMethod::Skipped, "Delete", true, Some(NoData::NotBackedUp)),
            (BackupMethod::Skipped, "Retain", true, None),
        ] {
            let volumes =
                Volumes::decide([&volume("pv", policy)], of(method), &plan(json!({"restorePVs": restore})));
            assert_eq!(volumes.provisioned("pv"), fate, "{method:?} {policy} {restore}");
            assert_eq!(volumes.no_data("pv"), fate, "{method:?} {policy} {restore}");
        }
    }

    #[test]
    fn without_volume_info_the_older_files_of_the_backup_decide() {
        let claim = || [("a".to_owned(), "pv-claim".to_owned())].into();
        let none = VolumeFacts::default;
        for (facts, method) in [
            (
                VolumeFacts { native_snapshots: ["pv".to_owned()].into(), ..none() },
                BackupMethod::NativeSnapshot,
            ),
            (VolumeFacts { pod_volume_backups: claim(), ..none() }, BackupMethod::PodVolumeBackup),
            (VolumeFacts { csi_snapshots: claim(), ..none() }, BackupMethod::CsiSnapshot),
        ] {
            let volumes = Volumes::decide([&volume("pv", "Retain")], facts, &plan(json!({})));
            assert_eq!(volumes.provisioned("pv"), Some(NoData::NotMoved(method)));
        }
    }

    #[test]
    fn a_claim_on_a_volume_that_is_nowhere_has_no_data() {
        let facts = VolumeFacts { in_cluster: Seen::from_iter(["there"]), ..VolumeFacts::default() };
        let volumes = Volumes::decide([] as [Value; 0], facts, &plan(json!({})));
        assert_eq!(volumes.no_data("there"), None);
        assert_eq!(volumes.no_data("gone"), Some(NoData::NoVolume));
    }

    #[test]
    fn the_warning_names_claim_volume_and_reason() {
        let left_out = DataLeftOut {
            namespace: "a".into(),
            claim: "data".into(),
            volume: "pv-1".into(),
            reason: NoData::NotMoved(BackupMethod::PodVolumeBackup),
        };
        assert_eq!(
            left_out.to_string(),
            "PersistentVolumeClaim a/data is restored without the data of volume pv-1: its data is in a file \
             system backup, and this engine restores no volume data"
        );
    }
}
