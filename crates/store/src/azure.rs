//! Azure Blob Storage.

mod credentials;

use std::sync::Arc;

use object_store::TagSet;
use object_store::azure::MicrosoftAzureBuilder;

use crate::bucket::{Bucket, retry};
use crate::clients::Clients;
use crate::config::{Settings, service_url, wrong};
use crate::transport::{Transport, TransportSettings};
use crate::words::Secrets;
use crate::{Location, Store, StoreError};
use credentials::{Cloud, Identity, Variables};

pub(crate) fn open(
    location: &Location,
    settings: &Settings<'_>,
    clients: &Clients,
) -> Result<Arc<dyn Store>, StoreError> {
    let Some(account) = settings.text("storageAccount") else {
        return Err(StoreError::settings("config.storageAccount", "is missing; name the storage account"));
    };
    // It becomes part of a host's name.
    if !account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(wrong("storageAccount", account, "an account's name has lower-case letters and digits"));
    }
    let variables = Variables::parse(location.credential_text()?)?;
    let identity = variables.identity(settings.text("storageAccountKeyEnvVar"), settings.flag("useAAD")?)?;
    let cloud = variables.cloud()?;
    let endpoint = endpoint(settings, account, cloud)?;
    let authority = settings.url("activeDirectoryAuthorityURI")?;
    let authority = authority.unwrap_or_else(|| cloud.authority().to_owned());
    let secret = match &identity {
        Identity::AccountKey(key) => key,
        Identity::Application { secret, .. } => secret,
    };
    let transport = Transport::new(TransportSettings {
        tls_only: ![&endpoint, &authority].into_iter().any(|url| url.starts_with("http:")),
        ca: location.ca.as_deref(),
        insecure: false,
        patience: location.patience,
        secrets: Secrets::new([secret.as_str()]),
        clients,
    })?;
    let builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&location.bucket)
        .with_endpoint(endpoint.clone())
        .with_retry(retry())
        .with_http_connector(transport);
    let builder = match &identity {
        Identity::AccountKey(key) => builder.with_credential_type("access_key").with_access_key(key),
        Identity::Application { tenant, client, secret } => builder
            .with_credential_type("client_secret")
            .with_authority_host(authority)
            .with_client_secret_authorization(client, secret, tenant),
    };
    // What the library says of a faulty key could quote it.
    let client = builder.build().map_err(|_| {
        StoreError::settings(
            "credential",
            "the storage account's key is not in base64; write it as it was given",
        )
    })?;
    let client = Arc::new(client);
    // A condition on the end of an upload would have to be among the signed headers, and can't be put there.
    Ok(Arc::new(Bucket::new(location, &endpoint, client.clone(), None, client, TagSet::default())))
}

/// URL of the account; without a scheme it is https, as Velero's plugin takes it.
fn endpoint(settings: &Settings<'_>, account: &str, cloud: Cloud) -> Result<String, StoreError> {
    match settings.text("storageAccountURI") {
        Some(given) if given.contains("://") => service_url("storageAccountURI", given),
        Some(given) => service_url("storageAccountURI", &format!("https://{given}")),
        None => Ok(format!("https://{account}.{}", cloud.blobs())),
    }
}
