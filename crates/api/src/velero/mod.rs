//! The velero.io/v1 objects in a member, as far as a hub or an engine deals with them.
//!
//! Permissive, because every release of Velero adds fields and phases: what a type doesn't know stays in
//! its `other` and goes back as it came, an unknown phase stays what it was. Nothing unset is serialised.
//!
//! Velero's CRDs have **no status subresource**: a status is written like any other field, by an ordinary
//! update or already at creation. [`crds`] is for members without Velero.

mod backup;
mod crds;
mod location;
mod phase;
mod requests;
mod restore;
mod volumes;

pub use backup::{
    Backup, BackupPhase, BackupProgress, BackupSpec, BackupStatus, Schedule, SchedulePhase, ScheduleSpec,
    ScheduleStatus, TemplateMetadata,
};
pub use crds::crds;
pub use location::{
    AccessMode, BackupStorageLocation, BackupStorageLocationPhase, BackupStorageLocationSpec,
    BackupStorageLocationStatus, ObjectStorage, SecretKeySelector,
};
pub use requests::{
    DeleteBackupRequest, DeleteBackupRequestSpec, DeleteBackupRequestStatus, DownloadRequest,
    DownloadRequestSpec, DownloadRequestStatus, DownloadTarget, RequestPhase, ServerPlugin,
    ServerStatusRequest, ServerStatusRequestSpec, ServerStatusRequestStatus,
};
pub use restore::{Restore, RestorePhase, RestoreProgress, RestoreSpec, RestoreStatus, StatusFilter};
pub use volumes::{
    PodReference, PodVolumeBackup, PodVolumeBackupSpec, PodVolumeBackupStatus, PodVolumePhase, VolumeProgress,
};

#[cfg(test)]
mod tests;
