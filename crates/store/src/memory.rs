//! A store in this process's memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};

use crate::{Content, Creation, Entry, Fault, Listing, Object, Replacement, Store, StoreError, key};

/// A store that ends with the process: for trying out, simulation and tests. Writes appear whole, as everywhere.
#[derive(Default)]
pub struct Memory(Mutex<BTreeMap<String, Bytes>>);

impl Memory {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Bytes>> {
        // Every change is one insertion or removal: what a panicking holder leaves is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(action: &'static str, key: &str, fault: Fault) -> StoreError {
    StoreError::Request { action, key: key.to_owned(), bucket: "memory".to_owned(), fault }
}

/// As every store: what could not be kept elsewhere is not kept here.
fn check(action: &'static str, key: &str) -> Result<(), StoreError> {
    if key::is_key(key) { Ok(()) } else { Err(failed(action, key, Fault::Unsupported(key::NO_KEY))) }
}

async fn gather(action: &'static str, key: &str, mut content: Content<'_>) -> Result<Bytes, StoreError> {
    check(action, key)?;
    let mut all = BytesMut::new();
    let fault = |error| failed(action, key, Fault::Content(error));
    while let Some(piece) = content.try_next().await.map_err(fault)? {
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// What stands before the names in a folder.
fn prefix(folder: &str) -> String {
    match folder.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    }
}

#[async_trait]
impl Store for Memory {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        check("read", key)?;
        Ok(self.objects().get(key).cloned())
    }

    async fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        check("read", key)?;
        let found = self.objects().get(key).cloned();
        Ok(found.map(|content| Object {
            size: content.len() as u64,
            content: futures::stream::once(async { Ok(content) }).boxed(),
        }))
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, StoreError> {
        check("read", key)?;
        Ok(self.objects().get(key).map(|content| content.len() as u64))
    }

    async fn list(&self, folder: &str) -> Result<Listing, StoreError> {
        let prefix = prefix(folder);
        let (mut folders, mut objects) = (BTreeSet::new(), Vec::new());
        for key in self.objects().keys().filter_map(|key| key.strip_prefix(&prefix)) {
            match key.split_once('/') {
                Some((folder, _)) => drop(folders.insert(folder.to_owned())),
                None => objects.push(key.to_owned()),
            }
        }
        Ok(Listing { folders: folders.into_iter().collect(), objects })
    }

    fn list_all(&self, folder: &str) -> BoxStream<'_, Result<Entry, StoreError>> {
        let prefix = prefix(folder);
        let objects = self.objects();
        let below = objects.iter().filter(|(key, _)| key.starts_with(&prefix));
        let entry =
            |(key, content): (&String, &Bytes)| Entry { key: key.clone(), size: content.len() as u64 };
        let entries: Vec<_> = below.map(entry).map(Ok).collect();
        futures::stream::iter(entries).boxed()
    }

    async fn write(&self, key: &str, content: Content<'_>) -> Result<u64, StoreError> {
        let content = gather("write", key, content).await?;
        let length = content.len() as u64;
        self.objects().insert(key.to_owned(), content);
        Ok(length)
    }

    async fn create_from(&self, key: &str, content: Content<'_>) -> Result<Creation, StoreError> {
        let content = gather("create", key, content).await?;
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Ok(Creation::AlreadyExists);
        }
        objects.insert(key.to_owned(), content);
        Ok(Creation::Created)
    }

    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError> {
        check("replace", key)?;
        match self.objects().get_mut(key) {
            Some(held) if held == present => {
                *held = content;
                Ok(Replacement::Replaced)
            }
            _ => Ok(Replacement::Changed),
        }
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        check("delete", key)?;
        self.objects().remove(key);
        Ok(())
    }

    async fn signed_url(&self, key: &str, _: Duration) -> Result<String, StoreError> {
        Err(failed("sign a URL for", key, Fault::Unsupported("memory has no URLs")))
    }
}
