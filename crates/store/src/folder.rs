//! A folder of this machine as a store.
//!
//! Opened only below a folder that the caller allows, and nothing in it leads out: symbolic links are refused on the
//! way to an object and passed over in lists. Writes are staged in a folder of its own and appear whole. Whoever else can
//! write into the folder is trusted with what is in it.

mod files;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use crate::config::Settings;
use crate::{
    Content, Creation, Entry, Fault, Listing, Location, Object, Replacement, SMALL_OBJECT, Store, StoreError,
};
use files::{Root, Staged, Walk};

/// How much of a file is read at once.
const PIECE: u64 = 256 << 10;

pub(crate) fn open(
    location: &Location,
    settings: &Settings<'_>,
    allowed: Option<&Path>,
) -> Result<Arc<dyn Store>, StoreError> {
    let fault = |why: String| StoreError::settings("config.path", why);
    let Some(path) = settings.text("path") else {
        return Err(fault("is missing; name the folder that holds the bucket's".to_owned()));
    };
    let Some(allowed) = allowed else {
        return Err(fault(format!("`{path}` is not used: local folders are not allowed here")));
    };
    let resolved = |path: &Path| {
        std::fs::canonicalize(path)
            .map_err(|error| fault(format!("`{}` cannot be used ({error}); make the folder", path.display())))
    };
    let (allowed, root) = (resolved(allowed)?, resolved(&Path::new(path).join(&location.bucket))?);
    if !root.starts_with(&allowed) {
        return Err(fault(format!(
            "`{path}` with bucket `{}` lies outside `{}`; use a folder below it",
            location.bucket,
            allowed.display()
        )));
    }
    let root = Root::open(root).map_err(|error| fault(format!("`{path}` cannot be written ({error})")))?;
    Ok(Arc::new(Folder {
        root: Arc::new(root),
        bucket: location.bucket.clone(),
        prefix: location.folder().to_owned(),
    }))
}

/// A folder whose files are objects.
#[derive(Clone)]
struct Folder {
    root: Arc<Root>,
    bucket: String,
    prefix: String,
}

/// What is done to which object.
#[derive(Clone)]
struct Act {
    folder: Folder,
    action: &'static str,
    key: String,
}

impl Act {
    fn failed(&self, error: &io::Error) -> StoreError {
        let endpoint = self.folder.root.shown();
        let said = error.to_string();
        self.fault(match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full { endpoint, said },
            io::ErrorKind::NotFound if self.folder.root.is_gone() => Fault::BucketMissing { endpoint },
            io::ErrorKind::NotFound => Fault::NotFound { endpoint, said },
            _ => Fault::Answer { endpoint, said },
        })
    }

    fn fault(&self, fault: Fault) -> StoreError {
        let Self { folder, action, key } = self;
        StoreError::Request { action, key: key.clone(), bucket: folder.bucket.clone(), fault }
    }

    /// Does what waits for the disk where it holds nobody up.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (root, key) = (Arc::clone(&self.folder.root), self.key.clone());
        let done = tokio::task::spawn_blocking(move || work(&root, &key)).await;
        done.map_err(io::Error::other).flatten().map_err(|error| self.failed(&error))
    }

    /// As [`Act::with`], for what may not be there.
    async fn find<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Root, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        match self.with(work).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.fault(), Some(Fault::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Folder {
    fn act(&self, action: &'static str, key: &str) -> Act {
        let key = match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        Act { folder: self.clone(), action, key }
    }

    fn object(&self, action: &'static str, key: &str) -> Result<Act, StoreError> {
        let act = self.act(action, key);
        if key.is_empty() || !files::is_key(&act.key) {
            return Err(act.fault(Fault::Unsupported(crate::key::NO_KEY)));
        }
        Ok(act)
    }

    fn folder(&self, folder: &str) -> Result<Act, StoreError> {
        let act = self.act("list", folder.trim_matches('/'));
        if act.key.is_empty() || files::is_key(&act.key) {
            return Ok(act);
        }
        Err(act.fault(Fault::Unsupported(crate::key::NO_KEY)))
    }

    /// Everything that is to be written, in a file that nobody sees yet.
    async fn stage(act: &Act, mut content: Content<'_>) -> Result<Staged, StoreError> {
        let mut staged = act.with(|root, _| root.stage()).await?;
        while let Some(piece) = content.try_next().await.map_err(|error| act.fault(Fault::Content(error)))? {
            staged = act
                .with(move |_, _| {
                    staged.append(&piece)?;
                    Ok(staged)
                })
                .await?;
        }
        Ok(staged)
    }
}

#[async_trait]
impl Store for Folder {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let Some(object) = self.read(key).await? else { return Ok(None) };
        let large = Fault::TooLarge { limit: SMALL_OBJECT, unit: "bytes" };
        object.collect(SMALL_OBJECT).await?.ok_or_else(|| self.act("read", key).fault(large)).map(Some)
    }

    async fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        let act = self.object("read", key)?;
        let Some((file, size)) = act.find(|root, key| root.open_file(key)).await? else { return Ok(None) };
        let content = futures::stream::try_unfold((act, Some(file), 0), move |(act, file, at)| async move {
            let Some(mut file) = file.filter(|_| at < size) else { return Ok(None) };
            let (file, piece) = act
                .with(move |_, _| {
                    let piece = files::read_piece(&mut file, PIECE.min(size - at))?;
                    Ok((file, piece))
                })
                .await?;
            if piece.is_empty() {
                let endpoint = act.folder.root.shown();
                return Err(act.fault(Fault::WrongLength { endpoint, got: at, size }));
            }
            let at = at + piece.len() as u64;
            Ok(Some((piece, (act, Some(file), at))))
        });
        Ok(Some(Object { size, content: content.boxed() }))
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let act = self.object("read", key)?;
        act.find(|root, key| root.open_file(key).map(|(_, size)| size)).await
    }

    async fn list(&self, folder: &str) -> Result<Listing, StoreError> {
        let act = self.folder(folder)?;
        let level = act.find(|root, folder| root.level(folder)).await?.unwrap_or_default();
        let mut listing = Listing::default();
        for found in level {
            if found.size.is_some() { &mut listing.objects } else { &mut listing.folders }.push(found.name);
        }
        Ok(listing)
    }

    fn list_all(&self, folder: &str) -> BoxStream<'_, Result<Entry, StoreError>> {
        let act = match self.folder(folder) {
            Ok(act) => act,
            Err(error) => return futures::stream::once(async { Err(error) }).boxed(),
        };
        let walk = Walk::of(&act.key);
        let strip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let levels = futures::stream::try_unfold((act, walk), move |(act, mut walk)| async move {
            let (found, walk) = act
                .with(move |root, _| {
                    let found = walk.next_level(root)?;
                    Ok((found, walk))
                })
                .await?;
            let Some(found) = found else { return Ok(None) };
            let entry =
                |(key, size): (String, u64)| Some(Ok(Entry { key: key.get(strip..)?.to_owned(), size }));
            let entries: Vec<_> = found.into_iter().filter_map(entry).collect();
            Ok::<_, StoreError>(Some((futures::stream::iter(entries), (act, walk))))
        });
        levels.try_flatten().boxed()
    }

    async fn write(&self, key: &str, content: Content<'_>) -> Result<u64, StoreError> {
        let act = self.object("write", key)?;
        let staged = Self::stage(&act, content).await?;
        act.with(|root, key| root.publish(staged, key)).await
    }

    async fn create_from(&self, key: &str, content: Content<'_>) -> Result<Creation, StoreError> {
        let act = self.object("create", key)?;
        let staged = Self::stage(&act, content).await?;
        match act.with(|root, key| root.publish_new(staged, key)).await? {
            true => Ok(Creation::Created),
            false => Ok(Creation::AlreadyExists),
        }
    }

    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError> {
        let act = self.object("replace", key)?;
        let present = present.clone();
        match act.find(move |root, key| root.replace(key, &present, &content)).await? {
            Some(true) => Ok(Replacement::Replaced),
            Some(false) | None => Ok(Replacement::Changed),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let act = self.object("delete", key)?;
        act.find(|root, key| root.delete(key)).await.map(drop)
    }

    async fn signed_url(&self, key: &str, _: Duration) -> Result<String, StoreError> {
        let act = self.object("sign a URL for", key)?;
        Err(act.fault(Fault::Unsupported("a local folder has no URLs; read the file itself")))
    }
}

#[cfg(test)]
mod tests;
