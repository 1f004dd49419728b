//! A bad line to a server, on this machine's own address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};

/// How much is passed on at once.
const PIECE: usize = 16 << 10;

/// What is wrong with the line.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    Plain,
    /// Passes one piece of 16 KiB per direction in this time.
    Slow(Duration),
    /// Breaks once, after so many bytes from the server.
    CutOnce(u64),
}

/// A line that lasts as long as this value.
pub(crate) struct Proxy {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &str, manner: Manner) -> io::Result<Self> {
        let server: SocketAddr = server
            .trim_start_matches("http://")
            .parse()
            .map_err(|_| io::Error::other(format!("`{server}` is no address")))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut lines = JoinSet::new();
            let left = Arc::new(AtomicU64::new(match manner {
                Manner::CutOnce(after) => after,
                Manner::Plain | Manner::Slow(_) => u64::MAX,
            }));
            while let Ok((client, _)) = listener.accept().await {
                let left = Arc::clone(&left);
                lines.spawn(async move {
                    // However it ends, both sides see their connection end.
                    let _ = line(client, server, manner, &left).await;
                });
            }
        });
        Ok(Self { address, _task: task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

async fn line(client: TcpStream, server: SocketAddr, manner: Manner, left: &AtomicU64) -> io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = TcpStream::connect(server).await?.into_split();
    let endless = AtomicU64::new(u64::MAX);
    tokio::select! {
        done = pass(from_client, to_server, manner, &endless) => done,
        done = pass(from_server, to_client, manner, left) => done,
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    manner: Manner,
    left: &AtomicU64,
) -> io::Result<()> {
    let mut pace: Option<Interval> = match manner {
        Manner::Slow(pause) => Some(interval(pause)),
        Manner::Plain | Manner::CutOnce(_) => None,
    };
    let mut piece = vec![0; PIECE];
    loop {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return to.shutdown().await;
        }
        let before = left.load(Ordering::SeqCst);
        if before != u64::MAX {
            let after = before.saturating_sub(length as u64);
            if after == 0 {
                left.store(u64::MAX, Ordering::SeqCst);
                return Err(io::Error::other("cut"));
            }
            left.store(after, Ordering::SeqCst);
        }
        to.write_all(&piece[..length]).await?;
    }
}
