//! Why a store could not do what was asked, in words that users read.
//!
//! Nothing here ever carries a credential: what a server says passes through [`crate::words`] before it gets here.

use std::io;
use std::time::Duration;

/// Why a store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What describes the store is wrong; somebody must edit it.
    #[error("{at}: {why}")]
    Settings {
        /// The field, as a BackupStorageLocation names it: `provider`, `config.region`, `credential`.
        at: String,
        /// The value and the remedy.
        why: String,
    },
    /// A request failed for good, after bounded retries.
    #[error("cannot {action} `{key}` in bucket `{bucket}`")]
    Request {
        /// `read`, `list`, `create`, `write`, `replace`, `delete` or `sign a URL for`.
        action: &'static str,
        /// The key or folder, with the prefix of the location.
        key: String,
        /// The bucket.
        bucket: String,
        /// What went wrong.
        #[source]
        fault: Fault,
    },
}

impl StoreError {
    /// What went wrong with a request; `None` for settings.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Settings { .. } => None,
            Self::Request { fault, .. } => Some(fault),
        }
    }

    pub(crate) fn settings(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Settings { at: at.into(), why: why.into() }
    }
}

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The server does not accept who asks.
    #[error("`{endpoint}` refuses the credential; check its keys, and this machine's clock ({said})")]
    CredentialRefused {
        /// The service.
        endpoint: String,
        /// The server's words.
        said: String,
    },
    /// The server knows who asks, and says no.
    #[error("`{endpoint}` denies this ({said}); grant it to the credential")]
    Denied {
        /// The service.
        endpoint: String,
        /// The server's words.
        said: String,
    },
    /// The server keeps this bucket, or signatures, in another region.
    #[error("`{endpoint}` expects another region ({said}); set config.region")]
    WrongRegion {
        /// The service.
        endpoint: String,
        /// The server's words.
        said: String,
    },
    /// There is no such bucket.
    #[error("`{endpoint}` has no such bucket; create it or correct its name")]
    BucketMissing {
        /// The service, or the folder that should hold it.
        endpoint: String,
    },
    /// The object is not, or no longer, there.
    #[error("`{endpoint}` does not find it ({said})")]
    NotFound {
        /// The service.
        endpoint: String,
        /// Its words.
        said: String,
    },
    /// No connection, or one that broke.
    #[error("`{endpoint}` is out of reach: {why}")]
    OutOfReach {
        /// The service.
        endpoint: String,
        /// What the network said.
        why: String,
    },
    /// It went silent.
    #[error("`{endpoint}` was silent for {} s", after.as_secs_f32())]
    TimedOut {
        /// The service.
        endpoint: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// There is no room for more.
    #[error("`{endpoint}` is full ({said}); make room or raise its quota")]
    Full {
        /// The service or folder.
        endpoint: String,
        /// Its words.
        said: String,
    },
    /// The object, or the list, is larger than what the caller is ready to take.
    #[error("it is larger than {limit} {unit}, which is not expected here; look at what wrote it")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// `bytes` or `names`.
        unit: &'static str,
    },
    /// The content ended early or late.
    #[error("`{endpoint}` sent {got} of {size} bytes")]
    WrongLength {
        /// The service.
        endpoint: String,
        /// Length of what came.
        got: u64,
        /// Length that was announced.
        size: u64,
    },
    /// Whoever delivers the content that was to be written failed.
    #[error("what was to be written could not be produced")]
    Content(#[source] io::Error),
    /// This kind of store has no such thing.
    #[error("{0}")]
    Unsupported(&'static str),
    /// Anything else that a server or file system says.
    #[error("`{endpoint}` answers: {said}")]
    Answer {
        /// The service or folder.
        endpoint: String,
        /// Its words.
        said: String,
    },
}
