//! The same Backup, by either engine and of the same cluster at the same time.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use k8s_openapi::api::core::v1::ConfigMap;
use kurator_api::names::{PROBLEMS_ANNOTATION, WITHOUT_DATA_ANNOTATION};
use kurator_api::velero::Backup;
use kurator_testkit::fixtures::{json_of, object, shelf};
use kurator_testkit::{Cluster, Lab};
use serde_json::{Value, json};

use crate::Outcome;
use crate::differences::Differences;
use crate::results::{count, messages};
use crate::scene::{Make, SOURCE, lab};
use crate::stored::Stored;

/// The Backup that is restored.
const WHOLE: &str = "whole";

/// What became of a Backup.
pub(crate) struct Ended {
    /// The Backup of the cluster.
    pub(crate) backup: Backup,
    /// Nothing if it was refused.
    pub(crate) stored: Option<Stored>,
}

/// One test and one Backup for each spec.
macro_rules! specs {
    ($($name:ident: $spec:tt)*) => {
        const SPECS: &[(&str, fn() -> Value)] = &[$((stringify!($name), || json!($spec))),*];
        $(#[test] fn $name() -> Outcome { alike(stringify!($name)) })*
    };
}

specs! {
    an_empty_spec: {}
    a_namespace: {"includedNamespaces": ["shop"]}
    two_namespaces: {"includedNamespaces": ["shop", "data"]}
    all_namespaces_but_some: {"excludedNamespaces": ["shop", "kube-system"]}
    namespaces_by_glob: {"includedNamespaces": ["shop*", "op?"], "excludedNamespaces": ["*-old"]}
    a_hidden_namespace_by_name: {"includedNamespaces": ["shop-hidden", "shop-old"]}
    a_namespace_that_is_missing: {"includedNamespaces": ["shop-old", "nowhere"]}
    a_glob_that_matches_nothing: {"includedNamespaces": ["nothing-*"]}
    types_by_short_name: {"includedResources": ["cm", "deploy", "svc", "gdg"]}
    types_by_group: {"includedResources": ["deployments.apps", "gadgets.ops.example.com", "secrets"]}
    types_by_kind: {"includedResources": ["ConfigMap", "statefulset"]}
    types_by_glob: {"includedResources": ["*.apps", "config*"]}
    all_types_but_some: {"includedResources": ["*"], "excludedResources": ["secrets", "pods", "po", "replicasets.apps"]}
    excluded_types_of_a_namespace: {"includedNamespaces": ["data"], "excludedResources": ["persistentvolumes", "sts"]}
    a_type_that_is_unknown: {"includedResources": ["configmaps", "unicorns.example.com"]}
    with_cluster_scoped: {"includeClusterResources": true}
    without_cluster_scoped: {"includeClusterResources": false}
    a_namespace_with_cluster_scoped: {"includedNamespaces": ["ops"], "includeClusterResources": true}
    a_namespace_without_cluster_scoped: {"includedNamespaces": ["data", "ops", "rbac"], "includeClusterResources": false}
    all_cluster_scoped_types: {"includedClusterScopedResources": ["*"]}
    some_cluster_scoped_types: {
        "includedNamespaces": ["shop"], "includedClusterScopedResources": ["clusterroles", "sc", "plants"],
    }
    excluded_cluster_scoped_types: {
        "includedNamespaces": ["ops", "data"], "excludedClusterScopedResources": ["customresourcedefinitions", "pv"],
    }
    no_cluster_scoped_types: {"includedNamespaces": ["rbac", "ops"], "excludedClusterScopedResources": ["*"]}
    some_namespaced_types: {"includedNamespaceScopedResources": ["configmaps", "secrets"]}
    excluded_namespaced_types: {"excludedNamespaceScopedResources": ["pods", "replicasets", "endpoints"]}
    no_namespaced_types: {"excludedNamespaceScopedResources": ["*"], "includedClusterScopedResources": ["namespaces", "plants"]}
    both_scopes: {
        "includedNamespaceScopedResources": ["gadgets.ops.example.com", "cm"],
        "includedClusterScopedResources": ["storageclasses.storage.k8s.io"],
    }
    a_selector: {"labelSelector": {"matchLabels": {"tier": "gold"}}}
    a_selector_with_cluster_scoped: {
        "labelSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["gold", "silver"]}]},
        "includeClusterResources": true,
    }
    a_selector_within_namespaces: {
        "includedNamespaces": ["shop", "rbac"],
        "labelSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["gold"]}]},
    }
    any_of_some_selectors: {
        "orLabelSelectors": [
            {"matchLabels": {"tier": "silver"}},
            {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
            {"matchLabels": {"tier": "silver", "more": "no"}},
        ],
    }
    a_selector_on_pods: {"labelSelector": {"matchLabels": {"app": "db"}}, "includedResources": ["pods"]}
    pods_that_share_a_claim: {"includedNamespaces": ["data"], "labelSelector": {"matchLabels": {"shares": "first"}}}
    claims_of_a_group: {
        "includedNamespaces": ["data"], "labelSelector": {"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}},
    }
    a_namespace_that_is_going: {"includedNamespaces": ["shop-going", "shop-old"]}
    claims_alone: {"includedResources": ["persistentvolumeclaims"]}
    claims_without_cluster_scoped: {"includedResources": ["pvc"], "includeClusterResources": false}
    accounts_bring_their_roles: {"includedNamespaces": ["rbac"], "includedResources": ["serviceaccounts"]}
    instances_bring_their_definitions: {"includedResources": ["gadgets"]}
    cluster_scoped_instances: {"includedResources": ["plants"]}
    claims_bring_their_volumes: {"includedNamespaces": ["data"], "includedNamespaceScopedResources": ["pvc"]}
    pods_bring_nothing_that_is_excluded: {"includedNamespaces": ["data"], "includedResources": ["pods"]}
    what_a_selector_takes_brings_the_rest: {
        "includedNamespaces": ["data", "rbac"],
        "labelSelector": {"matchExpressions": [
            {"key": "apps.kubernetes.io/pod-index", "operator": "In", "values": ["0"]},
        ]},
    }
    without_snapshots: {"includedNamespaces": ["data"], "snapshotVolumes": false}
    a_policy_of_types: {
        "includedNamespaces": ["shop", "rbac", "ops"],
        "resourcePolicy": {"kind": "configmap", "name": "types"},
    }
    a_policy_of_names: {"resourcePolicy": {"kind": "configmap", "name": "names"}}
    a_policy_of_volumes: {
        "includedNamespaces": ["data"], "resourcePolicy": {"kind": "configmap", "name": "volumes"},
    }
    a_policy_of_cluster_scoped_names: {
        "includedNamespaces": ["rbac", "shop"], "resourcePolicy": {"kind": "configmap", "name": "cluster"},
    }
    types_of_no_namespace_of_the_list: {
        "includedNamespaces": ["shop-old"], "includedResources": ["plants", "storageclasses", "cm"],
    }
    namespaces_alone: {"includedResources": ["namespaces"], "labelSelector": {"matchLabels": {"tier": "gold"}}}
    a_long_life: {"includedNamespaces": ["shop-old"], "ttl": "1h30m", "csiSnapshotTimeout": "5m"}
    an_order: {
        "includedNamespaces": ["data", "shop"], "orderedResources": {"pods": "data/db-1,data/db-0", "pv": "kept"},
    }
    old_and_new_filters: {"includedResources": ["pods"], "includedClusterScopedResources": ["*"]}
    two_kinds_of_selectors: {
        "labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"a": "b"}}],
    }
    a_name_on_both_lists: {"includedNamespaces": ["shop"], "excludedNamespaces": ["shop"]}
    everything_and_more: {"includedNamespaces": ["*", "shop"], "includedResources": ["*", "pods"]}
    a_policy_that_is_missing: {"resourcePolicy": {"kind": "configmap", "name": "nowhere"}}
}

/// Durations stay as their author wrote them; Velero spells them out (decision 8).
const DURATIONS: [(&str, &str, &str); 2] =
    [("ttl", "1h30m", "1h30m0s"), ("csiSnapshotTimeout", "5m", "5m0s")];

/// Policies that specs name.
fn policies() -> [(&'static str, &'static str); 4] {
    [
        (
            "types",
            "version: v1
includeExcludePolicy:
  includedClusterScopedResources: [ingressclasses, plants]
  excludedNamespaceScopedResources: [secrets, endpoints]
",
        ),
        (
            "volumes",
            "version: v1
volumePolicies:
- conditions: {storageClass: [hand-made], capacity: \"0,2Gi\"}
  action: {type: skip}
- conditions: {pvcLabels: {app: db}}
  action: {type: snapshot}
",
        ),
        (
            "cluster",
            "version: v1
clusterScopedFilterPolicy:
  resourceFilters:
  - kinds: [clusterroles]
    names: [\"rob*\", \"system:b*\"]
  - kinds: [ingressclasses]
    labelSelector: {matchLabels: {tier: gold}}
",
        ),
        (
            "names",
            "version: v1
namespacedFilterPolicies:
- namespaces: [shop]
  resourceFilters:
  - kinds: [configmaps]
    names: [\"p*\"]
    excludedNames: [private]
  - kinds: [services]
    labelSelector: {matchLabels: {tier: gold}}
- namespaces: [\"da*\"]
  resourceFilters:
  - kinds: [\"*\"]
    labelSelector: {matchLabels: {app: db}}
",
        ),
    ]
}

/// All Backups of either engine, made by the first test that asks.
pub(crate) fn all() -> anyhow::Result<&'static BTreeMap<String, [Ended; 2]>> {
    static ALL: OnceLock<Result<BTreeMap<String, [Ended; 2]>, String>> = OnceLock::new();
    let lab = lab()?;
    let all = ALL.get_or_init(|| lab.run(made(lab)).map_err(|error| format!("{error:#}")));
    all.as_ref().map_err(|error| anyhow::anyhow!("the backups could not be made: {error}"))
}

async fn made(lab: &Lab) -> anyhow::Result<BTreeMap<String, [Ended; 2]>> {
    let source = lab.member(SOURCE);
    for make in Make::BOTH {
        for (name, policy) in policies() {
            let map: ConfigMap =
                serde_json::from_value(json!({"metadata": {"name": name}, "data": {"policy": policy}}))?;
            shelf::<ConfigMap>(source, make.namespace())?.create(&map).await?;
        }
    }
    // From here on nothing changes but what the engines write.
    for make in Make::BOTH {
        let backups = shelf::<Backup>(source, make.namespace())?;
        for (name, spec) in SPECS {
            let mut spec = spec();
            spec["storageLocation"] = make.location().into();
            backups.create(&object(&name.replace('_', "-"), spec)?).await?;
        }
        let spec = json!({"includeClusterResources": true, "storageLocation": make.location()});
        backups.create(&object(&whole_by(make), spec)?).await?;
    }
    let mut all = BTreeMap::new();
    for (name, _) in SPECS {
        let stored = name.replace('_', "-");
        let both = Make::BOTH.map(|make| ended(lab, source, make, stored.clone()));
        let [velero, engine] = both;
        all.insert((*name).to_owned(), [velero.await?, engine.await?]);
    }
    let [velero, engine] = Make::BOTH.map(|make| ended(lab, source, make, whole_by(make)));
    all.insert(WHOLE.to_owned(), [velero.await?, engine.await?]);
    Ok(all)
}

/// The Backup of the whole cluster that is restored, under a name that tells whose it is.
pub(crate) fn whole_by(make: Make) -> String {
    format!("whole-{}", make.location())
}

/// These Backups of the whole cluster, of either engine.
pub(crate) fn whole() -> anyhow::Result<[&'static Backup; 2]> {
    let [velero, engine] = &all()?[WHOLE];
    Ok([&velero.backup, &engine.backup])
}

async fn ended(lab: &Lab, source: &Cluster, make: Make, name: String) -> anyhow::Result<Ended> {
    let backups = shelf::<Backup>(source, make.namespace())?;
    let backup = backups.until(&name, "to end", |backup| is_over(&json_of(backup))).await?;
    let stored = match json_of(&backup)["status"]["phase"].as_str() {
        Some("Completed" | "PartiallyFailed") => Some(Stored::fetch(lab, make, &name).await?),
        _ => None,
    };
    Ok(Ended { backup, stored })
}

/// Whether a Backup or Restore has a terminal phase.
pub(crate) fn is_over(object: &Value) -> bool {
    let phase = object["status"]["phase"].as_str().unwrap_or_default();
    ["Completed", "PartiallyFailed", "Failed", "FailedValidation"].contains(&phase)
}

/// Compares what became of one spec.
fn alike(name: &str) -> Outcome {
    let [velero, engine] = &all()?[name];
    let mut differences = Differences::default();
    differences.compare("status", &status(&velero.backup), &status(&engine.backup));
    differences.compare("stored", &velero.stored.is_some().into(), &engine.stored.is_some().into());
    if let (Some(velero), Some(engine)) = (&velero.stored, &engine.stored) {
        differences.compare("backup", &body(velero, Make::Velero), &body(engine, Make::Engine));
        differences.compare("resource list", &listed(&velero.resource_list), &listed(&engine.resource_list));
        differences.compare("results", &told(&velero.results), &told(&engine.results));
        differences.compare_all(&volumes(velero), &volumes_that_are_stored(engine));
        differences.compare_all(&objects(velero), &objects(engine));
    }
    differences.none()
}

/// The status without times, counts that [`counts_are_true`] looks at, and the version of the format (decision 7).
fn status(backup: &Backup) -> Value {
    let mut status = json_of(backup)["status"].clone();
    for time in ["startTimestamp", "completionTimestamp", "expiration"] {
        if !status[time].is_null() {
            status[time] = "a time".into();
        }
    }
    for key in ["formatVersion", "progress", "warnings", "errors"] {
        status[key].take();
    }
    // As many reasons, each in the engine's own words.
    if let Some(reasons) = status["validationErrors"].as_array_mut() {
        reasons.fill("a reason".into());
    }
    status
}

/// The Backup as it is stored, but for whose it is.
fn body(stored: &Stored, make: Make) -> Value {
    let mut backup = stored.backup.clone();
    backup["status"].take();
    for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "namespace", "generation"] {
        backup["metadata"][key].take();
    }
    if make == Make::Engine {
        // "Volume data is not stored".
        if let Some(annotations) = backup["metadata"]["annotations"].as_object_mut() {
            annotations.remove(WITHOUT_DATA_ANNOTATION);
            annotations.remove(PROBLEMS_ANNOTATION);
        }
        for (key, written, spelt_out) in DURATIONS {
            if backup["spec"][key] == written {
                backup["spec"][key] = spelt_out.into();
            }
        }
    }
    for place in ["/metadata/labels/velero.io~1storage-location", "/spec/storageLocation"] {
        if let Some(location) = backup.pointer_mut(place).filter(|location| **location == make.location()) {
            *location = "its own".into();
        }
    }
    backup
}

fn listed(list: &Value) -> Value {
    let kinds = list.as_object().into_iter().flatten();
    kinds
        .filter(|(kind, _)| !kind.contains("velero.io/") && !kind.ends_with("/Event"))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// How many messages there are of each level and scope: the words are the engine's own.
fn told(results: &Value) -> Value {
    messages(results).into_iter().map(|(scope, told)| (scope, json!(told.len()))).collect()
}

/// The volumes whose data stays where it is, by name.
fn volumes(stored: &Stored) -> BTreeMap<String, Value> {
    let all = stored.volumes.as_array().into_iter().flatten().cloned().map(|mut volume| {
        let name = volume["pvName"].as_str().unwrap_or_default().to_owned();
        let reason = volume["skippedReason"].take();
        volume["skippedReason"] = (!reason.is_null()).into();
        (format!("volume {name}"), volume)
    });
    all.collect()
}

/// The engine tells of claims too whose volume was not taken; Velero doesn't (decision 8).
fn volumes_that_are_stored(engine: &Stored) -> BTreeMap<String, Value> {
    let mut all = volumes(engine);
    all.retain(|_, volume| !volume["pvInfo"].is_null());
    all
}

/// What was taken, without what changes from second to second.
fn objects(stored: &Stored) -> BTreeMap<String, Value> {
    let of_the_test = stored.objects.iter().filter(|(path, _)| !is_moving(path));
    let mut objects: BTreeMap<_, _> =
        of_the_test.map(|(path, object)| (path.clone(), object.clone())).collect();
    for (path, object) in &mut objects {
        object["metadata"]["resourceVersion"].take();
        for manager in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            manager["time"].take();
        }
        if path.starts_with("leases.") {
            object["spec"].take();
        }
    }
    objects
}

/// Events, and the objects of the engines themselves.
fn is_moving(path: &str) -> bool {
    let of = path.split('/').next().unwrap_or_default();
    of == "events" || of == "events.events.k8s.io" || of.ends_with(".velero.io")
}

#[test]
fn counts_are_true() -> Outcome {
    for (name, both) in all()? {
        for Ended { backup, stored } in both {
            let Some(stored) = stored else { continue };
            let status = &json_of(backup)["status"];
            let number = |at: &str| status.pointer(at).and_then(Value::as_u64).unwrap_or_default();
            let objects = u64::try_from(stored.objects.len())?;
            assert_eq!(number("/progress/itemsBackedUp"), objects, "{name}");
            assert_eq!(number("/progress/totalItems"), objects, "{name}");
            for level in ["warnings", "errors"] {
                assert_eq!(
                    number(&format!("/{level}")),
                    u64::try_from(count(&stored.results, level))?,
                    "{name}"
                );
            }
        }
    }
    Ok(())
}
