//! Commands in pods around a backup and after a restore. The API server is real; the containers are a stand-in's.

use std::io::Read as _;

use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::{Binding, ConfigMap, Namespace, Node, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt as _};
use kurator_api::velero::{Backup, Restore};
use kurator_testkit::fixtures::{BOUND, json_of, object, sow, velero as in_member};
use kurator_testkit::wait::until;
use kurator_testkit::{Lab, StandInKubelet};
use serde_json::{Value, json};

use super::scene::{PREFIX, of};
use super::{OURS, Outcome, in_lab};

const NODE: &str = "stand-in";

/// The lab of this binary, with a node in the member that the engine serves.
fn in_lab_with_node(
    test: impl AsyncFnOnce(&'static Lab, &'static StandInKubelet, Client) -> Outcome,
) -> Outcome {
    static KUBELET: std::sync::OnceLock<Result<StandInKubelet, String>> = std::sync::OnceLock::new();
    in_lab(async |lab| {
        let client = lab.member(OURS).client()?;
        let kubelet = KUBELET.get_or_init(|| StandInKubelet::start(lab).map_err(|error| error.to_string()));
        let kubelet = kubelet.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        match Api::<Node>::all(client.clone()).create(&PostParams::default(), &kubelet.node(NODE)?).await {
            Err(kube::Error::Api(refusal)) if refusal.reason == "AlreadyExists" => {}
            created => drop(created?),
        }
        test(lab, kubelet, client).await
    })
}

async fn namespace(client: &Client, name: &str) -> Outcome {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}

/// Says that the only container of a pod runs, as its kubelet would.
async fn run(pods: &Api<Pod>, name: &str) -> Outcome {
    let status = json!({"status": {"phase": "Running", "containerStatuses": [{
        "name": "main", "ready": true, "state": {"running": {}}, "image": "i", "imageID": "i", "restartCount": 0,
    }]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// A running pod on the node, with these annotations.
async fn pod(client: &Client, namespace: &str, name: &str, annotations: &Value) -> Outcome {
    let pods = Api::<Pod>::namespaced(client.clone(), namespace);
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": annotations, "labels": {"app": name}},
        "spec": {
            "nodeName": NODE, "automountServiceAccountToken": false,
            "containers": [{"name": "main", "image": "i"}],
        },
    }))?;
    let create = async || match pods.create(&PostParams::default(), &pod).await {
        Ok(_) => Ok(Some(())),
        Err(error) => Err(error.to_string()),
    };
    // The namespace's ServiceAccount comes a moment after it.
    until("the pod to be admitted", BOUND, create).await?;
    run(&pods, name).await
}

fn around(pre: &str, post: &str) -> Value {
    json!({"pre.hook.backup.velero.io/command": pre, "post.hook.backup.velero.io/command": post})
}

/// The commands that ran in a namespace: pod and words.
fn ran(kubelet: &StandInKubelet, namespace: &str) -> Vec<String> {
    kubelet.ran(namespace).iter().map(|ran| format!("{}: {}", ran.pod, ran.command.join(" "))).collect()
}

/// A gzipped file of a backup or restore.
async fn file(lab: &Lab, of: &str, name: &str, file: &str) -> anyhow::Result<String> {
    let key = format!("{PREFIX}/{of}/{name}/{file}");
    let stored = lab.s3().get(&key).await?.ok_or_else(|| anyhow::anyhow!("{key} is not stored"))?;
    let mut text = String::new();
    GzDecoder::new(&stored[..]).read_to_string(&mut text)?;
    Ok(text)
}

fn hook_status(object: &Value) -> Value {
    object["status"]["hookStatus"].clone()
}

#[test]
fn hooks_run_around_the_backup_of_their_pods_in_the_order_that_was_asked_for() -> Outcome {
    in_lab_with_node(async |lab, kubelet, client| {
        namespace(&client, "hooked").await?;
        pod(&client, "hooked", "a", &around(r#"["print", "freeze a"]"#, r#"["print", "thaw a"]"#)).await?;
        pod(&client, "hooked", "b", &around(r#"["print", "freeze b"]"#, r#"["print", "thaw b"]"#)).await?;
        let mut spec = of("hooked");
        spec["orderedResources"] = json!({"pods": "hooked/b,hooked/gone"});
        let backups = in_member::<Backup>(lab.member(OURS))?;
        backups.create(&object("hooked", spec)?).await?;
        let backup = backups.until_phase("hooked", "Completed").await?;
        assert_eq!(
            ran(kubelet, "hooked"),
            ["b: print freeze b", "b: print thaw b", "a: print freeze a", "a: print thaw a"]
        );
        assert_eq!(hook_status(&json_of(&backup)), json!({"hooksAttempted": 4}));
        assert_eq!(json_of(&backup)["status"]["warnings"], 1, "the pod that is gone");
        let log = file(lab, "backups", "hooked", "hooked-logs.gz").await?;
        assert!(log.contains("hook <from-annotation>: stdout: freeze b"), "{log}");
        Ok(())
    })
}

#[test]
fn a_hook_that_fails_makes_a_backup_partial_and_says_which_command_it_was() -> Outcome {
    in_lab_with_node(async |lab, kubelet, client| {
        namespace(&client, "failing").await?;
        for name in ["stop", "go-on", "slow", "half", "late"] {
            pod(&client, "failing", name, &json!({})).await?;
        }
        let rule = |name: &str, command: Value, on_error: &str| {
            json!({
                "name": format!("of-{name}"), "includedResources": ["pods"],
                "labelSelector": {"matchLabels": {"app": name}},
                "pre": [{"exec": {"command": command, "onError": on_error, "timeout": "1s"}}],
                "post": [{"exec": {"command": ["print", "after"]}}],
            })
        };
        let mut half = rule("half", json!(["print", "frozen"]), "Fail");
        let second = json!({"exec": {"command": ["fail", "6", "too late"], "onError": "Fail"}});
        half["pre"] = json!([half["pre"][0], second]);
        let mut spec = of("failing");
        spec["hooks"] = json!({"resources": [
            half,
            rule("late", json!(["hang"]), "Fail"),
            rule("stop", json!(["fail", "3", "no space"]), "Fail"),
            rule("go-on", json!(["fail", "4", "never mind"]), "Continue"),
            rule("slow", json!(["hang"]), "Continue"),
        ]});
        let backups = in_member::<Backup>(lab.member(OURS))?;
        backups.create(&object("failing", spec)?).await?;
        let backup = backups.until_phase("failing", "PartiallyFailed").await?;
        assert_eq!(hook_status(&json_of(&backup)), json!({"hooksAttempted": 10, "hooksFailed": 5}));
        let results: Value =
            serde_json::from_str(&file(lab, "backups", "failing", "failing-results.gz").await?)?;
        assert_eq!(
            results["errors"]["namespaces"]["failing"],
            json!([
                "pod failing/go-on: hook of-go-on failed in container main, command [\"fail\", \"4\", \"never mind\"]: \
                 command terminated with non-zero exit code: exit status 4",
                "pod failing/half: hook of-half failed in container main, command [\"fail\", \"6\", \"too late\"]: command \
                 terminated with non-zero exit code: exit status 6; the pod is not in the backup",
                "pod failing/late: hook of-late failed in container main, command [\"hang\"]: timed out after 1s; it may \
                 go on in the container; the pod is not in the backup",
                "pod failing/slow: hook of-slow failed in container main, command [\"hang\"]: timed out after 1s; it may \
                 go on in the container",
                "pod failing/stop: hook of-stop failed in container main, command [\"fail\", \"3\", \"no space\"]: command \
                 terminated with non-zero exit code: exit status 3; the pod is not in the backup",
            ])
        );
        let list = file(lab, "backups", "failing", "failing-resource-list.json.gz").await?;
        let list: Value = serde_json::from_str(&list)?;
        assert_eq!(list["v1/Pod"], json!(["failing/go-on", "failing/slow"]));
        let after: Vec<_> =
            ran(kubelet, "failing").into_iter().filter(|ran| ran.ends_with("after")).collect();
        // Also where the pod stays out and a hook before it had its effect, or may have had.
        assert_eq!(
            after,
            ["go-on: print after", "half: print after", "late: print after", "slow: print after"]
        );
        Ok(())
    })
}

#[test]
fn a_pod_that_goes_before_its_turn_is_told_and_the_backup_goes_on() -> Outcome {
    in_lab_with_node(async |lab, kubelet, client| {
        namespace(&client, "leaving").await?;
        pod(&client, "leaving", "first", &around(r#"["hold"]"#, r#"["print", "after"]"#)).await?;
        pod(&client, "leaving", "gone", &around(r#"["print", "before"]"#, r#"["print", "after"]"#)).await?;
        let backups = in_member::<Backup>(lab.member(OURS))?;
        backups.create(&object("leaving", of("leaving"))?).await?;
        let holds = async || Ok::<_, String>((!kubelet.ran("leaving").is_empty()).then_some(()));
        until("the first hook", BOUND, holds).await?;
        let pods = Api::<Pod>::namespaced(client, "leaving");
        pods.delete("gone", &DeleteParams::default().grace_period(0)).await?;
        let gone = async || Ok::<_, kube::Error>(pods.get_opt("gone").await?.is_none().then_some(()));
        until("the pod to be gone", BOUND, gone).await?;
        kubelet.release();
        let backup = backups.until_phase("leaving", "PartiallyFailed").await?;
        assert_eq!(hook_status(&json_of(&backup)), json!({"hooksAttempted": 4, "hooksFailed": 2}));
        let results = file(lab, "backups", "leaving", "leaving-results.gz").await?;
        assert!(results.contains(r#"command [\"print\", \"before\"]: pods \"gone\" not found"#), "{results}");
        assert_eq!(ran(kubelet, "leaving"), ["first: hold", "first: print after"]);
        Ok(())
    })
}

#[test]
fn hooks_run_in_restored_pods_once_they_are_up() -> Outcome {
    in_lab_with_node(async |lab, kubelet, client| {
        let after = |command: &str| json!({"post.hook.restore.velero.io/command": command});
        namespace(&client, "asleep").await?;
        pod(&client, "asleep", "good", &after(r#"["print", "warm"]"#)).await?;
        pod(&client, "asleep", "bad", &after(r#"["fail", "5", "cold"]"#)).await?;
        let mut never = after(r#"["print", "never"]"#);
        never["post.hook.restore.velero.io/wait-timeout"] = json!("1s");
        pod(&client, "asleep", "never", &never).await?;
        let member = lab.member(OURS);
        let backups = in_member::<Backup>(member)?;
        backups.create(&object("asleep", of("asleep"))?).await?;
        let backup = backups.until_phase("asleep", "Completed").await?;
        assert_eq!(hook_status(&json_of(&backup)), json!({}));

        let restores = in_member::<Restore>(member)?;
        let spec = json!({
            "backupName": "asleep", "namespaceMapping": {"asleep": "awake"},
            "hooks": {"resources": [{"name": "ready", "postHooks": [{"init": {"initContainers": [
                {"name": "made-ready", "image": "i", "command": ["true"]},
            ]}}]}]},
        });
        restores.create(&object("awake", spec)?).await?;
        let pods = Api::<Pod>::namespaced(client, "awake");
        for name in ["good", "bad"] {
            let there = async || Ok::<_, kube::Error>(pods.get_opt(name).await?);
            let restored = until("the pod to be restored", BOUND, there).await?;
            let init = restored.spec.and_then(|spec| spec.init_containers).unwrap_or_default();
            assert_eq!(init.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["made-ready"]);
            let binding: Binding = serde_json::from_value(
                json!({"metadata": {"name": name}, "target": {"kind": "Node", "name": NODE}}),
            )?;
            let _: Value = pods.create_subresource("binding", name, &PostParams::default(), &binding).await?;
            run(&pods, name).await?;
        }
        let restore = restores.until_phase("awake", "PartiallyFailed").await?;
        assert_eq!(hook_status(&json_of(&restore)), json!({"hooksAttempted": 3, "hooksFailed": 2}));
        let mut ran = ran(kubelet, "awake");
        ran.sort();
        assert_eq!(ran, ["bad: fail 5 cold", "good: print warm"]);
        let results = file(lab, "restores", "awake", "restore-awake-results.gz").await?;
        let results: Value = serde_json::from_str(&results)?;
        let errors = results["errors"]["namespaces"]["awake"].as_array().cloned().unwrap_or_default();
        let told =
            |text: &str| errors.iter().any(|error| error.as_str().is_some_and(|error| error.contains(text)));
        assert!(told(
            r#"pod awake/bad: hook <from-annotation> failed in container main, command ["fail", "5", "cold"]"#
        ));
        assert!(told(
            "pod awake/never: hook <from-annotation> in container main was not run: its container was not up"
        ));
        assert_eq!(errors.len(), 2, "{errors:?}");
        Ok(())
    })
}

#[test]
fn a_restore_takes_what_its_resource_policy_lets_through() -> Outcome {
    in_lab(async |lab| {
        let member = lab.member(OURS);
        sow(member, "whole").await?;
        let maps = |namespace: &str| anyhow::Ok(Api::<ConfigMap>::namespaced(member.client()?, namespace));
        let map = |name: &str, data: Value| {
            serde_json::from_value::<ConfigMap>(json!({"metadata": {"name": name}, "data": data}))
        };
        maps("whole")?.create(&PostParams::default(), &map("left-out", json!({}))?).await?;
        let policy = "version: v1\nnamespacedFilterPolicies:\n- namespaces: [whole]\n  resourceFilters:\n  - kinds: \
                      [configmaps]\n    names: ['pri*']\n";
        maps("velero")?.create(&PostParams::default(), &map("only-prices", json!({"p": policy}))?).await?;
        super::back_up(member, "whole", of("whole")).await?;
        let spec = json!({
            "backupName": "whole", "namespaceMapping": {"whole": "part"},
            "resourcePolicy": {"kind": "configmap", "name": "only-prices"},
        });
        super::restore(member, "part", spec).await?;
        let names: Vec<_> =
            maps("part")?.list(&Default::default()).await?.iter().map(|map| map.name_any()).collect();
        assert!(names.contains(&"prices".to_owned()) && !names.contains(&"left-out".to_owned()), "{names:?}");
        Ok(())
    })
}
