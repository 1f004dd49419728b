//! The columns of the core kinds that people look at, as kube-apiserver has them.

mod cells;
mod cluster;
mod network;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::Value;

use super::Heading;

/// How a core kind is shown.
pub(super) struct Kind {
    id: &'static str,
    pub(super) headings: &'static [Heading],
    pub(super) cells: fn(&Value, Timestamp) -> Vec<Value>,
}

/// How this kind is shown, if it has columns of its own.
pub(super) fn kind(id: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.id == id)
}

/// What of an object is its scale.
pub(super) const SCALES: &str = "scales.autoscaling";
const NAME: Heading = ("Name", "string", false);
const AGE: Heading = ("Age", "string", false);

const fn text(name: &'static str) -> Heading {
    (name, "string", false)
}

const fn number(name: &'static str) -> Heading {
    (name, "integer", false)
}

const fn wide(name: &'static str) -> Heading {
    (name, "string", true)
}

const BINDING: &[Heading] =
    &[NAME, text("Role"), AGE, wide("Users"), wide("Groups"), wide("ServiceAccounts")];

static KINDS: [Kind; 22] = [
    Kind { id: "configmaps", headings: &[NAME, text("Data"), AGE], cells: cluster::config_map },
    Kind { id: "secrets", headings: &[NAME, text("Type"), text("Data"), AGE], cells: cluster::secret },
    Kind { id: "namespaces", headings: &[NAME, text("Status"), AGE], cells: cluster::namespace },
    Kind { id: "serviceaccounts", headings: &[NAME, AGE], cells: cluster::service_account },
    Kind {
        id: "services",
        headings: &[
            NAME,
            text("Type"),
            text("Cluster-IP"),
            text("External-IP"),
            text("Port(s)"),
            AGE,
            wide("Selector"),
        ],
        cells: network::service,
    },
    Kind {
        id: "pods",
        headings: &[
            NAME,
            text("Ready"),
            text("Status"),
            text("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
        cells: workloads::pod,
    },
    Kind {
        id: "deployments.apps",
        headings: &[
            NAME,
            text("Ready"),
            text("Up-to-date"),
            text("Available"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        cells: workloads::deployment,
    },
    Kind {
        id: "replicasets.apps",
        headings: &[
            NAME,
            number("Desired"),
            number("Current"),
            number("Ready"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        cells: workloads::replica_set,
    },
    Kind {
        id: "statefulsets.apps",
        headings: &[NAME, text("Ready"), AGE, wide("Containers"), wide("Images")],
        cells: workloads::stateful_set,
    },
    Kind {
        id: SCALES,
        headings: &[NAME, number("Desired"), number("Available"), AGE],
        cells: workloads::scale,
    },
    Kind {
        id: "daemonsets.apps",
        headings: &[
            NAME,
            number("Desired"),
            number("Current"),
            number("Ready"),
            number("Up-to-date"),
            number("Available"),
            text("Node Selector"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        cells: workloads::daemon_set,
    },
    Kind {
        id: "jobs.batch",
        headings: &[
            NAME,
            text("Status"),
            text("Completions"),
            text("Duration"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        cells: workloads::job,
    },
    Kind {
        id: "cronjobs.batch",
        headings: &[
            NAME,
            text("Schedule"),
            text("Timezone"),
            ("Suspend", "boolean", false),
            number("Active"),
            text("Last Schedule"),
            AGE,
            wide("Containers"),
            wide("Images"),
            wide("Selector"),
        ],
        cells: workloads::cron_job,
    },
    Kind {
        id: "persistentvolumeclaims",
        headings: &[
            NAME,
            text("Status"),
            text("Volume"),
            text("Capacity"),
            text("Access Modes"),
            text("StorageClass"),
            text("VolumeAttributesClass"),
            AGE,
            wide("VolumeMode"),
        ],
        cells: storage::claim,
    },
    Kind {
        id: "persistentvolumes",
        headings: &[
            NAME,
            text("Capacity"),
            text("Access Modes"),
            text("Reclaim Policy"),
            text("Status"),
            text("Claim"),
            text("StorageClass"),
            text("VolumeAttributesClass"),
            text("Reason"),
            AGE,
            wide("VolumeMode"),
        ],
        cells: storage::volume,
    },
    Kind {
        id: "events",
        headings: &[
            text("Last Seen"),
            text("Type"),
            text("Reason"),
            text("Object"),
            wide("Subobject"),
            wide("Source"),
            text("Message"),
            wide("First Seen"),
            wide("Count"),
            wide("Name"),
        ],
        cells: cluster::event,
    },
    Kind { id: "rolebindings.rbac.authorization.k8s.io", headings: BINDING, cells: cluster::binding },
    Kind { id: "clusterrolebindings.rbac.authorization.k8s.io", headings: BINDING, cells: cluster::binding },
    Kind { id: "leases.coordination.k8s.io", headings: &[NAME, text("Holder"), AGE], cells: cluster::lease },
    Kind {
        id: "storageclasses.storage.k8s.io",
        headings: &[
            NAME,
            text("Provisioner"),
            text("ReclaimPolicy"),
            text("VolumeBindingMode"),
            text("AllowVolumeExpansion"),
            AGE,
        ],
        cells: storage::storage_class,
    },
    Kind {
        id: "ingresses.networking.k8s.io",
        headings: &[NAME, text("Class"), text("Hosts"), text("Address"), text("Ports"), AGE],
        cells: network::ingress,
    },
    Kind {
        id: "nodes",
        headings: &[
            NAME,
            text("Status"),
            text("Roles"),
            AGE,
            text("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
        cells: cluster::node,
    },
];
