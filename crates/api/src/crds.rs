//! The hub's kinds as CustomResourceDefinitions, and as the files of the chart.
//!
//! The schemas come from the Rust types. What is said here is what stands above the spec: columns,
//! category, and the rules that compare spec and status.
//!
//! Nothing here depends on input, so a failure would be a fault of this crate that every run of its tests
//! meets. Hence `expect` instead of errors that no caller could act on.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiext;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::object::{HasSpec, HasStatus};
use kube::core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use kube::core::{NamespaceResourceScope, Resource};
use schemars::generate::SchemaSettings;
use schemars::transform::{AddNullable, RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use crate::backup::Backup;
use crate::cluster::{AttachedCluster, Cluster};
use crate::fleet::Fleet;
use crate::migrate::Migrate;
use crate::names::CRD_VERSION_ANNOTATION;
use crate::restore::Restore;

/// The category of all kinds: `kubectl get kurator-dev`.
pub const CATEGORY: &str = "kurator-dev";

/// A printer column: name, type, JSON path.
type Column = (&'static str, &'static str, &'static str);

/// A CEL rule on the whole object about its spec: rule, message.
type Rule = (String, &'static str);

const PHASE: Column = ("Phase", "string", ".status.phase");

/// Columns of `kubectl get -o wide`, of a kind whose status is ours.
const WIDE: [Column; 3] = [
    ("Reason", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
    ("Message", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
    ("Age", "date", ".metadata.creationTimestamp"),
];
/// How many clusters are through, of a kind that runs.
const DONE: Column = ("Clusters", "string", ".status.summary.status");

/// A one-time Backup is fixed once it runs, apart from `paused` and `deletionPolicy`; a schedule may change at any time.
fn fixed_backup() -> Rule {
    let same = same("spec", &["destination", "policy"]);
    let rule = format!(
        "{NOT_STARTED} || (has(oldSelf.spec.schedule) && oldSelf.spec.schedule != '') \
         || (has(self.spec) && {same} && (!has(self.spec.schedule) || self.spec.schedule == ''))"
    );
    (rule, "a one-time Backup can't be changed once it has started; create a new Backup")
}

/// What would be ignored is refused: there is nothing left to pause.
fn not_paused_late() -> Rule {
    let paused = |whose| format!("has({whose}.spec.paused) && {whose}.spec.paused");
    let (was, is) = (paused("oldSelf"), paused("self"));
    let rule = format!(
        "{NOT_STARTED} || (has(oldSelf.spec.schedule) && oldSelf.spec.schedule != '') || !has(self.spec) \
         || !({is}) || ({was})"
    );
    (rule, "a one-time Backup can't be paused once it has started")
}

fn fixed_restore() -> Rule {
    let rule = format!("{NOT_STARTED} || (has(self.spec) && self.spec == oldSelf.spec)");
    (rule, "a Restore can't be changed once it has started; create a new Restore")
}

/// A Migrate is fixed once it runs, apart from `deletionPolicy`, and from going on with an incomplete backup, which
/// can be allowed and not be taken back.
fn fixed_migrate() -> Rule {
    let clusters = same("spec", &["sourceCluster", "targetCluster"]);
    let same = |field| {
        let (now, before) = (format!("self.spec.policy.{field}"), format!("oldSelf.spec.policy.{field}"));
        format!(
            "(has(self.spec.policy) && has({now})) == (has(oldSelf.spec.policy) && has({before})) \
             && (!has(self.spec.policy) || !has({now}) || {now} == {before})"
        )
    };
    let fixed = [
        "resourceFilter",
        "orderedResources",
        "namespaceMapping",
        "migrateStatus",
        "preserveNodePorts",
        "ttl",
    ];
    let policy = fixed.map(same).join(" && ");
    let allows = |whose| {
        let policy = format!("{whose}.spec.policy");
        format!("has({policy}) && has({policy}.allowPartiallyFailed) && {policy}.allowPartiallyFailed")
    };
    let (allowed, allows) = (allows("oldSelf"), allows("self"));
    let rule = format!(
        "{NOT_STARTED} || (has(self.spec) && {clusters} && {policy} && (!({allowed}) || ({allows})))"
    );
    (rule, "a Migrate can't be changed once it has started; create a new Migrate")
}

/// An object that has not started may change in any way.
const NOT_STARTED: &str = "!has(oldSelf.status) || !has(oldSelf.status.startTimestamp) || !has(oldSelf.spec)";

/// Whether these fields below `path` are as they were, or absent as they were.
fn same(path: &str, fields: &[&str]) -> String {
    let same = |field| {
        let (now, before) = (format!("self.{path}.{field}"), format!("oldSelf.{path}.{field}"));
        format!("has({now}) == has({before}) && (!has({now}) || {now} == {before})")
    };
    fields.iter().map(same).collect::<Vec<_>>().join(" && ")
}

/// Every kind of the hub.
#[must_use]
pub fn all() -> Vec<apiext::CustomResourceDefinition> {
    let infra = ("InfraType", "string", ".spec.infraType");
    let version = ("Version", "string", ".spec.version");
    let ready = ("Ready", "boolean", ".status.ready");
    let schedule = ("Schedule", "string", ".spec.schedule");
    let run = [&[DONE][..], &WIDE].concat();
    vec![
        define::<Fleet>(
            "Clusters that belong together, and what is installed on all of them.",
            &[PHASE],
            &WIDE,
            &[],
        ),
        define::<AttachedCluster>("A cluster attached by its kubeconfig.", &[ready], &WIDE, &[]),
        define::<Cluster>("A cluster made through Cluster API.", &[infra, version, PHASE], &[], &[]),
        define::<Backup>(
            "A backup of clusters of a Fleet.",
            &[schedule, PHASE],
            &run,
            &[fixed_backup(), not_paused_late()],
        ),
        define::<Restore>("A restore of a Backup.", &[PHASE], &run, &[fixed_restore()]),
        define::<Migrate>(
            "A migration of resources from one cluster into others.",
            &[PHASE],
            &run,
            &[fixed_migrate()],
        ),
    ]
}

/// The files of `charts/kurator/crds`: name and content, one per kind.
#[must_use]
pub fn render() -> Vec<(String, String)> {
    all()
        .iter()
        .map(|crd| {
            let name = format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural);
            (name, format!("# Generated by `cargo xtask crds` from crates/api.\n{}", to_yaml(crd)))
        })
        .collect()
}

/// One definition as YAML.
#[must_use]
pub fn to_yaml(crd: &apiext::CustomResourceDefinition) -> String {
    serde_saphyr::to_string(crd).expect("a definition is plain data, which YAML can always hold")
}

fn define<K>(
    description: &str,
    columns: &[Column],
    wide: &[Column],
    rules: &[Rule],
) -> apiext::CustomResourceDefinition
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + HasSpec + HasStatus,
    K::Spec: JsonSchema,
    K::Status: JsonSchema,
{
    let kind = K::kind(&()).into_owned();
    let schema = serde_json::from_value(schema::<K::Spec, K::Status>(description, rules))
        .expect("the schemas of our types have only what Kubernetes' schemas have");
    let all = columns.iter().map(|column| (column, None)).chain(wide.iter().map(|column| (column, Some(1))));
    let columns = all.map(|(&(name, type_, json_path), priority)| apiext::CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        priority,
        ..Default::default()
    });
    apiext::CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", K::plural(&()), K::group(&()))),
            annotations: Some(
                [(CRD_VERSION_ANNOTATION.to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            ),
            ..ObjectMeta::default()
        },
        spec: apiext::CustomResourceDefinitionSpec {
            group: K::group(&()).into_owned(),
            names: apiext::CustomResourceDefinitionNames {
                categories: Some(vec![CATEGORY.to_owned()]),
                list_kind: Some(format!("{kind}List")),
                singular: Some(kind.to_lowercase()),
                plural: K::plural(&()).into_owned(),
                kind,
                ..Default::default()
            },
            scope: "Namespaced".to_owned(),
            versions: vec![apiext::CustomResourceDefinitionVersion {
                name: K::version(&()).into_owned(),
                served: true,
                storage: true,
                additional_printer_columns: Some(columns.collect()),
                subresources: Some(apiext::CustomResourceSubresources {
                    status: Some(apiext::CustomResourceSubresourceStatus(json!({}))),
                    ..Default::default()
                }),
                schema: Some(apiext::CustomResourceValidation { open_api_v3_schema: Some(schema) }),
                ..Default::default()
            }],
            ..Default::default()
        },
        status: None,
    }
}

/// The schema of a whole object. `spec` is not required: in Kurator it isn't.
fn schema<S: JsonSchema, T: JsonSchema>(description: &str, rules: &[Rule]) -> Value {
    let mut status = schema_of::<T>();
    // A status says what was observed; a default would be an observation that nobody made.
    RecursiveTransform(|schema: &mut Schema| drop(schema.remove("default"))).transform(&mut status);
    let mut schema = json!({
        "type": "object",
        "description": description,
        "properties": { "spec": schema_of::<S>(), "status": status },
    });
    if !rules.is_empty() {
        schema["x-kubernetes-validations"] = rules
            .iter()
            .map(|(rule, message)| json!({ "rule": rule, "message": message, "fieldPath": ".spec" }))
            .collect();
    }
    schema
}

fn schema_of<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .with_transform(RecursiveTransform(known_format))
        .into_generator()
        .into_root_schema_for::<T>();
    schema.remove("title");
    schema
}
/// Kubernetes knows no unsigned formats.
fn known_format(schema: &mut Schema) {
    if schema.get("format") == Some(&json!("uint32")) {
        schema.insert("format".to_owned(), json!("int32"));
        schema.remove("minimum");
    }
}

#[cfg(test)]
mod tests;
