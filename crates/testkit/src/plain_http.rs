//! One GET over plain HTTP, spoken by hand: needs no client, no signature, no TLS.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Status and body of the answer of `host`, an address with a port. For servers that send the body in one piece.
///
/// # Errors
/// Nobody answers, or not in HTTP.
pub async fn get(host: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("no HTTP answer: `{head}`")))?;
    Ok((status, body.to_owned()))
}
