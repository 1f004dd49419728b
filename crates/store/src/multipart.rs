//! Writing content of unknown length in bounded memory.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use object_store::{MultipartUpload, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload};
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
        let mut unfinished = Unfinished::ask(self, act, creates);
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
    stage: Stage,
}

enum Stage {
    /// The store may have begun it before its answer is here.
    Asked(BoxFuture<'static, object_store::Result<Box<dyn MultipartUpload>>>),
    Begun(Box<dyn MultipartUpload>),
    /// Nothing of it has to be aborted.
    Over,
}

impl Unfinished {
    fn ask(inner: &Arc<Inner>, act: &Act, creates: bool) -> Self {
        let client = match inner.if_absent.as_ref().filter(|_| creates) {
            Some(client) => Arc::clone(client),
            None => Arc::clone(&inner.client) as Arc<dyn ObjectStore>,
        };
        let (path, tags) = (act.path.clone(), inner.tags.clone());
        let options = PutMultipartOptions { tags, ..PutMultipartOptions::default() };
        let asked = async move { client.put_multipart_opts(&path, options).await };
        Self { inner: Arc::clone(inner), act: act.clone(), stage: Stage::Asked(asked.boxed()) }
    }

    /// The length of the object; `None` if there is another one that must stay.
    async fn carry_out(
        &mut self,
        first: PutPayload,
        parts: Parts<'_>,
        creates: bool,
    ) -> Result<Option<u64>, StoreError> {
        if let Stage::Asked(asked) = &mut self.stage {
            let begun = asked.await;
            let begun = begun.map_err(|error| self.inner.failed(&self.act, &error));
            self.stage = Stage::Over;
            self.stage = Stage::Begun(begun?);
        }
        let length = self.send(first, parts).await?;
        if creates && self.inner.if_absent.is_none() && self.inner.size(&self.act).await?.is_some() {
            return Ok(None);
        }
        let Stage::Begun(upload) = &mut self.stage else { return Ok(None) };
        match upload.complete().await {
            Ok(_) => {
                self.stage = Stage::Over;
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
                && let Stage::Begun(upload) = &mut self.stage
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
        let stage = mem::replace(&mut self.stage, Stage::Over);
        if matches!(stage, Stage::Over) {
            return None;
        }
        let (inner, act) = (Arc::clone(&self.inner), self.act.clone());
        // Without a runtime nothing can be sent any more.
        let runtime = Handle::try_current().ok()?;
        let aborting = async move {
            let mut upload = match stage {
                Stage::Asked(asked) => match asked.await {
                    Ok(upload) => upload,
                    Err(_never_begun) => return,
                },
                Stage::Begun(upload) => upload,
                Stage::Over => return,
            };
            inner.forget(&act, &mut *upload).await;
        };
        Some(self.inner.aborts.clone().spawn_on(aborting, &runtime))
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
