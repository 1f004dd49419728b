//! What the walk applies: the files of `examples/`, as they are, and what differs with every start.

use anyhow::Context as _;
use kube::api::DynamicObject;

use super::world::{BUCKET, Cluster, NAMESPACE, Store};

pub(super) const BACKUP: &str = include_str!("../../../../examples/backup/backup-specific-ns.yaml");
pub(super) const RESTORE: &str = include_str!("../../../../examples/backup/restore-specific-ns.yaml");
pub(super) const SCHEDULES: &str = include_str!("../../../../examples/backup/backup-schedule.yaml");
pub(super) const RESTORE_SCHEDULE: &str = include_str!("../../../../examples/backup/restore-schedule.yaml");
pub(super) const BY_LABEL: &str = include_str!("../../../../examples/backup/backup-select-labels.yaml");
pub(super) const MIGRATE: &str = include_str!("../../../../examples/backup/migrate-select-labels.yaml");

/// YAML, and how it is shown.
pub(super) struct Manifest {
    pub(super) text: String,
    /// The same without what is nobody's business.
    pub(super) shown: String,
}

impl From<&str> for Manifest {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), shown: text.to_owned() }
    }
}

impl Manifest {
    /// The objects in it.
    pub(super) fn objects(&self) -> anyhow::Result<Vec<DynamicObject>> {
        serde_saphyr::from_multiple(&self.text).context("cannot read a manifest")
    }
}

/// A cluster by its kubeconfig, as a user attaches it.
pub(super) fn attach(member: &Cluster) -> Manifest {
    let name = &member.name;
    let text = |kubeconfig: &str| {
        format!(
            "\
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: {NAMESPACE}
stringData:
  {name}.config: {kubeconfig}
---
apiVersion: cluster.kurator.dev/v1alpha1
kind: AttachedCluster
metadata:
  name: {name}
  namespace: {NAMESPACE}
spec:
  kubeconfig:
    name: {name}
    key: {name}.config
"
        )
    };
    // JSON is YAML, and its strings need no indentation.
    let quoted = serde_json::Value::from(member.kubeconfig.as_str()).to_string();
    Manifest { text: text(&quoted), shown: text("<its kubeconfig>") }
}

/// A fleet of all members, whose backups the hub executes.
pub(super) fn fleet(members: &[Cluster], store: &Store) -> Manifest {
    let clusters: String = members
        .iter()
        .map(|member| format!("    - name: {}\n      kind: AttachedCluster\n", member.name))
        .collect();
    let (endpoint, region) = (&store.endpoint, kurator_s3server::S3Server::REGION);
    let text = |access: &str, secret: &str| {
        format!(
            "\
apiVersion: v1
kind: Secret
metadata:
  name: object-store
  namespace: {NAMESPACE}
stringData:
  access-key: {access}
  secret-key: {secret}
---
apiVersion: fleet.kurator.dev/v1alpha1
kind: Fleet
metadata:
  name: quickstart
  namespace: {NAMESPACE}
spec:
  clusters:
{clusters}  plugin:
    backup:
      engine: Builtin
      storage:
        location:
          bucket: {BUCKET}
          provider: aws
          endpoint: {endpoint}
          region: {region}
        secretName: object-store
"
        )
    };
    let quoted = |key: &str| format!("\"{key}\"");
    Manifest {
        text: text(&quoted(&store.access_key), &quoted(&store.secret_key)),
        shown: text("<access key>", "<secret key>"),
    }
}

/// Something to lose.
pub(super) fn workload() -> Manifest {
    let shown = WORKLOAD.replace(PASSWORD, "<a password>");
    Manifest { text: WORKLOAD.to_owned(), shown }
}

const PASSWORD: &str = "swordfish";

const WORKLOAD: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: kurator-backup
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: busybox
  namespace: kurator-backup
  labels:
    app: busybox
spec:
  replicas: 2
  selector:
    matchLabels:
      app: busybox
  template:
    metadata:
      labels:
        app: busybox
    spec:
      containers:
        - name: busybox
          image: busybox:1.37
          command: [sleep, infinity]
---
apiVersion: v1
kind: Service
metadata:
  name: busybox
  namespace: kurator-backup
  labels:
    app: busybox
spec:
  selector:
    app: busybox
  ports:
    - port: 80
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: kurator-backup
  labels:
    app: busybox
data:
  greeting: hello
---
apiVersion: v1
kind: Secret
metadata:
  name: password
  namespace: kurator-backup
stringData:
  password: swordfish
";
