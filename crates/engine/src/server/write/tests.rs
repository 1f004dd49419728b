use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;

use super::*;
use crate::testing::{ok, status};

fn end() -> End<'static> {
    End {
        whole: json!({"status": {"phase": "Completed", "progress": {"totalItems": 3}}}),
        phase: Some("Completed"),
        reason: None,
        at: Some(Timestamp::UNIX_EPOCH),
    }
}

fn target() -> Target {
    Target { path: "/x".to_owned(), uid: Some("u".to_owned()) }
}

type Patches = Arc<Mutex<Vec<Value>>>;

/// A server that has `there`, and answers the n-th patch, counted from 0, as told.
fn server(
    there: impl Fn() -> Response<Body> + Send + Sync + 'static,
    patched: impl Fn(usize) -> Response<Body> + Send + Sync + 'static,
) -> (Caller, Patches) {
    let patches = Patches::default();
    let (log, answers) = (Arc::clone(&patches), Arc::new((there, patched)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
        async move {
            if request.method() == Method::GET {
                return Ok::<_, Infallible>(answers.0());
            }
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let mut log = log.lock().unwrap();
            log.push(serde_json::from_slice(&body).unwrap());
            Ok(answers.1(log.len() - 1))
        }
    });
    (Caller::new(Client::new(service, "default")), patches)
}

fn with_uid(uid: &str) -> Response<Body> {
    ok(json!({"metadata": {"uid": uid}}).to_string())
}

fn nothing() -> Response<Body> {
    status(404, "NotFound", "not found")
}

#[tokio::test(start_paused = true)]
async fn an_end_that_is_not_taken_now_is_written_later() {
    for code in [403, 404, 409, 503] {
        let taken = move |n| if n < 20 { status(code, "", "not now") } else { ok("{}") };
        let (caller, patches) = server(|| with_uid("u"), taken);
        tell_end(&caller, &target(), &end(), || true, |_| {}).await;
        let patches = patches.lock().unwrap();
        assert_eq!(patches.len(), 21, "{code}");
        assert_eq!(patches[20]["metadata"]["uid"], "u", "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_to_one_that_is_gone_or_to_another_of_its_name() {
    let another: fn() -> Response<Body> = || with_uid("other");
    for (there, code, shown) in
        [(nothing as fn() -> _, 404, false), (another, 409, true), (another, 422, true)]
    {
        let (caller, patches) = server(there, move |_| status(code, "", "no"));
        tell_end(&caller, &target(), &end(), || shown, |_| {}).await;
        assert_eq!(patches.lock().unwrap().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_the_watch_shows_is_not_gone_since_a_server_says_so_once() {
    let taken = |n| if n == 0 { nothing() } else { ok("{}") };
    let (caller, patches) = server(nothing, taken);
    tell_end(&caller, &target(), &end(), || true, |_| {}).await;
    assert_eq!(patches.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn of_a_status_that_is_refused_for_good_the_least_is_written_with_the_refusal() {
    for code in [400, 413, 422] {
        let taken = move |n| if n == 0 { status(code, "Invalid", "no such field") } else { ok("{}") };
        let (caller, patches) = server(|| with_uid("u"), taken);
        tell_end(&caller, &target(), &end(), || true, |_| {}).await;
        let patches = patches.lock().unwrap();
        assert_eq!(patches.len(), 2, "{code}");
        assert_eq!(
            patches[1],
            json!({"metadata": {"uid": "u"}, "status": {
                "phase": "Completed", "completionTimestamp": "1970-01-01T00:00:00Z",
                "failureReason": "the API server refuses the whole status of this run: no such field",
            }})
        );
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_least_is_refused_too_nothing_is_repeated() {
    let (caller, patches) = server(|| with_uid("u"), |_| status(422, "Invalid", "no"));
    tell_end(&caller, &target(), &end(), || true, |_| {}).await;
    assert_eq!(patches.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_has_to_allow_is_said_and_tried_ever_less_often() {
    for code in [401, 403] {
        let taken = move |n| if n < 6 { status(code, "", "not you") } else { ok("{}") };
        let (caller, _) = server(|| with_uid("u"), taken);
        let (began, mut said) = (Instant::now(), Vec::new());
        let refused = |error: &CallError| said.push((began.elapsed().as_secs(), error.to_string()));
        tell_end(&caller, &target(), &end(), || true, refused).await;
        let expected = [0, 5, 15, 35, 75, 135].map(|at| (at, "not you".to_owned()));
        assert_eq!(said, expected, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_now_is_nobodys_refusal() {
    for code in [404, 409, 422, 503] {
        let taken = move |n| if n == 0 { status(code, "", "not now") } else { ok("{}") };
        let (caller, _) = server(|| with_uid("u"), taken);
        tell_end(&caller, &target(), &end(), || true, |error| panic!("{code}: {error}")).await;
    }
}
