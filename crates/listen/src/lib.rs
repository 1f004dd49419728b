//! Connections that come to a listener: so many at the same time, and none that is left alone at the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a connection could not be accepted, as without free file descriptors.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// Hands each connection to `serve`, `room` of them at the same time, until `end`; more wait in the system's queue until
/// one ends. Returns when all that `serve` has begun has ended: it hears of `end` in its own way.
pub async fn listen<S: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    room: usize,
    end: &CancellationToken,
    serve: impl Fn(TcpStream) -> S,
) {
    let (room, connections) = (Arc::new(Semaphore::new(room)), TaskTracker::new());
    let accept = async {
        // The semaphore is never closed.
        while let Ok(place) = Arc::clone(&room).acquire_owned().await {
            match accept(listener).await {
                Ok(stream) => {
                    let served = serve(stream);
                    connections.spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection");
                    tokio::time::sleep(AFTER_REFUSAL).await;
                }
            }
        }
    };
    tokio::select! {
        // Before those who have come meanwhile.
        biased;
        () = end.cancelled() => {}
        () = accept => {}
    }
    connections.close();
    connections.wait().await;
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Small answers must not wait for one another.
    let _slower = stream.set_nodelay(true);
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Answers each byte until its client leaves.
    async fn echo(mut stream: TcpStream) {
        while let Ok(byte) = stream.read_u8().await {
            if stream.write_u8(byte).await.is_err() {
                return;
            }
        }
    }

    async fn answers(client: &mut TcpStream) -> bool {
        client.write_u8(7).await.is_ok() && client.read_u8().await.is_ok_and(|byte| byte == 7)
    }

    #[tokio::test]
    async fn who_finds_no_room_is_served_when_somebody_has_left() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let clients = async {
            let mut first = TcpStream::connect(address).await.unwrap();
            let mut second = TcpStream::connect(address).await.unwrap();
            assert!(answers(&mut first).await);
            second.write_u8(7).await.unwrap();
            // One that is served answers in the order in which it was asked.
            for _ in 0..100 {
                assert!(answers(&mut first).await);
            }
            assert_eq!(second.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            drop(first);
            assert_eq!(second.read_u8().await.unwrap(), 7);
            drop(second);
            end.cancel();
        };
        tokio::join!(listen(&listener, 1, &end, echo), clients);
    }

    #[tokio::test]
    async fn at_the_end_nobody_new_is_served_and_what_is_under_way_is_waited_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let end = CancellationToken::new();
        let mut client = TcpStream::connect(address).await.unwrap();
        let listening = listen(&listener, 2, &end, echo);
        tokio::pin!(listening);
        tokio::select! {
            biased;
            () = &mut listening => panic!("ended before its end"),
            served = answers(&mut client) => assert!(served),
        }
        end.cancel();
        let mut late = TcpStream::connect(address).await.unwrap();
        late.write_u8(7).await.unwrap();
        tokio::select! {
            biased;
            () = &mut listening => panic!("somebody was left alone"),
            served = answers(&mut client) => assert!(served),
        }
        drop(client);
        listening.await;
        assert_eq!(late.try_read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
}
