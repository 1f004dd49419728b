//! What Kurator leaves behind, on the hub and in the members, written as Kurator and its charts write it.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_api::velero::{self, BackupStorageLocation};
use kurator_testkit::fixtures::{
    BOUND, CREDENTIALS, FixtureError, Object, Tenant, json_of, sow, velero as in_member,
};
use kurator_testkit::wait::until;
use kurator_testkit::{Cluster, Lab, S3};
use serde_json::{Value, json};

use crate::types::types;

/// The hub's namespace, and the one that is backed up in the members.
pub(crate) const HUB: &str = "left";
pub(crate) const SHOP: &str = "shop";
pub(crate) const FLEET: &str = "quickstart";
pub(crate) const CLUSTERS: [&str; 2] = ["kurator-member1", "kurator-member2"];
/// The run that the schedule has made in member 2.
pub(crate) const RUN: &str = "20260101000000";

/// Kurator's name in a member.
pub(crate) fn child(cluster: &str, kind: &str, name: &str) -> String {
    format!("{cluster}-{kind}-{HUB}-{name}")
}

/// Installs the types and waits until they are served.
pub(crate) async fn install_types(lab: &Lab) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(lab.hub().client()?);
    for definition in types()? {
        let name = definition.name_any();
        api.create(&PostParams::default(), &definition).await?;
        until(&format!("{name} to be served"), BOUND, async || {
            let conditions =
                api.get(&name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let is_served = conditions
                .conditions
                .iter()
                .flatten()
                .any(|c| c.type_ == "Established" && c.status == "True");
            Ok::<_, String>(is_served.then_some(()))
        })
        .await?;
    }
    Ok(())
}

/// What the charts and the fleet manager put into a member, and something to back up.
pub(crate) async fn equip(member: &Cluster) -> Result<(), FixtureError> {
    sow(member, SHOP).await?;
    let keys = format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    );
    let mut secret: Secret = parse(json!({"metadata": {
        "name": secret_name(), "labels": {"fleet.kurator.dev/plugin": "backup"},
    }}))?;
    secret.data = Some(BTreeMap::from([("cloud".to_owned(), ByteString(keys.into_bytes()))]));
    in_member(member)?.create(&secret).await?;
    let location: BackupStorageLocation = parse(json!({
        "metadata": {"name": "default", "labels": {
            "app.kubernetes.io/name": "velero", "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "velero-5.0.2",
        }},
        "spec": {
            "provider": "aws", "default": true, "objectStorage": {"bucket": S3::BUCKET},
            "config": {"region": S3::REGION, "s3Url": S3::ENDPOINT, "s3ForcePathStyle": "true"},
            // The chart hands the key to Velero's pod, of which there is none here.
            "credential": {"name": secret_name(), "key": "cloud"},
        },
    }))?;
    in_member(member)?.create(&location).await?;
    in_member::<BackupStorageLocation>(member)?.until_phase("default", "Available").await.map(drop)
}

pub(crate) fn secret_name() -> String {
    format!("{FLEET}-velero-s3")
}

/// The labels of everything that Kurator makes for an object of the hub.
fn labels(owner: &str, name: &str) -> Value {
    json!({
        (format!("kurator.dev/{owner}-name")): name,
        "fleet.kurator.dev/fleet-name": FLEET, "fleet.kurator.dev/plugin": "backup",
    })
}

/// What Go writes of a Backup's spec that says nothing of these fields.
fn backup_spec() -> Value {
    json!({
        "metadata": {}, "hooks": {}, "csiSnapshotTimeout": "0s", "itemOperationTimeout": "0s", "ttl": "720h0m0s",
        "includedNamespaces": [SHOP],
    })
}

/// Makes a Velero Backup for an object of the hub; Velero runs it.
pub(crate) async fn back_up(member: &Cluster, name: &str, owner: &str, of: &str) -> Result<(), FixtureError> {
    let backup: velero::Backup = parse(json!({
        "metadata": {"name": name, "labels": labels(owner, of)}, "spec": backup_spec(), "status": {},
    }))?;
    in_member(member)?.create(&backup).await.map(drop)
}

/// A Schedule that is not due, and the one run that it has made.
pub(crate) async fn schedule(member: &Cluster, name: &str, of: &str) -> Result<(), FixtureError> {
    let schedule: velero::Schedule = parse(json!({
        "metadata": {"name": name, "labels": labels("backup", of)},
        "spec": {"schedule": "0 0 1 1 *", "template": backup_spec()}, "status": {},
    }))?;
    in_member(member)?.create(&schedule).await?;
    let mut labels = labels("backup", of);
    labels["velero.io/schedule-name"] = json!(name);
    let run: velero::Backup = parse(json!({
        "metadata": {"name": format!("{name}-{RUN}"), "labels": labels}, "spec": backup_spec(), "status": {},
    }))?;
    in_member(member)?.create(&run).await.map(drop)
}

/// Makes a Velero Restore for an object of the hub; Velero runs it.
pub(crate) async fn restore(
    member: &Cluster,
    name: &str,
    (owner, of): (&str, &str),
    backup: &str,
) -> Result<(), FixtureError> {
    let restore: velero::Restore = parse(json!({
        "metadata": {"name": name, "labels": labels(owner, of)},
        "spec": {"backupName": backup, "hooks": {}, "itemOperationTimeout": "0s", "restorePVs": null},
        "status": {},
    }))?;
    in_member(member)?.create(&restore).await.map(drop)
}

/// The Backup of one member as Velero's sync writes it into another that has the same location.
pub(crate) async fn sync(from: &Cluster, into: &Cluster, name: &str) -> Result<(), FixtureError> {
    let there: velero::Backup = in_member(from)?.get(name).await?;
    let mut here = velero::Backup { spec: there.spec, status: there.status, ..velero::Backup::default() };
    here.metadata.name = Some(name.to_owned());
    here.metadata.labels = there.metadata.labels;
    in_member(into)?.create(&here).await.map(drop)
}

/// Attached clusters and the fleet, as they are when Kurator is through with them.
pub(crate) async fn attach(lab: &Lab, tenant: &Tenant<'_>) -> Result<(), FixtureError> {
    for (i, name) in (1..).zip(CLUSTERS) {
        let key = format!("{name}.config");
        tenant.secret(name, &[(&key, &lab.member(i).kubeconfig())]).await?;
        let spec = json!({"kubeconfig": {"name": name, "key": key}});
        let object = on_hub(name, json!({"labels": {"fleet.kurator.dev/fleet-name": FLEET}}), &spec);
        stored::<AttachedCluster>(tenant, name, object, json!({"ready": true})).await?;
    }
    let location =
        json!({"bucket": S3::BUCKET, "provider": "aws", "endpoint": S3::ENDPOINT, "region": S3::REGION});
    let plugin = json!({"backup": {"storage": {"location": location, "secretName": CREDENTIALS}}});
    let spec = json!({"clusters": CLUSTERS.map(reference), "plugin": plugin});
    let object = on_hub(FLEET, json!({"finalizers": ["fleet.kurator.dev"]}), &spec);
    stored::<Fleet>(tenant, FLEET, object, json!({"phase": "Ready", "readyClusters": 2})).await
}

fn reference(name: &str) -> Value {
    json!({"kind": "AttachedCluster", "name": name})
}

/// A Backup of the hub. `more` goes into its spec.
pub(crate) async fn hub_backup(
    tenant: &Tenant<'_>,
    name: &str,
    more: Value,
    rows: Vec<Value>,
) -> Result<(), FixtureError> {
    let mut spec = json!({
        "destination": {"fleet": FLEET}, "policy": {"ttl": "720h", "resourceFilter": {"includedNamespaces": [SHOP]}},
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    let object = on_hub(name, json!({"finalizers": ["backup.kurator.dev"]}), &spec);
    stored::<Backup>(tenant, name, object, json!({"backupDetails": rows})).await
}

pub(crate) async fn hub_restore(
    tenant: &Tenant<'_>,
    name: &str,
    backup: &str,
    rows: Vec<Value>,
) -> Result<(), FixtureError> {
    let object = on_hub(name, json!({"finalizers": ["restore.kurator.dev"]}), &json!({"backupName": backup}));
    stored::<Restore>(tenant, name, object, json!({"restoreDetails": rows})).await
}

/// A Migrate from the first cluster to the second that has come to its end.
pub(crate) async fn hub_migrate(
    tenant: &Tenant<'_>,
    name: &str,
    source: Value,
    target: Value,
) -> Result<(), FixtureError> {
    let one = |cluster| json!({"fleet": FLEET, "clusters": [reference(cluster)]});
    let spec = json!({
        "sourceCluster": one(CLUSTERS[0]), "targetCluster": one(CLUSTERS[1]),
        "policy": {"resourceFilter": {"includedNamespaces": [SHOP]}},
    });
    let ready =
        json!({"type": "sourceReady", "status": "True", "lastTransitionTime": "2023-10-28T15:55:23Z"});
    let status = json!({
        "phase": "Completed", "conditions": [ready], "sourceClusterStatus": source, "targetClusterStatus": [target],
    });
    let object = on_hub(name, json!({"finalizers": ["migrate.kurator.dev"]}), &spec);
    stored::<Migrate>(tenant, name, object, status).await
}

/// A row of a Backup: Velero's status as Kurator copies it.
pub(crate) async fn backup_row(lab: &Lab, i: usize, child: &str) -> Result<Value, FixtureError> {
    let status = json_of(&in_member::<velero::Backup>(lab.member(i))?.get(child).await?)["status"].take();
    Ok(row(i, "backup", Some(child), &status))
}

/// A row of a Restore.
pub(crate) async fn restore_row(lab: &Lab, i: usize, child: &str) -> Result<Value, FixtureError> {
    let status = json_of(&in_member::<velero::Restore>(lab.member(i))?.get(child).await?)["status"].take();
    Ok(row(i, "restore", Some(child), &status))
}

/// A row of a cluster by its number.
pub(crate) fn row(i: usize, kind: &str, child: Option<&str>, status: &Value) -> Value {
    let mut row = json!({"clusterKind": "AttachedCluster", "clusterName": CLUSTERS[i - 1]});
    row[format!("{kind}StatusInCluster")] = if status.is_null() { json!({}) } else { status.clone() };
    if let Some(child) = child {
        row[format!("{kind}NameInCluster")] = json!(child);
    }
    row
}

fn on_hub(name: &str, mut metadata: Value, spec: &Value) -> Value {
    metadata["name"] = json!(name);
    json!({"metadata": metadata, "spec": spec})
}

/// Writes an object and its status.
async fn stored<K: Object>(
    tenant: &Tenant<'_>,
    name: &str,
    object: Value,
    status: Value,
) -> Result<(), FixtureError> {
    let shelf = tenant.all::<K>();
    shelf.create(&parse(object)?).await?;
    shelf.merge_status(name, status).await.map(drop)
}

fn parse<K: Object>(object: Value) -> Result<K, FixtureError> {
    let name = object["metadata"]["name"].to_string();
    serde_json::from_value(object).map_err(|source| FixtureError::Shape { name, source })
}
