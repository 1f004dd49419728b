//! S3 and compatible stores.
//!
//! Credentials are always explicit: the client library would otherwise ask the machine's metadata
//! service. Every request ends: bounded retries, bounded time.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
    UpdateVersion,
};

use crate::{Creation, Listing, Replacement, Store, StoreError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
const RETRIES: usize = 2;

/// Where a bucket is and how to sign for it.
#[derive(Clone)]
pub struct S3Settings {
    /// URL of the service, `http` or `https`; plain http is the user's explicit choice.
    pub endpoint: String,
    /// Region that requests are signed for; `None` means `us-east-1`, as for Velero's AWS plugin.
    pub region: Option<String>,
    /// Name of the bucket.
    pub bucket: String,
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Token of a temporary credential.
    pub session_token: Option<String>,
    /// Bucket in the path (`endpoint/bucket/key`) rather than in the host name.
    pub path_style: bool,
}

/// A bucket of an S3 service.
pub struct S3 {
    client: AmazonS3,
    bucket: String,
}

impl S3 {
    /// Makes a client; nothing is sent before the first request.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the endpoint is no URL or the bucket no name.
    pub fn new(settings: &S3Settings) -> Result<Self, StoreError> {
        let mut builder = AmazonS3Builder::new();
        if let Some(token) = &settings.session_token {
            builder = builder.with_token(token);
        }
        let client = builder
            .with_endpoint(endpoint_for(settings))
            .with_region(settings.region.as_deref().unwrap_or("us-east-1"))
            .with_bucket_name(&settings.bucket)
            .with_access_key_id(&settings.access_key)
            .with_secret_access_key(&settings.secret_key)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_allow_http(settings.endpoint.starts_with("http://"))
            .with_client_options(
                ClientOptions::new()
                    .with_connect_timeout(CONNECT_TIMEOUT)
                    .with_timeout(REQUEST_TIMEOUT)
                    .with_allow_http(settings.endpoint.starts_with("http://")),
            )
            .with_retry(RetryConfig {
                max_retries: RETRIES,
                retry_timeout: REQUEST_TIMEOUT,
                ..RetryConfig::default()
            })
            .build()
            .map_err(|source| StoreError::Settings {
                endpoint: settings.endpoint.clone(),
                bucket: settings.bucket.clone(),
                source: Box::new(source),
            })?;
        Ok(Self { client, bucket: settings.bucket.clone() })
    }

    fn failed(&self, action: &'static str, key: &str, source: Error) -> StoreError {
        StoreError::Request {
            action,
            key: key.to_owned(),
            bucket: self.bucket.clone(),
            source: Box::new(source),
        }
    }
}

/// The client library wants the bucket in the host name when it addresses it there.
fn endpoint_for(settings: &S3Settings) -> String {
    match (settings.path_style, settings.endpoint.split_once("://")) {
        (false, Some((scheme, host))) => format!("{scheme}://{}.{host}", settings.bucket),
        _ => settings.endpoint.clone(),
    }
}

#[async_trait]
impl Store for S3 {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let read = async { self.client.get(&Path::from(key)).await?.bytes().await };
        match read.await {
            Ok(content) => Ok(Some(content)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.failed("read", key, source)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let at = (!prefix.is_empty()).then(|| Path::from(prefix));
        let found = self
            .client
            .list_with_delimiter(at.as_ref())
            .await
            .map_err(|source| self.failed("list", prefix, source))?;
        let name = |path: &Path| path.filename().map(str::to_owned);
        Ok(Listing {
            folders: found.common_prefixes.iter().filter_map(name).collect(),
            objects: found.objects.iter().filter_map(|object| name(&object.location)).collect(),
        })
    }

    async fn create(&self, key: &str, content: Bytes) -> Result<Creation, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        match self.client.put_opts(&Path::from(key), PutPayload::from(content), options).await {
            Ok(_) => Ok(Creation::Created),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Creation::AlreadyExists),
            Err(source) => Err(self.failed("create", key, source)),
        }
    }

    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError> {
        let path = Path::from(key);
        let replaced = async {
            let found = self.client.get(&path).await?;
            let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: None };
            if found.bytes().await? != *present {
                return Ok(Replacement::Changed);
            }
            let options = PutOptions::from(PutMode::Update(version));
            self.client.put_opts(&path, PutPayload::from(content), options).await?;
            Ok(Replacement::Replaced)
        };
        match replaced.await {
            Err(Error::NotFound { .. } | Error::Precondition { .. }) => Ok(Replacement::Changed),
            replaced => replaced.map_err(|source| self.failed("replace", key, source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> S3Settings {
        S3Settings {
            endpoint: "https://obs.example".into(),
            region: None,
            bucket: "velero".into(),
            access_key: "a".into(),
            secret_key: "s".into(),
            session_token: None,
            path_style: true,
        }
    }

    #[test]
    fn path_style_keeps_the_endpoint() {
        assert_eq!(endpoint_for(&settings()), "https://obs.example");
    }

    #[test]
    fn virtual_hosted_style_puts_the_bucket_into_the_host() {
        let virtual_hosted = S3Settings { path_style: false, ..settings() };
        assert_eq!(endpoint_for(&virtual_hosted), "https://velero.obs.example");
    }
}
