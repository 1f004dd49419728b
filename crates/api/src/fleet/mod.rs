//! Fleet: which clusters belong together, and what is installed on all of them.

mod backup;
mod other;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::StoredAt;
use crate::cluster::{ClusterKind, ClusterReference};
use crate::condition::Condition;
use crate::kind::kind;
use crate::{encoding, schema};

pub use backup::{BackupPlugin, BackupStorage, Engine, Installer, Layout, StorageLocation, UnknownEngine};
pub use other::{
    CephDaemons, CephDevice, CephNode, CephStorage, Chart, DistributedStorage, DistributedStoragePlugin,
    FlaggerConfig, FlaggerPlugin, GrafanaPlugin, Kyverno, MetricPlugin, ObjectStoreConfig, PodSecurity,
    PolicyPlugin, Prometheus, SubmarinerPlugin, Switch, Thanos,
};

kind! {
    /// Clusters that belong together.
    pub struct Fleet in "fleet.kurator.dev"/"v1alpha1" as "fleets" {
        spec: FleetSpec,
        status: FleetStatus,
    }
}

/// Which clusters, and what is installed on them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetSpec {
    /// The members: cluster objects in the Fleet's namespace.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::cluster_references")]
    pub clusters: Vec<ClusterReference>,
    /// What is installed on every member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<Plugins>,
}

/// What is installed on every member; an absent plugin is not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plugins {
    /// Backup, restore and migration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupPlugin>,
    /// Block, file and object storage by Rook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distributed_storage: Option<DistributedStoragePlugin>,
    /// Metrics. Accepted, not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricPlugin>,
    /// Dashboards. Accepted, not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grafana: Option<GrafanaPlugin>,
    /// Policies. Accepted, not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyPlugin>,
    /// Progressive delivery. Accepted, not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagger: Option<FlaggerPlugin>,
    /// Networking between members. Accepted, not managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submariner: Option<SubmarinerPlugin>,
}

/// What is known of a Fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetStatus {
    /// The whole in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<FleetPhase>,
    /// Kurator's text about the last error of a control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Name of the Secret for the fleet's control plane. Read, never written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential_secret: Option<String>,
    /// Members that answer, as Kurator counts them, whatever their plugin does; left out when there are none.
    #[serde(default, skip_serializing_if = "encoding::is_zero")]
    pub ready_clusters: u32,
    /// Members that are absent or don't answer; left out when there are none.
    #[serde(default, skip_serializing_if = "encoding::is_zero")]
    pub un_ready_clusters: u32,
    /// Declared by Kurator and never set.
    #[serde(
        default,
        deserialize_with = "encoding::null_as_empty",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub plugin_endpoints: BTreeMap<String, Vec<String>>,
    /// `Ready`, `Reconciling`, `Stalled`, `MembersReady`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// One row per listed cluster.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub clusters: Vec<FleetClusterStatus>,
}

/// A Fleet in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FleetPhase {
    /// Waits for what a condition names.
    Pending,
    /// Is being put in order.
    Running,
    /// Could not be put in order.
    Failed,
    /// Every reachable member is healthy, and at least one is reachable.
    Ready,
    /// Is being deleted.
    Terminating,
    /// Could not be deleted.
    TerminateFailed,
    /// Was cleaned up before deletion.
    TerminateSucceeded,
}

/// One member of a Fleet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FleetClusterStatus {
    /// Name of the cluster object.
    #[serde(default)]
    pub name: String,
    /// Its kind.
    #[serde(default)]
    #[schemars(with = "String")]
    pub kind: ClusterKind,
    /// Whether the cluster is there, reachable and in order.
    #[serde(default)]
    pub ready: bool,
    /// Why, as one word of a closed set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The backup plugin there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<MemberBackupStatus>,
}

/// The backup plugin in one member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberBackupStatus {
    /// Who executes backups there; absent, as earlier versions left it, means Velero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<Engine>,
    /// Name of the storage location that new backups go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The bucket that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The member's prefix in the bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the bucket is shared out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Where its backups went before, the oldest first; at most 16 places. Their locations stay, to restore from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<StoredAt>,
    /// Whether the prefix is another cluster's, and may only be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The storage location's phase in Velero's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Version of the engine that answers there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// Whether backups can be taken there.
    #[serde(default)]
    pub ready: bool,
    /// Why, as one word of a closed set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_engine_has_the_name_that_a_fleet_gives_it() {
        for engine in [Engine::Velero, Engine::Builtin] {
            assert_eq!(serde_json::to_value(engine).unwrap(), engine.as_str());
            assert_eq!(engine.as_str().to_lowercase().parse::<Engine>().unwrap(), engine);
        }
        let why = "kopia".parse::<Engine>().unwrap_err().to_string();
        assert_eq!(why, "there is no engine `kopia`; name `Velero` or `Builtin`");
    }

    #[test]
    fn k3_use_all_nodes_false_survives() {
        let storage = json!({"storage": {"storage": {"useAllNodes": false, "nodes": [{"name": "a", "config": {"x": "1"}}]}}});
        let plugin: DistributedStoragePlugin = serde_json::from_value(storage.clone()).unwrap();
        assert_eq!(serde_json::to_value(plugin).unwrap(), storage);
    }

    #[test]
    fn every_plugin_of_kurator_survives() {
        let spec = json!({
            "clusters": [{"name": "a", "kind": "AttachedCluster"}, {"name": "b"}],
            "plugin": {
                "backup": {
                    "chart": {"repository": "oci://r", "name": "velero", "version": "5.0.2"},
                    "storage": {
                        "location": {"bucket": "velero", "provider": "aws", "endpoint": "http://s3", "region": "minio", "config": {"insecureSkipTLSVerify": "true"}},
                        "secretName": "s",
                    },
                    "extraArgs": {"resources": {"limits": {"cpu": "1"}}},
                },
                "distributedStorage": {"storage": {
                    "dataDirHostPath": "/var/lib/rook",
                    "monitor": {"count": 3, "labels": {"role": "m"}, "annotations": {"a": "b"}, "placement": {"tolerations": [{"operator": "Exists"}]}},
                    "manager": {"count": 2},
                    "storage": {"useAllNodes": false, "devices": [{"name": "sda", "config": {"osdsPerDevice": "1"}}]},
                }},
                "metric": {
                    "thanos": {"objectStoreConfig": {"secretName": "thanos"}},
                    "prometheus": {"nodeExporter": {"enabled": true}, "kubeStateMetrics": {"enabled": false}, "extraArgs": []},
                },
                "grafana": {"extraArgs": {"a": 1}},
                "policy": {"kyverno": {"podSecurity": {"standard": "baseline", "severity": "high", "validationFailureAction": "Audit"}}},
                "flagger": {"trafficRoutingProvider": "istio", "publicTestloader": true, "config": {"extraArgs": {}}},
                "submariner": {"brokerCluster": "a", "clusterCidrs": {"a": "10.0.0.0/8"}, "serviceCidrs": {"a": "10.1.0.0/16"}, "globalcidrs": {"a": "242.0.0.0/8"}},
            },
        });
        let typed: FleetSpec = serde_json::from_value(spec.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), spec);
    }

    #[test]
    fn counters_of_zero_are_left_out_and_spelled_as_kurator_does() {
        let status = FleetStatus { un_ready_clusters: 1, ..FleetStatus::default() };
        assert_eq!(serde_json::to_value(status).unwrap(), json!({"unReadyClusters": 1}));
    }
}
