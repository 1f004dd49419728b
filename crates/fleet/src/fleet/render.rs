//! What a member gets from the backup plugin: one Secret and one storage location.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::core::ObjectMeta;
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero::{
    AccessMode, BackupStorageLocation, BackupStorageLocationSpec, ObjectStorage, SecretKeySelector,
};
use sha2::{Digest, Sha256};

use super::validate::{ValidFleet, ValidPlugin};

/// Annotation of the Secret: a hash of its content, so that a change is seen without reading it.
pub(crate) const CONTENT_HASH: &str = "kurator.dev/content-hash";
/// Key of the credentials file in the Secret, as Velero's own installation has it.
const CLOUD: &str = "cloud";
/// Value of [`names::ENGINE_ANNOTATION`] for the built-in engine.
const BUILTIN: &str = "Builtin";
/// Name of the first location, as Velero's chart has it.
pub(super) const FIRST_LOCATION: &str = "default";

/// Hexadecimal SHA-256 over the parts.
pub(crate) fn hash(parts: &[&str]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hash that tells one content of the Secret from another.
pub(super) fn content_hash(plugin: &ValidPlugin) -> String {
    hash(&[&plugin.cloud])
}

pub(super) fn secret(fleet: &ValidFleet, plugin: &ValidPlugin, key: &ClusterKey, name: &str) -> Secret {
    credential(plugin, metadata(fleet, name, key))
}

/// The plugin's credential as a Secret with these metadata and a hash of its content.
pub(super) fn credential(plugin: &ValidPlugin, mut metadata: ObjectMeta) -> Secret {
    metadata.annotations.get_or_insert_default().insert(CONTENT_HASH.to_owned(), content_hash(plugin));
    Secret {
        metadata,
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(CLOUD.to_owned(), ByteString(plugin.cloud.clone().into_bytes()))])),
        ..Secret::default()
    }
}

/// What distinguishes one location of a Fleet from another.
pub(super) struct Place<'a> {
    pub(super) name: &'a str,
    pub(super) prefix: &'a str,
    /// Name of the Secret with the credential; none where the hub serves.
    pub(super) secret: Option<&'a str>,
    pub(super) mode: AccessMode,
    /// Whether Velero uses it for backups that name none.
    pub(super) default: bool,
}

pub(super) fn location(
    fleet: &ValidFleet,
    plugin: &ValidPlugin,
    key: &ClusterKey,
    place: Place<'_>,
) -> BackupStorageLocation {
    let Place { name, prefix, secret, mode, default } = place;
    let spec = BackupStorageLocationSpec {
        default: Some(default),
        access_mode: Some(mode),
        // The engine brings in nothing that others have stored.
        backup_sync_period: secret.is_none().then(|| "0s".to_owned()),
        ..spec(plugin, &plugin.bucket, prefix, secret)
    };
    let mut metadata = metadata(fleet, name, key);
    if secret.is_none() {
        metadata.annotations.get_or_insert_default().extend([served_by_hub()]);
    }
    BackupStorageLocation { metadata, spec, status: None }
}

/// How any cluster reaches a place in the plugin's store.
pub(super) fn spec(
    plugin: &ValidPlugin,
    bucket: &str,
    prefix: &str,
    secret: Option<&str>,
) -> BackupStorageLocationSpec {
    BackupStorageLocationSpec {
        provider: Some(plugin.provider.to_owned()),
        config: plugin.config.clone(),
        credential: secret.map(credential_in),
        object_storage: Some(ObjectStorage {
            bucket: Some(bucket.to_owned()),
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            ..ObjectStorage::default()
        }),
        ..BackupStorageLocationSpec::default()
    }
}

/// Annotation of a location that says where its credential is: on the hub alone.
pub(crate) fn served_by_hub() -> (String, String) {
    (names::ENGINE_ANNOTATION.to_owned(), BUILTIN.to_owned())
}

/// Where a location says that its credential lies.
pub(super) fn credential_in(secret: &str) -> SecretKeySelector {
    SecretKeySelector {
        name: Some(secret.to_owned()),
        key: Some(CLOUD.to_owned()),
        ..SecretKeySelector::default()
    }
}

/// Name of a location for this place that no other place has.
pub(super) fn later_location(plugin: &ValidPlugin, prefix: &str) -> String {
    let digest = hash(&[&plugin.bucket, prefix]);
    format!("{FIRST_LOCATION}-{}", &digest[..8])
}

/// Whether a location says everything that `wanted` says; what others added does not matter.
pub(crate) fn says(found: &BackupStorageLocation, wanted: &BackupStorageLocation) -> bool {
    let BackupStorageLocationSpec {
        provider,
        config,
        credential,
        object_storage,
        default,
        access_mode,
        backup_sync_period,
        ..
    } = &wanted.spec;
    let is = &found.spec;
    is.provider == *provider
        && is.config == *config
        && is.credential == *credential
        && is.object_storage == *object_storage
        // Velero leaves a mark that is off out.
        && is.default.unwrap_or_default() == default.unwrap_or_default()
        && is.access_mode == *access_mode
        && (backup_sync_period.is_none() || is.backup_sync_period == *backup_sync_period)
        && found.metadata.labels.iter().flatten().any(|(key, _)| key == names::OWNER_UID_LABEL)
}

/// How the objects of a Fleet in its member `key` name it.
pub(super) fn owner(fleet: &ValidFleet, key: &ClusterKey) -> String {
    names::owner("Fleet", &key.namespace, &fleet.name)
}

fn metadata(fleet: &ValidFleet, name: &str, key: &ClusterKey) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(names::VELERO_NAMESPACE.to_owned()),
        labels: Some(BTreeMap::from([
            (names::FLEET_NAME_LABEL.to_owned(), names::label_value(&fleet.name)),
            (names::PLUGIN_LABEL.to_owned(), names::BACKUP_PLUGIN.to_owned()),
            (names::OWNER_UID_LABEL.to_owned(), fleet.uid.clone()),
        ])),
        annotations: Some(BTreeMap::from([
            (names::OWNER_ANNOTATION.to_owned(), owner(fleet, key)),
            (names::CLUSTER_ANNOTATION.to_owned(), key.to_string()),
        ])),
        ..ObjectMeta::default()
    }
}
