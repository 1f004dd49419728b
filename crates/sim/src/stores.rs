//! Object stores in memory, and the way there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use kurator_store::{
    Content, Creation, Entry, Fault, Listing, Location, Memory, Object, Open, Replacement, Store, StoreError,
};

use crate::history::History;
use crate::life::{Life, Write};
use crate::steps;
use crate::weather::{Fate, Weather};

/// Name of the stores' place in the weather.
pub const PLACE: &str = "store";

/// Key by which the stores are first reached.
pub const FIRST_KEY: &str = "first-key";

/// All buckets of a world, by name, and the key to them.
#[derive(Clone)]
pub struct Buckets {
    all: Arc<Mutex<HashMap<String, Arc<Memory>>>>,
    key: Arc<Mutex<String>>,
}

impl Default for Buckets {
    fn default() -> Self {
        Self { all: Arc::default(), key: Arc::new(Mutex::new(FIRST_KEY.to_owned())) }
    }
}

impl Buckets {
    /// The bucket of this name.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Arc<Memory> {
        let mut buckets = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(buckets.entry(name.to_owned()).or_default())
    }

    /// From here on nobody is let in with the key that was.
    pub fn change_key(&self, key: &str) {
        key.clone_into(&mut self.key.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn lets_in(&self, credential: &str) -> bool {
        credential.contains(self.key.lock().unwrap_or_else(PoisonError::into_inner).as_str())
    }
}

/// Opens the buckets for a process.
pub struct Stores {
    /// What there is.
    pub buckets: Buckets,
    /// Of the process.
    pub life: Life,
    /// On the way.
    pub weather: Arc<Weather>,
    /// Where every request is written down.
    pub history: Arc<History>,
}

#[async_trait]
impl Open for Stores {
    async fn open(&self, location: &Location) -> Result<Arc<dyn Store>, StoreError> {
        let memory = self.buckets.bucket(&location.bucket);
        let prefix = match location.prefix.trim_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let credential = location.credential.as_deref().unwrap_or_default();
        let way = Way {
            buckets: self.buckets.clone(),
            credential: String::from_utf8_lossy(credential).into_owned(),
            life: self.life.clone(),
            weather: Arc::clone(&self.weather),
            history: Arc::clone(&self.history),
        };
        Ok(Arc::new(Reached { memory, prefix, way }))
    }
}

struct Way {
    buckets: Buckets,
    credential: String,
    life: Life,
    weather: Arc<Weather>,
    history: Arc<History>,
}

impl Way {
    /// Whether the answer is heard, once the request has had its effect.
    async fn before(&self, action: &'static str, key: &str, is_write: bool) -> Result<bool, StoreError> {
        let what = format!("{action} {key}");
        let fate = self.weather.fate(PLACE, &what, false);
        self.history.asked(PLACE, &what, fate);
        match fate {
            Fate::Passes => {}
            Fate::Late(by) => tokio::time::sleep(by).await,
            Fate::Lost if is_write => {}
            Fate::OutOfReach | Fate::Refused | Fate::Lost | Fate::Cut(_) | Fate::Answered(_) => {
                return Err(failed(action, key));
            }
        }
        if !self.buckets.lets_in(&self.credential) {
            let said = "the key is not the right one".to_owned();
            return Err(refused(action, key, Fault::CredentialRefused { endpoint: PLACE.to_owned(), said }));
        }
        let write =
            if is_write { self.life.write(&steps::of_key(action, key), &self.history) } else { Write::Goes };
        match write {
            Write::Never | Write::WouldBeTheLast => Err(failed(action, key)),
            Write::IsTheLast => Ok(false),
            Write::Goes if self.life.over().is_cancelled() => Err(failed(action, key)),
            Write::Goes => Ok(fate != Fate::Lost),
        }
    }
}

impl Way {
    /// Takes down what is written.
    fn heard<'a>(&self, content: Content<'a>) -> Content<'a> {
        let history = Arc::clone(&self.history);
        content.inspect(move |piece| history.bytes(piece.as_deref().unwrap_or_default())).boxed()
    }
}

fn failed(action: &'static str, key: &str) -> StoreError {
    refused(action, key, Fault::OutOfReach { endpoint: PLACE.to_owned(), why: "the storm".to_owned() })
}

fn refused(action: &'static str, key: &str, fault: Fault) -> StoreError {
    StoreError::Request { action, key: key.to_owned(), bucket: "memory".to_owned(), fault }
}

/// A store as a process reaches it.
struct Reached {
    memory: Arc<Memory>,
    prefix: String,
    way: Way,
}

impl Reached {
    fn at(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn change<T>(
        &self,
        action: &'static str,
        key: &str,
        change: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let heard = self.way.before(action, &self.at(key), true).await?;
        let done = change.await?;
        if heard { Ok(done) } else { Err(failed(action, key)) }
    }
}

#[async_trait]
impl Store for Reached {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.way.before("read", &self.at(key), false).await?;
        let read = self.memory.get(&self.at(key)).await?;
        self.way.history.bytes(read.as_deref().unwrap_or_default());
        Ok(read)
    }

    async fn read(&self, key: &str) -> Result<Option<Object>, StoreError> {
        self.way.before("read", &self.at(key), false).await?;
        self.memory.read(&self.at(key)).await
    }

    async fn head(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.way.before("look at", &self.at(key), false).await?;
        self.memory.head(&self.at(key)).await
    }

    async fn list(&self, folder: &str) -> Result<Listing, StoreError> {
        self.way.before("list", &self.at(folder), false).await?;
        self.memory.list(&self.at(folder)).await
    }

    fn list_all(&self, folder: &str) -> BoxStream<'_, Result<Entry, StoreError>> {
        let folder = self.at(folder);
        let strip = move |entry: Entry| Entry {
            key: entry.key.strip_prefix(&self.prefix).unwrap_or(&entry.key).to_owned(),
            ..entry
        };
        let asked = async move {
            match self.way.before("list", &folder, false).await {
                Ok(_) => self.memory.list_all(&folder),
                Err(error) => futures::stream::once(async { Err(error) }).boxed(),
            }
        };
        futures::stream::once(asked).flatten().map(move |entry| entry.map(&strip)).boxed()
    }

    async fn write(&self, key: &str, content: Content<'_>) -> Result<u64, StoreError> {
        let at = self.at(key);
        self.change("write", key, self.memory.write(&at, self.way.heard(content))).await
    }

    async fn create_from(&self, key: &str, content: Content<'_>) -> Result<Creation, StoreError> {
        let at = self.at(key);
        self.change("create", key, self.memory.create_from(&at, self.way.heard(content))).await
    }

    async fn replace(&self, key: &str, present: &Bytes, content: Bytes) -> Result<Replacement, StoreError> {
        let at = self.at(key);
        self.change("replace", key, self.memory.replace(&at, present, content)).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let at = self.at(key);
        self.change("delete", key, self.memory.delete(&at)).await
    }

    async fn signed_url(&self, key: &str, lifetime: Duration) -> Result<String, StoreError> {
        self.memory.signed_url(&self.at(key), lifetime).await
    }
}
