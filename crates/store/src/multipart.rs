//! Writing content of unknown length in bounded memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use object_store::{MultipartUpload, PutMode, PutMultipartOptions, PutOptions, PutPayload};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::bucket::{Act, Inner};
use crate::{Content, Fault, StoreError, fault};

/// Smallest part that S3 takes, except for the last.
const SMALLEST_PART: usize = 5 << 20;
/// After so many parts the next ones are twice as large.
const PARTS_OF_A_SIZE: usize = 900;
/// Parts that are sent side by side, besides the one that is being filled.
const IN_FLIGHT: usize = 2;

/// Size of a part, counted from 0: 10,000 of them, the most that S3 takes, hold its largest object.
fn part_size(index: usize) -> usize {
    SMALLEST_PART << (index / PARTS_OF_A_SIZE).min(10)
}

/// Cuts content into parts.
struct Parts<'a> {
    content: Content<'a>,
    /// What has come and is in no part yet.
    held: VecDeque<Bytes>,
    length: usize,
    index: usize,
    ended: bool,
}

impl<'a> Parts<'a> {
    fn of(content: Content<'a>) -> Self {
        Self { content, held: VecDeque::new(), length: 0, index: 0, ended: false }
    }

    /// The next part, the last one if the content has ended with it.
    async fn next(&mut self) -> Result<PutPayload, Fault> {
        let size = part_size(self.index);
        while self.length < size && !self.ended {
            match self.content.next().await {
                None => self.ended = true,
                Some(Err(error)) => return Err(Fault::Content(error)),
                Some(Ok(piece)) => {
                    self.length += piece.len();
                    self.held.push_back(piece);
                }
            }
        }
        self.index += 1;
        let mut wanted = self.length.min(size);
        self.length -= wanted;
        let mut part = Vec::new();
        while wanted > 0 {
            let Some(mut piece) = self.held.pop_front() else { break };
            if piece.len() > wanted {
                self.held.push_front(piece.split_off(wanted));
            }
            wanted -= piece.len();
            part.push(piece);
        }
        Ok(part.into_iter().collect())
    }

    /// Whether all that came is in parts.
    fn done(&self) -> bool {
        self.ended && self.length == 0
    }
}

impl Inner {
    /// Writes an object and says how many bytes it has; `None` if there is one that must not be written over.
    pub(crate) async fn upload(
        self: &Arc<Self>,
        act: &Act,
        content: Content<'_>,
        mode: PutMode,
    ) -> Result<Option<u64>, StoreError> {
        let creates = matches!(mode, PutMode::Create);
        let mut parts = Parts::of(content);
        let first = parts.next().await.map_err(|fault| self.failed_with(act, fault))?;
        if parts.done() {
            let length = first.content_length() as u64;
            let options = PutOptions { mode, tags: self.tags.clone(), ..PutOptions::default() };
            return match self.client.put_opts(&act.path, first, options).await {
                Ok(_) => Ok(Some(length)),
                Err(error) if creates && fault::is_conflict(&error) => Ok(None),
                Err(error) => Err(self.failed(act, &error)),
            };
        }
        // Where the service would refuse the end anyway, this spares the parts.
        if creates && self.size(act).await?.is_some() {
            return Ok(None);
        }
        let options = PutMultipartOptions { tags: self.tags.clone(), ..PutMultipartOptions::default() };
        let begun = match self.if_absent.as_ref().filter(|_| creates) {
            Some(client) => client.put_multipart_opts(&act.path, options).await,
            None => self.client.put_multipart_opts(&act.path, options).await,
        };
        let begun = begun.map_err(|error| self.failed(act, &error))?;
        let mut unfinished = Unfinished { inner: Arc::clone(self), act: act.clone(), upload: Some(begun) };
        let ended = unfinished.carry_out(first, parts, creates).await;
        if let Some(aborting) = unfinished.abort() {
            // A task that panicked has said so itself.
            let _ = aborting.await;
        }
        ended
    }

    /// Tells the store to forget the parts.
    async fn forget(&self, act: &Act, upload: &mut dyn MultipartUpload) {
        let why = match tokio::time::timeout(self.patience.request, upload.abort()).await {
            Ok(Ok(())) => return,
            // Nothing is left of it.
            Ok(Err(error)) if fault::is_absence(&error) => return,
            Ok(Err(error)) => match self.failed(act, &error).fault() {
                Some(fault) => fault.to_string(),
                None => return,
            },
            Err(late) => late.to_string(),
        };
        tracing::warn!(
            bucket = self.bucket,
            key = act.path.as_ref(),
            why,
            "an unfinished upload could not be aborted; a lifecycle rule of the bucket should remove its parts"
        );
    }
}

/// An upload that is aborted unless it was completed, also when nobody waits for it any more.
struct Unfinished {
    inner: Arc<Inner>,
    act: Act,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Unfinished {
    /// The length of the object; `None` if there is another one that must stay.
    async fn carry_out(
        &mut self,
        first: PutPayload,
        parts: Parts<'_>,
        creates: bool,
    ) -> Result<Option<u64>, StoreError> {
        let length = self.send(first, parts).await?;
        if creates && self.inner.if_absent.is_none() && self.inner.size(&self.act).await?.is_some() {
            return Ok(None);
        }
        let Some(upload) = &mut self.upload else { return Ok(None) };
        match upload.complete().await {
            Ok(_) => {
                self.upload = None;
                Ok(Some(length))
            }
            Err(error) if creates && fault::is_conflict(&error) => Ok(None),
            Err(error) => Err(self.inner.failed(&self.act, &error)),
        }
    }

    /// Sends all parts, while the next one is being filled.
    async fn send(&mut self, first: PutPayload, mut parts: Parts<'_>) -> Result<u64, StoreError> {
        let mut flight = FuturesUnordered::new();
        let mut waiting = Some(first);
        let mut length = 0;
        loop {
            if flight.len() < IN_FLIGHT
                && let Some(upload) = &mut self.upload
                && let Some(part) = waiting.take()
            {
                // The content may have ended with the part before.
                if part.content_length() > 0 {
                    length += part.content_length() as u64;
                    flight.push(upload.put_part(part));
                }
            }
            tokio::select! {
                part = parts.next(), if waiting.is_none() && !parts.done() => {
                    waiting = Some(part.map_err(|fault| self.inner.failed_with(&self.act, fault))?);
                }
                Some(sent) = flight.next(), if !flight.is_empty() => {
                    sent.map_err(|error| self.inner.failed(&self.act, &error))?;
                }
                else => return Ok(length),
            }
        }
    }

    /// Starts the abortion of what is not completed; it goes on whether or not somebody waits.
    fn abort(&mut self) -> Option<JoinHandle<()>> {
        let mut upload = self.upload.take()?;
        let (inner, act) = (Arc::clone(&self.inner), self.act.clone());
        // Without a runtime nothing can be sent any more.
        let runtime = Handle::try_current().ok()?;
        let aborts = self.inner.aborts.clone();
        Some(aborts.spawn_on(async move { inner.forget(&act, &mut *upload).await }, &runtime))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_parts_hold_the_largest_object() {
        let all: u64 = (0..10_000).map(|index| part_size(index) as u64).sum();
        assert!(all >= 5 << 40, "{all}");
        assert_eq!(part_size(0), SMALLEST_PART);
        assert_eq!(part_size(899), SMALLEST_PART);
        assert_eq!(part_size(900), 2 * SMALLEST_PART);
        // S3 takes no part above 5 GiB.
        assert!(part_size(9_999) as u64 <= 5 << 30);
    }

    async fn lengths(pieces: &[usize]) -> Vec<usize> {
        let pieces: Vec<_> = pieces.iter().map(|length| Ok(Bytes::from(vec![7; *length]))).collect();
        let mut parts = Parts::of(futures::stream::iter(pieces).boxed());
        let mut lengths = Vec::new();
        while !parts.done() {
            lengths.push(parts.next().await.unwrap().content_length());
        }
        lengths
    }

    #[tokio::test]
    async fn parts_are_full_but_for_the_last() {
        const FULL: usize = SMALLEST_PART;
        assert_eq!(lengths(&[]).await, [0]);
        assert_eq!(lengths(&[1, 0, 2]).await, [3]);
        assert_eq!(lengths(&[FULL - 1, 3]).await, [FULL, 2]);
        assert_eq!(lengths(&[2 * FULL + 1]).await, [FULL, FULL, 1]);
        // Only the next look shows that nothing follows.
        assert_eq!(lengths(&[FULL]).await, [FULL, 0]);
    }
}
