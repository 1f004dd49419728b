//! Everything that is in a cluster, without what no two clusters have alike.

use std::collections::BTreeMap;

use kube::api::{Api, DynamicObject};
use kube::discovery::{Discovery, verbs};
use kurator_testkit::Cluster;
use kurator_testkit::fixtures::json_of;
use serde_json::Value;

/// The Restore that is to keep all ports as they were.
const PRESERVED: &str = "node-ports-preserved";
/// The last port that a Service asks for by itself. The API server chooses higher ones as long as there are any.
const LAST_ASKED: Option<i64> = Some(30_085);

/// An object of a cluster.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) namespace: Option<String>,
    /// The Restore that made it, without whose it was.
    pub(crate) restore: Option<String>,
    /// What is the same in any cluster.
    pub(crate) object: Value,
}

/// All objects of a cluster but those that its own controllers make at their own time.
pub(crate) async fn everything(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Live>> {
    let client = cluster.client()?;
    let discovery = Discovery::new(client.clone()).run().await?;
    let mut all = BTreeMap::new();
    for (api, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
        if !capabilities.supports_operation(verbs::LIST) || is_apart(&api.group, &api.plural) {
            continue;
        }
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &api);
        for object in objects.list(&Default::default()).await? {
            let object = json_of(&object);
            let text = |at: &str| object.pointer(at).and_then(Value::as_str).map(str::to_owned);
            let namespace = text("/metadata/namespace");
            let name = text("/metadata/name").unwrap_or_default();
            if is_made_by_controllers(&api.plural, &name) {
                continue;
            }
            let of = if api.group.is_empty() {
                api.plural.clone()
            } else {
                format!("{}.{}", api.plural, api.group)
            };
            let path = [of.as_str(), namespace.as_deref().unwrap_or_default(), &name].join("/");
            let restore = text("/metadata/labels/velero.io~1restore-name").map(|name| bare(&name).to_owned());
            let keeps_ports = restore.as_deref() == Some(PRESERVED);
            all.insert(path, Live { namespace, restore, object: normal(object, keeps_ports) });
        }
    }
    Ok(all)
}

/// A Restore's name without whose it is.
pub(crate) fn bare(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(bare, _)| bare)
}

/// Types that tell of the engines themselves, that controllers keep, or that change with every second.
fn is_apart(group: &str, plural: &str) -> bool {
    group == "velero.io" || matches!(plural, "events" | "leases" | "endpointslices" | "ipaddresses")
}

/// What controllers make in each namespace, before a restore does or after it.
fn is_made_by_controllers(plural: &str, name: &str) -> bool {
    matches!(
        (plural, name),
        ("configmaps", "kube-root-ca.crt") | ("serviceaccounts", "default") | ("endpoints", "kubernetes")
    )
}

/// An object without what the API server and controllers choose themselves.
fn normal(mut object: Value, keeps_ports: bool) -> Value {
    for key in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        object["metadata"][key].take();
    }
    // Velero writes back all, the engine those that say what somebody applied (decision 8).
    if let Some(managers) = object["metadata"]["managedFields"].as_array_mut() {
        managers.retain(|manager| manager["operation"] == "Apply");
    }
    if let Some(label) = object.pointer_mut("/metadata/labels/velero.io~1restore-name") {
        *label = bare(label.as_str().unwrap_or_default()).into();
    }
    if object["type"] == "kubernetes.io/service-account-token" {
        object["data"] = "a token".into();
    }
    walk(&mut object, keeps_ports);
    object
}

fn walk(value: &mut Value, keeps_ports: bool) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let is_time = ["Time", "Timestamp", "time"].iter().any(|end| key.ends_with(end));
                let is_count = key == "observedGeneration";
                match key.as_str() {
                    // That of a claim on a volume, which the controller writes.
                    "resourceVersion" => *value = "a version".into(),
                    _ if is_time || is_count => *value = "a time".into(),
                    _ if key == "uid" || key.ends_with("-uid") || key.ends_with(".uid") => {
                        *value = "an id".into()
                    }
                    "clusterIP" if *value != "None" => *value = "an address".into(),
                    "clusterIPs" if value[0] != "None" => *value = "addresses".into(),
                    "nodePort" | "healthCheckNodePort" if !keeps_ports && value.as_i64() > LAST_ASKED => {
                        *value = "a port".into();
                    }
                    "caBundle" => *value = "a certificate".into(),
                    _ => walk(value, keeps_ports),
                }
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(|entry| walk(entry, keeps_ports)),
        // The volume with its token has a random name in each pod.
        Value::String(text) if text.starts_with("kube-api-access-") => *text = "kube-api-access".to_owned(),
        _ => {}
    }
}
