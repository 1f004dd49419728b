//! Google Cloud Storage.

mod credentials;

use std::sync::Arc;

use object_store::TagSet;
use object_store::gcp::GoogleCloudStorageBuilder;
use url::Url;

use crate::bucket::{Bucket, retry};
use crate::clients::Clients;
use crate::config::{Settings, service_url, wrong};
use crate::transport::{Transport, TransportSettings};
use crate::words::Secrets;
use crate::{Location, Store, StoreError};
use credentials::ServiceAccount;

const GOOGLE: &str = "https://storage.googleapis.com";
/// What Google's own library wants behind the host; the interface that is used here lies at the root.
const JSON_API: &str = "/storage/v1";

pub(crate) fn open(
    location: &Location,
    settings: &Settings<'_>,
    clients: &Clients,
) -> Result<Arc<dyn Store>, StoreError> {
    let account = ServiceAccount::parse(location.credential_text()?)?;
    let endpoint = endpoint(settings, account.universe())?;
    let transport = Transport::new(TransportSettings {
        tls_only: endpoint.starts_with("https:"),
        ca: location.ca.as_deref(),
        insecure: false,
        patience: location.patience,
        secrets: Secrets::new(account.secrets()),
        clients,
    })?;
    let client = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&location.bucket)
        .with_base_url(&endpoint)
        .with_service_account_key(account.key())
        .with_retry(retry())
        .with_http_connector(transport)
        .build()
        // What the library says of a faulty key could quote it.
        .map_err(|_| {
            StoreError::settings("credential", "private_key is no RSA key in PEM; write it as it was given")
        })?;
    let client = Arc::new(client);
    // Its multipart uploads know no conditions.
    Ok(Arc::new(Bucket::new(location, &endpoint, client.clone(), None, client, TagSet::default())))
}

fn endpoint(settings: &Settings<'_>, universe: Option<&str>) -> Result<String, StoreError> {
    if let Some(given) = settings.url("storeEndpoint")? {
        let remedy = "write http:// or https://, a host, and a port if it needs one";
        let url: Url = given.parse().map_err(|_| wrong("storeEndpoint", &given, remedy))?;
        return match url.path().trim_end_matches('/') {
            "" => Ok(given),
            JSON_API => Ok(given.trim_end_matches(JSON_API).to_owned()),
            _ => Err(wrong("storeEndpoint", &given, remedy)),
        };
    }
    match settings.text("universeDomain").or(universe) {
        Some(domain) => service_url("universeDomain", &format!("https://storage.{domain}")),
        None => Ok(GOOGLE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(config: &[(&str, &str)]) -> Location {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Location { provider: "gcp".to_owned(), bucket: "b".to_owned(), config, ..Location::default() }
    }

    fn endpoint_of(config: &[(&str, &str)], universe: Option<&str>) -> Result<String, String> {
        let location = location(config);
        endpoint(&Settings::of(&location).unwrap(), universe).map_err(|error| error.to_string())
    }

    #[test]
    fn the_service_is_googles_unless_another_is_named() {
        assert_eq!(endpoint_of(&[], None).unwrap(), GOOGLE);
        assert_eq!(endpoint_of(&[], Some("apis.example")).unwrap(), "https://storage.apis.example");
        let universe = [("universeDomain", "other.example")];
        assert_eq!(endpoint_of(&universe, Some("apis.example")).unwrap(), "https://storage.other.example");
        for given in ["http://gcs:4443", "http://gcs:4443/", "http://gcs:4443/storage/v1/"] {
            assert_eq!(endpoint_of(&[("storeEndpoint", given)], None).unwrap(), "http://gcs:4443", "{given}");
        }
        assert_eq!(
            endpoint_of(&[("storeEndpoint", "http://gcs/else")], None).unwrap_err(),
            "config.storeEndpoint: `http://gcs/else` is not possible; write http:// or https://, a host, and a port \
             if it needs one"
        );
    }
}
