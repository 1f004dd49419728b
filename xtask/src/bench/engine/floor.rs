//! What the API server itself can do: no engine can be faster on it.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt};
use http::Request;
use http_body_util::BodyExt;
use kube::Client;
use kurator_engine::call::Caller;
use kurator_engine::discover::discover;
use kurator_engine::types::ApiType;
use tokio::time::Instant;

use super::workload::Workload;

/// Objects per page, as in both engines.
const PAGE: usize = 500;
/// Requests side by side that are tried.
const SIDE_BY_SIDE: [usize; 4] = [8, 16, 32, 64];
/// Connections that are tried; each carries any number of requests.
const CONNECTIONS: [usize; 2] = [1, 4];

/// Seconds for the lists of all types side by side, thrown away.
pub(super) async fn lists(client: &Client) -> Result<f64> {
    let began = Instant::now();
    let catalog = discover(&Caller::new(client.clone())).await?;
    let lists = catalog.types.iter().filter(|api| api.can("list")).map(|api| list(client, api));
    futures::stream::iter(lists).buffer_unordered(16).try_collect::<()>().await?;
    Ok(began.elapsed().as_secs_f64())
}

async fn list(client: &Client, api: &ApiType) -> Result<()> {
    let mut next = String::new();
    loop {
        let path = format!("{}?limit={PAGE}&continue={next}", api.path(None));
        let answer = client.send(Request::get(&path).body(Vec::new().into())?).await?;
        let mut body = answer.into_body();
        // A token stands where the list begins or where it ends, never far from either.
        let (mut first, mut last) = (Vec::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.with_context(|| format!("GET {path}"))?.into_data() else { continue };
            if first.len() < LOOKED_AT {
                first.extend_from_slice(&piece);
            }
            last.extend_from_slice(&piece);
            let old = last.len().saturating_sub(LOOKED_AT);
            last.drain(..old);
        }
        first.truncate(LOOKED_AT);
        match token(&first).or_else(|| token(&last)) {
            Some(token) => next = token,
            None => return Ok(()),
        }
    }
}

/// Bytes at either end of a page in which its token is looked for.
const LOOKED_AT: usize = 1 << 10;

/// Where the next page begins.
fn token(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let (_, behind) = text.split_once("\"continue\":\"")?;
    let (token, _) = behind.split_once('"')?;
    (!token.is_empty()).then(|| token.to_owned())
}

/// Objects of one try, at most: the rate is that of the server and does not depend on their number.
const TRIED: usize = 20_000;

/// The best rate of bare creations of the same objects, in objects per second; each try is taken away again.
pub(super) async fn creations(
    workload: Workload,
    connect: &impl AsyncFn() -> Result<Client>,
    janitor: &Client,
) -> Result<f64> {
    let workload = workload.at_most(TRIED);
    let mut best = 0.0_f64;
    for connections in CONNECTIONS {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(connect().await?);
        }
        for side_by_side in SIDE_BY_SIDE {
            let seconds = workload.create(&clients, side_by_side, "bare", Some("bare")).await?;
            let rate = workload.objects as f64 / seconds;
            eprintln!(
                "bare loop, {side_by_side} requests over {connections} connections: {rate:.0} objects/s"
            );
            best = best.max(rate);
            workload.delete(janitor, "bare").await?;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_where_the_next_begins() {
        let page = br#"{"kind":"PodList","metadata":{"resourceVersion":"1","continue":"abc","remaining"#;
        assert_eq!(token(page).as_deref(), Some("abc"));
        assert_eq!(token(br#""metadata":{"continue":"","resourceVersion":"1"}"#), None);
    }
}
