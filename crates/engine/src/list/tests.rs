use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;
use kube::Client;
use kube::client::Body;

use super::*;
use crate::testing::{ok, server, status};

fn item(name: &str) -> String {
    format!(r#"{{"metadata":{{"name":"{name}","namespace":"a"}}}}"#)
}

fn answer(names: &[&str], next: &str) -> String {
    let items: Vec<_> = names.iter().map(|name| item(name)).collect();
    format!(r#"{{"kind":"L","metadata":{{"continue":"{next}"}},"items":[{}]}}"#, items.join(","))
}

async fn names(caller: &Caller) -> Result<Vec<String>, CallError> {
    let mut names = Vec::new();
    let request = ListRequest { path: "/api/v1/pods".into(), selector: "a in (b,c)".into() };
    let mut list = Lister::new(caller, request);
    while let Some(item) = list.next().await? {
        let named: Named = serde_json::from_slice(&item).unwrap();
        names.push(named.metadata.name);
    }
    Ok(names)
}

#[tokio::test(start_paused = true)]
async fn all_pages_are_read_with_the_same_selector() {
    let (caller, log) = server(|n, _| match n {
        0 => ok(answer(&["x", "y"], "t1")),
        _ => ok(answer(&["z"], "")),
    });
    assert_eq!(names(&caller).await.unwrap(), ["x", "y", "z"]);
    assert_eq!(
        log.paths(),
        [
            "/api/v1/pods?limit=500&labelSelector=a+in+%28b%2Cc%29",
            "/api/v1/pods?limit=500&labelSelector=a+in+%28b%2Cc%29&continue=t1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_cut_off_is_read_again_and_nothing_is_handed_out_twice() {
    let (caller, _) = server(|n, _| {
        let whole = answer(&["x", "y", "z"], "");
        match n {
            0 => ok(&whole[..whole.len() - 40]),
            _ => ok(whole),
        }
    });
    assert_eq!(names(&caller).await.unwrap(), ["x", "y", "z"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_has_grown_too_old_goes_on_where_it_stood() {
    let (caller, log) = server(|n, _| match n {
        0 => ok(answer(&["x"], "old")),
        1 => {
            let body = r#"{"reason":"Expired","message":"too old","metadata":{"continue":"fresh"}}"#;
            http::Response::builder().status(410).body(Body::from(body.as_bytes().to_vec())).unwrap()
        }
        _ => ok(answer(&["y"], "")),
    });
    assert_eq!(names(&caller).await.unwrap(), ["x", "y"]);
    assert!(log.paths()[2].ends_with("continue=fresh"), "{:?}", log.paths());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_list_with_the_servers_words() {
    let (caller, _) = server(|_, _| status(403, "Forbidden", "pods is forbidden"));
    assert_eq!(names(&caller).await.unwrap_err().to_string(), "pods is forbidden");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_list_is_not_asked_for_again() {
    let (caller, log) = server(|_, _| ok("[]"));
    let said = names(&caller).await.unwrap_err().to_string();
    assert_eq!(
        said,
        "an unusable answer from the API server: the answer to a list request is not a list: it is no object"
    );
    assert_eq!(log.paths().len(), 1);
}

/// A way to a server that answers everything with `answer`, piece by piece, and how often it was asked.
fn in_pieces(answer: String) -> (Caller, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = tower::service_fn(move |_: http::Request<Body>| {
        count.fetch_add(1, Relaxed);
        let pieces: Vec<_> = answer.as_bytes().chunks(16 << 10).map(<[u8]>::to_vec).collect();
        let frames = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
        let body = StreamBody::new(futures::stream::iter(frames));
        async { Ok::<_, Infallible>(http::Response::new(body)) }
    });
    (Caller::new(Client::new(service, "default")), asked)
}

#[tokio::test(start_paused = true)]
async fn a_large_item_waits_without_a_request_while_another_list_reads_one() {
    let large = format!(
        r#"{{"metadata":{{}},"items":[{},{{"metadata":{{"name":"large"}},"x":"{}"}}]}}"#,
        item("small"),
        "y".repeat(2 * LARGE)
    );
    let (caller, asked) = in_pieces(large);
    let other = Arc::clone(caller.large()).try_acquire_owned().unwrap();
    let mut list =
        Lister::new(&caller, ListRequest { path: "/api/v1/pods".into(), ..ListRequest::default() });
    assert_eq!(list.next().await.unwrap().unwrap(), item("small").into_bytes());
    {
        let mut next = std::pin::pin!(list.next());
        assert!(futures::poll!(&mut next).is_pending());
        drop(other);
        assert_eq!(asked.load(Relaxed), 1);
        assert!(next.await.unwrap().unwrap().len() > 2 * LARGE);
    }
    assert!(caller.large().try_acquire().is_err());
    assert_eq!(list.next().await.unwrap(), None);
    assert_eq!(asked.load(Relaxed), 2);
    assert!(caller.large().try_acquire().is_ok());
}
