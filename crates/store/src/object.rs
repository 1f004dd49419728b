//! Content on its way from and to a store.

use std::io;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use crate::StoreError;

/// What is to be written, piece by piece. An error ends the upload, and nothing appears.
pub type Content<'a> = BoxStream<'a, io::Result<Bytes>>;

/// Content that is at hand.
pub fn whole(content: Bytes) -> Content<'static> {
    futures::stream::once(async { Ok(content) }).boxed()
}

/// An object that is being read.
pub struct Object {
    /// Its size in bytes.
    pub size: u64,
    /// Exactly that many bytes, or an error.
    pub content: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl Object {
    /// All of it, or `None` if it is larger than `limit` bytes.
    pub(crate) async fn collect(mut self, limit: u64) -> Result<Option<Bytes>, StoreError> {
        if self.size > limit {
            return Ok(None);
        }
        let mut all = BytesMut::new();
        while let Some(piece) = self.content.try_next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(Some(all.freeze()))
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("size", &self.size).finish_non_exhaustive()
    }
}
