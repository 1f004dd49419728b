//! What Restores find in their cluster beside a backup.

use serde_json::{Value, json};

const MODIFIERS: &str = r#"version: v1
resourceModifierRules:
- conditions:
    groupResource: configmaps
    resourceNameRegex: "^pri"
    namespaces: [shop]
  patches:
  - {operation: replace, path: /data/tea, value: "4"}
  - {operation: add, path: /metadata/labels/changed, value: "yes"}
- conditions:
    groupResource: cronjobs.batch
    labelSelector: {matchLabels: {tier: gold}}
  mergePatches:
  - patchData: '{"spec": {"schedule": "0 5 1 1 *"}, "metadata": {"labels": {"tier": null}}}'
- conditions:
    groupResource: pods
    matches:
    - {path: /metadata/name, value: clerk}
  strategicPatches:
  - patchData: '{"spec": {"containers": [{"name": "clerk", "image": "busybox:1.36"}, {"name": "aide", "image": "busybox:1.37"}]}}'
- conditions:
    groupResource: secrets
    resourceNameRegex: ".*"
  patches:
  - {operation: test, path: /type, value: Opaque}
  - {operation: remove, path: /data/pin}
"#;

const RENAMING: &str = r#"version: v1
resourceModifierRules:
- conditions: {groupResource: configmaps, resourceNameRegex: "^owned$"}
  patches:
  - {operation: replace, path: /metadata/name, value: owned-copy}
"#;

/// ConfigMaps of the targets: what Restores name, and what all of them obey.
pub(crate) fn settings() -> [Value; 4] {
    let of_action = |action: &str, data: Value| {
        let labels = json!({"velero.io/plugin-config": "", action: "RestoreItemAction"});
        json!({"metadata": {"name": action.replace("velero.io/", ""), "labels": labels}, "data": data})
    };
    [
        json!({"metadata": {"name": "modifiers"}, "data": {"rules": MODIFIERS}}),
        json!({"metadata": {"name": "renaming"}, "data": {"rules": RENAMING}}),
        of_action("velero.io/change-storage-class", json!({"other": "slow"})),
        of_action("velero.io/change-image-name", json!({"moved": "example.com/old,example.com/new"})),
    ]
}
