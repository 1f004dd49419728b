//! Kurator's other plugins. Accepted, so that existing YAML applies, and kept without loss.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{encoding, schema};

/// A Helm chart. Each absent field keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chart {
    /// URL of the repository; one that begins with `oci://` is a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Name of the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Version of the chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Storage by Rook and Ceph.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DistributedStoragePlugin {
    /// Overrides the Rook charts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// The Ceph cluster.
    pub storage: DistributedStorage,
    /// Further values for the charts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
}

/// A Ceph cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DistributedStorage {
    /// Directory on each node for Ceph's state, such as `/var/lib/rook`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/(\S+)"))]
    pub data_dir_host_path: Option<String>,
    /// The monitors: 1 to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schema::at_most_monitors)]
    pub monitor: Option<CephDaemons>,
    /// The managers: 1 or 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = schema::at_most_managers)]
    pub manager: Option<CephDaemons>,
    /// Which disks are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<CephStorage>,
}

/// Ceph daemons of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CephDaemons {
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Annotations of their pods and deployments.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of their pods and deployments.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub labels: BTreeMap<String, String>,
    /// Affinities, tolerations and topology spread, as in a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    pub placement: Option<Value>,
}

/// Which disks Ceph uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CephStorage {
    /// Whether all nodes are used; must be false when `nodes` is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_all_nodes: Option<bool>,
    /// The nodes that are used.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<CephNode>>")]
    pub nodes: Vec<CephNode>,
    /// The devices that are used on every node.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<CephDevice>>")]
    pub devices: Vec<CephDevice>,
}

/// A node that Ceph uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CephNode {
    /// The node's label `kubernetes.io/hostname`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The devices that are used there.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<CephDevice>>")]
    pub devices: Vec<CephDevice>,
    /// All other fields.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// A device that Ceph uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CephDevice {
    /// Its name, such as `sda`, or a path below `/dev/disk`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Settings of this device.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    #[schemars(with = "Option<BTreeMap<String, String>>")]
    pub config: BTreeMap<String, String>,
    /// All other fields.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Metrics by Prometheus and Thanos.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricPlugin {
    /// Long-term storage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thanos: Option<Thanos>,
    /// Collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<Prometheus>,
}

/// Long-term storage of metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thanos {
    /// Chart of Thanos.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Where metrics are kept.
    pub object_store_config: ObjectStoreConfig,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
}

/// Where metrics are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStoreConfig {
    /// Name of the Secret with Thanos' configuration of the store.
    pub secret_name: String,
}

/// Collection of metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Chart of Prometheus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Metrics of nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_exporter: Option<Switch>,
    /// Metrics of objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kube_state_metrics: Option<Switch>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
}

/// On or off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Switch {
    /// Whether it is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Dashboards by Grafana.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrafanaPlugin {
    /// Chart of Grafana.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
}

/// Policies by Kyverno.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyPlugin {
    /// Kyverno.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kyverno: Option<Kyverno>,
}

/// Kyverno and its policies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Kyverno {
    /// Chart of Kyverno.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Pod security policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_security: Option<PodSecurity>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
}

/// Pod security policies. The only defaults in our schemas besides the kubeconfig's key: Kurator has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSecurity {
    /// The standard that pods are held to.
    #[schemars(extend("enum" = ["privileged", "baseline", "restricted"]))]
    pub standard: String,
    /// How bad a violation is.
    #[schemars(extend("enum" = ["low", "medium", "high"]))]
    pub severity: String,
    /// Whether a violation is refused or reported.
    #[schemars(extend("enum" = ["Enforce", "Audit"]))]
    pub validation_failure_action: String,
}

impl Default for PodSecurity {
    fn default() -> Self {
        Self {
            standard: "baseline".to_owned(),
            severity: "medium".to_owned(),
            validation_failure_action: "Audit".to_owned(),
        }
    }
}

/// Progressive delivery by Flagger.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlaggerPlugin {
    /// Chart of Flagger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
    /// What routes traffic: `istio`, `kuma` or `nginx`.
    pub traffic_routing_provider: String,
    /// Whether a load tester is installed too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_testloader: Option<bool>,
    /// Chart of what routes traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<FlaggerConfig>,
}

/// Chart of what routes traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlaggerConfig {
    /// The chart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
}

/// Networking between members by Submariner.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubmarinerPlugin {
    /// Chart of Submariner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<Chart>,
    /// Further values for the chart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any")]
    pub extra_args: Option<Value>,
    /// The member that runs the broker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_cluster: Option<String>,
    /// Pod network of each member.
    pub cluster_cidrs: BTreeMap<String, String>,
    /// Service network of each member.
    pub service_cidrs: BTreeMap<String, String>,
    /// Global network of each member.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub globalcidrs: BTreeMap<String, String>,
}
