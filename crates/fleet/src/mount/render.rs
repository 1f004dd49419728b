//! The objects of a mount.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use kurator_api::backup::StoredAt;
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero::{Backup, BackupStorageLocation, PodVolumeBackup};

use crate::fleet::render::{hash, served_by_hub};
use crate::fleet::store::Store;
use crate::run::Owner;

/// How many digits of a hash tell one place from another.
const DIGITS: usize = 8;

/// Name of the location, and of its Secret: the same for all who read from this place.
pub(crate) fn name(store: &Store, place: &StoredAt) -> String {
    let digest = hash(&[store.endpoint(), &place.bucket, &place.prefix, &store.whose]);
    format!("{}{}", names::READ_ONLY_LOCATION_PREFIX, &digest[..DIGITS])
}

pub(super) fn location(
    store: &Store,
    owner: &Owner,
    cluster: &ClusterKey,
    place: &StoredAt,
    name: &str,
    secret: Option<&str>,
) -> BackupStorageLocation {
    let mut metadata = metadata(owner, name, cluster);
    if secret.is_none() {
        metadata.annotations.get_or_insert_default().extend([served_by_hub()]);
    }
    store.read_only(metadata, place, secret)
}

pub(super) fn secret(store: &Store, owner: &Owner, cluster: &ClusterKey, name: &str) -> Secret {
    store.secret(metadata(owner, name, cluster))
}

/// Of something whose name tells nothing of the owner, who is perhaps only the first to need it.
pub(crate) fn metadata(owner: &Owner, name: &str, cluster: &ClusterKey) -> ObjectMeta {
    let mut metadata = owner.metadata(name, cluster);
    metadata.annotations.get_or_insert_default().remove(names::FULL_NAME_ANNOTATION);
    metadata
}

/// The record of a volume, for the copy of the Backup that it belongs to.
pub(super) fn volume(original: PodVolumeBackup, copy: &Backup, location: &str) -> PodVolumeBackup {
    let PodVolumeBackup { metadata, mut spec, status } = original;
    let mut labels = metadata.labels.unwrap_or_default();
    labels.insert(names::VELERO_BACKUP_UID_LABEL.to_owned(), copy.uid().unwrap_or_default());
    spec.backup_storage_location = Some(location.to_owned());
    let owner = OwnerReference {
        api_version: "velero.io/v1".to_owned(),
        kind: "Backup".to_owned(),
        name: copy.name_any(),
        uid: copy.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: None,
    };
    let metadata = ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        labels: Some(labels),
        annotations: metadata.annotations,
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    };
    PodVolumeBackup { metadata, spec, status }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{place, store};
    use super::*;
    use serde_json::json;

    #[test]
    fn k07_a_mount_can_only_be_read_and_is_never_synced() {
        let spec = store().read_only(ObjectMeta::default(), &place(), Some("credential")).spec;
        assert_eq!(
            serde_json::to_value(spec).unwrap(),
            json!({
                "provider": "aws", "accessMode": "ReadOnly", "backupSyncPeriod": "0s",
                "objectStorage": {"bucket": "velero", "prefix": "a/b"},
                "config": {"s3Url": "http://minio:9000", "s3ForcePathStyle": "true", "region": "minio"},
                "credential": {"name": "credential", "key": "cloud"},
            })
        );
    }

    #[test]
    fn the_name_follows_from_the_place_alone() {
        let elsewhere = StoredAt { prefix: "a/c".to_owned(), ..place() };
        let renamed = StoredAt { location: "another".to_owned(), ..place() };
        assert_eq!(name(&store(), &place()), name(&store(), &renamed));
        assert_ne!(name(&store(), &place()), name(&store(), &elsewhere));
        assert_eq!(name(&store(), &place()).len(), "kurator-ro-".len() + DIGITS);
    }

    #[test]
    fn a_fleet_that_was_made_anew_reads_through_the_mounts_of_the_last_one() {
        let (mut anew, mut another) = (store(), store());
        anew.fleet = "another-uid".to_owned();
        assert_eq!(name(&store(), &place()), name(&anew, &place()));
        another.whose = "another".to_owned();
        assert_ne!(name(&store(), &place()), name(&another, &place()));
    }

    #[test]
    fn a_record_of_a_volume_belongs_to_the_copy_and_keeps_the_rest() {
        let original: PodVolumeBackup = serde_json::from_value(json!({
            "metadata": {
                "name": "b-x1", "uid": "old", "resourceVersion": "7", "finalizers": ["f"],
                "labels": {"velero.io/backup-name": "b", "velero.io/backup-uid": "source"},
                "ownerReferences": [{"apiVersion": "velero.io/v1", "kind": "Backup", "name": "b", "uid": "source"}],
            },
            "spec": {"backupStorageLocation": "default", "volume": "data", "cloudCredentialNeeded": true},
            "status": {"phase": "Completed", "snapshotID": "k1"},
        }))
        .unwrap();
        let copy: Backup = serde_json::from_value(json!({"metadata": {"name": "b", "uid": "copy"}})).unwrap();
        let moved = serde_json::to_value(volume(original, &copy, "kurator-ro-0123abcd")).unwrap();
        let controller = json!({
            "apiVersion": "velero.io/v1", "kind": "Backup", "name": "b", "uid": "copy", "controller": true,
        });
        assert_eq!(
            moved["metadata"],
            json!({
                "name": "b-x1", "labels": {"velero.io/backup-name": "b", "velero.io/backup-uid": "copy"},
                "ownerReferences": [controller],
            })
        );
        assert_eq!(
            moved["spec"],
            json!({"backupStorageLocation": "kurator-ro-0123abcd", "volume": "data", "cloudCredentialNeeded": true})
        );
        assert_eq!(moved["status"], json!({"phase": "Completed", "snapshotID": "k1"}));
    }
}
