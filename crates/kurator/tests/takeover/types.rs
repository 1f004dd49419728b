//! The types as Kurator installs them: closed schemas with the phases that the Velero of its time had, and no rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

const BACKUP_PHASES: &str = "New|FailedValidation|InProgress|WaitingForPluginOperations|\
    WaitingForPluginOperationsPartiallyFailed|Finalizing|FinalizingPartiallyFailed|Completed|PartiallyFailed|Failed|Deleting";
const RESTORE_PHASES: &str = "New|FailedValidation|InProgress|WaitingForPluginOperations|\
    WaitingForPluginOperationsPartiallyFailed|Completed|PartiallyFailed|Failed";
const MIGRATE_PHASES: &str = "Pending|FailedValidation|BackupInProgress|RestoreInProgress|Completed|Failed";

/// All of them, in the order in which objects can be made.
pub(crate) fn types() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    let run = |details: &str, row: Value| {
        let mut status = json!({"phase": "string", "conditions": conditions()});
        status[details] = json!([row]);
        status
    };
    let backup = json!({
        "schedule": "string", "destination": destination(),
        "policy": {"resourceFilter": filter(), "ttl": "string", "orderedResources": {"*": "string"}},
    });
    let restore = json!({
        "backupName": "string", "destination": destination(),
        "policy": {
            "resourceFilter": filter(), "namespaceMapping": {"*": "string"}, "preserveNodePorts": "boolean",
            "preserveStatus": preserve_status(),
        },
    });
    let migrate = json!({
        "sourceCluster": destination(), "targetCluster": destination(),
        "policy": {
            "resourceFilter": filter(), "orderedResources": {"*": "string"}, "namespaceMapping": {"*": "string"},
            "preserveNodePorts": "boolean", "migrateStatus": preserve_status(),
        },
    });
    let migrated = json!({
        "phase": MIGRATE_PHASES, "conditions": conditions(),
        "sourceClusterStatus": backup_row(), "targetClusterStatus": [restore_row()],
    });
    [
        define("cluster.kurator.dev", "Cluster", "clusters", json!("any"), json!("any")),
        define(
            "cluster.kurator.dev",
            "AttachedCluster",
            "attachedclusters",
            attached(),
            json!({"ready": "boolean"}),
        ),
        define("fleet.kurator.dev", "Fleet", "fleets", fleet(), fleet_status()),
        define("backup.kurator.dev", "Backup", "backups", backup, run("backupDetails", backup_row())),
        define("backup.kurator.dev", "Restore", "restores", restore, run("restoreDetails", restore_row())),
        define("backup.kurator.dev", "Migrate", "migrates", migrate, migrated),
    ]
    .into_iter()
    .map(serde_json::from_value)
    .collect()
}

fn define(group: &str, kind: &str, plural: &str, spec: Value, status: Value) -> Value {
    let [spec, status] = [spec, status].map(|shape| schema(&shape));
    json!({
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {
                "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(),
                "categories": ["kurator-dev"],
            },
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
                    "spec": spec, "status": status,
                }}},
            }],
        },
    })
}

/// The schema of what looks like `shape`: a text is the name of a type or an enum, a list has items of one shape, an
/// object has exactly these properties or, under `*`, any.
fn schema(shape: &Value) -> Value {
    match shape {
        Value::String(name) => match name.as_str() {
            "any" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            "time" => json!({"type": "string", "format": "date-time", "nullable": true}),
            phases if phases.contains('|') => {
                json!({"type": "string", "enum": phases.split('|').collect::<Vec<_>>()})
            }
            plain => json!({"type": plain}),
        },
        Value::Array(items) => json!({"type": "array", "nullable": true, "items": schema(&items[0])}),
        Value::Object(fields) => match fields.get("*") {
            Some(value) => json!({"type": "object", "nullable": true, "additionalProperties": schema(value)}),
            None => {
                let fields = fields.iter().map(|(name, shape)| (name.clone(), schema(shape)));
                json!({"type": "object", "properties": fields.collect::<serde_json::Map<_, _>>()})
            }
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => Value::Null,
    }
}

fn attached() -> Value {
    json!({"kubeconfig": {"name": "string", "key": "string"}})
}

fn fleet() -> Value {
    let chart = json!({"repository": "string", "name": "string", "version": "string"});
    let location = json!({
        "bucket": "string", "provider": "string", "endpoint": "string", "region": "string", "config": {"*": "string"},
    });
    let backup = json!({
        "chart": chart, "extraArgs": "any", "storage": {"location": location, "secretName": "string"},
    });
    json!({"clusters": [reference()], "plugin": {"backup": backup}})
}

fn fleet_status() -> Value {
    json!({
        "phase": "string", "reason": "string", "credentialSecret": "string",
        "readyClusters": "integer", "unReadyClusters": "integer", "pluginEndpoints": {"*": ["string"]},
    })
}

fn reference() -> Value {
    json!({
        "apiVersion": "string", "kind": "string", "name": "string", "namespace": "string", "fieldPath": "string",
        "resourceVersion": "string", "uid": "string",
    })
}

fn destination() -> Value {
    json!({"fleet": "string", "clusters": [reference()]})
}

fn filter() -> Value {
    let selector = json!({
        "matchLabels": {"*": "string"},
        "matchExpressions": [{"key": "string", "operator": "string", "values": ["string"]}],
    });
    let mut filter = json!({
        "includeClusterResources": "boolean", "labelSelector": selector, "orLabelSelectors": [selector],
    });
    for what in ["Namespaces", "Resources", "ClusterScopedResources", "NamespaceScopedResources"] {
        filter[format!("included{what}")] = json!(["string"]);
        filter[format!("excluded{what}")] = json!(["string"]);
    }
    filter
}

fn preserve_status() -> Value {
    json!({"includedResources": ["string"], "excludedResources": ["string"]})
}

fn conditions() -> Value {
    json!([{
        "type": "string", "status": "string", "severity": "string", "reason": "string", "message": "string",
        "lastTransitionTime": "time",
    }])
}

fn backup_row() -> Value {
    let status = json!({
        "version": "integer", "formatVersion": "string", "failureReason": "string", "phase": BACKUP_PHASES,
        "expiration": "time", "startTimestamp": "time", "completionTimestamp": "time",
        "validationErrors": ["string"], "progress": {"totalItems": "integer", "itemsBackedUp": "integer"},
        "warnings": "integer", "errors": "integer",
    });
    json!({
        "clusterName": "string", "clusterKind": "string", "backupNameInCluster": "string",
        "backupStatusInCluster": status,
    })
}

fn restore_row() -> Value {
    let status = json!({
        "failureReason": "string", "phase": RESTORE_PHASES, "startTimestamp": "time", "completionTimestamp": "time",
        "validationErrors": ["string"], "progress": {"totalItems": "integer", "itemsRestored": "integer"},
        "warnings": "integer", "errors": "integer",
    });
    json!({
        "clusterName": "string", "clusterKind": "string", "restoreNameInCluster": "string",
        "restoreStatusInCluster": status,
    })
}
