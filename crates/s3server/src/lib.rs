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
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use kurator_listen::listen;
use rand::{TryRng as _, rngs::SysRng};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use folder::Folder;

/// Connections at the same time; more wait until one ends.
const CONNECTIONS: usize = 512;
/// Longest time for the head of a request. Who reads an answer slowly has shown the key, and holds one connection.
const PATIENCE: Duration = Duration::from_secs(10);

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
        let folder = Folder::new(root);
        if let Err(error) = folder.sweep().await {
            tracing::warn!(error = ?error, "cannot remove abandoned uploads");
        }
        let (access_key, secret_key) = (random::<10>()?, random::<20>()?);
        let mut service = S3ServiceBuilder::new(folder);
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
    pub async fn serve(self, end: CancellationToken) {
        let service = self.service;
        let serve = |stream| serve_one(stream, service.clone(), end.clone());
        listen(&self.listener, CONNECTIONS, &end, serve).await;
    }
}

async fn serve_one(stream: TcpStream, service: S3Service, end: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error = %error, "a connection broke");
    }
}

/// Random bytes from the system, as hexadecimal digits.
fn random<const BYTES: usize>() -> Result<String, S3Error> {
    let mut bytes = [0; BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| S3Error::Randomness(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
