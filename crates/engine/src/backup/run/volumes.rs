//! What a backup says of volumes, whose data this engine does not move.

use std::collections::BTreeMap;

use kurator_archive::metadata::volumes::{BackupVolumeInfo, PvInfo};
use serde::Deserialize;

use crate::backup::related::BoundClaim;

/// Why no data of a volume is in the backup, for its volume info.
const REASON: &str = "this engine stores objects and no volume data; use Velero for the data";

/// The claims and volumes that were taken without their data.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    claims: Vec<Claim>,
    /// By name of the volume.
    volumes: BTreeMap<String, Volume>,
}

#[derive(Debug)]
struct Claim {
    namespace: String,
    name: String,
    volume: String,
}

#[derive(Debug)]
struct Volume {
    info: PvInfo,
    /// Namespace and name of the claim; empty if there is none.
    claim: (String, String),
}

impl LeftOut {
    /// A claim that is bound was taken.
    pub(super) fn claim(&mut self, claim: &BoundClaim) {
        self.claims.push(Claim {
            namespace: claim.namespace.clone(),
            name: claim.name.clone(),
            volume: claim.volume.name.clone(),
        });
    }

    /// A PersistentVolume was taken.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn volume(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        let RawVolume { metadata, spec } = serde_json::from_slice(json)?;
        let claim = spec.claim_ref.unwrap_or_default();
        let volume = Volume {
            info: PvInfo {
                reclaim_policy: spec.persistent_volume_reclaim_policy,
                labels: metadata.labels.unwrap_or_default(),
            },
            claim: (claim.namespace, claim.name),
        };
        self.volumes.insert(metadata.name, volume);
        Ok(())
    }

    /// A warning for each claim, with its namespace.
    pub(super) fn warnings(&self) -> impl Iterator<Item = (&str, String)> {
        self.claims.iter().map(|Claim { namespace, name, volume }| {
            let warning = format!(
                "PersistentVolumeClaim {namespace}/{name}: the data of volume {volume} is not in the backup; {REASON}"
            );
            (namespace.as_str(), warning)
        })
    }

    /// The volume info: an entry for each volume that was taken, as Velero's, and for each claim whose volume was not.
    pub(super) fn infos(self) -> Vec<BackupVolumeInfo> {
        let skipped = |pvc_namespace, pvc_name, pv_name, pv_info| BackupVolumeInfo {
            pvc_name,
            pvc_namespace,
            pv_name,
            pv_info,
            skipped: true,
            skipped_reason: REASON.to_owned(),
            ..BackupVolumeInfo::default()
        };
        let taken = self.volumes.into_iter().map(|(name, Volume { info, claim: (namespace, claim) })| {
            (name.clone(), skipped(namespace, claim, name, Some(info)))
        });
        let mut infos: BTreeMap<_, _> = taken.collect();
        for Claim { namespace, name, volume } in self.claims {
            infos.entry(volume.clone()).or_insert_with(|| skipped(namespace, name, volume, None));
        }
        infos.into_values().collect()
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
        let infos = left_out.infos().into_iter().map(|info| {
            assert!(info.skipped && info.skipped_reason == REASON);
            json!([info.pv_name, info.pvc_namespace, info.pvc_name, info.pv_info])
        });
        infos.collect()
    }

    #[test]
    fn each_volume_has_one_entry_with_its_claim_and_a_claim_has_one_without_its_volume_too() {
        let mut left_out = LeftOut::default();
        left_out.claim(&claim("data", "taken"));
        left_out.claim(&claim("more", "excluded"));
        for volume in [
            json!({"metadata": {"name": "taken", "labels": {"l": "1"}}, "spec": {
                "persistentVolumeReclaimPolicy": "Delete", "claimRef": {"namespace": "a", "name": "data"},
            }}),
            json!({"metadata": {"name": "free"}, "spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
        ] {
            left_out.volume(volume.to_string().as_bytes()).unwrap();
        }
        assert_eq!(left_out.warnings().map(|(namespace, _)| namespace).collect::<Vec<_>>(), ["a", "a"]);
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
