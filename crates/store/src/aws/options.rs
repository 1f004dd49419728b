//! The options of Velero's plugin for AWS.

use object_store::TagSet;
use object_store::aws::Checksum;
use url::form_urlencoded;

use crate::StoreError;
use crate::config::{Settings, wrong};

/// How a bucket is to be addressed and written.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) url: Option<String>,
    /// What signed URLs begin with, where users reach the service in another way.
    pub(super) public_url: Option<String>,
    pub(super) region: Option<String>,
    /// The bucket in the path rather than in the host.
    pub(super) path_style: bool,
    pub(super) insecure: bool,
    pub(super) checksum: Option<Checksum>,
    pub(super) encryption: Option<String>,
    pub(super) kms_key: Option<String>,
    pub(super) tags: TagSet,
}

impl Options {
    pub(super) fn read(settings: &Settings<'_>) -> Result<Self, StoreError> {
        let kms_key = settings.text("kmsKeyId").map(str::to_owned);
        Ok(Self {
            url: settings.url("s3Url")?,
            public_url: settings.url("publicUrl")?,
            region: settings.text("region").map(str::to_owned),
            path_style: settings.flag("s3ForcePathStyle")?,
            insecure: settings.flag("insecureSkipTLSVerify")?,
            checksum: checksum(settings.text("checksumAlgorithm"))?,
            encryption: encryption(settings.text("serverSideEncryption"), kms_key.is_some())?,
            kms_key,
            tags: tags(settings.text("tagging"))?,
        })
    }
}

/// Every request is signed over the SHA-256 of its content, which the server verifies. That is all that the plugin's
/// own default, `CRC32`, is for; the others are asked for because somebody wants them stored.
fn checksum(algorithm: Option<&str>) -> Result<Option<Checksum>, StoreError> {
    match algorithm {
        None | Some("CRC32") => Ok(None),
        Some("SHA256") => Ok(Some(Checksum::SHA256)),
        Some("CRC64NVME") => Ok(Some(Checksum::CRC64NVME)),
        Some(other) => {
            Err(wrong("checksumAlgorithm", other, "use SHA256, CRC64NVME, CRC32, or \"\" for none"))
        }
    }
}

/// With a key of KMS the algorithm follows from it, whatever else is asked for: as Velero's plugin.
fn encryption(algorithm: Option<&str>, kms: bool) -> Result<Option<String>, StoreError> {
    match algorithm {
        _ if kms => Ok(Some("aws:kms".to_owned())),
        None => Ok(None),
        Some(known @ ("AES256" | "aws:kms" | "aws:kms:dsse")) => Ok(Some(known.to_owned())),
        Some(other) => Err(wrong("serverSideEncryption", other, "use AES256, aws:kms or aws:kms:dsse")),
    }
}

/// `a=1&b=2`, at most ten.
fn tags(given: Option<&str>) -> Result<TagSet, StoreError> {
    let mut tags = TagSet::default();
    let Some(given) = given else { return Ok(tags) };
    let fault = |remedy| Err(wrong("tagging", given, remedy));
    if given.split('&').count() > 10 {
        return fault("S3 takes at most ten tags");
    }
    if given.split('&').any(|pair| pair.split('=').count() != 2 || pair.starts_with('=')) {
        return fault("write key=value, and & between two of them");
    }
    for (key, value) in form_urlencoded::parse(given.as_bytes()) {
        if key.chars().count() > 128 || value.chars().count() > 256 {
            return fault("a key has at most 128 characters and a value 256");
        }
        tags.push(&key, &value);
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_one_that_can_be_sent() {
        assert_eq!(checksum(None).unwrap(), None);
        assert_eq!(checksum(Some("CRC32")).unwrap(), None);
        assert_eq!(checksum(Some("SHA256")).unwrap(), Some(Checksum::SHA256));
        assert_eq!(checksum(Some("CRC64NVME")).unwrap(), Some(Checksum::CRC64NVME));
        assert_eq!(
            checksum(Some("SHA1")).unwrap_err().to_string(),
            "config.checksumAlgorithm: `SHA1` is not possible; use SHA256, CRC64NVME, CRC32, or \"\" for none"
        );
    }

    #[test]
    fn a_kms_key_decides_the_encryption() {
        assert_eq!(encryption(Some("AES256"), true).unwrap().as_deref(), Some("aws:kms"));
        assert_eq!(encryption(Some("AES256"), false).unwrap().as_deref(), Some("AES256"));
        assert_eq!(encryption(None, false).unwrap(), None);
        assert_eq!(
            encryption(Some("DES"), false).unwrap_err().to_string(),
            "config.serverSideEncryption: `DES` is not possible; use AES256, aws:kms or aws:kms:dsse"
        );
    }

    #[test]
    fn tags_are_checked_before_the_first_object_is_refused_for_them() {
        assert_eq!(tags(Some("a=1&b=two%20words")).unwrap().encoded(), "a=1&b=two+words");
        assert!(tags(None).unwrap().is_empty());
        for (faulty, remedy) in [
            ("a", "write key=value, and & between two of them"),
            ("=1", "write key=value, and & between two of them"),
            ("a=1=2", "write key=value, and & between two of them"),
            ("a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=0&k=1", "S3 takes at most ten tags"),
        ] {
            let said = tags(Some(faulty)).unwrap_err().to_string();
            assert_eq!(said, format!("config.tagging: `{faulty}` is not possible; {remedy}"));
        }
        let long = format!("{}=1", "k".repeat(129));
        assert!(
            tags(Some(&long)).unwrap_err().to_string().ends_with("at most 128 characters and a value 256")
        );
    }
}
