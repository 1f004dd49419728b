//! The lab's object store: MinIO at the address that Kurator's documentation uses.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, sync::Arc, time::Duration};

use futures::TryStreamExt;
use object_store::{
    ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig, aws::AmazonS3Builder, path::Path,
};

use crate::{
    LabError,
    binaries::Binaries,
    cage::{Cage, DATA, Host},
    component::{Component, Recipe},
    plain_http,
    slot::Slot,
};

/// Where the documentation's YAML expects it.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 18, 255, 200);
const PORT: u16 = 9000;

/// MinIO with one bucket.
pub struct S3 {
    server: Option<Component>,
    cage: Arc<Cage>,
}

impl S3 {
    /// `s3Url` of a location.
    pub const ENDPOINT: &str = "http://172.18.255.200:9000";
    /// Region that the server was started with; any other is answered with 400.
    pub const REGION: &str = "minio";
    /// The bucket, empty at the start.
    pub const BUCKET: &str = "velero";
    /// Access key id.
    pub const ACCESS_KEY: &str = "minio";
    /// Secret access key.
    pub const SECRET_KEY: &str = "minio123";

    /// A store that does not exist: every use says so.
    pub(crate) fn absent(cage: &Arc<Cage>) -> Self {
        Self { server: None, cage: Arc::clone(cage) }
    }

    pub(crate) fn new(cage: &Arc<Cage>, slot: &Slot, binaries: &Binaries) -> Result<Self, LabError> {
        let host = cage.add_host("s3", ADDRESS)?;
        // A folder below the data folder is a bucket.
        let bucket = cage.data(&format!("s3/{}", Self::BUCKET));
        fs::create_dir_all(&bucket).map_err(|source| LabError::File { path: bucket, source })?;
        let server = Component::new(recipe(&host, binaries), cage, &host, slot.path());
        Ok(Self { server: Some(server), cage: Arc::clone(cage) })
    }

    pub(crate) async fn bring_up(&self) -> Result<(), LabError> {
        match &self.server {
            Some(server) => {
                server.start()?;
                server.ready(healthy).await
            }
            None => Ok(()),
        }
    }

    /// Kills the server; what it had acknowledged is kept.
    ///
    /// # Errors
    /// This lab has no object store, or the process could not be signalled.
    pub fn stop(&self) -> Result<(), LabError> {
        self.server()?.kill()
    }

    /// Starts a killed server and waits until it answers.
    ///
    /// # Errors
    /// This lab has no object store, or it did not answer; the error has the end of its log.
    pub fn start(&self) -> Result<(), LabError> {
        let server = self.server()?;
        self.cage
            .block_on(|| self.bring_up())
            .map_err(|source| LabError::Spawn { component: server.name().to_owned(), source })?
    }

    /// Keys of all objects whose key begins with this folder, sorted; the empty prefix lists everything. Call it
    /// inside [`crate::Lab::run`].
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, LabError> {
        Ok(self.fingerprints(prefix).await?.into_keys().collect())
    }

    /// What lies in this folder, as [`S3::list`], with a fingerprint of each object's content: two that are equal
    /// show that nothing was written between. Call it inside [`crate::Lab::run`].
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn fingerprints(&self, prefix: &str) -> Result<BTreeMap<String, String>, LabError> {
        self.server()?;
        let failed = |source| LabError::List { prefix: prefix.to_owned(), source };
        let folder = Path::from(prefix);
        let objects = store().map_err(failed)?.list((!prefix.is_empty()).then_some(&folder));
        let print = |object: ObjectMeta| (object.location.to_string(), object.e_tag.unwrap_or_default());
        objects.map_ok(print).try_collect().await.map_err(failed)
    }

    /// Content of the object under this key, if there is one. Call it inside [`crate::Lab::run`].
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LabError> {
        self.server()?;
        let failed = |source| LabError::Object { key: key.to_owned(), source };
        match store().map_err(failed)?.get(&Path::from(key)).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?.into())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes an object. Call it inside [`crate::Lab::run`].
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn put(&self, key: &str, content: impl Into<Vec<u8>>) -> Result<(), LabError> {
        self.server()?;
        let failed = |source| LabError::Object { key: key.to_owned(), source };
        let content: Vec<u8> = content.into();
        store().map_err(failed)?.put(&Path::from(key), content.into()).await.map(drop).map_err(failed)
    }

    fn server(&self) -> Result<&Component, LabError> {
        self.server.as_ref().ok_or_else(|| LabError::Absent { what: "object store".to_owned() })
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = &Component> {
        self.server.iter()
    }
}

fn store() -> object_store::Result<impl ObjectStore> {
    AmazonS3Builder::new()
        .with_endpoint(S3::ENDPOINT)
        .with_client_options(
            ClientOptions::new().with_allow_http(true).with_connect_timeout(Duration::from_secs(5)),
        )
        .with_retry(RetryConfig { max_retries: 1, ..RetryConfig::default() })
        .with_virtual_hosted_style_request(false)
        .with_region(S3::REGION)
        .with_bucket_name(S3::BUCKET)
        .with_access_key_id(S3::ACCESS_KEY)
        .with_secret_access_key(S3::SECRET_KEY)
        .build()
}

/// The server's own health check, which needs no signature.
async fn healthy() -> Result<(), String> {
    match plain_http::get((ADDRESS, PORT), "/minio/health/ready").await {
        Ok((200, _)) => Ok(()),
        Ok((status, _)) => Err(format!("it answers {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn recipe(host: &Host, binaries: &Binaries) -> Recipe {
    let address = host.address;
    let args = [
        "server".to_owned(),
        "--quiet".to_owned(),
        format!("--address={address}:{PORT}"),
        "--console-address=127.0.0.1:9001".to_owned(),
        format!("{DATA}/s3"),
    ];
    Recipe {
        name: "minio".to_owned(),
        program: binaries.path("minio"),
        args: args.map(Into::into).into(),
        env: vec![
            ("MINIO_ROOT_USER", S3::ACCESS_KEY.into()),
            ("MINIO_ROOT_PASSWORD", S3::SECRET_KEY.into()),
            ("MINIO_REGION", S3::REGION.into()),
        ],
    }
}
