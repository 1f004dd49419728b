use super::attempt::ATTEMPTS;
use super::*;
use crate::testing::{ok, server, status};

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_no_error() {
    let (caller, _) = server(|_, _| status(404, "NotFound", "pods \"a\" not found"));
    assert!(caller.get("/api/v1/namespaces/a/pods/a").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_comes_back_at_once_in_the_servers_words() {
    let (caller, log) =
        server(|_, _| status(403, "Forbidden", "admission webhook \"x\" denied the request: no"));
    let refused = caller.create("/api/v1/namespaces/a/pods", Bytes::new()).await.unwrap_err();
    assert_eq!(refused.to_string(), "admission webhook \"x\" denied the request: no");
    assert!(refused.is(StatusCode::FORBIDDEN) && !refused.is_there_already());
    assert_eq!(log.paths().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_asks_for_fewer_requests_gets_fewer_after_the_pause_that_it_asked_for() {
    let (caller, _) = server(|n, _| match n {
        0 => {
            let mut answer = status(429, "TooManyRequests", "too many");
            answer.headers_mut().insert(header::RETRY_AFTER, "7".parse().unwrap());
            answer
        }
        _ => ok("{}"),
    });
    let began = tokio::time::Instant::now();
    caller.get("/api").await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(7));
    assert_eq!(caller.pace().limit(), SIDE_BY_SIDE / 2);
}

#[tokio::test(start_paused = true)]
async fn a_bad_moment_of_the_server_is_waited_out() {
    for code in [500, 502, 503, 504] {
        let (caller, log) = server(move |n, _| if n < 3 { status(code, "", "") } else { ok("{}") });
        caller.create("/api/v1/namespaces", Bytes::new()).await.unwrap();
        assert_eq!(log.paths().len(), 4, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_typed_read_is_repeated_like_any_other() {
    for code in [429, 500, 503] {
        let answer = r#"{"major": "1", "minor": "36", "gitVersion": "v1.36.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}"#;
        let (caller, log) = server(move |n, _| if n < 2 { status(code, "", "busy") } else { ok(answer) });
        let version = caller.read(|client| async move { client.apiserver_version().await }).await.unwrap();
        assert_eq!(version.minor, "36");
        assert_eq!(log.paths().len(), 3, "{code}");
    }
    let (caller, log) = server(|_, _| status(403, "Forbidden", "no"));
    let refused = caller.read(|client| async move { client.apiserver_version().await }).await.unwrap_err();
    assert_eq!((refused.to_string().as_str(), log.paths().len()), ("no", 1));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_unwell_is_given_up_with_its_words() {
    let (caller, log) = server(|_, _| status(500, "InternalError", "failed calling webhook \"w\""));
    let failed = caller.create("/api/v1/namespaces", Bytes::new()).await.unwrap_err();
    assert_eq!(failed.to_string(), "failed calling webhook \"w\"");
    assert_eq!(log.paths().len(), ATTEMPTS as usize);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_was_waited_for_is_not_waited_for_again_with_the_next_object() {
    let (caller, log) = server(|_, path| match path {
        "/unguarded" => status(500, "InternalError", "etcdserver: leader changed"),
        _ => status(500, "InternalError", "Internal error occurred: failed calling webhook \"w\": EOF"),
    });
    let attempts = async |path: &str| {
        let before = log.paths().len();
        caller.create(path, Bytes::new()).await.unwrap_err();
        log.paths().len() - before
    };
    assert_eq!(attempts("/guarded").await, ATTEMPTS as usize);
    // Time that the next ones take before they fail.
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(attempts("/guarded").await, 1);
    assert_eq!(attempts("/guarded").await, 1);
    assert_eq!(attempts("/unguarded").await, ATTEMPTS as usize);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_words_is_told_by_its_code() {
    let (caller, _) =
        server(|_, _| Response::builder().status(418).body(Body::from(b"<html>".to_vec())).unwrap());
    assert_eq!(caller.get("/").await.unwrap_err().to_string(), "the API server answered 418 I'm a teapot");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_there_after_an_attempt_without_an_answer_may_be_ours() {
    let (caller, _) = server(|n, _| match n {
        // An answer longer than any is one that is cut off.
        0 => Response::new(Body::from(vec![b' '; LONGEST_ANSWER + 1])),
        _ => status(409, "AlreadyExists", "namespaces \"a\" already exists"),
    });
    let failed = caller.create("/api/v1/namespaces", Bytes::new()).await.unwrap_err();
    assert!(matches!(failed, CallError::PerhapsCreated(_)), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn only_a_refusal_for_nothing_but_taken_ports_says_so_and_is_final() {
    const TAKEN: &str = "provided port is already allocated";
    for (code, causes, said) in [
        (422, &[TAKEN, "30080: provided port is already allocated"][..], true),
        (500, &[TAKEN], true),
        (422, &[TAKEN, "must be unique"], false),
        (422, &[], false),
    ] {
        let causes: Vec<_> = causes.iter().map(|cause| serde_json::json!({"message": cause})).collect();
        let answer = serde_json::json!({"message": "no", "details": {"causes": causes}}).to_string();
        let (caller, log) = server(move |_, _| {
            Response::builder().status(code).body(Body::from(answer.clone().into_bytes())).unwrap()
        });
        let refused = caller.create("/api/v1/namespaces/a/services", Bytes::new()).await.unwrap_err();
        assert_eq!(refused.is_of_taken_ports(), said, "{code} {causes:?}");
        assert_eq!(log.paths().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_for_what_admission_does_not_know_yet_is_told_from_others() {
    for (message, said) in [
        ("pods \"p\" is forbidden: no PriorityClass with name important was found", true),
        (
            "pods \"p\" is forbidden: error looking up service account a/b: serviceaccount \"b\" not found",
            true,
        ),
        ("pods \"p\" is forbidden: exceeded quota", false),
    ] {
        let (caller, _) = server(move |_, _| status(403, "Forbidden", message));
        let refused = caller.create("/api/v1/namespaces/a/pods", Bytes::new()).await.unwrap_err();
        assert_eq!(refused.is_of_what_may_be_new(), said, "{message}");
    }
}
