//! An S3 server inside a process: buckets in a folder, real signatures (SigV4), on a plain HTTP port of this machine.
//!
//! For trying out and tests. An object is a file, its key the path below the folder of its bucket: a key can't be both an
//! object and the beginning of another's (`a` and `a/b`), and no part of it is longer than a file name may be. It reads,
//! writes (also on conditions, and in parts), deletes and lists; it keeps no versions, no metadata and no locks, and
//! everything else is answered with 501.

mod folder;
mod list;
mod requests;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use rand::{TryRng as _, rngs::SysRng};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use folder::Folder;

/// Why buckets can't be served.
#[derive(Debug, thiserror::Error)]
pub enum S3Error {
    /// The address can't be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The folder of a bucket can't be made.
    #[error("cannot make folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system has no randomness for keys.
    #[error("cannot make an access key: {0}")]
    Randomness(String),
}

/// A server that listens, and the only key that it accepts.
pub struct S3Server {
    listener: TcpListener,
    address: SocketAddr,
    service: S3Service,
    access_key: String,
    secret_key: String,
}

impl S3Server {
    /// Region that requests must be signed for, as far as a client needs one.
    pub const REGION: &str = "us-east-1";

    /// Listens on `address`, where port 0 means any free one, for `buckets`, each a folder below `root`; what is in it
    /// already is served. The key is made anew at every start.
    ///
    /// # Errors
    /// [`S3Error`]: an address that can't be had, a folder that can't be made.
    pub async fn bind(address: SocketAddr, root: &Path, buckets: &[&str]) -> Result<Self, S3Error> {
        for bucket in buckets {
            let path = root.join(bucket);
            let made = tokio::fs::create_dir_all(&path).await;
            made.map_err(|source| S3Error::Folder { path, source })?;
        }
        let (access_key, secret_key) = (random::<10>()?, random::<20>()?);
        let mut service = S3ServiceBuilder::new(Folder::new(root));
        service.set_auth(SimpleAuth::from_single(access_key.clone(), secret_key.clone()));
        let listen = |source| S3Error::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, address, service: service.build(), access_key, secret_key })
    }

    /// URL for clients that name the bucket in the path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The public part of the key.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// The secret part of the key.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.secret_key
    }

    /// Answers until `end`, and then to its last request.
    ///
    /// # Errors
    /// The listener broke.
    pub async fn serve(self, end: CancellationToken) -> io::Result<()> {
        let service = self.service;
        let router = Router::new().fallback(move |request| answer(service.clone(), request));
        axum::serve(self.listener, router).with_graceful_shutdown(end.cancelled_owned()).await
    }
}

async fn answer(service: S3Service, request: Request) -> Response {
    match service.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            tracing::warn!(error = ?error, "the object store could not answer");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Random bytes from the system, as hexadecimal digits.
fn random<const BYTES: usize>() -> Result<String, S3Error> {
    let mut bytes = [0; BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| S3Error::Randomness(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
