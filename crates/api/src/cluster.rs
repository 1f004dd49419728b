//! Clusters on the hub: how a Fleet or a destination refers to them, and the two kinds themselves.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::condition::Condition;
use crate::encoding;
use crate::kind::kind;

/// The key of a kubeconfig in its Secret when nothing else is said.
pub const DEFAULT_KUBECONFIG_KEY: &str = "value";

/// The two kinds that describe a cluster. An absent or empty kind means `Cluster`, as in Kurator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClusterKind {
    /// A cluster that Kurator made through Cluster API.
    #[default]
    Cluster,
    /// A cluster that was there before and was attached by its kubeconfig.
    AttachedCluster,
}

/// A kind that describes no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kind `{0}` is not a kind of cluster; use `AttachedCluster` or `Cluster`")]
pub struct UnknownClusterKind(pub String);

impl ClusterKind {
    /// The kind's name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::AttachedCluster => "AttachedCluster",
        }
    }
}

impl fmt::Display for ClusterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ClusterKind {
    type Err = UnknownClusterKind;

    fn from_str(kind: &str) -> Result<Self, Self::Err> {
        match kind {
            "" | "Cluster" => Ok(Self::Cluster),
            "AttachedCluster" => Ok(Self::AttachedCluster),
            other => Err(UnknownClusterKind(other.to_owned())),
        }
    }
}

impl Serialize for ClusterKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ClusterKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A reference to a cluster object, in the form of a core/v1 ObjectReference. Only `kind` and `name` are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-map-type" = "atomic", "x-kubernetes-validations" = [
    {
        "rule": "!has(self.kind) || self.kind in ['', 'AttachedCluster', 'Cluster']",
        "message": "kind must be AttachedCluster or Cluster; empty means Cluster",
    },
    {
        "rule": "has(self.name) && self.name != ''",
        "message": "name must be that of a cluster object",
    },
]))]
pub struct ClusterReference {
    /// `AttachedCluster` or `Cluster`; empty means `Cluster`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub kind: Option<String>,
    /// Name of the cluster object.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub name: String,
    /// Accepted and ignored: the namespace is always that of the Fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Accepted and ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Accepted and ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// Accepted and ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
    /// Accepted and ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl ClusterReference {
    /// A reference to this cluster.
    #[must_use]
    pub fn to(kind: ClusterKind, name: &str) -> Self {
        Self { kind: Some(kind.as_str().to_owned()), name: name.to_owned(), ..Self::default() }
    }

    /// The kind referred to, an empty one read as `Cluster` on both sides of every comparison.
    ///
    /// # Errors
    /// For a kind that describes no cluster.
    pub fn cluster_kind(&self) -> Result<ClusterKind, UnknownClusterKind> {
        self.kind.as_deref().unwrap_or_default().parse()
    }

    /// The cluster referred to, in the namespace of its Fleet.
    ///
    /// # Errors
    /// For a kind that describes no cluster.
    pub fn key(&self, namespace: &str) -> Result<ClusterKey, UnknownClusterKind> {
        Ok(ClusterKey {
            namespace: namespace.to_owned(),
            kind: self.cluster_kind()?,
            name: self.name.clone(),
        })
    }
}

/// Which cluster, unambiguously within a hub. A name alone is not enough: a Cluster and an
/// AttachedCluster may share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterKey {
    /// Namespace of the cluster object.
    pub namespace: String,
    /// Its kind.
    pub kind: ClusterKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl ClusterKey {
    /// Reads what a key is written as; nothing if it is no key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, place) = text.split_once(' ')?;
        let (namespace, name) = place.split_once('/')?;
        let kind = [ClusterKind::Cluster, ClusterKind::AttachedCluster]
            .into_iter()
            .find(|known| known.as_str() == kind)?;
        Some(Self { namespace: namespace.to_owned(), kind, name: name.to_owned() })
    }
}

kind! {
    /// A cluster attached by its kubeconfig.
    pub struct AttachedCluster in "cluster.kurator.dev"/"v1alpha1" as "attachedclusters" {
        spec: AttachedClusterSpec,
        status: AttachedClusterStatus,
    }
}

/// Where the way into the cluster is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedClusterSpec {
    /// The Secret that holds the kubeconfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<SecretKeyRef>,
}

/// One key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    pub name: String,
    /// Key in the Secret; absent means `value`.
    #[serde(default = "default_kubeconfig_key")]
    pub key: String,
}

fn default_kubeconfig_key() -> String {
    DEFAULT_KUBECONFIG_KEY.to_owned()
}

/// What is known of an attached cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachedClusterStatus {
    /// Whether the cluster answers and accepts the credential. Always written, as Kurator does.
    #[serde(default)]
    pub ready: bool,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Version of the cluster's API server, such as `v1.36.3`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_server: Option<String>,
    /// UID of the cluster's Namespace `kube-system`: which cluster this is, whatever its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<String>,
}

kind! {
    /// A cluster that Kurator makes through Cluster API. Read here, never written.
    pub struct Cluster in "cluster.kurator.dev"/"v1alpha1" as "clusters" {
        spec: ClusterSpec,
        status: ClusterStatus,
    }
}

/// How the cluster is made; none of our business and kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSpec {
    /// The infrastructure it runs on, such as `aws`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infra_type: Option<String>,
    /// The Kubernetes version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// All other fields.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// What Kurator says of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// `Provisioning`, `Ready`, `Deleting` or `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Name of the Secret that Cluster API keeps the kubeconfig in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig_secret_ref: Option<String>,
    /// Address of the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_endpoint: Option<String>,
    /// `Ready`, `InfrastructureReady`, `CNI`.
    #[serde(default, deserialize_with = "encoding::null_as_empty", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Issuer of the cluster's service account tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account_issuer: Option<String>,
    /// All other fields.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Cluster {
    /// Whether Kurator has finished making it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Ready")
    }

    /// The Secret with the kubeconfig. Never `spec.credential`: that one is the cloud's.
    #[must_use]
    pub fn kubeconfig(&self) -> SecretKeyRef {
        let recorded = self.status.as_ref().and_then(|status| status.kubeconfig_secret_ref.clone());
        let by_rule = || format!("{}-kubeconfig", self.metadata.name.as_deref().unwrap_or_default());
        SecretKeyRef {
            name: recorded.filter(|name| !name.is_empty()).unwrap_or_else(by_rule),
            key: default_kubeconfig_key(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reference(value: serde_json::Value) -> ClusterReference {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn k42_an_empty_kind_means_cluster_on_both_sides() {
        let spellings =
            [json!({"name": "c"}), json!({"name": "c", "kind": ""}), json!({"name": "c", "kind": null})];
        let plain = reference(json!({"name": "c", "kind": "Cluster"})).key("default").unwrap();
        for spelling in spellings {
            assert_eq!(reference(spelling).key("default").unwrap(), plain);
        }
        let attached = reference(json!({"name": "c", "kind": "AttachedCluster"})).key("default").unwrap();
        assert_ne!(attached, plain);
    }

    #[test]
    fn another_kind_is_refused_with_its_name_and_the_remedy() {
        let error = reference(json!({"name": "c", "kind": "Deployment"})).key("default").unwrap_err();
        assert_eq!(
            error.to_string(),
            "kind `Deployment` is not a kind of cluster; use `AttachedCluster` or `Cluster`"
        );
    }

    #[test]
    fn a_key_reads_as_kind_namespace_and_name() {
        let key =
            ClusterReference::to(ClusterKind::AttachedCluster, "kurator-member1").key("default").unwrap();
        assert_eq!(key.to_string(), "AttachedCluster default/kurator-member1");
    }

    #[test]
    fn an_object_without_spec_decodes() {
        for text in [json!({"metadata": {"name": "a"}}), json!({"metadata": {"name": "a"}, "spec": null})] {
            let cluster: AttachedCluster = serde_json::from_value(text).unwrap();
            assert_eq!(cluster.spec, AttachedClusterSpec::default());
        }
    }

    #[test]
    fn the_key_in_the_secret_is_value_unless_said() {
        let cluster: AttachedCluster =
            serde_json::from_value(json!({"metadata": {}, "spec": {"kubeconfig": {"name": "s"}}})).unwrap();
        assert_eq!(cluster.spec.kubeconfig.unwrap().key, "value");
    }

    #[test]
    fn ready_is_written_even_when_false_and_nothing_else_is() {
        assert_eq!(serde_json::to_value(AttachedClusterStatus::default()).unwrap(), json!({"ready": false}));
    }

    #[test]
    fn the_kubeconfig_of_a_cluster_is_the_recorded_one_else_cluster_apis() {
        let mut cluster = Cluster::new("prod", ClusterSpec::default());
        assert_eq!(
            cluster.kubeconfig(),
            SecretKeyRef { name: "prod-kubeconfig".into(), key: "value".into() }
        );
        cluster.status = Some(ClusterStatus {
            kubeconfig_secret_ref: Some("elsewhere".into()),
            ..ClusterStatus::default()
        });
        assert_eq!(cluster.kubeconfig().name, "elsewhere");
    }

    #[test]
    fn a_cluster_keeps_every_field_it_came_with() {
        let stored = json!({
            "apiVersion": "cluster.kurator.dev/v1alpha1", "kind": "Cluster", "metadata": {"name": "prod"},
            "spec": {"infraType": "aws", "version": "v1.30.0", "region": "eu", "network": {"vpc": {"cidrBlock": "10.0.0.0/16"}},
                     "master": {"instanceType": "t3"}, "workers": [{"replicas": 3}]},
            "status": {"phase": "Ready", "apiEndpoint": "prod:6443", "accumulated": {"x": [1, 2]}},
        });
        let cluster: Cluster = serde_json::from_value(stored.clone()).unwrap();
        assert!(cluster.is_ready());
        assert_eq!(serde_json::to_value(&cluster).unwrap(), stored);
    }
}
