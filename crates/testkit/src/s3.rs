//! The lab's object store at the address that Kurator's documentation uses: MinIO, or another make for comparison.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, sync::Arc, time::Duration};

use futures::TryStreamExt;
use http::Method;
use object_store::{
    Certificate, ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    signer::{SignedUrlOptions, Signer},
};
use serde_json::json;

use crate::{
    LabError,
    binaries::{Binaries, Module},
    cage::{Cage, DATA, Host},
    component::{Component, Recipe},
    pki::Pki,
    plain_http,
    slot::Slot,
};

/// Where the documentation's YAML expects it.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 18, 255, 200);
const PORT: u16 = 9000;

/// Which server there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum S3Server {
    /// MinIO.
    #[default]
    Minio,
    /// versitygw over a folder.
    Versitygw,
}

impl S3Server {
    pub(crate) fn module(self) -> Module {
        match self {
            Self::Minio => Module::Minio,
            Self::Versitygw => Module::Versitygw,
        }
    }
}

/// What kind of object store to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct S3Spec {
    /// The make.
    pub server: S3Server,
    /// Whether it speaks TLS, with a certificate of an authority of its own.
    pub tls: bool,
}

/// A server with one bucket.
pub struct S3 {
    server: Option<Component>,
    cage: Arc<Cage>,
    ca: Option<String>,
}

impl S3 {
    /// `s3Url` of a location, without TLS.
    pub const ENDPOINT: &str = "http://172.18.255.200:9000";
    /// `s3Url` of a location, with TLS.
    pub const TLS_ENDPOINT: &str = "https://172.18.255.200:9000";
    /// A name below which a request's host may begin with the bucket; it means the caller's own machine.
    pub const DOMAIN: &str = "s3.localhost";
    /// Region that the server was started with; any other is refused.
    pub const REGION: &str = "minio";
    /// The bucket, empty at the start.
    pub const BUCKET: &str = "velero";
    /// Access key id.
    pub const ACCESS_KEY: &str = "minio";
    /// Secret access key.
    pub const SECRET_KEY: &str = "minio123";

    /// Access key id of somebody whom versitygw knows and allows nothing; MinIO knows nobody else.
    pub const GUEST_ACCESS_KEY: &str = "guest";
    /// Secret access key of the same.
    pub const GUEST_SECRET_KEY: &str = "guest-secret";

    /// A store that does not exist: every use says so.
    pub(crate) fn absent(cage: &Arc<Cage>) -> Self {
        Self { server: None, cage: Arc::clone(cage), ca: None }
    }

    pub(crate) fn new(
        cage: &Arc<Cage>,
        slot: &Slot,
        binaries: &Binaries,
        spec: S3Spec,
    ) -> Result<Self, LabError> {
        let host = cage.add_host("s3", ADDRESS)?;
        // A folder below the data folder is a bucket.
        for folder in [format!("s3/{}", Self::BUCKET), "s3-certs".to_owned(), "s3-iam".to_owned()] {
            let path = cage.data(&folder);
            fs::create_dir_all(&path).map_err(|source| LabError::File { path, source })?;
        }
        if spec.server == S3Server::Versitygw {
            let (access, secret) = (Self::GUEST_ACCESS_KEY, Self::GUEST_SECRET_KEY);
            let guest = json!({ "access": access, "secret": secret, "role": "user" });
            let path = cage.data("s3-iam/users.json");
            fs::write(&path, json!({ "accessAccounts": { access: guest } }).to_string())
                .map_err(|source| LabError::File { path, source })?;
        }
        let mut ca = None;
        if spec.tls {
            let pki = Pki::make("s3", ADDRESS)
                .map_err(|source| LabError::Certificates { cluster: "s3".to_owned(), source })?;
            for (file, text) in [("public.crt", &pki.server), ("private.key", &pki.server_key)] {
                let path = cage.data(&format!("s3-certs/{file}"));
                fs::write(&path, text).map_err(|source| LabError::File { path, source })?;
            }
            ca = Some(pki.ca);
        }
        let server = Component::new(recipe(&host, binaries, spec), cage, &host, slot.path());
        Ok(Self { server: Some(server), cage: Arc::clone(cage), ca })
    }

    pub(crate) async fn bring_up(&self) -> Result<(), LabError> {
        match &self.server {
            Some(server) => {
                server.start()?;
                server.ready(async || self.answers().await).await
            }
            None => Ok(()),
        }
    }

    /// Lists the bucket, which only a server can do that is wholly up.
    async fn answers(&self) -> Result<(), String> {
        let store = self.store().map_err(|error| error.to_string())?;
        store.list_with_delimiter(None).await.map(drop).map_err(|error| error.to_string())
    }

    /// The certificate of its authority, in PEM, if it speaks TLS.
    pub fn ca(&self) -> Option<&str> {
        self.ca.as_deref()
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

    /// Stops the server's clock: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// This lab has no object store, or the process could not be signalled.
    pub fn pause(&self) -> Result<(), LabError> {
        self.server()?.pause()
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// This lab has no object store, or the process could not be signalled.
    pub fn resume(&self) -> Result<(), LabError> {
        self.server()?.resume()
    }

    /// How many multipart uploads of this key were begun and neither completed nor aborted. For a server without TLS. Call it
    /// inside the lab's network.
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn unfinished_uploads(&self, key: &str) -> Result<usize, LabError> {
        let failed = |source| LabError::List { prefix: "?uploads".to_owned(), source };
        let other = |why: String| failed(object_store::Error::Generic { store: "S3", source: why.into() });
        let query = SignedUrlOptions::default().with_query([("uploads", ""), ("prefix", key)]);
        let (store, life) = (self.store().map_err(failed)?, Duration::from_secs(60));
        let url = store.signed_url_opts(Method::GET, &Path::default(), life, &query).await.map_err(failed)?;
        let path = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        match plain_http::get(&format!("{ADDRESS}:{PORT}"), &path).await {
            Ok((200, body)) => Ok(body.matches(&format!("<Key>{key}</Key>")).count()),
            Ok((status, body)) => Err(other(format!("{status}: {body}"))),
            Err(error) => Err(other(error.to_string())),
        }
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
        let objects = self.store().map_err(failed)?.list((!prefix.is_empty()).then_some(&folder));
        let print = |object: ObjectMeta| (object.location.to_string(), object.e_tag.unwrap_or_default());
        objects.map_ok(print).try_collect().await.map_err(failed)
    }

    /// How much lies in this folder, in bytes. Call it inside [`crate::Lab::run`].
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn stored_bytes(&self, prefix: &str) -> Result<u64, LabError> {
        self.server()?;
        let failed = |source| LabError::List { prefix: prefix.to_owned(), source };
        let folder = Path::from(prefix);
        let objects = self.store().map_err(failed)?.list(Some(&folder));
        objects.try_fold(0, async |sum, object| Ok(sum + object.size)).await.map_err(failed)
    }

    /// Content of the object under this key, if there is one. Call it inside [`crate::Lab::run`].
    ///
    /// # Errors
    /// This lab has no object store, or it does not answer.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, LabError> {
        self.server()?;
        let failed = |source| LabError::Object { key: key.to_owned(), source };
        match self.store().map_err(failed)?.get(&Path::from(key)).await {
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
        self.store().map_err(failed)?.put(&Path::from(key), content.into()).await.map(drop).map_err(failed)
    }

    fn store(&self) -> object_store::Result<AmazonS3> {
        let mut options =
            ClientOptions::new().with_allow_http(true).with_connect_timeout(Duration::from_secs(5));
        if let Some(ca) = &self.ca {
            options = options.with_root_certificate(Certificate::from_pem(ca.as_bytes())?);
        }
        AmazonS3Builder::new()
            .with_endpoint(if self.ca.is_some() { Self::TLS_ENDPOINT } else { Self::ENDPOINT })
            .with_client_options(options)
            .with_retry(RetryConfig { max_retries: 1, ..RetryConfig::default() })
            .with_virtual_hosted_style_request(false)
            .with_region(Self::REGION)
            .with_bucket_name(Self::BUCKET)
            .with_access_key_id(Self::ACCESS_KEY)
            .with_secret_access_key(Self::SECRET_KEY)
            .build()
    }

    fn server(&self) -> Result<&Component, LabError> {
        self.server.as_ref().ok_or_else(|| LabError::Absent { what: "object store".to_owned() })
    }

    pub(crate) fn components(&self) -> impl Iterator<Item = &Component> {
        self.server.iter()
    }
}

fn recipe(host: &Host, binaries: &Binaries, spec: S3Spec) -> Recipe {
    let address = host.address;
    let certs = format!("{DATA}/s3-certs");
    let data = format!("{DATA}/s3");
    let (name, args, env) = match spec.server {
        S3Server::Minio => (
            "minio",
            vec![
                "server".to_owned(),
                "--quiet".to_owned(),
                format!("--address={address}:{PORT}"),
                "--console-address=127.0.0.1:9001".to_owned(),
                // Without certificates in there it speaks plain HTTP.
                format!("--certs-dir={certs}"),
                data,
            ],
            [
                ("MINIO_ROOT_USER", S3::ACCESS_KEY),
                ("MINIO_ROOT_PASSWORD", S3::SECRET_KEY),
                ("MINIO_REGION", S3::REGION),
                ("MINIO_DOMAIN", S3::DOMAIN),
            ],
        ),
        S3Server::Versitygw => {
            let (port, users) = (format!("--port={address}:{PORT}"), format!("--iam-dir={DATA}/s3-iam"));
            let mut args = vec!["--quiet".to_owned(), port, users];
            if spec.tls {
                args.extend([format!("--cert={certs}/public.crt"), format!("--key={certs}/private.key")]);
            }
            args.extend(["posix".to_owned(), data]);
            let env = [
                ("ROOT_ACCESS_KEY_ID", S3::ACCESS_KEY),
                ("ROOT_SECRET_ACCESS_KEY", S3::SECRET_KEY),
                ("VGW_REGION", S3::REGION),
                ("VGW_VIRTUAL_DOMAIN", S3::DOMAIN),
            ];
            ("versitygw", args, env)
        }
    };
    Recipe {
        name: name.to_owned(),
        program: binaries.path(name),
        args: args.into_iter().map(Into::into).collect(),
        env: env.map(|(name, value)| (name, value.into())).into(),
    }
}
