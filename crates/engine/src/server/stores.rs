//! Which store a location means.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};
use kurator_api::velero::{BackupPhase, BackupStorageLocation};
use kurator_store::{Location, Patience, Purpose, Store};

use crate::call::Caller;
use kurator_member::causes::chain;

/// Opens the stores of a cluster's locations.
///
/// What a location says is a stranger's word: whoever implements this decides what of it is followed.
#[async_trait]
pub trait Stores: Send + Sync {
    /// The store of `location`.
    ///
    /// # Errors
    /// Why it cannot be used, for the status of the location or run.
    async fn open(
        &self,
        location: &BackupStorageLocation,
        purpose: Purpose<'_>,
    ) -> Result<Arc<dyn Store>, String>;

    /// How often something has changed that decides on this and is not in the cluster: a key, for example. All locations
    /// are looked at again then.
    fn changes(&self) -> u64 {
        0
    }

    /// Whether somebody wants to know if the store has the end that the Backup with this UID claims.
    fn is_doubted(&self, _backup: &str) -> bool {
        false
    }

    /// The store has this end of the Backup with this UID, whatever its status says.
    fn proven(&self, _backup: &str, _end: &BackupPhase) {}

    /// Whether the store has an end of it cannot be seen now, since `why`.
    fn unproven(&self, _backup: &str, _why: &str) {}

    /// How the run with this UID has ended can't be told to its object, since `why`; or that is over, without one.
    fn untold(&self, _run: &str, _why: Option<&str>) {}

    /// There are these Backups and no others.
    fn keep_only(&self, _there: &dyn Fn(&str) -> bool) {}
}

/// Follows what the cluster itself says: the location and the Secret that it names. For an engine that serves this one
/// cluster and has no more rights than who may write there.
pub struct AsTheClusterSays {
    /// The way to the cluster.
    pub client: Client,
    /// Velero's namespace.
    pub namespace: String,
    /// Folder below which local stores may lie; none are allowed without.
    pub allowed_local: Option<PathBuf>,
}

#[async_trait]
impl Stores for AsTheClusterSays {
    async fn open(&self, location: &BackupStorageLocation, _: Purpose<'_>) -> Result<Arc<dyn Store>, String> {
        let spec = &location.spec;
        let storage = spec.object_storage.clone().unwrap_or_default();
        let credential = match &spec.credential {
            Some(selector) => {
                let name = selector.name.clone().unwrap_or_default();
                let key = selector.key.clone().unwrap_or_default();
                Some(self.secret(&name, &key).await?)
            }
            None => None,
        };
        let ca = storage.ca_cert.as_deref().map(decode).transpose()?;
        let described = Location {
            provider: spec.provider.clone().unwrap_or_default(),
            bucket: storage.bucket.unwrap_or_default(),
            prefix: storage.prefix.unwrap_or_default(),
            config: spec.config.clone(),
            ca,
            credential,
            patience: Patience::default(),
        };
        let opened = described.open(self.allowed_local.as_deref()).await;
        opened.map_err(|error| format!("location `{}`: {}", location.name_any(), chain(&error)))
    }
}

impl AsTheClusterSays {
    async fn secret(&self, name: &str, key: &str) -> Result<Vec<u8>, String> {
        let caller = Caller::new(self.client.clone());
        let found = caller.read(|client| async move {
            Api::<Secret>::namespaced(client, &self.namespace).get_opt(name).await
        });
        let found = found.await.map_err(|error| format!("cannot read Secret `{name}`: {}", chain(&error)))?;
        let secret = found.ok_or_else(|| {
            format!(
                "`spec.credential.name`: there is no Secret `{name}` in namespace {}; create it",
                self.namespace
            )
        })?;
        let value = secret.data.unwrap_or_default().remove(key);
        value.map(|value| value.0).ok_or_else(|| {
            format!("`spec.credential.key`: Secret `{name}` has no key `{key}`; add it or name another")
        })
    }
}

/// A CA comes as base64, like all bytes in JSON.
fn decode(text: &str) -> Result<Vec<u8>, String> {
    use base64::Engine as _;
    let refused = |_| "`spec.objectStorage.caCert` is not base64; encode the PEM file".to_owned();
    base64::engine::general_purpose::STANDARD.decode(text.trim()).map_err(refused)
}
