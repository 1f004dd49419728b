//! Object stores behind one small trait.
//!
//! Knows buckets, keys and bytes, nothing of clusters or Kubernetes. Start reading at [`Store`]; a
//! [`Location`] describes where one is and opens it. Credentials are always those that were given: nothing is asked
//! of the environment, of this machine's files or of a cloud's metadata service.

mod aws;
mod azure;
mod bucket;
mod clients;
mod config;
mod error;
mod fault;
mod folder;
mod gcp;
mod key;
mod location;
mod memory;
mod multipart;
mod object;
mod transport;
mod words;

pub use config::{Key, PROVIDERS, Provider, Support};
pub use error::{Fault, StoreError};
pub use location::{Location, Network, Open, Patience, Purpose};
pub use memory::Memory;
pub use object::{Content, Object, whole};

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Largest object that [`Store::get`] returns, in bytes.
pub const SMALL_OBJECT: u64 = 16 << 20;

/// How long a signed URL is good for, as Velero 1.18 gives it out.
pub const SIGNED_URL_LIFETIME: Duration = Duration::from_secs(600);

/// A place that keeps bytes under keys, as far as this project needs one.
///
/// Keys are relative to the location's prefix, without slashes at the ends; `a//b`, `.` and `..` are refused. A folder
/// is what stands before a slash; the empty folder is everything. Every request ends: with an answer, or with an
/// error after bounded retries.
#[async_trait]
pub trait Store: Send + Sync {
    /// The content of `key`, or `None` if there is no such object.
    ///
    /// # Errors
    /// The store does not answer, or the object is larger than [`SMALL_OBJECT`].
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError>;

    /// The content of `key` piece by piece, or `None` if there is no such object.
    ///
    /// A connection that breaks on the way is made anew, if the object is still the same. The stream yields exactly
    /// [`Object::size`] bytes or ends with an error.
    ///
    /// # Errors
    /// The store does not answer.
    async fn read(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// Size of `key` in bytes, or `None` if there is no such object.
    ///
    /// # Errors
    /// The store does not answer.
    async fn head(&self, key: &str) -> Result<Option<u64>, StoreError>;

    /// What lies directly in `folder`: one level, as a file browser would show it.
    ///
    /// # Errors
    /// The store does not answer, or there are more than a million names.
    async fn list(&self, folder: &str) -> Result<Listing, StoreError>;

    /// Every object below `folder`, page by page, in no order that matters. A stream that ended with an error has not
    /// shown everything.
    fn list_all(&self, folder: &str) -> BoxStream<'_, Result<Entry, StoreError>>;

    /// Writes `key`, over what is there, and says how many bytes that were.
    ///
    /// The object appears whole or not at all. Small content is one request; larger content is sent in parts of at
    /// least 5 MiB, three of which are held in memory, and larger ones for objects beyond 5 GiB. An upload that
    /// fails, or whose future is dropped, is aborted; only where the store can't be reached for that, its parts stay
    /// behind unseen until a lifecycle rule of the bucket removes them.
    ///
    /// # Errors
    /// The store does not answer, or the content itself failed. Unless it was the content, the object may be there
    /// all the same, and is then complete: an answer can be lost.
    async fn write(&self, key: &str, content: Content<'_>) -> Result<u64, StoreError>;

    /// Writes `key` only if it does not exist.
    ///
    /// Content of one part: two racing writers cannot both succeed, in any store. Larger content: neither can they
    /// in S3 and in a local folder; in GCS and Azure, whose multipart uploads know no condition, existence is checked
    /// before the first part and again before the end, so two that end within one round trip of each other may both
    /// succeed, and the later one's object stays. So does S3's, where a compatible server ignores the condition.
    /// Whose exclusiveness matters creates a small marker first.
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn create_from(&self, key: &str, content: Content<'_>) -> Result<Creation, StoreError>;

    /// Writes `content` over `key` only while it holds `present`; of racing writers one succeeds.
    ///
    /// # Errors
    /// The store does not answer.
    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError>;

    /// Removes `key`; it may be gone already.
    ///
    /// # Errors
    /// The store does not answer.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// A URL with which anybody can GET `key` for this long, whether or not it exists. Whoever has it can read the
    /// object: it is a secret until then.
    ///
    /// # Errors
    /// The store cannot be asked that way, or does not answer.
    async fn signed_url(&self, key: &str, lifetime: Duration) -> Result<String, StoreError>;

    /// [`Store::create_from`] for content that is at hand.
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn create(&self, key: &str, content: Bytes) -> Result<Creation, StoreError> {
        self.create_from(key, whole(content)).await
    }

    /// [`Store::write`] for content that is at hand.
    ///
    /// # Errors
    /// As [`Store::write`].
    async fn put(&self, key: &str, content: Bytes) -> Result<(), StoreError> {
        self.write(key, whole(content)).await.map(drop)
    }
}

/// One level of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Names of the folders, without slashes.
    pub folders: Vec<String>,
    /// Names of the objects, without their folder.
    pub objects: Vec<String>,
}

/// An object in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its key, as the other methods take it.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
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
