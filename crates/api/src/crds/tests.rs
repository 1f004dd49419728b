use std::path::PathBuf;

use serde_json::Map;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../charts/kurator/crds")
}

#[test]
fn the_files_of_the_chart_are_up_to_date() {
    for (name, yaml) in render() {
        let stored = std::fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert!(stored == yaml, "charts/kurator/crds/{name} is stale: run `cargo xtask crds`");
    }
    let files = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, render().len(), "charts/kurator/crds has files of no kind: run `cargo xtask crds`");
}

/// Group, plural, kind, columns: what Kurator's definitions say.
#[test]
fn names_and_columns_are_those_of_kurator() {
    let expected = [
        "fleets.fleet.kurator.dev Fleet FleetList fleet | Phase:string=.status.phase",
        "attachedclusters.cluster.kurator.dev AttachedCluster AttachedClusterList attachedcluster | Ready:boolean=.status.ready",
        "clusters.cluster.kurator.dev Cluster ClusterList cluster | InfraType:string=.spec.infraType Version:string=.spec.version Phase:string=.status.phase",
        "backups.backup.kurator.dev Backup BackupList backup | Schedule:string=.spec.schedule Phase:string=.status.phase",
        "restores.backup.kurator.dev Restore RestoreList restore | Phase:string=.status.phase",
        "migrates.backup.kurator.dev Migrate MigrateList migrate | Phase:string=.status.phase",
    ];
    let actual = all().into_iter().map(|crd| {
        let (names, [version]) = (crd.spec.names, <[_; 1]>::try_from(crd.spec.versions).unwrap());
        assert_eq!((version.name.as_str(), version.served, version.storage), ("v1alpha1", true, true));
        assert!(version.subresources.unwrap().status.is_some());
        assert_eq!(names.categories.unwrap(), [CATEGORY]);
        assert_eq!(names.short_names, None);
        let columns: Vec<_> = version
            .additional_printer_columns
            .unwrap()
            .into_iter()
            .filter(|column| column.priority.is_none())
            .map(|column| format!("{}:{}={}", column.name, column.type_, column.json_path))
            .collect();
        format!(
            "{} {} {} {} | {}",
            crd.metadata.name.unwrap(),
            names.kind,
            names.list_kind.unwrap(),
            names.singular.unwrap(),
            columns.join(" ")
        )
    });
    assert_eq!(actual.collect::<Vec<_>>(), expected);
}

/// Walks every schema below a value.
fn visit(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Map<String, Value>)) {
    let Some(schema) = schema.as_object() else { return };
    look(path, schema);
    let below = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    for (name, schema) in below {
        visit(&format!("{path}.{name}"), schema, look);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(schema) = schema.get(key) {
            visit(&format!("{path}{mark}"), schema, look);
        }
    }
}

fn visit_all(mut look: impl FnMut(&str, &Map<String, Value>)) {
    for crd in serde_json::to_value(all()).unwrap().as_array().unwrap() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        visit(kind, &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], &mut look);
    }
}

#[test]
fn the_only_defaults_are_those_of_kurator() {
    let mut defaults = Vec::new();
    visit_all(|path, schema| {
        if let Some(default) = schema.get("default") {
            defaults.push(format!("{path} = {default}"));
        }
    });
    let security = "Fleet.spec.plugin.policy.kyverno.podSecurity";
    assert_eq!(
        defaults,
        [
            format!("{security}.severity = \"medium\""),
            format!("{security}.standard = \"baseline\""),
            format!("{security}.validationFailureAction = \"Audit\""),
            "AttachedCluster.spec.kubeconfig.key = \"value\"".to_owned(),
        ]
    );
}

/// Above all: no kind requires `spec`.
#[test]
fn required_fields_are_those_of_kurator() {
    let mut required = Vec::new();
    visit_all(|path, schema| {
        let is_ours = !path.contains(".matchExpressions") && !path.contains("onditions[]");
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter(|_| is_ours)
        {
            required.push(format!("{path}.{}", name.as_str().unwrap()));
        }
    });
    assert_eq!(
        required,
        [
            "Fleet.spec.plugin.backup.storage",
            "Fleet.spec.plugin.backup.storage.location",
            "Fleet.spec.plugin.backup.storage.secretName",
            "Fleet.spec.plugin.backup.storage.location.bucket",
            "Fleet.spec.plugin.backup.storage.location.endpoint",
            "Fleet.spec.plugin.backup.storage.location.provider",
            "Fleet.spec.plugin.distributedStorage.storage",
            "Fleet.spec.plugin.flagger.trafficRoutingProvider",
            "Fleet.spec.plugin.metric.thanos.objectStoreConfig",
            "Fleet.spec.plugin.metric.thanos.objectStoreConfig.secretName",
            "Fleet.spec.plugin.submariner.clusterCidrs",
            "Fleet.spec.plugin.submariner.serviceCidrs",
            "AttachedCluster.spec.kubeconfig.name",
            "Backup.spec.destination",
            "Backup.spec.destination.fleet",
            "Restore.spec.backupName",
            "Restore.spec.destination.fleet",
            "Migrate.spec.sourceCluster",
            "Migrate.spec.targetCluster",
            "Migrate.spec.sourceCluster.fleet",
            "Migrate.spec.targetCluster.fleet",
        ]
    );
}

#[test]
fn every_field_has_a_description_and_only_formats_that_kubernetes_knows() {
    visit_all(|path, schema| {
        let is_field = path.contains('.') && !path.ends_with("[]") && !path.ends_with("{}");
        let is_foreign = path.contains("elector") || path.contains("InCluster");
        assert!(!is_field || is_foreign || schema.contains_key("description"), "{path} has no description");
        if let Some(format) = schema.get("format").and_then(Value::as_str) {
            assert!(["int32", "int64", "date-time"].contains(&format), "{path} has format {format}");
        }
    });
}

#[test]
fn rows_are_atomic_lists_and_copies_of_velero_statuses_are_open() {
    let mut rows = 0;
    visit_all(|path, schema| {
        if path.ends_with("Details") || path.ends_with("targetClusterStatus") {
            assert_eq!(schema["x-kubernetes-list-type"], json!("atomic"), "{path}");
            rows += 1;
        }
        if path.ends_with("StatusInCluster") {
            assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], json!(true), "{path}");
        }
    });
    assert_eq!(rows, 3);
}
