//! What a backup says of volumes, whose data this engine does not move.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use kurator_archive::metadata::volumes::{BackupVolumeInfo, PvInfo};
use kurator_archive::metadata::{self, MetadataError};
use kurator_archive::{DiskError, Sorter};
use serde::Deserialize;

use crate::backup::related::BoundClaim;

/// Why no data of a volume is in the backup, for its volume info.
const REASON: &str = "this engine stores objects and no volume data; use Velero for the data";

/// What separates the name of a volume from the rest; no name has it.
const END: char = '\0';

/// The claims and volumes that were taken without their data. They wait on the disk.
#[derive(Debug)]
pub(super) struct LeftOut {
    claims: u64,
    /// Name of the volume, and its entry; that of the volume itself sorts before those of claims.
    entries: Sorter,
}

impl LeftOut {
    /// None, with temporary files in `folder`.
    ///
    /// # Errors
    /// [`DiskError`]
    pub(super) fn new(folder: &Path) -> Result<Self, DiskError> {
        Ok(Self { claims: 0, entries: Sorter::new(folder)? })
    }

    /// A claim that is bound was taken.
    ///
    /// # Errors
    /// [`DiskError`]
    pub(super) fn claim(&mut self, claim: &BoundClaim) -> Result<(), DiskError> {
        self.claims += 1;
        self.add(&Entry {
            volume: claim.volume.name.clone(),
            info: None,
            claim: (claim.namespace.clone(), claim.name.clone()),
        })
    }

    /// A PersistentVolume was taken.
    ///
    /// # Errors
    /// [`DiskError`]
    pub(super) fn volume(&mut self, volume: &TakenVolume) -> Result<(), DiskError> {
        self.add(&volume.0)
    }

    fn add(&mut self, entry: &Entry) -> Result<(), DiskError> {
        let Entry { volume, info, claim } = entry;
        let of = if info.is_some() { 'a' } else { 'b' };
        let parts = |info: &PvInfo| (info.reclaim_policy.clone(), info.labels.clone());
        let rest = serde_json::json!([claim, info.as_ref().map(parts)]);
        self.entries.add(&format!("{volume}{END}{of}{rest}"))
    }

    /// How many claims.
    pub(super) fn claims(&self) -> u64 {
        self.claims
    }

    /// Writes the volume info: an entry for each volume that was taken, as Velero's, and for each claim whose volume
    /// was not.
    ///
    /// # Errors
    /// [`MetadataError`]
    pub(super) fn write<W: Write>(self, sink: W) -> Result<W, MetadataError> {
        metadata::write_each(self.infos()?, sink)
    }

    fn infos(self) -> Result<impl Iterator<Item = Result<BackupVolumeInfo, DiskError>>, DiskError> {
        let mut last = String::new();
        let first_of_volume = move |text: &Result<String, DiskError>| {
            let Ok(text) = text else { return true };
            let volume = text.split(END).next().unwrap_or_default();
            let is_first = volume != last;
            volume.clone_into(&mut last);
            is_first
        };
        let info = |text: String| {
            let Entry { volume, info, claim: (namespace, claim) } = Entry::parse(&text);
            BackupVolumeInfo {
                pvc_name: claim,
                pvc_namespace: namespace,
                pv_name: volume,
                pv_info: info,
                skipped: true,
                skipped_reason: REASON.to_owned(),
                ..BackupVolumeInfo::default()
            }
        };
        Ok(self.entries.finish()?.filter(first_of_volume).map(move |text| text.map(info)))
    }
}

/// The warning that a claim comes without its data.
pub(super) fn warning(claim: &BoundClaim) -> String {
    let BoundClaim { namespace, name, volume, .. } = claim;
    let volume = &volume.name;
    format!(
        "PersistentVolumeClaim {namespace}/{name}: the data of volume {volume} is not in the backup; {REASON}"
    )
}

#[derive(Debug, Default)]
struct Entry {
    volume: String,
    /// Of a volume that was taken.
    info: Option<PvInfo>,
    /// Namespace and name of the claim; empty if there is none.
    claim: (String, String),
}

impl Entry {
    /// What [`LeftOut::add`] wrote.
    fn parse(text: &str) -> Self {
        type Rest = ((String, String), Option<(String, BTreeMap<String, String>)>);
        let (volume, rest) = text.split_once(END).unwrap_or((text, ""));
        let (claim, info): Rest =
            rest.get(1..).and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let info = info.map(|(reclaim_policy, labels)| PvInfo { reclaim_policy, labels });
        Self { volume: volume.to_owned(), info, claim }
    }
}

/// What is to be known of a PersistentVolume that was taken.
#[derive(Debug)]
pub(super) struct TakenVolume(Entry);

impl TakenVolume {
    /// # Errors
    /// It is none.
    pub(super) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        let RawVolume { metadata, spec } = serde_json::from_slice(json)?;
        let claim = spec.claim_ref.unwrap_or_default();
        Ok(Self(Entry {
            volume: metadata.name,
            info: Some(PvInfo {
                reclaim_policy: spec.persistent_volume_reclaim_policy,
                labels: metadata.labels.unwrap_or_default(),
            }),
            claim: (claim.namespace, claim.name),
        }))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawVolume {
    metadata: RawMetadata,
    spec: RawSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMetadata {
    name: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    persistent_volume_reclaim_policy: String,
    claim_ref: Option<RawReference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawReference {
    namespace: String,
    name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::backup::related::of_claim;

    fn claim(name: &str, volume: &str) -> BoundClaim {
        let claim = json!({
            "metadata": {"namespace": "a", "name": name}, "spec": {"volumeName": volume}, "status": {"phase": "Bound"},
        });
        of_claim(claim.to_string().as_bytes(), "b").unwrap().unwrap()
    }

    fn infos(left_out: LeftOut) -> Vec<Value> {
        let infos = left_out.infos().unwrap().map(|info| {
            let info = info.unwrap();
            assert!(info.skipped && info.skipped_reason == REASON);
            json!([info.pv_name, info.pvc_namespace, info.pvc_name, info.pv_info])
        });
        infos.collect()
    }

    #[test]
    fn each_volume_has_one_entry_with_its_claim_and_a_claim_has_one_without_its_volume_too() {
        let mut left_out = LeftOut::new(&std::env::temp_dir()).unwrap();
        left_out.claim(&claim("data", "taken")).unwrap();
        left_out.claim(&claim("more", "excluded")).unwrap();
        for volume in [
            json!({"metadata": {"name": "taken", "labels": {"l": "1"}}, "spec": {
                "persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": "a", "name": "data"},
            }}),
            json!({"metadata": {"name": "free"}, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
        ] {
            left_out.volume(&TakenVolume::parse(volume.to_string().as_bytes()).unwrap()).unwrap();
        }
        assert_eq!(left_out.claims(), 2);
        assert_eq!(
            infos(left_out),
            [
                json!(["excluded", "a", "more", null]),
                json!(["free", "", "", {"reclaimPolicy": "Retain", "labels": null}]),
                json!(["taken", "a", "data", {"reclaimPolicy": "Delete", "labels": {"l": "1"}}]),
            ]
        );
    }
}
