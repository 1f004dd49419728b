use std::sync::Arc;

use kurator_member::clock::SystemClock;
use serde_json::{Value, json};

use super::*;
use crate::testing::{server, status};

fn hook(container: &str, changes: impl FnOnce(&mut ExecHook)) -> ExecHook {
    let mut hook = ExecHook {
        name: "h".to_owned(),
        container: container.to_owned(),
        command: vec!["x".to_owned()],
        fail: false,
        exec_timeout: None,
        wait_timeout: None,
        wait_for_ready: false,
    };
    changes(&mut hook);
    hook
}

fn pod(status: &Value) -> Pod {
    let pod =
        json!({"metadata": {"name": "p", "namespace": "a"}, "spec": {"containers": []}, "status": status});
    serde_json::from_value(pod).unwrap()
}

fn container(name: &str, state: &str, ready: bool) -> Value {
    json!({"name": name, "ready": ready, "state": {state: {}}, "image": "", "imageID": "", "restartCount": 0})
}

#[test]
fn a_container_is_up_when_it_runs_or_is_ready_if_a_hook_wants_that() {
    let hooks = [hook("a", |_| ()), hook("b", |_| ()), hook("b", |hook| hook.wait_for_ready = true)];
    let there = |containers: Value| pod(&json!({"phase": "Running", "containerStatuses": containers}));
    let of = |name: &str| Up::Container(name.to_owned());
    for (seen, expected) in [
        (pod(&json!({})), Up::NotYet),
        (pod(&json!({"phase": "Pending"})), Up::NotYet),
        (there(json!([container("a", "waiting", false)])), Up::NotYet),
        (there(json!([container("a", "running", false)])), of("a")),
        (there(json!([container("b", "running", false)])), Up::NotYet),
        (there(json!([container("b", "running", true), container("a", "running", true)])), of("b")),
        (there(json!([container("other", "running", true)])), Up::NotYet),
        (pod(&json!({"phase": "Failed"})), Up::Never("the pod entered the phase Failed".to_owned())),
        (pod(&json!({"phase": "Succeeded"})), Up::Never("the pod entered the phase Succeeded".to_owned())),
    ] {
        assert_eq!(View::from(&seen).up(&hooks), expected, "{:?}", seen.status);
    }
    assert_eq!(View::Unknown.up(&hooks), Up::NotYet);
    assert_eq!(View::Gone.up(&hooks), Up::Never("the pod was deleted".to_owned()));
}

#[test]
fn pods_are_waited_for_without_end_if_one_of_their_hooks_is() {
    let waiting =
        |seconds: Option<u64>| hook("a", |hook| hook.wait_timeout = seconds.map(Duration::from_secs));
    let longest =
        |waits: &[Option<u64>]| longest_wait(&waits.iter().copied().map(waiting).collect::<Vec<_>>());
    assert_eq!(longest(&[Some(5), Some(9), Some(1)]), Some(Duration::from_secs(9)));
    assert_eq!(longest(&[Some(5), None]), None);
}

#[test]
fn a_pod_that_a_new_list_does_not_show_is_gone() {
    let mut views = Views::default();
    let (known, late) = (views.of("a", "p").subscribe(), views.of("a", "q").subscribe());
    views.see(Event::InitApply(pod(&json!({}))));
    views.see(Event::Init);
    let created_meanwhile = views.of("a", "r").subscribe();
    views.see(Event::InitApply(pod(&json!({"phase": "Failed"}))));
    views.see(Event::InitDone);
    assert_eq!(*known.borrow(), View::Ended("Failed".to_owned()));
    assert_eq!(*late.borrow(), View::Gone);
    assert_eq!(*created_meanwhile.borrow(), View::Unknown);
    views.see(Event::Delete(pod(&json!({}))));
    assert_eq!(*known.borrow(), View::Gone);
}

/// The errors after the hooks of the pod `a/p`, whose commands are all refused. `seen` shows it, step by step.
async fn outcome(hooks: Vec<ExecHook>, seen: impl AsyncFnOnce(&watch::Sender<View>)) -> (Value, Vec<String>) {
    let (caller, _) = server(|_, _| status(403, "Forbidden", "no"));
    let report = Report::new("restore", "velero", "r", Arc::new(SystemClock), &std::env::temp_dir());
    let runner = Runner::new(&caller, &report);
    runner.attempt(hooks.len());
    let (view, views) = watch::channel(View::Unknown);
    let (_until, given_up) = watch::channel(None);
    let waiting = Waiting { namespace: "a".to_owned(), name: "p".to_owned(), hooks };
    tokio::join!(in_pod(&runner, waiting, views, given_up), seen(&view));
    let status = runner.status();
    (status, report.close().unwrap().results.errors.namespaces.remove("a").unwrap_or_default())
}

fn running(names: &[&str]) -> View {
    View::There(
        names
            .iter()
            .map(|name| view::Container { name: (*name).to_owned(), is_running: true, is_ready: true })
            .collect(),
    )
}

const REFUSED: &str = "pod a/p: hook h failed in container a, command [\"x\"]: no";

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_ends_those_of_its_pod_only_if_it_says_so() {
    let others = [hook("a", |_| ()), hook("b", |_| ())];
    let (status, errors) = outcome(vec![hook("a", |_| ()), others[0].clone()], async |view| {
        view.send_replace(running(&["a"]));
    })
    .await;
    assert_eq!(status, json!({"hooksAttempted": 2, "hooksFailed": 2}));
    assert_eq!(errors, [REFUSED, REFUSED]);

    let mut hooks = vec![hook("a", |hook| hook.fail = true)];
    hooks.extend(others);
    let (status, errors) = outcome(hooks, async |view| {
        view.send_replace(running(&["a", "b"]));
    })
    .await;
    assert_eq!(status, json!({"hooksAttempted": 3, "hooksFailed": 3}));
    let not_run = |container| {
        format!("pod a/p: hook h in container {container} was not run: the hook h before it failed")
    };
    assert_eq!(errors, [REFUSED.to_owned(), not_run("a"), not_run("b")]);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_does_not_come_up_is_waited_for_as_long_as_its_hook_says() {
    let hook = hook("a", |hook| hook.wait_timeout = Some(Duration::from_secs(20)));
    let began = Instant::now();
    let (_, errors) = outcome(vec![hook.clone()], async |view| {
        view.send_replace(running(&["b"]));
    })
    .await;
    assert_eq!(began.elapsed().as_secs(), 20);
    let why =
        "pod a/p: hook h in container a was not run: its container was not up within the hook's waitTimeout";
    assert_eq!(errors, [why]);

    let patient = ExecHook { wait_timeout: Some(Duration::from_secs(60)), ..hook.clone() };
    let (_, errors) = outcome(vec![hook, patient], async |view| {
        tokio::time::sleep(Duration::from_secs(30)).await;
        view.send_replace(running(&["a"]));
    })
    .await;
    assert_eq!(
        errors,
        [
            "pod a/p: hook h in container a was not run: its waitTimeout of 20s is over".to_owned(),
            REFUSED.to_owned()
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_hooks_of_a_pod_that_is_deleted_are_not_run() {
    let (status, errors) = outcome(vec![hook("a", |_| ())], async |view| {
        view.send_replace(View::Gone);
    })
    .await;
    assert_eq!(status, json!({"hooksAttempted": 1, "hooksFailed": 1}));
    assert_eq!(errors, ["pod a/p: hook h in container a was not run: the pod was deleted"]);
}
