//! Object stores behind one small trait.
//!
//! Knows buckets, keys and bytes, nothing of clusters or Kubernetes. Start reading at [`Store`];
//! [`s3::S3`] is the implementation for S3 and what speaks its language (MinIO, OBS, Ceph RGW).

pub mod s3;

use async_trait::async_trait;
use bytes::Bytes;

/// A place that keeps bytes under keys, as far as this project needs one.
///
/// Keys are relative to the bucket, without a leading slash.
#[async_trait]
pub trait Store: Send + Sync {
    /// The content of `key`, or `None` if there is no such object.
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// What lies directly below `prefix`: one level, as a file browser would show it.
    async fn list(&self, prefix: &str) -> Result<Listing, StoreError>;

    /// Writes `key` only if it does not exist; two racing writers cannot both succeed.
    async fn create(&self, key: &str, content: Bytes) -> Result<Creation, StoreError>;

    /// Writes `content` over `key` only while it holds `present`; of racing writers one succeeds.
    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError>;
}

/// One level of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names of the folders, without slashes.
    pub folders: Vec<String>,
    /// Names of the objects, without their folder.
    pub objects: Vec<String>,
}

/// What became of a [`Store::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The object is ours.
    Created,
    /// Somebody else's object was there first and is untouched.
    AlreadyExists,
}

/// What became of a [`Store::replace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The object holds the new content.
    Replaced,
    /// The object held something else, or was gone, and is untouched.
    Changed,
}

/// Why a store could not answer. The chain of sources carries the server's words, never a credential.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The settings cannot describe a store.
    #[error("cannot use `{endpoint}` as object store for bucket `{bucket}`")]
    Settings {
        /// The endpoint as given.
        endpoint: String,
        /// The bucket as given.
        bucket: String,
        /// What the client library objects to.
        #[source]
        source: Box<object_store::Error>,
    },
    /// A request failed for good, after bounded retries.
    #[error("cannot {action} `{key}` in bucket `{bucket}`")]
    Request {
        /// `read`, `list`, `create` or `replace`.
        action: &'static str,
        /// The key or prefix.
        key: String,
        /// The bucket.
        bucket: String,
        /// The server's or the network's answer.
        #[source]
        source: Box<object_store::Error>,
    },
}
