//! A [`Store`] over a client of `object_store`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use http::{Method, StatusCode};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    GetOptions, GetRange, GetResult, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, RetryConfig, TagSet, UpdateVersion,
};
use tokio_util::task::TaskTracker;

use crate::location::Patience;
use crate::{
    Content, Creation, Entry, Fault, Listing, Location, Object, Replacement, SMALL_OBJECT, Store, StoreError,
    fault, key,
};

/// More names in one level are an error.
const MOST_NAMES: usize = 1_000_000;
/// How often a request is repeated.
const RETRIES: usize = 2;
/// A request that has taken this long is not repeated: its signature ages.
const RETRY_WITHIN: Duration = Duration::from_secs(180);

pub(crate) fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_WITHIN, ..RetryConfig::default() }
}

/// What a client must be able to do.
pub(crate) trait Client: ObjectStore + PaginatedListStore {}
impl<T: ObjectStore + PaginatedListStore> Client for T {}

/// A bucket of some service.
#[derive(Clone)]
pub(crate) struct Bucket(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) client: Arc<dyn Client>,
    /// The same bucket, with multipart uploads that end only where there is no object; where the service can do that.
    pub(crate) if_absent: Option<Arc<dyn ObjectStore>>,
    signer: Arc<dyn Signer>,
    endpoint: String,
    pub(crate) bucket: String,
    prefix: String,
    pub(crate) tags: TagSet,
    pub(crate) patience: Patience,
    /// Uploads that nobody waits for any more.
    pub(crate) aborts: TaskTracker,
}

impl Bucket {
    pub(crate) fn new(
        location: &Location,
        endpoint: &str,
        client: Arc<dyn Client>,
        if_absent: Option<Arc<dyn ObjectStore>>,
        signer: Arc<dyn Signer>,
        tags: TagSet,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            if_absent,
            signer,
            endpoint: endpoint.to_owned(),
            bucket: location.bucket.clone(),
            prefix: location.folder().to_owned(),
            tags,
            patience: location.patience,
            aborts: TaskTracker::new(),
        }))
    }
}

/// What is done to which object, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) action: &'static str,
    pub(crate) path: Path,
}

impl Inner {
    fn key(&self, key: &str) -> String {
        match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        }
    }

    pub(crate) fn act(&self, action: &'static str, key: &str) -> Result<Act, StoreError> {
        let whole = self.key(key);
        match Path::parse(&whole) {
            Ok(path) if key::is_key(key) => Ok(Act { action, path }),
            _ => Err(self.fault(action, &whole, Fault::Unsupported(key::NO_KEY))),
        }
    }

    fn fault(&self, action: &'static str, key: &str, fault: Fault) -> StoreError {
        StoreError::Request { action, key: key.to_owned(), bucket: self.bucket.clone(), fault }
    }

    pub(crate) fn failed_with(&self, act: &Act, fault: Fault) -> StoreError {
        self.fault(act.action, act.path.as_ref(), fault)
    }

    pub(crate) fn failed(&self, act: &Act, error: &object_store::Error) -> StoreError {
        self.failed_with(act, fault::of(&self.endpoint, error))
    }

    fn wrong_length(&self, act: &Act, got: u64, size: u64) -> StoreError {
        self.failed_with(act, Fault::WrongLength { endpoint: self.endpoint.clone(), got, size })
    }

    /// Ends what is small when it has taken too long.
    async fn in_time<T>(
        &self,
        action: &'static str,
        key: &str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let after = self.patience.request;
        match tokio::time::timeout(after, work).await {
            Ok(done) => done,
            Err(_) => {
                let late = Fault::TimedOut { endpoint: self.endpoint.clone(), after };
                Err(self.fault(action, &self.key(key), late))
            }
        }
    }

    /// Size of the object, if there is one. A GET of one byte, because the answer to a HEAD does not tell a missing
    /// bucket from a missing object.
    pub(crate) async fn size(&self, act: &Act) -> Result<Option<u64>, StoreError> {
        let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
        match self.client.get_opts(&act.path, options).await {
            Ok(found) => Ok(Some(found.meta.size)),
            Err(error) if fault::is_absence(&error) => Ok(None),
            // An empty object has no first byte.
            Err(error) if fault::status(&error) == Some(StatusCode::RANGE_NOT_SATISFIABLE) => Ok(Some(0)),
            Err(error) => Err(self.failed(act, &error)),
        }
    }

    /// Pages of what lies below a folder.
    fn pages(
        self: Arc<Self>,
        folder: &str,
        one_level: bool,
    ) -> BoxStream<'static, Result<ListResult, StoreError>> {
        let folder = folder.trim_matches('/').to_owned();
        let below = self.key(&folder);
        if !below.is_empty() && !key::is_key(&below) {
            let refused = self.fault("list", &below, Fault::Unsupported(key::NO_KEY));
            return futures::stream::once(async { Err(refused) }).boxed();
        }
        let prefix = (!below.is_empty()).then(|| format!("{below}/"));
        let first = (self, Some(None::<String>));
        futures::stream::try_unfold(first, move |(inner, next)| {
            let (prefix, folder, below) = (prefix.clone(), folder.clone(), below.clone());
            async move {
                let Some(token) = next else { return Ok(None) };
                let options = PaginatedListOptions {
                    delimiter: one_level.then(|| "/".into()),
                    page_token: token.clone(),
                    ..PaginatedListOptions::default()
                };
                let failed = |error| inner.fault("list", &below, fault::of(&inner.endpoint, &error));
                let page =
                    async { inner.client.list_paginated(prefix.as_deref(), options).await.map_err(failed) };
                let page = inner.in_time("list", &folder, page).await?;
                // A server that hands out the page it was just asked for would do so for ever.
                if page.page_token.is_some() && page.page_token == token {
                    let said = "the same page again and again".to_owned();
                    let endpoint = inner.endpoint.clone();
                    return Err(inner.fault("list", &below, Fault::Answer { endpoint, said }));
                }
                let next = page.page_token.map(Some);
                Ok(Some((page.result, (inner, next))))
            }
        })
        .boxed()
    }
}

/// The part of a path below a folder; `None` for the folder itself, which some tools make an object of.
fn below<'a>(path: &'a Path, folder: &str) -> Option<&'a str> {
    let path = path.as_ref();
    let rest = if folder.is_empty() { path } else { path.strip_prefix(folder)?.strip_prefix('/')? };
    (!rest.is_empty()).then_some(rest)
}

/// An object on its way, and what is needed to go on where a connection broke.
struct Reading {
    inner: Arc<Inner>,
    act: Act,
    meta: ObjectMeta,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    at: u64,
    /// Where it last broke: without progress there is no second try.
    broke_at: Option<u64>,
}

impl Reading {
    fn new(inner: Arc<Inner>, act: Act, found: GetResult) -> Self {
        let meta = found.meta.clone();
        Self { inner, act, meta, stream: found.into_stream(), at: 0, broke_at: None }
    }

    async fn next(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        loop {
            let error = match self.stream.next().await {
                Some(Ok(piece)) => {
                    self.at += piece.len() as u64;
                    if self.at > self.meta.size {
                        return Err(self.inner.wrong_length(&self.act, self.at, self.meta.size));
                    }
                    return Ok(Some((piece, self)));
                }
                None if self.at == self.meta.size => return Ok(None),
                None => self.inner.wrong_length(&self.act, self.at, self.meta.size),
                Some(Err(error)) => self.inner.failed(&self.act, &error),
            };
            let silent = matches!(error.fault(), Some(Fault::TimedOut { .. }));
            if silent || self.meta.e_tag.is_none() || self.broke_at == Some(self.at) {
                return Err(error);
            }
            self.broke_at = Some(self.at);
            let rest = GetOptions {
                range: Some(GetRange::Bounded(self.at..self.meta.size)),
                if_match: self.meta.e_tag.clone(),
                ..GetOptions::default()
            };
            let rest = self.inner.client.get_opts(&self.act.path, rest).await;
            self.stream = rest.map_err(|error| self.inner.failed(&self.act, &error))?.into_stream();
        }
    }
}

#[async_trait]
impl Store for Bucket {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let act = self.0.act("read", key)?;
        let get = async {
            let Some(object) = self.read(key).await? else { return Ok(None) };
            let large = || self.0.failed_with(&act, Fault::TooLarge { limit: SMALL_OBJECT, unit: "bytes" });
            object.collect(SMALL_OBJECT).await?.ok_or_else(large).map(Some)
        };
        self.0.in_time("read", key, get).await
    }

    async fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let act = self.0.act("read", key)?;
        match self.0.client.get(&act.path).await {
            Ok(found) => {
                let size = found.meta.size;
                let reading = Reading::new(Arc::clone(&self.0), act, found);
                Ok(Some(Object {
                    size,
                    content: futures::stream::try_unfold(reading, Reading::next).boxed(),
                }))
            }
            Err(error) if fault::is_absence(&error) => Ok(None),
            Err(error) => Err(self.0.failed(&act, &error)),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let act = self.0.act("read", key)?;
        self.0.in_time("read", key, self.0.size(&act)).await
    }

    async fn list(&self, folder: &str) -> Result<Listing, StoreError> {
        let at = self.0.key(folder.trim_matches('/'));
        let mut listing = Listing::default();
        let mut pages = Arc::clone(&self.0).pages(folder, true);
        while let Some(page) = pages.try_next().await? {
            let names = |path: &Path| below(path, &at).map(str::to_owned);
            listing.folders.extend(page.common_prefixes.iter().filter_map(names));
            listing.objects.extend(page.objects.iter().filter_map(|object| names(&object.location)));
            if listing.folders.len() + listing.objects.len() > MOST_NAMES {
                let large = Fault::TooLarge { limit: MOST_NAMES as u64, unit: "names" };
                return Err(self.0.fault("list", &at, large));
            }
        }
        Ok(listing)
    }

    fn list_all(&self, folder: &str) -> BoxStream<'_, Result<Entry, StoreError>> {
        let at = self.0.key(folder.trim_matches('/'));
        let root = self.0.prefix.clone();
        let entries = move |page: ListResult| {
            let entry = |object: ObjectMeta| {
                below(&object.location, &at)?;
                let key = below(&object.location, &root)?.to_owned();
                Some(Ok(Entry { key, size: object.size }))
            };
            let entries: Vec<_> = page.objects.into_iter().filter_map(entry).collect();
            futures::stream::iter(entries)
        };
        Arc::clone(&self.0).pages(folder, false).map_ok(entries).try_flatten().boxed()
    }

    async fn write(&self, key: &str, content: Content<'_>) -> Result<u64, StoreError> {
        let act = self.0.act("write", key)?;
        Ok(self.0.upload(&act, content, PutMode::Overwrite).await?.unwrap_or_default())
    }

    async fn create_from(&self, key: &str, content: Content<'_>) -> Result<Creation, StoreError> {
        let act = self.0.act("create", key)?;
        Ok(match self.0.upload(&act, content, PutMode::Create).await? {
            Some(_) => Creation::Created,
            None => Creation::AlreadyExists,
        })
    }

    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError> {
        let act = self.0.act("replace", key)?;
        let found = match self.0.client.get(&act.path).await {
            Ok(found) if found.meta.size == present.len() as u64 => found,
            Ok(_) => return Ok(Replacement::Changed),
            Err(error) if fault::is_absence(&error) => return Ok(Replacement::Changed),
            Err(error) => return Err(self.0.failed(&act, &error)),
        };
        let version = UpdateVersion { e_tag: found.meta.e_tag.clone(), version: found.meta.version.clone() };
        let object = Object {
            size: found.meta.size,
            content: futures::stream::try_unfold(
                Reading::new(Arc::clone(&self.0), act.clone(), found),
                Reading::next,
            )
            .boxed(),
        };
        if object.collect(present.len() as u64).await?.as_ref() != Some(present) {
            return Ok(Replacement::Changed);
        }
        let options =
            PutOptions { mode: PutMode::Update(version), tags: self.0.tags.clone(), ..PutOptions::default() };
        match self.0.client.put_opts(&act.path, PutPayload::from(content), options).await {
            Ok(_) => Ok(Replacement::Replaced),
            Err(error) if fault::is_absence(&error) || fault::is_conflict(&error) => Ok(Replacement::Changed),
            Err(error) => Err(self.0.failed(&act, &error)),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let act = self.0.act("delete", key)?;
        let delete = async {
            match self.0.client.delete(&act.path).await {
                Err(error) if !fault::is_absence(&error) => Err(self.0.failed(&act, &error)),
                _ => Ok(()),
            }
        };
        self.0.in_time("delete", key, delete).await
    }

    async fn signed_url(&self, key: &str, lifetime: Duration) -> Result<String, StoreError> {
        let act = self.0.act("sign a URL for", key)?;
        let sign = async {
            let url = self.0.signer.signed_url(Method::GET, &act.path, lifetime).await;
            url.map(String::from).map_err(|error| self.0.failed(&act, &error))
        };
        self.0.in_time("sign a URL for", key, sign).await
    }
}
