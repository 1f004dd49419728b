//! Where a store is, as a BackupStorageLocation of Velero says it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::clients::Clients;
use crate::config::{Dialect, Settings};
use crate::{Store, StoreError, aws, azure, folder, gcp};

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until a connection stands.
    pub connect: Duration,
    /// While nothing moves, in either direction. A slow server is no silent one.
    pub silence: Duration,
    /// For everything that is small, retries included: a get, one page of a list, a deletion.
    pub request: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            request: Duration::from_secs(60),
        }
    }
}

/// What a location is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To see whether it can be used.
    Look,
    /// To store a backup there.
    Store,
    /// To restore the Velero Backup of this name from it.
    Restore(&'a str),
}

/// Where a store is, and the credential for it.
#[derive(Clone, Default)]
pub struct Location {
    /// `aws`, `gcp` or `azure`, also with Velero's `velero.io/` in front; `kurator.dev/local` for a folder.
    pub provider: String,
    /// Bucket, container, or name of the folder.
    pub bucket: String,
    /// Folder in the bucket below which all keys lie; slashes at its ends do not count.
    pub prefix: String,
    /// Options, as Velero's plugin for this provider reads them. Unknown ones are refused.
    pub config: BTreeMap<String, String>,
    /// Certificates in PEM to trust besides the machine's.
    pub ca: Option<Vec<u8>>,
    /// The file that Velero's plugin for this provider reads: shared credentials of AWS, a service account's JSON
    /// of GCP, variables of Azure.
    pub credential: Option<Vec<u8>>,
    /// How long it is waited for.
    pub patience: Patience,
}

/// Everything but the credential.
impl std::fmt::Debug for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Location")
            .field("provider", &self.provider)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Opens the stores that locations describe.
#[async_trait]
pub trait Open: Send + Sync {
    /// The store of a location; local ones are refused.
    ///
    /// # Errors
    /// [`StoreError::Settings`] for whatever is wrong with the location.
    async fn open(&self, location: &Location) -> Result<Arc<dyn Store>, StoreError>;
}

/// Stores are where their location says: [`Location::open`]. Those that it has opened share their connections.
#[derive(Clone, Debug, Default)]
pub struct Network {
    clients: Clients,
}

#[async_trait]
impl Open for Network {
    async fn open(&self, location: &Location) -> Result<Arc<dyn Store>, StoreError> {
        location.open_with(None, &self.clients).await
    }
}

impl Location {
    /// The store. Nothing is sent before its first request, except that the region of an Amazon bucket is asked for
    /// where config names neither region nor URL.
    ///
    /// `allowed_local` is the folder below which local stores may lie; without it there are none.
    ///
    /// # Errors
    /// [`StoreError::Settings`] for whatever is wrong with the location.
    pub async fn open(&self, allowed_local: Option<&Path>) -> Result<Arc<dyn Store>, StoreError> {
        self.open_with(allowed_local, &Clients::default()).await
    }

    async fn open_with(
        &self,
        allowed_local: Option<&Path>,
        clients: &Clients,
    ) -> Result<Arc<dyn Store>, StoreError> {
        let settings = Settings::of(self)?;
        match settings.dialect() {
            Dialect::Aws => aws::open(self, &settings, clients).await,
            Dialect::Gcp => gcp::open(self, &settings, clients),
            Dialect::Azure => azure::open(self, &settings, clients),
            Dialect::Folder => folder::open(self, &settings, allowed_local),
        }
    }

    /// The prefix without slashes at its ends.
    pub(crate) fn folder(&self) -> &str {
        self.prefix.trim_matches('/')
    }

    /// The credential as text.
    pub(crate) fn credential_text(&self) -> Result<&str, StoreError> {
        let bytes = self.credential.as_deref().unwrap_or_default();
        if bytes.is_empty() {
            return Err(StoreError::settings(
                "credential",
                "is missing; name a Secret with the credentials file, an identity of this machine is never used",
            ));
        }
        std::str::from_utf8(bytes).map_err(|_| {
            StoreError::settings("credential", "is not text; give the credentials file as it is")
        })
    }
}
