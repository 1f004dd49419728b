use serde_json::{Value, json};

use super::super::testing::{context, made};

fn hooks(hook: &Value) -> Value {
    json!({"namespaceMapping": {"a": "b"}, "hooks": {"resources": [{
        "name": "h", "includedNamespaces": ["b"], "labelSelector": {"matchLabels": {"app": "x"}}, "postHooks": [hook],
    }]}})
}

fn hooked(annotations: &Value, app: &str) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "a", "labels": {"app": app}, "annotations": annotations},
        "spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "own"}]},
    })
}

#[test]
fn init_containers_of_hooks_run_before_the_pod_s_own() {
    let container = json!({"name": "i", "image": "img", "command": ["x"]});
    let context = context(hooks(&json!({"init": {"initContainers": [container]}})));
    let init = |pod| made(pod, "pods", &context).object["spec"]["initContainers"].clone();
    assert_eq!(init(hooked(&json!({}), "x")), json!([container, {"name": "own"}]));
    assert_eq!(init(hooked(&json!({}), "y")), json!([{"name": "own"}]));
    let annotated = hooked(
        &json!({
            "init.hook.restore.velero.io/container-image": "other",
            "init.hook.restore.velero.io/container-name": "mine",
            "init.hook.restore.velero.io/command": "[\"sh\", \"-c\"]",
        }),
        "x",
    );
    assert_eq!(
        init(annotated),
        json!([{"name": "mine", "image": "other", "command": ["sh", "-c"]}, {"name": "own"}])
    );
}

#[test]
fn a_nameless_init_container_gets_the_same_name_each_time() {
    let pod = || hooked(&json!({"init.hook.restore.velero.io/container-image": "i"}), "x");
    let name = || {
        let made = made(pod(), "pods", &context(json!({}))).object;
        made["spec"]["initContainers"][0]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(name(), name());
    assert_eq!(name().len(), "velero-restore-init-".len() + 8);
}

#[test]
fn commands_run_in_the_first_container_unless_another_is_named() {
    let exec =
        json!({"exec": {"command": ["x"], "onError": "Fail", "execTimeout": "5s", "waitForReady": true}});
    let context = context(hooks(&exec));
    let hooks = made(hooked(&json!({}), "x"), "pods", &context).hooks;
    let hook = &hooks[0];
    assert_eq!(
        (hook.name.as_str(), hook.container.as_str(), &hook.command[..]),
        ("h", "main", &["x".to_owned()][..])
    );
    assert_eq!((hook.fail, hook.wait_for_ready, hook.wait_timeout), (true, true, None));
    assert_eq!(hook.exec_timeout, Some(std::time::Duration::from_secs(5)));
    assert!(made(hooked(&json!({}), "y"), "pods", &context).hooks.is_empty());
}

#[test]
fn a_pod_s_own_command_wins_over_those_of_the_restore() {
    let context = context(hooks(&json!({"exec": {"command": ["x"]}})));
    let made = made(
        hooked(
            &json!({
                "post.hook.restore.velero.io/command": "echo hi", "post.hook.restore.velero.io/wait-timeout": "soon",
                "post.hook.restore.velero.io/wait-for-ready": "yes",
            }),
            "x",
        ),
        "pods",
        &context,
    );
    assert_eq!((made.hooks.len(), made.hooks[0].name.as_str()), (1, "<from-annotation>"));
    assert_eq!(made.hooks[0].command, ["echo hi"]);
    assert_eq!(
        made.warnings,
        [
            "the annotation post.hook.restore.velero.io/wait-timeout of pod p is ignored: `soon` is not a duration: a \
             number is missing; write numbers with units, such as `720h` or `1h30m`",
            "the annotation post.hook.restore.velero.io/wait-for-ready of pod p is ignored: \"yes\" is neither true \
             nor false",
        ]
    );
}

#[test]
fn a_command_in_a_container_that_is_not_there_is_left_out() {
    let context = context(hooks(&json!({"exec": {"command": ["x"], "container": "other"}})));
    let made = made(hooked(&json!({}), "x"), "pods", &context);
    assert!(made.hooks.is_empty());
    assert_eq!(made.warnings, ["the hook h is left out: the pod p has no container \"other\""]);
}
