//! A member whose velero.io objects the built-in engine executes.

use std::path::Path;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::PostParams};
use kurator_api::velero::BackupStorageLocation;
use kurator_testkit::{
    Cluster, Guest, Lab, S3,
    fixtures::{object, velero as in_member},
    start_engine,
};
use serde_json::{Value, json};

/// The location of every test.
pub(crate) const LOCATION: &str = "shared";
/// Its prefix in the bucket.
pub(crate) const PREFIX: &str = "both";

/// Starts `kurator engine` for a cluster, with its log in this file.
pub(crate) fn start(lab: &Lab, cluster: &Cluster, log: &Path) -> anyhow::Result<Guest> {
    start_by(lab, &cluster.kubeconfig_path(), log)
}

/// As [`start`], over the way that a kubeconfig names.
pub(crate) fn start_by(lab: &Lab, kubeconfig: &Path, log: &Path) -> anyhow::Result<Guest> {
    Ok(start_engine(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), kubeconfig, log)?)
}

/// One location for all members: the same prefix of the same bucket, over this way to the store.
pub(crate) async fn location(member: &Cluster, url: &str) -> anyhow::Result<()> {
    let keys = format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    );
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"cloud": keys},
    }))?;
    Api::<Secret>::namespaced(member.client()?, "velero").create(&PostParams::default(), &secret).await?;
    let spec = json!({
        "provider": "aws",
        "objectStorage": {"bucket": S3::BUCKET, "prefix": PREFIX},
        "credential": {"name": "keys", "key": "cloud"},
        "config": {"region": S3::REGION, "s3Url": url, "s3ForcePathStyle": "true"},
        "backupSyncPeriod": "0s",
    });
    in_member::<BackupStorageLocation>(member)?.create(&object(LOCATION, spec)?).await?;
    Ok(())
}

/// The spec of a Backup of one namespace.
pub(crate) fn of(namespace: &str) -> Value {
    json!({"includedNamespaces": [namespace], "storageLocation": LOCATION})
}
