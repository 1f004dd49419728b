//! What the tests of this folder are about: cluster `m1` of fleet `f` has a backup in bucket `velero` at `a/b`.

use kurator_api::backup::StoredAt;
use kurator_api::cluster::{ClusterKey, ClusterKind};
use serde_json::json;

use crate::fleet::store::Store;

pub(super) fn store() -> Store {
    Store::of_test(json!({
        "metadata": {"name": "f", "namespace": "default", "uid": "fleet-uid"},
        "spec": {"clusters": [], "plugin": {"backup": {"storage": {
            "location": {"bucket": "velero", "provider": "aws", "endpoint": "http://minio:9000", "region": "minio"},
            "secretName": "minio",
        }}}},
    }))
}

pub(super) fn place() -> StoredAt {
    StoredAt {
        location: "default".to_owned(),
        bucket: "velero".to_owned(),
        prefix: "a/b".to_owned(),
        fleet: None,
    }
}

pub(super) fn source_cluster() -> ClusterKey {
    cluster("m1")
}

pub(super) fn cluster(name: &str) -> ClusterKey {
    ClusterKey { namespace: "default".to_owned(), kind: ClusterKind::AttachedCluster, name: name.to_owned() }
}
