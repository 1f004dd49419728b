//! Deletion: finalizers, owners, preconditions, namespaces.

use serde_json::{Value, json};

use super::{CONFIG_MAPS, SECRETS, at, config_map, secret, with};
use crate::conformance::{Case, Step, delete, get, merge_patch, post, until, watch};

fn owned(name: &str, blocks: bool) -> Value {
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "{1:/metadata/uid}",
                        "blockOwnerDeletion": blocks}]);
    with(secret(name), "/metadata/ownerReferences", owner)
}

pub(super) fn cases() -> Vec<Case> {
    let (x, owner) = (at(CONFIG_MAPS, "x"), at(CONFIG_MAPS, "owner"));
    let family = || vec![post(CONFIG_MAPS, &config_map("owner")), post(SECRETS, &owned("child", true))];
    let mut background = family();
    background.extend([
        delete(&owner, &json!({"propagationPolicy": "Background"})),
        until(&at(SECRETS, "child"), 404, ""),
        get(&owner),
    ]);
    let mut foreground = family();
    foreground.extend([
        delete(&owner, &json!({"propagationPolicy": "Foreground"})),
        until(&owner, 404, ""),
        get(&at(SECRETS, "child")),
        watch(&format!("{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Downer&resourceVersion={{1:/metadata/resourceVersion}}"), 2),
    ]);
    // What comes to secrets after the child has been looked at when an owner's absence is found: the child has, too.
    let nobody = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "00000000-0000-0000-0000-000000000000"}]);
    let mut orphan = family();
    orphan.push(post(SECRETS, &with(secret("after"), "/metadata/ownerReferences", nobody)));
    orphan.push(until(&at(SECRETS, "after"), 404, ""));
    orphan.extend([
        delete(&owner, &json!({"propagationPolicy": "Orphan"})),
        until(&owner, 404, ""),
        get(&at(SECRETS, "child")),
    ]);
    let account = "/api/v1/namespaces/{ns}/serviceaccounts/default";
    vec![
        Case {
            name: "deletion-of-the-account",
            steps: vec![
                until(account, 200, ""),
                delete(account, &json!({"preconditions": {"uid": "{1:/metadata/uid}"}})),
                until(account, 200, ""),
            ],
        },
        Case {
            name: "deletion-at-once",
            steps: vec![
                post(CONFIG_MAPS, &config_map("x")),
                delete(&x, &json!({"preconditions": {"uid": "other"}})),
                delete(&x, &json!({"preconditions": {"resourceVersion": "1"}})),
                delete(&x, &json!({"propagationPolicy": "Nonsense"})),
                delete(&format!("{x}?dryRun=All"), &json!({})),
                delete(&x, &json!({"preconditions": {"uid": "{1:/metadata/uid}"}})),
                delete(&x, &json!({})),
            ],
        },
        Case {
            name: "deletion-with-finalizers",
            steps: vec![
                post(
                    CONFIG_MAPS,
                    &with(config_map("x"), "/metadata/finalizers", json!(["example.com/a", "example.com/b"])),
                ),
                delete(&x, &json!({})),
                delete(&x, &json!({})),
                merge_patch(&x, &json!({"metadata": {"finalizers": ["example.com/a", "example.com/c"]}})),
                merge_patch(&x, &json!({"metadata": {"finalizers": ["example.com/a"]}, "data": {"b": "2"}})),
                merge_patch(&x, &json!({"metadata": {"finalizers": null}})),
                get(&x),
                watch(
                    &format!(
                        "{CONFIG_MAPS}?watch=true&fieldSelector=metadata.name%3Dx&resourceVersion={{1:/metadata/resourceVersion}}"
                    ),
                    3,
                ),
            ],
        },
        Case {
            name: "deletion-of-many",
            steps: vec![
                post(SECRETS, &secret("a")),
                post(SECRETS, &secret("b")),
                post(SECRETS, &secret("c")),
                delete(&format!("{SECRETS}?labelSelector=app%20in%20(a,b)"), &json!({})),
                get(SECRETS),
            ],
        },
        Case { name: "deletion-across-namespaces", steps: across() },
        Case { name: "deletion-of-the-last-owner", steps: owners() },
        Case { name: "deletion-of-a-namespace-with-finalizers", steps: finalized() },
        Case {
            name: "deletion-of-what-stays",
            steps: vec![
                delete("/api/v1/namespaces/default", &json!({})),
                delete("/api/v1/namespaces/kube-system", &json!({})),
                delete("/api/v1/namespaces/absent-{ns}", &json!({})),
            ],
        },
        Case { name: "deletion-in-background", steps: background },
        Case { name: "deletion-in-foreground", steps: foreground },
        Case { name: "deletion-with-orphans", steps: orphan },
        Case {
            name: "deletion-of-a-namespace",
            steps: vec![
                post(SECRETS, &with(secret("a"), "/metadata/finalizers", json!(["example.com/a"]))),
                delete("/api/v1/namespaces/{ns}", &json!({})),
                until(&at(SECRETS, "a"), 200, "deletionTimestamp"),
                post(SECRETS, &secret("b")),
                merge_patch(&at(SECRETS, "a"), &json!({"metadata": {"finalizers": null}})),
                until("/api/v1/namespaces/{ns}", 404, ""),
                get(&at(SECRETS, "a")),
            ],
        },
    ]
}

/// An owner is looked for in the namespace of its dependent.
fn across() -> Vec<Step> {
    let other = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "{ns}-2"}});
    let there = "/api/v1/namespaces/{ns}-2/secrets";
    vec![
        post(CONFIG_MAPS, &config_map("owner")),
        post("/api/v1/namespaces", &other),
        post(there, &owned("child", true)),
        until(&at(there, "child"), 404, ""),
        get(&at(CONFIG_MAPS, "owner")),
        delete("/api/v1/namespaces/{ns}-2", &json!({})),
    ]
}

fn owners() -> Vec<Step> {
    let reference = |name: &str, uid: &str, controller: bool| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": uid, "controller": controller});
    let (a, b) = ("{1:/metadata/uid}", "{2:/metadata/uid}");
    let both = |first, second| json!([reference("a", a, first), reference("b", b, second)]);
    let child = |name: &str, owners: Value| with(secret(name), "/metadata/ownerReferences", owners);
    let renamed = with(reference("a", a, false), "/kind", json!("Secret"));
    vec![
        post(CONFIG_MAPS, &config_map("a")),
        post(CONFIG_MAPS, &config_map("b")),
        post(SECRETS, &child("two-controllers", both(true, true))),
        post(SECRETS, &child("child", both(true, false))),
        post(SECRETS, &child("of-another-kind", json!([renamed]))),
        until(&at(SECRETS, "of-another-kind"), 404, ""),
        delete(&at(CONFIG_MAPS, "a"), &json!({"propagationPolicy": "Foreground"})),
        until(&at(CONFIG_MAPS, "a"), 404, ""),
        until(&at(SECRETS, "child"), 200, "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"controller\":false"),
        delete(&at(CONFIG_MAPS, "b"), &json!({})),
        until(&at(SECRETS, "child"), 404, ""),
    ]
}

fn finalized() -> Vec<Step> {
    let it = "/api/v1/namespaces/{ns}";
    vec![
        merge_patch(it, &json!({"metadata": {"finalizers": ["example.com/a"]}})),
        post(SECRETS, &secret("a")),
        delete(it, &json!({})),
        until(it, 200, "\"spec\":{}"),
        get(&at(SECRETS, "a")),
        merge_patch(it, &json!({"metadata": {"finalizers": null}})),
        until(it, 404, ""),
    ]
}
