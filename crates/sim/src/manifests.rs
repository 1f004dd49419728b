//! What users of the world write.

use serde_json::{Value, json};

use crate::stores::FIRST_KEY;

/// Bucket of the Fleet.
pub const BUCKET: &str = "velero";
/// Namespace in the members that is backed up, lost and restored.
pub const SHOP: &str = "shop";
/// Namespace in the first member that is migrated.
pub const WARES: &str = "wares";

/// An object of the hub.
#[must_use]
pub fn on_hub(kind: &str, name: &str) -> Value {
    let group = match kind {
        "AttachedCluster" => "cluster.kurator.dev/v1alpha1",
        "Fleet" => "fleet.kurator.dev/v1alpha1",
        "Secret" => "v1",
        _ => "backup.kurator.dev/v1alpha1",
    };
    json!({"apiVersion": group, "kind": kind, "metadata": {"namespace": "default", "name": name}})
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

/// The Secret and the AttachedCluster of a member.
#[must_use]
pub fn member(name: &str) -> [Value; 2] {
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{name}:6443")}}],
        "users": [{"name": "u", "user": {"token": "token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    });
    [
        with(on_hub("Secret", name), "stringData", json!({"kubeconfig": kubeconfig.to_string()})),
        with(
            on_hub("AttachedCluster", name),
            "spec",
            json!({"kubeconfig": {"name": name, "key": "kubeconfig"}}),
        ),
    ]
}

/// The Secret with the keys of the store.
#[must_use]
pub fn store_keys(key: &str) -> Value {
    with(on_hub("Secret", "keys"), "stringData", json!({"access-key": "somebody", "secret-key": key}))
}

/// A Fleet of these members, and the Secret with the keys of its store.
#[must_use]
pub fn fleet(members: &[&str]) -> [Value; 2] {
    let clusters: Vec<_> =
        members.iter().map(|name| json!({"name": name, "kind": "AttachedCluster"})).collect();
    let plugin = json!({"backup": {
        "engine": "Builtin",
        "storage": {
            "location": {"bucket": BUCKET, "provider": "aws", "endpoint": "http://store:9000", "region": "minio"},
            "secretName": "keys",
        },
    }});
    [
        store_keys(FIRST_KEY),
        with(on_hub("Fleet", "fleet"), "spec", json!({"clusters": clusters, "plugin": plugin})),
    ]
}

/// A Backup of the shops of all members.
#[must_use]
pub fn backup(name: &str) -> Value {
    let spec = json!({
        "destination": {"fleet": "fleet"},
        "policy": {"resourceFilter": {"includedNamespaces": [SHOP]}, "ttl": "720h"},
    });
    with(on_hub("Backup", name), "spec", spec)
}

/// A Backup of the shops of all members, by the clock.
#[must_use]
pub fn scheduled(name: &str, cron: &str) -> Value {
    let mut backup = backup(name);
    backup["spec"]["schedule"] = cron.into();
    backup
}

/// A Restore of a Backup.
#[must_use]
pub fn restore(name: &str, backup: &str) -> Value {
    with(on_hub("Restore", name), "spec", json!({"backupName": backup}))
}

/// A Migrate of the wares of the first member to the second.
#[must_use]
pub fn migrate(name: &str, from: &str, to: &str) -> Value {
    let cluster =
        |name: &str| json!({"fleet": "fleet", "clusters": [{"kind": "AttachedCluster", "name": name}]});
    let spec = json!({
        "sourceCluster": cluster(from), "targetCluster": cluster(to),
        "policy": {"resourceFilter": {"includedNamespaces": [WARES]}},
    });
    with(on_hub("Migrate", name), "spec", spec)
}

/// An app in a namespace, the namespace first.
#[must_use]
pub fn app(namespace: &str) -> Vec<Value> {
    let object = |version: &str, kind: &str, name: &str, field: &str, value: Value| {
        let metadata = json!({"namespace": namespace, "name": name, "labels": {"app": namespace}});
        with(json!({"apiVersion": version, "kind": kind, "metadata": metadata}), field, value)
    };
    let labels = json!({"app": namespace});
    let pod =
        json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "main"}]}});
    let deployment = json!({"selector": {"matchLabels": labels}, "template": pod});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}),
        object("v1", "ConfigMap", "settings", "data", json!({"colour": "green"})),
        object("v1", "ConfigMap", "texts", "data", json!({"hello": "good day"})),
        object("v1", "Secret", "keys", "data", json!({"key": "c2VjcmV0"})),
        object("apps/v1", "Deployment", "main", "spec", deployment),
    ]
}
