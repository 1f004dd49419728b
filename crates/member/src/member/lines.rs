//! The body of a watch, line by line.
//!
//! A watch of a quiet kind goes on for minutes without a byte, and a hub has thousands of them: while nothing comes, no
//! buffer is held.

use std::io;

use futures::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Longest line in bytes: several times what an API server stores of one object.
const LONGEST: usize = 16 << 20;

/// The next line, without its end; `None` at the end of the body, where half a line is none.
///
/// # Errors
/// The connection broke otherwise than by ending, or the line is too long.
pub(super) async fn next(body: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    match body.take(LONGEST as u64).read_until(b'\n', &mut line).await {
        Ok(_) => {}
        Err(error) if is_end(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(line));
    }
    if line.len() < LONGEST {
        return Ok(None);
    }
    Err(io::Error::other(format!("a line of a watch is longer than {} MiB", LONGEST >> 20)))
}

/// Servers, and what is on the way to them, end long watches without a word.
fn is_end(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut causes = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|io| io.kind() == io::ErrorKind::UnexpectedEof)
        || error.to_string().contains("unexpected EOF during chunk")
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt as _, stream};

    use super::*;

    /// Lines of a body that comes in these pieces.
    async fn lines(pieces: Vec<io::Result<Vec<u8>>>) -> io::Result<Vec<String>> {
        let mut body = stream::iter(pieces).into_async_read();
        let mut all = Vec::new();
        while let Some(line) = next(&mut body).await? {
            all.push(String::from_utf8(line).unwrap());
        }
        Ok(all)
    }

    #[tokio::test]
    async fn lines_are_the_same_however_they_are_cut_up() {
        let text = "one\ntwo\n\nfour\nhalf";
        for size in 1..=text.len() {
            let pieces = text.as_bytes().chunks(size).map(|chunk| Ok(chunk.to_vec()));
            assert_eq!(lines(pieces.collect()).await.unwrap(), ["one", "two", "", "four"], "{size}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_ends_is_the_end_and_one_that_breaks_is_an_error() {
        let one = || Ok(b"one\n".to_vec());
        let ends =
            io::Error::other(kube::Error::Service(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        assert_eq!(lines(vec![one(), Err(ends)]).await.unwrap(), ["one"]);
        let breaks = io::Error::from(io::ErrorKind::ConnectionReset);
        assert!(lines(vec![one(), Err(breaks)]).await.is_err());
    }

    #[tokio::test]
    async fn a_line_without_end_is_an_error() {
        let endless = (0..=LONGEST >> 20).map(|_| Ok(vec![b'x'; 1 << 20]));
        let error = lines(endless.collect()).await.unwrap_err();
        assert_eq!(error.to_string(), "a line of a watch is longer than 16 MiB");
    }
}
