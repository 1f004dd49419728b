//! Schemas of fields whose Rust type says less, or more, than the API server should enforce.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Go's duration syntax without a sign of minus; the same language as [`crate::duration::GoDuration`].
pub(crate) const GO_DURATION: &str = r"^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

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
