//! Schemas of fields whose Rust type says less, or more, than the API server should enforce.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::cluster::ClusterReference;

/// The most clusters that one list names.
const MAX_CLUSTERS: u32 = 10_000;

/// Go's duration syntax without a sign of minus; the same language as [`crate::duration::GoDuration`].
const GO_DURATION: &str = r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A rule in CEL, and the sentence for whoever breaks it.
fn rule(rule: &str, message: &str) -> Value {
    json!({ "rule": rule, "message": message })
}

/// How long something is kept.
pub(crate) fn ttl(_: &mut SchemaGenerator) -> Schema {
    let syntax = rule(
        &format!("self.matches(r'{GO_DURATION}')"),
        "ttl must be a duration such as 720h or 90m; write days as hours",
    );
    json_schema!({ "type": "string", "nullable": true, "maxLength": 64, "x-kubernetes-validations": [syntax] })
}

/// A cron expression, by its shape; what the fields may hold depends on the Velero in the member.
pub(crate) fn cron(_: &mut SchemaGenerator) -> Schema {
    let shape = rule(
        r"self == '' || self.matches(r'^\s*((CRON_)?TZ=\S+\s+)?(@\S+(\s+\S+)?|\S+(\s+\S+){4})\s*$')",
        "schedule must have five fields (minute, hour, day of month, month, day of week), or be a descriptor such as \
         @daily or @every 6h",
    );
    json_schema!({ "type": "string", "nullable": true, "maxLength": 1024, "x-kubernetes-validations": [shape] })
}

/// References to clusters, few enough for the rules on each.
pub(crate) fn cluster_references(generator: &mut SchemaGenerator) -> Schema {
    let items = generator.subschema_for::<ClusterReference>();
    json_schema!({ "type": "array", "maxItems": MAX_CLUSTERS, "items": items })
}

/// Namespaces by the namespaces that their content goes to.
pub(crate) fn namespace_mapping(_: &mut SchemaGenerator) -> Schema {
    let names = rule(
        "self.all(from, self[from].matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
        "namespaceMapping must map to names of namespaces: lower case letters, digits and dashes",
    );
    json_schema!({
        "type": "object",
        "maxProperties": 1000,
        "additionalProperties": { "type": "string", "maxLength": 63 },
        "x-kubernetes-validations": [names],
    })
}

/// The name of an object in a member.
pub(crate) fn name_in_cluster(_: &mut SchemaGenerator) -> Schema {
    let name = rule(
        "self == '' || self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
        "backupNameInCluster must be the name of a Velero Backup: lower case letters, digits, dashes and dots",
    );
    json_schema!({ "type": "string", "nullable": true, "maxLength": 253, "x-kubernetes-validations": [name] })
}

/// Any JSON value, kept as it is.
pub(crate) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A JSON object of any content, kept as it is.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

/// A copy of a Velero status: open, because every Velero release adds fields and phases.
pub(crate) fn velero_status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": { "phase": { "type": "string" } },
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// A time, nullable as in Kurator's schemas.
pub(crate) fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time", "nullable": true })
}

/// A label selector; atomic, so that an apply replaces it whole.
pub(crate) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    let mut schema = selector();
    schema.insert("nullable".into(), true.into());
    schema
}

/// A list of label selectors.
pub(crate) fn label_selectors(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "nullable": true, "items": selector() })
}

fn selector() -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": { "type": "object", "additionalProperties": { "type": "string" } },
            "matchExpressions": {
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": { "type": "string" },
                        "operator": { "type": "string" },
                        "values": {
                            "type": "array",
                            "items": { "type": "string" },
                            "x-kubernetes-list-type": "atomic",
                        },
                    },
                },
            },
        },
    })
}

/// Ceph's monitors: 1 to 9.
pub(crate) fn at_most_monitors(schema: &mut Schema) {
    limit_count(schema, 9);
}

/// Ceph's managers: 1 or 2.
pub(crate) fn at_most_managers(schema: &mut Schema) {
    limit_count(schema, 2);
}

fn limit_count(schema: &mut Schema, most: u32) {
    if let Some(count) = schema.pointer_mut("/properties/count").and_then(|count| count.as_object_mut()) {
        count.insert("minimum".into(), 1.into());
        count.insert("maximum".into(), most.into());
    }
}
