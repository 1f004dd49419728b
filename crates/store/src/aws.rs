//! S3 of Amazon and of everybody who speaks its language: MinIO, OBS, Ceph RGW.

mod credentials;
mod options;

use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use url::Url;

use crate::bucket::{Bucket, retry};
use crate::clients::Clients;
use crate::config::Settings;
use crate::transport::{Transport, TransportSettings};
use crate::words::Secrets;
use crate::{Location, Store, StoreError};
use credentials::Keys;
use options::Options;

/// As Velero's plugin has it where a URL but no region is given.
const DEFAULT_REGION: &str = "us-east-1";

pub(crate) async fn open(
    location: &Location,
    settings: &Settings<'_>,
    clients: &Clients,
) -> Result<Arc<dyn Store>, StoreError> {
    let options = Options::read(settings)?;
    let keys = Keys::parse(location.credential_text()?, settings.text("profile").unwrap_or("default"))?;
    let transport = Transport::new(TransportSettings {
        tls_only: ![&options.url, &options.public_url]
            .into_iter()
            .flatten()
            .any(|url| url.starts_with("http:")),
        ca: location.ca.as_deref(),
        insecure: options.insecure,
        patience: location.patience,
        secrets: Secrets::new(keys.secrets()),
        clients,
    })?;
    let region = match (&options.region, &options.url) {
        (Some(region), _) => region.clone(),
        (None, Some(_)) => DEFAULT_REGION.to_owned(),
        (None, None) => bucket_region(&transport, &amazon(DEFAULT_REGION), &location.bucket).await?,
    };
    let endpoint = options.url.clone().unwrap_or_else(|| amazon(&region));
    let client = |endpoint: &str, transport: Transport| {
        client(&location.bucket, endpoint, &region, &keys, &options, transport)
    };
    let public = options.public_url.as_deref().unwrap_or(&endpoint);
    Ok(Arc::new(Bucket::new(
        location,
        &endpoint,
        Arc::new(client(&endpoint, transport.clone())?),
        Some(Arc::new(client(&endpoint, transport.if_absent())?)),
        Arc::new(client(public, transport)?),
        options.tags.clone(),
    )))
}

fn client(
    bucket: &str,
    endpoint: &str,
    region: &str,
    keys: &Keys,
    options: &Options,
    transport: Transport,
) -> Result<AmazonS3, StoreError> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_endpoint(if options.path_style { endpoint.to_owned() } else { in_host(endpoint, bucket) })
        .with_virtual_hosted_style_request(!options.path_style)
        .with_region(region)
        .with_access_key_id(&keys.id)
        .with_secret_access_key(&keys.secret)
        .with_retry(retry())
        // One by one, as Velero's plugin does it: not every compatible server knows the other way.
        .with_disable_bulk_delete(true)
        .with_http_connector(transport);
    if let Some(token) = &keys.token {
        builder = builder.with_token(token);
    }
    if let Some(algorithm) = options.checksum {
        builder = builder.with_checksum_algorithm(algorithm);
    }
    let unusable = |error: object_store::Error| {
        let said = Secrets::new(keys.secrets()).clean(&error.to_string());
        StoreError::settings("config", format!("cannot be used: {said}"))
    };
    if let Some(encryption) = &options.encryption {
        // The key has no public name in the client library but this one.
        let name: AmazonS3ConfigKey = "aws_server_side_encryption".parse().map_err(unusable)?;
        builder = builder.with_config(name, encryption);
    }
    if let Some(kms_key) = &options.kms_key {
        builder = builder.with_sse_kms_encryption(kms_key);
    }
    builder.build().map_err(unusable)
}

/// The bucket in front of the host.
fn in_host(endpoint: &str, bucket: &str) -> String {
    match endpoint.split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => endpoint.to_owned(),
    }
}

/// Amazon's own service in a region.
fn amazon(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://s3.{region}.amazonaws.com{suffix}")
}

/// The region that Amazon says a bucket is in, as Velero's plugin asks where neither region nor URL is given. Needs
/// no permission: every answer, refusals too, names it.
async fn bucket_region(transport: &Transport, service: &str, bucket: &str) -> Result<String, StoreError> {
    let unknown = |why: String| {
        StoreError::settings(
            "config.region",
            format!("is not given, and `{service}` does not tell where bucket `{bucket}` is ({why}); set it"),
        )
    };
    let mut url: Url = service.parse().map_err(|_| unknown("the URL cannot be used".to_owned()))?;
    url.set_path(bucket);
    let headers = transport.head(url.as_str()).await.map_err(|error| unknown(error.to_string()))?;
    let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
    let well_formed = |region: &&str| {
        !region.is_empty()
            && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match region.filter(well_formed) {
        Some(region) => Ok(region.to_owned()),
        None => Err(unknown("there is no such bucket".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Patience;

    #[test]
    fn virtual_hosted_style_puts_the_bucket_into_the_host() {
        assert_eq!(in_host("https://obs.example:8443", "velero"), "https://velero.obs.example:8443");
    }

    #[test]
    fn amazon_has_one_service_per_region() {
        assert_eq!(amazon("eu-west-1"), "https://s3.eu-west-1.amazonaws.com");
        assert_eq!(amazon("cn-north-1"), "https://s3.cn-north-1.amazonaws.com.cn");
    }

    /// What is said of the region by a service that answers with these headers.
    async fn region_by(headers: &'static str) -> Result<String, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = format!("http://{}", listener.local_addr().unwrap());
        let transport = Transport::new(TransportSettings {
            tls_only: false,
            ca: None,
            insecure: false,
            patience: Patience::default(),
            secrets: Secrets::default(),
            clients: &Clients::default(),
        })
        .unwrap();
        let answer = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"HEAD /velero HTTP/1.1\r\n"));
            let answer = format!("HTTP/1.1 403 Forbidden\r\n{headers}content-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (region, ()) = tokio::join!(bucket_region(&transport, &service, "velero"), answer);
        region.map_err(|error| error.to_string().replace(&service, "http://s3"))
    }

    #[tokio::test]
    async fn the_region_of_a_bucket_is_what_amazon_says_even_in_a_refusal() {
        assert_eq!(region_by("x-amz-bucket-region: eu-west-1\r\n").await.unwrap(), "eu-west-1");
        for headers in ["", "x-amz-bucket-region: evil.example/\r\n"] {
            assert_eq!(
                region_by(headers).await.unwrap_err(),
                "config.region: is not given, and `http://s3` does not tell where bucket `velero` is (there is no \
                 such bucket); set it"
            );
        }
    }
}
