//! What each provider is called, and which options it knows.
//!
//! The tables hold every key that the Velero plugin of a provider knows, so that none is ignored: it is honoured, or
//! refused with what to do instead. `docs/object-stores.md` shows them.

use url::Url;

use crate::{Location, StoreError};

/// How an option is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does here what it does in Velero.
    Honoured,
    /// It is accepted, and has no effect here.
    NoEffect,
    /// It is an error; the words say what to do instead.
    Refused(&'static str),
}

/// An option in a location's `config`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// How it is taken.
    pub support: Support,
}

/// A kind of store.
#[derive(Clone, Copy, Debug)]
pub struct Provider {
    /// What it may be called; the first is what Velero's own installation calls it.
    pub names: &'static [&'static str],
    /// All options it knows.
    pub keys: &'static [Key],
    pub(crate) dialect: Dialect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Aws,
    Gcp,
    Azure,
    Folder,
}

const fn honoured(name: &'static str) -> Key {
    Key { name, support: Support::Honoured }
}

const fn no_effect(name: &'static str) -> Key {
    Key { name, support: Support::NoEffect }
}

const fn refused(name: &'static str, instead: &'static str) -> Key {
    Key { name, support: Support::Refused(instead) }
}

/// What Velero's server itself adds to `config`, and lets users write there.
const BUCKET: Key = refused("bucket", "set objectStorage.bucket");
const PREFIX: Key = refused("prefix", "set objectStorage.prefix");
const CA_CERT: Key = refused("caCert", "set objectStorage.caCert");
const CREDENTIALS_FILE: Key =
    refused("credentialsFile", "files of this machine are never read; name a Secret in credential");

/// All kinds of stores.
pub const PROVIDERS: &[Provider] = &[AWS, GCP, AZURE, FOLDER];

const AWS: Provider = Provider {
    names: &["aws", "velero.io/aws"],
    keys: &[
        honoured("region"),
        honoured("s3Url"),
        honoured("publicUrl"),
        honoured("s3ForcePathStyle"),
        honoured("profile"),
        honoured("kmsKeyId"),
        honoured("serverSideEncryption"),
        honoured("tagging"),
        honoured("checksumAlgorithm"),
        honoured("insecureSkipTLSVerify"),
        no_effect("signatureVersion"),
        refused(
            "customerKeyEncryptionFile",
            "files of this machine are never read; use kmsKeyId or serverSideEncryption",
        ),
        refused(
            "customerKeyEncryptionSecret",
            "keys of customers are not supported; use kmsKeyId or serverSideEncryption",
        ),
        refused(
            "enableSharedConfig",
            "files of this machine are never read; put the keys into the Secret that credential names",
        ),
        CREDENTIALS_FILE,
        BUCKET,
        PREFIX,
        CA_CERT,
    ],
    dialect: Dialect::Aws,
};

const GCP: Provider = Provider {
    names: &["gcp", "velero.io/gcp"],
    keys: &[
        honoured("storeEndpoint"),
        honoured("universeDomain"),
        refused("kmsKeyName", "make it the bucket's default key and remove it here"),
        refused(
            "serviceAccount",
            "workload identity is not supported; give the service account's key and remove it",
        ),
        CREDENTIALS_FILE,
        BUCKET,
        PREFIX,
        CA_CERT,
    ],
    dialect: Dialect::Gcp,
};

const AZURE: Provider = Provider {
    names: &["azure", "velero.io/azure"],
    keys: &[
        honoured("storageAccount"),
        honoured("storageAccountURI"),
        honoured("storageAccountKeyEnvVar"),
        honoured("useAAD"),
        honoured("activeDirectoryAuthorityURI"),
        no_effect("resourceGroup"),
        no_effect("subscriptionId"),
        no_effect("blockSizeInBytes"),
        CREDENTIALS_FILE,
        BUCKET,
        PREFIX,
        CA_CERT,
    ],
    dialect: Dialect::Azure,
};

const FOLDER: Provider =
    Provider { names: &["kurator.dev/local"], keys: &[honoured("path")], dialect: Dialect::Folder };

/// The options of a location, all of which its provider knows.
pub(crate) struct Settings<'a> {
    location: &'a Location,
    provider: &'static Provider,
}

impl<'a> Settings<'a> {
    pub(crate) fn of(location: &'a Location) -> Result<Self, StoreError> {
        let given = location.provider.as_str();
        let Some(provider) = PROVIDERS.iter().find(|provider| provider.names.contains(&given)) else {
            let known: Vec<_> = PROVIDERS.iter().map(|provider| provider.names[0]).collect();
            return Err(StoreError::settings(
                "provider",
                format!("`{given}` is not supported; use one of {}", known.join(", ")),
            ));
        };
        for name in location.config.keys() {
            match provider.keys.iter().find(|key| key.name == name).map(|key| key.support) {
                Some(Support::Honoured | Support::NoEffect) => {}
                Some(Support::Refused(instead)) => {
                    return Err(StoreError::settings(
                        format!("config.{name}"),
                        format!("is not supported here: {instead}"),
                    ));
                }
                None => {
                    let known =
                        provider.keys.iter().filter(|key| !matches!(key.support, Support::Refused(_)));
                    let known: Vec<_> = known.map(|key| key.name).collect();
                    return Err(StoreError::settings(
                        format!("config.{name}"),
                        format!(
                            "is not known for provider `{given}`; remove it, or use one of {}",
                            known.join(", ")
                        ),
                    ));
                }
            }
        }
        let bucket = location.bucket.as_str();
        if bucket.is_empty() || bucket.contains('/') || bucket.starts_with("arn:") || bucket.starts_with('.')
        {
            return Err(StoreError::settings(
                "objectStorage.bucket",
                format!("`{bucket}` is no name of a bucket; give the name alone, a folder goes into prefix"),
            ));
        }
        Ok(Self { location, provider })
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.provider.dialect
    }

    /// The option, if it is given and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        debug_assert!(self.provider.keys.iter().any(|key| key.name == name), "`{name}` is in no table");
        self.location.config.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A truth value as Go reads it.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, StoreError> {
        match self.text(name) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(other) => Err(wrong(name, other, "write \"true\" or \"false\"")),
        }
    }

    /// URL of a service, without a slash at its end.
    pub(crate) fn url(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.text(name).map(|given| service_url(name, given)).transpose()
    }
}

/// A faulty option.
pub(crate) fn wrong(name: &str, value: &str, remedy: &str) -> StoreError {
    StoreError::settings(format!("config.{name}"), format!("`{value}` is not possible; {remedy}"))
}

/// Refuses what is no plain URL of a service, above all one with a password in it.
pub(crate) fn service_url(name: &str, given: &str) -> Result<String, StoreError> {
    let remedy = "write http:// or https://, a host, and a port if it needs one";
    // What can't be read as a URL may still have a password in it.
    let url =
        Url::parse(given).map_err(|_| wrong(name, given.rsplit('@').next().unwrap_or(given), remedy))?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain {
        return Err(wrong(name, given.rsplit('@').next().unwrap_or(given), remedy));
    }
    Ok(given.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(provider: &str, config: &[(&str, &str)]) -> Location {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Location { provider: provider.to_owned(), bucket: "velero".to_owned(), config, ..Location::default() }
    }

    fn refusal(location: &Location) -> String {
        match Settings::of(location) {
            Ok(_) => panic!("accepted: {location:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        assert_eq!(
            refusal(&location("velero.io/gcp", &[("region", "x")])),
            "config.region: is not known for provider `velero.io/gcp`; remove it, or use one of storeEndpoint, \
             universeDomain"
        );
    }

    #[test]
    fn a_refused_key_is_named_with_what_to_do_instead() {
        for provider in PROVIDERS {
            for key in provider.keys {
                let location = location(provider.names[0], &[(key.name, "x")]);
                match key.support {
                    Support::Refused(instead) => {
                        let said = format!("config.{}: is not supported here: {instead}", key.name);
                        assert_eq!(refusal(&location), said);
                    }
                    Support::Honoured | Support::NoEffect => {
                        assert!(Settings::of(&location).is_ok(), "{key:?}")
                    }
                }
            }
        }
    }

    #[test]
    fn an_unknown_provider_is_named_with_the_known_ones() {
        assert_eq!(
            refusal(&location("oss", &[])),
            "provider: `oss` is not supported; use one of aws, gcp, azure, kurator.dev/local"
        );
    }

    #[test]
    fn a_bucket_has_a_name_of_its_own() {
        for bucket in ["", "a/b", "arn:aws:s3:eu:1:accesspoint", "..", "."] {
            let location = Location { bucket: bucket.to_owned(), ..location("aws", &[]) };
            assert_eq!(
                refusal(&location),
                format!(
                    "objectStorage.bucket: `{bucket}` is no name of a bucket; give the name alone, a folder goes \
                     into prefix"
                )
            );
        }
    }

    #[test]
    fn truth_is_read_as_go_reads_it() {
        for (given, expected) in
            [("", false), ("0", false), ("False", false), ("1", true), ("T", true), ("true", true)]
        {
            let location = location("aws", &[("s3ForcePathStyle", given)]);
            assert_eq!(
                Settings::of(&location).unwrap().flag("s3ForcePathStyle").unwrap(),
                expected,
                "{given}"
            );
        }
        let location = location("aws", &[("s3ForcePathStyle", "yes")]);
        assert_eq!(
            Settings::of(&location).unwrap().flag("s3ForcePathStyle").unwrap_err().to_string(),
            "config.s3ForcePathStyle: `yes` is not possible; write \"true\" or \"false\""
        );
    }

    #[test]
    fn a_url_is_that_of_a_service_and_holds_no_password() {
        let read = |given: &str| {
            let location = location("aws", &[("s3Url", given)]);
            let read = Settings::of(&location).unwrap().url("s3Url");
            read.map_err(|error| error.to_string())
        };
        assert_eq!(read("https://obs.example:443/").unwrap().as_deref(), Some("https://obs.example:443"));
        assert_eq!(read("").unwrap(), None);
        for (given, shown) in [
            ("s3.example", "s3.example"),
            ("ftp://s3", "ftp://s3"),
            ("http://user:hunter22@s3", "s3"),
            ("http://user:hunter22@", ""),
            ("http://s3?a=b", "http://s3?a=b"),
        ] {
            assert_eq!(
                read(given).unwrap_err(),
                format!(
                    "config.s3Url: `{shown}` is not possible; write http:// or https://, a host, and a port if it \
                     needs one"
                )
            );
        }
    }
}
