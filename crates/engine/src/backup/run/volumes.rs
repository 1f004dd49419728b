//! What a backup says of volumes, whose data this engine does not move.

use kurator_archive::metadata::volumes::BackupVolumeInfo;

use crate::backup::related::BoundClaim;

/// Why no data of a volume is in the backup, for its volume info.
const REASON: &str = "this engine stores objects and no volume data; use Velero for the data";

/// A claim that was taken without the data of its volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    namespace: String,
    claim: String,
    volume: String,
}

impl From<&BoundClaim> for LeftOut {
    fn from(claim: &BoundClaim) -> Self {
        Self {
            namespace: claim.namespace.clone(),
            claim: claim.name.clone(),
            volume: claim.volume.name.clone(),
        }
    }
}

impl LeftOut {
    /// Where it lives.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The warning for the results.
    pub(super) fn warning(&self) -> String {
        let Self { namespace, claim, volume } = self;
        format!(
            "PersistentVolumeClaim {namespace}/{claim}: the data of volume {volume} is not in the backup; {REASON}"
        )
    }

    /// The entry in the volume info.
    pub(super) fn info(self) -> BackupVolumeInfo {
        BackupVolumeInfo {
            pvc_name: self.claim,
            pvc_namespace: self.namespace,
            pv_name: self.volume,
            skipped: true,
            skipped_reason: REASON.to_owned(),
            ..BackupVolumeInfo::default()
        }
    }
}
