//! The same Restore of the same archive, by either engine into a cluster of its own.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use futures::future::try_join;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::core::ObjectMeta;
use kurator_api::velero::{Backup, Restore};
use kurator_testkit::fixtures::{json_of, object, velero as in_member};
use kurator_testkit::{Cluster, Lab};
use serde_json::{Value, json};

use crate::Outcome;
use crate::backups::{self, is_over};
use crate::differences::Differences;
use crate::live::{Live, everything};
use crate::results::{count, cut, drop_of_managed_fields, messages};
use crate::scene::{Make, grow, lab};
use crate::settings::settings;
use crate::stored::json as unpacked;

/// A Restore that both run, each in its turn.
struct Case {
    name: &'static str,
    /// Whose archive.
    of: Make,
    spec: fn() -> Value,
    /// What is there before: a manifest, and the namespace that it is made in.
    before: Option<(&'static str, &'static str)>,
}

/// What became of a Restore.
struct Ended {
    restore: Value,
    results: Value,
    resource_list: Value,
}

/// All Restores, and what was in the clusters in the end.
struct Outcomes {
    restores: BTreeMap<String, [Ended; 2]>,
    clusters: [BTreeMap<String, Live>; 2],
}

const DRIFTED: &str = include_str!("manifests/drifted.yaml");
const BESIDE: &str = include_str!("manifests/beside.yaml");
const STRICT: &str = include_str!("manifests/strict.yaml");

/// With all of the cluster Velero makes the Namespaces that are not to be restored too, with nothing in them. The engine
/// makes those that it restores into (decision 8).
const WITH_OTHER_NAMESPACES: &str = "with_all_of_the_cluster";
const OTHER_NAMESPACES: [&str; 3] = ["engine", "ops", "shop"];

/// One test and one Restore for each spec; an archive is Velero's or ours.
macro_rules! specs {
    ($($name:ident, of $of:ident $(, over $before:ident in $namespace:literal)?: $spec:tt)*) => {
        const CASES: &[Case] = &[$(Case {
            name: stringify!($name), of: Make::$of, spec: || json!($spec),
            before: [$(($before, $namespace))?].first().copied(),
        }),*];
        $(#[test] fn $name() -> Outcome { alike(stringify!($name)) })*
    };
}

specs! {
    // The first: ports that the server chose in the source may be in use after any other.
    node_ports_preserved, of Velero: {
        "includedNamespaces": ["shop"], "includedResources": ["services"], "preserveNodePorts": true,
        "labelSelector": {"matchLabels": {"ports": "chosen"}}, "namespaceMapping": {"shop": "shop-preserved"},
    }
    definitions_and_instances, of Engine: {
        "includedNamespaces": ["ops"], "includedResources": ["crd", "gadgets", "plants.ops.example.com"],
        "includeClusterResources": true,
    }
    the_example_of_the_docs, of Velero: {"includedNamespaces": ["nginx-example"]}
    an_app_with_state, of Engine: {"includedNamespaces": ["data"]}
    an_app_with_state_under_another_name, of Velero: {
        "includedNamespaces": ["data"], "namespaceMapping": {"data": "data-mapped"},
    }
    claims_alone, of Velero: {
        "includedNamespaces": ["data"], "includedResources": ["pvc"], "namespaceMapping": {"data": "data-claims"},
        "includeClusterResources": false, "restorePVs": false,
    }
    rights, of Velero: {
        "includedNamespaces": ["rbac"], "namespaceMapping": {"rbac": "rbac-mapped"},
        "includedResources": ["sa", "roles", "rolebindings", "clusterroles", "clusterrolebindings", "secrets"],
        "includeClusterResources": true,
    }
    types_of_the_cluster, of Engine: {
        "includedResources": [
            "storageclasses", "priorityclasses", "ingressclasses", "persistentvolumes",
            "validatingwebhookconfigurations",
        ],
    }
    an_update_of_what_has_drifted, of Velero, over DRIFTED in "shop-updated": {
        "includedNamespaces": ["shop"], "namespaceMapping": {"shop": "shop-updated"},
        "excludedResources": ["services"], "existingResourcePolicy": "update",
    }
    what_has_drifted_stays, of Engine, over DRIFTED in "shop-left": {
        "includedNamespaces": ["shop"], "namespaceMapping": {"shop": "shop-left"},
        "excludedResources": ["services"],
    }
    what_has_drifted_stays_by_policy, of Velero, over DRIFTED in "shop-none": {
        "includedNamespaces": ["shop"], "namespaceMapping": {"shop": "shop-none"},
        "excludedResources": ["services"], "existingResourcePolicy": "none",
    }
    nothing_to_update, of Velero: {
        "includedNamespaces": ["nginx-example", "rbac"], "includeClusterResources": false,
        "existingResourcePolicy": "update",
    }
    status_of_some_types, of Engine: {
        "includedNamespaces": ["ops", "shop"], "includedResources": ["gadgets", "pods", "jobs"],
        "namespaceMapping": {"ops": "ops-status", "shop": "shop-status"},
        "restoreStatus": {"includedResources": ["gadgets", "jobs"]},
    }
    status_of_what_asks_for_it, of Velero: {
        "includedNamespaces": ["ops"], "namespaceMapping": {"ops": "ops-asked"},
    }
    node_ports_that_were_asked_for, of Engine: {
        "includedNamespaces": ["shop"], "includedResources": ["services", "endpoints"],
        "namespaceMapping": {"shop": "shop-ports"},
    }
    ports_that_the_service_has_itself, of Velero: {
        "includedNamespaces": ["shop"], "includedResources": ["services"],
        "namespaceMapping": {"shop": "shop-ports"},
    }
    services_that_have_drifted, of Velero, over DRIFTED in "shop-services": {
        "includedNamespaces": ["shop"], "includedResources": ["services"], "existingResourcePolicy": "update",
        "namespaceMapping": {"shop": "shop-services"},
    }
    pods_that_are_refused, of Engine, over STRICT in "shop-strict": {
        "includedNamespaces": ["shop"], "includedResources": ["pods", "jobs", "configmaps"],
        "namespaceMapping": {"shop": "shop-strict"},
    }
    the_newest_of_a_schedule, of Velero: {
        "scheduleName": "plan", "includedNamespaces": ["shop-old"], "namespaceMapping": {"shop-old": "shop-newest"},
    }
    a_namespace_that_is_not_in_the_backup, of Velero: {
        "includedNamespaces": ["nowhere", "shop-old"], "includedResources": ["cm", "unicorns.example.com"],
        "namespaceMapping": {"shop-old": "shop-there", "elsewhere": "shop-elsewhere"},
    }
    all_namespaces_but_some, of Engine: {
        "excludedNamespaces": [
            "shop", "data", "kube-system", "default", "velero", "engine", "rbac", "nginx-example",
        ],
        "includeClusterResources": false, "namespaceMapping": {"ops": "ops-rest", "shop-old": "shop-rest"},
    }
    a_selector_that_takes_nothing, of Velero: {
        "labelSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["lead"]}]},
    }
    a_selector, of Engine: {
        "labelSelector": {"matchLabels": {"tier": "gold"}}, "excludedNamespaces": ["rbac"],
        "namespaceMapping": {"shop": "shop-gold", "ops": "ops-gold"},
    }
    any_of_some_selectors, of Velero: {
        "orLabelSelectors": [{"matchLabels": {"tier": "silver"}}, {"matchLabels": {"app": "db"}}],
        "includedNamespaces": ["shop", "data"], "namespaceMapping": {"shop": "shop-or", "data": "data-or"},
    }
    images_and_classes_by_settings, of Velero: {
        "includedNamespaces": ["shop-old"], "includedResources": ["storageclasses", "persistentvolumes", "deployments"],
        "includeClusterResources": true, "namespaceMapping": {"shop-old": "shop-moved"},
    }
    namespaces_by_glob, of Engine: {
        "includedNamespaces": ["shop*"], "excludedNamespaces": ["shop"], "excludedResources": ["pods"],
    }
    changed_on_the_way, of Velero: {
        "includedNamespaces": ["shop"], "namespaceMapping": {"shop": "shop-changed"},
        "includedResources": ["configmaps", "secrets", "pods", "cronjobs", "networkpolicies"],
        "resourceModifier": {"kind": "ConfigMap", "name": "modifiers"},
    }
    renamed_on_the_way, of Velero, over BESIDE in "shop-beside": {
        "includedNamespaces": ["shop"], "includedResources": ["configmaps"],
        "namespaceMapping": {"shop": "shop-beside"}, "resourceModifier": {"kind": "ConfigMap", "name": "renaming"},
    }
    with_all_of_the_cluster, of Engine: {
        "includedNamespaces": ["shop-old"], "namespaceMapping": {"shop-old": "shop-all"},
        "includeClusterResources": true,
    }
    a_type_that_is_never_restored, of Velero: {"includedResources": ["nodes"]}
    a_backup_that_is_missing, of Velero: {"backupName": "nowhere"}
    two_kinds_of_selectors, of Velero: {
        "labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"a": "b"}}],
    }
    a_policy_that_nobody_knows, of Velero: {"existingResourcePolicy": "replace"}
}

fn outcomes() -> anyhow::Result<&'static Outcomes> {
    static ALL: OnceLock<Result<Outcomes, String>> = OnceLock::new();
    let all = ALL.get_or_init(|| made().map_err(|error| format!("{error:#}")));
    all.as_ref().map_err(|error| anyhow::anyhow!("the restores could not be made: {error}"))
}

fn made() -> anyhow::Result<Outcomes> {
    let lab = lab()?;
    let archives = backups::whole()?;
    lab.run(async {
        for target in Make::BOTH.map(|make| lab.member(make.target())) {
            for archive in archives {
                bring(archive, target).await?;
            }
            for map in settings() {
                in_member::<ConfigMap>(target)?.create(&serde_json::from_value(map)?).await?;
            }
        }
        anyhow::Ok(())
    })?;
    let mut restores = BTreeMap::new();
    for case in CASES {
        if let Some((manifest, namespace)) = case.before {
            for make in Make::BOTH {
                let manifest = manifest.replace("NAMESPACE", namespace);
                grow(lab, lab.member(make.target()), &manifest, &["create"])?;
            }
        }
        let (velero, engine) =
            lab.run(async { try_join(run(lab, case, Make::Velero), run(lab, case, Make::Engine)).await })?;
        restores.insert(case.name.to_owned(), [velero, engine]);
    }
    let [velero, engine] = Make::BOTH.map(|make| lab.member(make.target()));
    let (velero, engine) = lab.run(async { try_join(everything(velero), everything(engine)).await })?;
    Ok(Outcomes { restores, clusters: [velero, engine] })
}

/// Makes a backup known in a target, as Velero's sync would.
async fn bring(backup: &Backup, target: &Cluster) -> Outcome {
    let mut copy = backup.clone();
    let mut labels = backup.labels().clone();
    if backup.name_any() == backups::whole_by(Make::Velero) {
        labels.insert("velero.io/schedule-name".to_owned(), "plan".to_owned());
    }
    copy.metadata =
        ObjectMeta { name: Some(backup.name_any()), labels: Some(labels), ..ObjectMeta::default() };
    in_member::<Backup>(target)?.create(&copy).await?;
    Ok(())
}

async fn run(lab: &Lab, case: &Case, make: Make) -> anyhow::Result<Ended> {
    // The two share the bucket, and the results of a Restore go where its Backup is.
    let name = format!("{}-{}", case.name.replace('_', "-"), if make == Make::Velero { "v" } else { "k" });
    let mut spec = (case.spec)();
    if spec["backupName"].is_null() && spec["scheduleName"].is_null() {
        spec["backupName"] = backups::whole_by(case.of).into();
    }
    let restores = in_member::<Restore>(lab.member(make.target()))?;
    restores.create(&object(&name, spec)?).await?;
    let ended = restores.until(&name, "to end", |restore| is_over(&json_of(restore))).await?;
    let file = async |kind: &str| {
        let key = format!("{}/restores/{name}/restore-{name}-{kind}.gz", case.of.location());
        lab.s3().get(&key).await?.map_or(Ok(Value::Null), |content| unpacked(&content))
    };
    Ok(Ended {
        restore: json_of(&ended),
        results: file("results").await?,
        resource_list: file("resource-list.json").await?,
    })
}

/// Compares what became of one spec.
fn alike(name: &str) -> Outcome {
    let all = outcomes()?;
    let [velero, engine] = &all.restores[name];
    let case =
        CASES.iter().find(|case| case.name == name).ok_or_else(|| anyhow::anyhow!("no case {name}"))?;
    let mut differences = Differences::default();
    differences.compare("status", &status(velero), &status(engine));
    if status(velero)["phase"] != "FailedValidation" {
        differences.compare("spec", &velero.restore["spec"], &engine.restore["spec"]);
    }
    let (mut by_velero, by_engine) = (messages(&velero.results), messages(&engine.results));
    drop_of_managed_fields(&mut by_velero, &by_engine);
    differences.compare("results", &cut(by_velero), &cut(by_engine));
    let (mut by_velero, by_engine) = (listed(velero), listed(engine));
    if name == WITH_OTHER_NAMESPACES {
        by_velero.retain(|object, _| !OTHER_NAMESPACES.contains(&object.trim_start_matches("v1/Namespace ")));
    }
    differences.compare_all(&but_for_managed_fields(by_velero, &by_engine), &by_engine);
    let namespaces = namespaces(&(case.spec)());
    let is_of = |live: &Live| {
        live.restore.as_deref() == Some(&*name.replace('_', "-"))
            || live.namespace.as_ref().is_some_and(|namespace| namespaces.contains(namespace))
    };
    let [velero, engine] = all.clusters.each_ref().map(|cluster| {
        let of_case = cluster.iter().filter(|(_, live)| is_of(live));
        of_case.map(|(path, live)| (path.clone(), live.object.clone())).collect()
    });
    differences.compare_all(&velero, &engine);
    differences.none()
}

/// What became of each object, by kind and name, but of those that controllers may have made before.
fn listed(ended: &Ended) -> BTreeMap<String, Value> {
    let kinds = ended.resource_list.as_object().into_iter().flatten();
    let lines = kinds.flat_map(|(kind, lines)| {
        let lines = lines.as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.filter_map(move |line| {
            let (name, action) = line.split_once('(')?;
            Some((format!("{kind} {name}"), Value::from(action.trim_end_matches(')'))))
        })
    });
    lines.filter(|(object, _)| !is_made_by_controllers(object)).collect()
}

fn is_made_by_controllers(object: &str) -> bool {
    object.ends_with("/kube-root-ca.crt")
        || object.starts_with("v1/ServiceAccount ") && object.ends_with("/default")
        || object.starts_with("discovery.k8s.io/v1/EndpointSlice ")
}

/// For Velero an object whose managed fields differ is another; for the engine it is the same, and skipped
/// (decision 8). [`alike`] compares the objects themselves.
fn but_for_managed_fields(
    mut velero: BTreeMap<String, Value>,
    engine: &BTreeMap<String, Value>,
) -> BTreeMap<String, Value> {
    for (object, action) in &mut velero {
        if (*action == "failed" || *action == "updated")
            && engine.get(object).is_some_and(|own| own == "skipped")
        {
            *action = "skipped".into();
        }
    }
    velero
}

/// The namespaces that a Restore is meant for.
fn namespaces(spec: &Value) -> Vec<String> {
    let mapping = spec["namespaceMapping"].as_object();
    let mapped = mapping.into_iter().flat_map(|mapping| mapping.values()).filter_map(Value::as_str);
    let included = spec["includedNamespaces"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let unmapped = included.filter(|name| !mapping.is_some_and(|mapping| mapping.contains_key(*name)));
    mapped.chain(unmapped).map(str::to_owned).collect()
}

/// The status without times, and without the counts that [`counts_are_true`] looks at.
fn status(ended: &Ended) -> Value {
    let mut status = ended.restore["status"].clone();
    for time in ["startTimestamp", "completionTimestamp"] {
        if !status[time].is_null() {
            status[time] = "a time".into();
        }
    }
    for key in ["progress", "warnings", "errors"] {
        status[key].take();
    }
    // The engine says each fault once.
    if !status["validationErrors"].is_null() {
        status["validationErrors"] = "reasons".into();
    }
    status
}

#[test]
fn counts_are_true() -> Outcome {
    for (name, both) in &outcomes()?.restores {
        for Ended { restore, results, resource_list } in both {
            let number = |at: &str| restore["status"].pointer(at).and_then(Value::as_u64).unwrap_or_default();
            for level in ["warnings", "errors"] {
                assert_eq!(number(&format!("/{level}")), u64::try_from(count(results, level))?, "{name}");
            }
            let listed = resource_list.as_object().into_iter().flatten();
            let listed: usize = listed.filter_map(|(_, lines)| lines.as_array()).map(Vec::len).sum();
            assert_eq!(number("/progress/itemsRestored"), u64::try_from(listed)?, "{name}");
            assert_eq!(number("/progress/totalItems"), u64::try_from(listed)?, "{name}");
        }
    }
    Ok(())
}

#[test]
fn nothing_else_has_changed_in_the_clusters() -> Outcome {
    let all = outcomes()?;
    let of_cases: Vec<String> = CASES.iter().flat_map(|case| namespaces(&(case.spec)())).collect();
    let is_other = |path: &str| OTHER_NAMESPACES.iter().any(|name| path == format!("namespaces//{name}"));
    let [velero, engine] = all.clusters.each_ref().map(|cluster| {
        let others = cluster.iter().filter(|(path, live)| {
            let is_of_case = live.namespace.as_ref().is_some_and(|namespace| of_cases.contains(namespace));
            live.restore.is_none() && !is_of_case && !is_other(path)
        });
        others.map(|(path, live)| (path.clone(), live.object.clone())).collect()
    });
    let mut differences = Differences::default();
    differences.compare_all(&velero, &engine);
    differences.none()
}
