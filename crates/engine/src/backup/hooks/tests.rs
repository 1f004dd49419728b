//! Facts from Velero 1.18.3: `internal/hook/item_hook_handler.go`, `pkg/podexec/pod_command_executor.go`.

use serde_json::json;

use super::*;
use crate::types::ApiType;

fn pod(annotations: &Value) -> String {
    json!({
        "metadata": { "namespace": "a", "name": "web-0", "labels": { "app": "web" }, "annotations": annotations },
        "spec": { "containers": [{ "name": "main" }, { "name": "sidecar" }] },
        "status": { "phase": "Running" },
    })
    .to_string()
}

fn of(hooks: &Hooks, pod: &str, phase: Phase) -> PodHooks {
    hooks.of(&serde_json::from_str(pod).unwrap(), phase)
}

fn read(resources: Value) -> Hooks {
    let catalog = Catalog {
        types: vec![ApiType {
            resource: "pods".into(),
            short_names: vec!["po".into()],
            ..ApiType::default()
        }],
        failed: Vec::new(),
    };
    Hooks::parse(Some(&Value::from_iter([("resources", resources)]))).unwrap().for_pods(&catalog)
}

fn run(container: &str, command: &[&str], seconds: u64) -> Step {
    Step::Run {
        container: container.into(),
        command: command.iter().map(|&word| word.to_owned()).collect(),
        timeout: Duration::from_secs(seconds),
    }
}

#[test]
fn annotations_say_what_runs() {
    let key = |field: &str| format!("pre.hook.backup.velero.io/{field}");
    let cases = [
        (json!({ key("command"): "sync" }), run("main", &["sync"], 30), false),
        (json!({ key("command"): "sync -f" }), run("main", &["sync -f"], 30), false),
        (json!({ key("command"): r#"["sh","-c","sync"]"# }), run("main", &["sh", "-c", "sync"], 30), false),
        (json!({ key("command"): "[not json" }), run("main", &["[not json"], 30), false),
        (
            json!({ key("command"): "x", key("container"): "sidecar", key("timeout"): "2m", key("on-error"): "Fail" }),
            run("sidecar", &["x"], 120),
            true,
        ),
        (
            json!({ key("command"): "x", key("timeout"): "0s", key("on-error"): "Continue" }),
            run("main", &["x"], 30),
            false,
        ),
        (json!({ key("command"): "x", key("on-error"): "fail" }), run("main", &["x"], 30), false),
        (
            json!({ key("command"): "x", key("container"): "no" }),
            Step::Failed("no such container: \"no\"".into()),
            false,
        ),
        (json!({ key("command"): "[]" }), Step::Failed("command is required".into()), false),
    ];
    for (annotations, step, stops) in cases {
        let found = of(&Hooks::default(), &pod(&annotations), Phase::Pre);
        let expected = ExecHook { name: "<from-annotation>".into(), index: 0, step, stops };
        assert_eq!(found, PodHooks { hooks: vec![expected], warnings: vec![] }, "{annotations}");
        assert_eq!(of(&Hooks::default(), &pod(&annotations), Phase::Post), PodHooks::default());
    }
}

#[test]
fn annotations_without_a_phase_run_before_unless_there_are_some_with() {
    let legacy = json!({ "hook.backup.velero.io/command": "old" });
    assert_eq!(of(&Hooks::default(), &pod(&legacy), Phase::Pre).hooks[0].step, run("main", &["old"], 30));
    assert_eq!(of(&Hooks::default(), &pod(&legacy), Phase::Post), PodHooks::default());
    let both = json!({ "hook.backup.velero.io/command": "old", "pre.hook.backup.velero.io/command": "new" });
    let found = of(&Hooks::default(), &pod(&both), Phase::Pre).hooks;
    assert_eq!((found.len(), &found[0].step), (1, &run("main", &["new"], 30)));
}

#[test]
fn a_timeout_that_cannot_be_read_is_the_default_with_a_warning() {
    let annotations =
        json!({ "post.hook.backup.velero.io/command": "x", "post.hook.backup.velero.io/timeout": "30" });
    let found = of(&Hooks::default(), &pod(&annotations), Phase::Post);
    assert_eq!(found.hooks[0].step, run("main", &["x"], 30));
    assert!(
        found.warnings[0].starts_with("Unable to parse provided timeout 30, using default: "),
        "{found:?}"
    );
}

#[test]
fn a_timeout_is_cut_to_four_hours() {
    let annotations =
        json!({ "pre.hook.backup.velero.io/command": "x", "pre.hook.backup.velero.io/timeout": "100h" });
    let found = of(&Hooks::default(), &pod(&annotations), Phase::Pre);
    assert_eq!(found.hooks[0].step, run("main", &["x"], 4 * 3600));
    assert_eq!(found.warnings, ["the timeout 100h0m0s of the hook `<from-annotation>` is cut to 4h"]);
}

#[test]
fn the_spec_counts_where_the_pod_says_nothing() {
    let hooks = read(json!([
        { "name": "one", "pre": [{}, { "exec": { "command": ["a"], "onError": "Fail", "timeout": "1m" } }], "post": [{ "exec": { "command": ["b"] } }] },
        { "name": "two", "pre": [{ "exec": { "container": "sidecar", "command": ["c", "d"] } }] },
    ]));
    let silent = pod(&json!(null));
    let hook = |name: &str, index, step, stops| ExecHook { name: name.into(), index, step, stops };
    assert_eq!(
        of(&hooks, &silent, Phase::Pre).hooks,
        [
            hook("one", 1, run("main", &["a"], 60), true),
            hook("two", 0, run("sidecar", &["c", "d"], 30), false)
        ]
    );
    assert_eq!(of(&hooks, &silent, Phase::Post).hooks, [hook("one", 0, run("main", &["b"], 30), false)]);
    let own = pod(&json!({ "pre.hook.backup.velero.io/command": "mine" }));
    assert_eq!(of(&hooks, &own, Phase::Pre).hooks[0].name, "<from-annotation>");
    assert_eq!(of(&hooks, &own, Phase::Post).hooks[0].name, "one", "each phase on its own");
}

#[test]
fn a_rule_is_for_the_pods_that_it_selects() {
    let cases = [
        (json!({}), true),
        (json!({ "includedNamespaces": ["a"] }), true),
        (json!({ "includedNamespaces": ["b*"] }), false),
        (json!({ "excludedNamespaces": ["?"] }), false),
        (json!({ "includedResources": ["po", "deployments"] }), true),
        (json!({ "includedResources": ["deployments"] }), false),
        (json!({ "excludedResources": ["Pods"] }), false),
        (json!({ "excludedResources": ["*"] }), true),
        (json!({ "labelSelector": { "matchLabels": { "app": "web" } } }), true),
        (json!({ "labelSelector": { "matchLabels": { "app": "api" } } }), false),
    ];
    for (mut rule, applies) in cases {
        rule["pre"] = json!([{ "exec": { "command": ["x"] } }]);
        let found = of(&read(json!([rule])), &pod(&json!({})), Phase::Pre).hooks;
        assert_eq!(found.len(), usize::from(applies), "{rule}");
    }
}

#[test]
fn nothing_runs_in_a_pod_that_has_ended() {
    let hooks = read(json!([{ "name": "x", "pre": [{ "exec": { "command": ["x"] } }] }]));
    for phase in ["Succeeded", "Failed"] {
        let ended = pod(&json!(null)).replace("Running", phase);
        assert_eq!(of(&hooks, &ended, Phase::Pre).hooks[0].step, Step::Ended);
    }
    let bare = r#"{"metadata":{"namespace":"a"}}"#;
    assert_eq!(of(&hooks, bare, Phase::Pre).hooks[0].step, Step::Failed("need at least 1 container".into()));
}

#[test]
fn what_is_wrong_with_the_spec_is_told_at_once() {
    let hooks = json!({ "resources": [{
        "includedNamespaces": ["["],
        "labelSelector": { "matchExpressions": [{ "key": "a", "operator": "Is" }] },
        "pre": [{}, { "exec": { "onError": "Stop", "timeout": "x" } }],
    }] });
    assert_eq!(
        Hooks::parse(Some(&hooks)).unwrap_err(),
        [
            "spec.hooks.resources[0].labelSelector.matchExpressions[0].operator `Is` is none of `In`, `NotIn`, `Exists` and `DoesNotExist`",
            "spec.hooks.resources[0].includedNamespaces: `[` is not a pattern: a bracket is not closed",
            "spec.hooks.resources[0].pre[1].exec.onError `Stop` is neither `Fail` nor `Continue`",
            "spec.hooks.resources[0].pre[1].exec.timeout: `x` is not a duration: a number is missing; write numbers with units, such as `720h` or `1h30m`",
        ]
    );
    let shape = Hooks::parse(Some(&json!({ "resources": 1 }))).unwrap_err();
    assert!(shape[0].starts_with("spec.hooks cannot be read: "), "{shape:?}");
    assert!(Hooks::parse(None).unwrap().is_empty() && Hooks::parse(Some(&json!(null))).unwrap().is_empty());
}
