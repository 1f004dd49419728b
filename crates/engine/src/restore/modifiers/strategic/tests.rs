use proptest::prelude::*;
use serde_json::json;

use super::super::super::testing::any_json;
use super::*;

fn deployment(spec: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"template": {"spec": spec}}})
}

/// What a patch makes of a pod's spec.
fn pod(spec: &Value, patch: &Value) -> Result<Value, String> {
    let mut object = deployment(spec);
    let patch = json!({"spec": {"template": {"spec": patch}}});
    apply(&mut object, &patch).map_err(|why| why.to_string())?;
    Ok(object["spec"]["template"]["spec"].take())
}

#[test]
fn lists_are_merged_by_the_keys_of_the_api() {
    for (before, patch, after) in [
        (
            json!({"containers": [{"name": "a", "image": "1"}, {"name": "b"}]}),
            json!({"containers": [{"name": "a", "image": "2"}]}),
            json!({"containers": [{"name": "a", "image": "2"}, {"name": "b"}]}),
        ),
        // New ones come first, as in the documentation of kubectl patch.
        (
            json!({"containers": [{"name": "a"}]}),
            json!({"containers": [{"name": "new"}]}),
            json!({"containers": [{"name": "new"}, {"name": "a"}]}),
        ),
        (
            json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}], "ports": [{"containerPort": 1}]}]}),
            json!({"containers": [{"name": "a", "env": [{"name": "X", "value": "2"}], "ports": [{"containerPort": 2}]}]}),
            json!({"containers": [{
                "name": "a", "env": [{"name": "X", "value": "2"}], "ports": [{"containerPort": 2}, {"containerPort": 1}],
            }]}),
        ),
        (
            json!({"containers": [{"name": "a", "args": ["x"], "volumeMounts": [{"mountPath": "/a"}]}]}),
            json!({"containers": [{"name": "a", "args": ["y"], "volumeMounts": [{"mountPath": "/a", "name": "v"}]}]}),
            json!({"containers": [{"name": "a", "args": ["y"], "volumeMounts": [{"mountPath": "/a", "name": "v"}]}]}),
        ),
        // Tolerations have no merge key.
        (
            json!({"tolerations": [{"key": "a"}]}),
            json!({"tolerations": [{"key": "b"}]}),
            json!({"tolerations": [{"key": "b"}]}),
        ),
        (
            json!({"volumes": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}),
            json!({"volumes": [{"name": "b", "$patch": "delete"}]}),
            json!({"volumes": [{"name": "a"}, {"name": "c"}]}),
        ),
        (
            json!({"volumes": [{"name": "a"}, {"name": "b"}]}),
            json!({"volumes": [{"$patch": "replace"}, {"name": "c"}]}),
            json!({"volumes": [{"name": "c"}]}),
        ),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}}]}),
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}, "$retainKeys": ["name", "hostPath"]}]}),
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}),
        ),
        (
            json!({"nodeSelector": {"a": "1", "b": "2"}}),
            json!({"nodeSelector": {"a": null, "c": "3"}}),
            json!({"nodeSelector": {"b": "2", "c": "3"}}),
        ),
        (
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "replace", "b": "2"}}),
            json!({"nodeSelector": {"b": "2"}}),
        ),
        (
            json!({"nodeSelector": {"a": "1"}}),
            json!({"nodeSelector": {"$patch": "delete"}}),
            json!({"nodeSelector": {}}),
        ),
        (json!({}), json!({"affinity": {"x": null, "y": 1}}), json!({"affinity": {"y": 1}})),
    ] {
        assert_eq!(pod(&before, &patch), Ok(after), "{patch}");
    }
}

#[test]
fn other_kinds_have_their_own_lists() {
    for (mut object, patch, after) in [
        (
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}, {"port": 81}]}}),
            json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}]}}),
            json!({"spec": {"ports": [{"port": 80, "nodePort": 30080}, {"port": 81}]}}),
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"finalizers": ["a", "b"]}}),
            json!({"metadata": {"finalizers": ["b", "c"], "$deleteFromPrimitiveList/finalizers": ["a"]}}),
            json!({"metadata": {"finalizers": ["b", "c"]}}),
        ),
        (
            json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"selector": {"matchLabels": {"a": "1"}}}}),
            json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}}),
            json!({"spec": {"selector": {"matchLabels": {"b": "2"}}}}),
        ),
    ] {
        apply(&mut object, &patch).unwrap();
        for field in ["spec", "metadata"] {
            assert_eq!(object.get(field), after.get(field), "{patch}");
        }
    }
}

#[test]
fn a_patch_that_does_not_fit_says_why() {
    for (patch, sentence) in [
        (
            json!({"containers": [{"image": "x"}]}),
            "an element of the list \"spec.template.spec.containers\" does not contain declared merge key: name",
        ),
        (
            json!({"nodeSelector": {"$patch": "merge"}}),
            "invalid value of $patch in \"spec.template.spec.nodeSelector\"; use replace or delete",
        ),
        (
            json!({"nodeSelector": {"$retainKeys": ["a"], "b": "1"}}),
            "invalid value of $retainKeys in \"spec.template.spec.nodeSelector\"; use a list that names each field \
             of the patch",
        ),
    ] {
        assert_eq!(pod(&json!({"containers": [], "nodeSelector": {}}), &patch).unwrap_err(), sentence);
    }
    let mut widget = json!({"apiVersion": "example.com/v1", "kind": "Widget"});
    assert_eq!(
        apply(&mut widget, &json!({})).unwrap_err().to_string(),
        "no kind \"Widget\" is registered for version \"example.com/v1\"; use mergePatches for custom resources"
    );
}

proptest! {
    #[test]
    fn any_patch_of_any_object_ends(spec in any_json(), patch in any_json()) {
        let mut object = deployment(&spec);
        let _ = apply(&mut object, &json!({"spec": {"template": {"spec": patch.clone()}}}));
        let _ = apply(&mut object, &patch);
    }
}
