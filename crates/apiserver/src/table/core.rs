//! The columns of the core kinds that people look at, as kube-apiserver has them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Heading,
    age::{between, since},
};

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

static KINDS: [Kind; 21] = [
    Kind { id: "configmaps", headings: &[NAME, text("Data"), AGE], cells: config_map },
    Kind { id: "secrets", headings: &[NAME, text("Type"), text("Data"), AGE], cells: secret },
    Kind { id: "namespaces", headings: &[NAME, text("Status"), AGE], cells: namespace },
    Kind { id: "serviceaccounts", headings: &[NAME, AGE], cells: service_account },
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
        cells: service,
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
        cells: pod,
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
        cells: deployment,
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
        cells: replica_set,
    },
    Kind {
        id: "statefulsets.apps",
        headings: &[NAME, text("Ready"), AGE, wide("Containers"), wide("Images")],
        cells: stateful_set,
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
        cells: daemon_set,
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
        cells: job,
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
        cells: cron_job,
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
        cells: claim,
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
        cells: volume,
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
        cells: event,
    },
    Kind { id: "rolebindings.rbac.authorization.k8s.io", headings: BINDING, cells: binding },
    Kind { id: "clusterrolebindings.rbac.authorization.k8s.io", headings: BINDING, cells: binding },
    Kind { id: "leases.coordination.k8s.io", headings: &[NAME, text("Holder"), AGE], cells: lease },
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
        cells: storage_class,
    },
    Kind {
        id: "ingresses.networking.k8s.io",
        headings: &[NAME, text("Class"), text("Hosts"), text("Address"), text("Ports"), AGE],
        cells: ingress,
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
        cells: node,
    },
];

fn name(object: &Value) -> Value {
    object["metadata"]["name"].clone()
}

fn age(object: &Value, now: Timestamp) -> Value {
    since(&object["metadata"]["creationTimestamp"], now).into()
}

/// A text, or another where there is none.
fn or(value: &Value, otherwise: &str) -> Value {
    value.as_str().filter(|text| !text.is_empty()).unwrap_or(otherwise).into()
}

fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> + Clone {
    value.as_array().into_iter().flatten()
}

fn joined<'a>(texts: impl Iterator<Item = &'a Value>) -> String {
    texts.filter_map(Value::as_str).collect::<Vec<_>>().join(",")
}

/// Labels as people write them.
fn labels(value: &Value) -> String {
    let pairs = value.as_object().into_iter().flatten();
    let pairs: Vec<String> =
        pairs.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
}

/// A label selector as people write it.
fn selector(value: &Value) -> Value {
    let mut parts: Vec<String> = value["matchLabels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for one in elements(&value["matchExpressions"]) {
        let (key, values) = (one["key"].as_str().unwrap_or_default(), joined(elements(&one["values"])));
        parts.push(match one["operator"].as_str() {
            Some("In") => format!("{key} in ({values})"),
            Some("NotIn") => format!("{key} notin ({values})"),
            Some("DoesNotExist") => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    parts.sort();
    parts.join(",").into()
}

fn containers(template: &Value) -> [Value; 2] {
    ["name", "image"].map(|field| joined(elements(&template["spec"]["containers"]).map(|c| &c[field])).into())
}

fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    let size = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    vec![name(object), (size("data") + size("binaryData")).into(), age(object, now)]
}

fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    let size = object["data"].as_object().map_or(0, serde_json::Map::len);
    vec![name(object), object["type"].clone(), size.into(), age(object, now)]
}

fn namespace(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), or(&object["status"]["phase"], ""), age(object, now)]
}

fn service_account(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), age(object, now)]
}

fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    let mut outside: Vec<&str> = Vec::new();
    if kind == "LoadBalancer" {
        let ingress = elements(&object["status"]["loadBalancer"]["ingress"]);
        outside.extend(ingress.filter_map(|one| one["ip"].as_str().or_else(|| one["hostname"].as_str())));
    }
    outside.extend(elements(&spec["externalIPs"]).filter_map(Value::as_str));
    let outside = match (kind, outside.as_slice()) {
        ("ExternalName", _) => spec["externalName"].as_str().unwrap_or_default().to_owned(),
        ("LoadBalancer", []) => "<pending>".to_owned(),
        (_, []) => "<none>".to_owned(),
        (_, some) => some.join(","),
    };
    let ports: Vec<String> = elements(&spec["ports"])
        .map(|port| {
            let (number, protocol) = (&port["port"], port["protocol"].as_str().unwrap_or("TCP"));
            match count(&port["nodePort"]) {
                0 => format!("{number}/{protocol}"),
                node => format!("{number}:{node}/{protocol}"),
            }
        })
        .collect();
    let ports = if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") };
    let inside = spec["clusterIPs"].get(0).unwrap_or(&spec["clusterIP"]);
    vec![
        name(object),
        kind.into(),
        or(inside, "<none>"),
        outside.into(),
        ports.into(),
        age(object, now),
        labels(&spec["selector"]).into(),
    ]
}

/// Nothing runs here, so that a pod is what its status says.
fn pod(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let statuses = elements(&status["containerStatuses"]);
    let ready = statuses.clone().filter(|one| one["ready"] == true).count();
    let restarts: i64 = statuses.clone().map(|one| count(&one["restartCount"])).sum();
    let waiting = statuses.filter_map(|one| one["state"]["waiting"]["reason"].as_str()).last();
    let phase = status["phase"].as_str().unwrap_or_default();
    let is_over = matches!(phase, "Succeeded" | "Failed");
    let shown = match (status["reason"].as_str(), waiting) {
        _ if crate::meta::is_terminating(object) && !is_over => "Terminating",
        (_, Some(reason)) | (Some(reason), None) => reason,
        (None, None) => phase,
    };
    let gates = spec["readinessGates"].as_array().map_or(0, Vec::len);
    let passed = elements(&spec["readinessGates"]).filter(|gate| {
        let is_it = |one: &Value| one["type"] == gate["conditionType"] && one["status"] == "True";
        elements(&status["conditions"]).any(is_it)
    });
    vec![
        name(object),
        format!("{ready}/{}", elements(&spec["containers"]).count()).into(),
        shown.into(),
        restarts.to_string().into(),
        age(object, now),
        or(&status["podIPs"][0]["ip"], "<none>"),
        or(&spec["nodeName"], "<none>"),
        or(&status["nominatedNodeName"], "<none>"),
        if gates == 0 { "<none>".into() } else { format!("{}/{gates}", passed.count()).into() },
    ]
}

fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]);
    vec![
        name(object),
        format!("{}/{}", count(&status["readyReplicas"]), spec["replicas"].as_i64().unwrap_or(1)).into(),
        count(&status["updatedReplicas"]).into(),
        count(&status["availableReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]);
    vec![
        name(object),
        spec["replicas"].as_i64().unwrap_or(1).into(),
        count(&status["replicas"]).into(),
        count(&status["readyReplicas"]).into(),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]);
    let ready = format!("{}/{}", count(&status["readyReplicas"]), spec["replicas"].as_i64().unwrap_or(1));
    vec![name(object), ready.into(), age(object, now), names, images]
}

fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]);
    let counted = [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ];
    let mut cells = vec![name(object)];
    cells.extend(counted.map(|field| count(&status[field]).into()));
    cells.extend([
        labels(&spec["template"]["spec"]["nodeSelector"]).into(),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]);
    cells
}

fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let has = |kind: &str| {
        elements(&status["conditions"]).any(|one| one["type"] == kind && one["status"] == "True")
    };
    let state = match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if crate::meta::is_terminating(object) => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let done = count(&status["succeeded"]);
    let completions = match (spec["completions"].as_i64(), count(&spec["parallelism"])) {
        (Some(wanted), _) => format!("{done}/{wanted}"),
        (None, side_by_side @ 2..) => format!("{done}/1 of {side_by_side}"),
        (None, _) => format!("{done}/1"),
    };
    let [names, images] = containers(&spec["template"]);
    vec![
        name(object),
        state.into(),
        completions.into(),
        between(&status["startTime"], &status["completionTime"], now).into(),
        age(object, now),
        names,
        images,
        selector(&spec["selector"]),
    ]
}

fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let template = &spec["jobTemplate"]["spec"];
    let [names, images] = containers(&template["template"]);
    let last = &status["lastScheduleTime"];
    let suspended = if spec["suspend"] == true { "True" } else { "False" };
    vec![
        name(object),
        or(&spec["schedule"], ""),
        or(&spec["timeZone"], "<none>"),
        suspended.into(),
        elements(&status["active"]).count().into(),
        if last.is_null() { "<none>".into() } else { since(last, now).into() },
        age(object, now),
        names,
        images,
        selector(&template["selector"]),
    ]
}

/// The modes in which a volume can be used, in their short forms.
fn modes(value: &Value) -> Value {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let has = |mode: &str| elements(value).any(|one| one == mode);
    let short: Vec<&str> = SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect();
    short.join(",").into()
}

fn claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let is_bound = spec["volumeName"].as_str().is_some_and(|name| !name.is_empty());
    let phase = if crate::meta::is_terminating(object) { &json!("Terminating") } else { &status["phase"] };
    let bound = |value: Value| if is_bound { value } else { "".into() };
    vec![
        name(object),
        or(phase, ""),
        or(&spec["volumeName"], ""),
        bound(or(&status["capacity"]["storage"], "")),
        bound(modes(&status["accessModes"])),
        or(&spec["storageClassName"], ""),
        or(&spec["volumeAttributesClassName"], "<unset>"),
        age(object, now),
        or(&spec["volumeMode"], "<unset>"),
    ]
}

fn volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let phase = if crate::meta::is_terminating(object) { &json!("Terminating") } else { &status["phase"] };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let claim = match &spec["claimRef"] {
        Value::Null => String::new(),
        claim => format!("{}/{}", text(&claim["namespace"]), text(&claim["name"])),
    };
    vec![
        name(object),
        or(&spec["capacity"]["storage"], ""),
        modes(&spec["accessModes"]),
        or(&spec["persistentVolumeReclaimPolicy"], ""),
        or(phase, ""),
        claim.into(),
        or(&spec["storageClassName"], ""),
        or(&spec["volumeAttributesClassName"], "<unset>"),
        or(&status["reason"], ""),
        age(object, now),
        or(&spec["volumeMode"], "<unset>"),
    ]
}

fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let there = |value: &&Value| !value.is_null();
    let first = [&object["firstTimestamp"], &object["eventTime"]].into_iter().find(there);
    let last =
        [&object["series"]["lastObservedTime"], &object["lastTimestamp"]].into_iter().find(there).or(first);
    let seen = |time: Option<&Value>| since(time.unwrap_or(&Value::Null), now);
    let about = &object["involvedObject"];
    let about = match (text(&about["kind"]).to_lowercase(), text(&about["name"])) {
        (kind, name) if name.is_empty() => kind,
        (kind, name) => format!("{kind}/{name}"),
    };
    let source = match (
        or(&object["source"]["component"], &text(&object["reportingComponent"])),
        text(&object["source"]["host"]),
    ) {
        (component, host) if host.is_empty() => text(&component),
        (component, host) => format!("{}, {host}", text(&component)),
    };
    let times = object["series"]["count"].as_i64().or_else(|| object["count"].as_i64()).unwrap_or(1);
    vec![
        seen(last).into(),
        or(&object["type"], ""),
        or(&object["reason"], ""),
        about.into(),
        or(&object["involvedObject"]["fieldPath"], ""),
        source.into(),
        text(&object["message"]).trim().into(),
        seen(first).into(),
        times.into(),
        name(object),
    ]
}

fn binding(object: &Value, now: Timestamp) -> Vec<Value> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let role = &object["roleRef"];
    let of = |kind: &str| {
        let subjects = elements(&object["subjects"]).filter(|subject| subject["kind"] == kind);
        let names = subjects.map(|subject| match subject["namespace"].as_str() {
            Some(namespace) if kind == "ServiceAccount" => format!("{namespace}/{}", text(&subject["name"])),
            _ => text(&subject["name"]),
        });
        Value::from(names.collect::<Vec<_>>().join(", "))
    };
    vec![
        name(object),
        format!("{}/{}", text(&role["kind"]), text(&role["name"])).into(),
        age(object, now),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

fn lease(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![name(object), or(&object["spec"]["holderIdentity"], ""), age(object, now)]
}

fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
    let mut shown = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if object["metadata"]["annotations"][DEFAULT] == "true" {
        shown.push_str(" (default)");
    }
    vec![
        shown.into(),
        or(&object["provisioner"], ""),
        or(&object["reclaimPolicy"], "Delete"),
        or(&object["volumeBindingMode"], "Immediate"),
        (object["allowVolumeExpansion"] == true).into(),
        age(object, now),
    ]
}

fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let spec = &object["spec"];
    let hosts: Vec<&str> = elements(&spec["rules"]).filter_map(|rule| rule["host"].as_str()).collect();
    let hosts = match hosts.as_slice() {
        [] => "*".to_owned(),
        [a, b, c, rest @ ..] if !rest.is_empty() => format!("{a},{b},{c} + {} more...", rest.len()),
        all => all.join(","),
    };
    let ingress = elements(&object["status"]["loadBalancer"]["ingress"]);
    let address: Vec<&str> =
        ingress.filter_map(|one| one["ip"].as_str().or_else(|| one["hostname"].as_str())).collect();
    let ports = if spec["tls"].is_array() { "80, 443" } else { "80" };
    vec![
        name(object),
        or(&spec["ingressClassName"], "<none>"),
        hosts.into(),
        address.join(",").into(),
        ports.into(),
        age(object, now),
    ]
}

fn node(object: &Value, now: Timestamp) -> Vec<Value> {
    const ROLE: &str = "node-role.kubernetes.io/";
    let (spec, status) = (&object["spec"], &object["status"]);
    let info = &status["nodeInfo"];
    let ready = elements(&status["conditions"]).find(|one| one["type"] == "Ready");
    let mut state = match ready.map(|one| one["status"] == "True") {
        Some(true) => "Ready",
        Some(false) => "NotReady",
        None => "Unknown",
    }
    .to_owned();
    if spec["unschedulable"] == true {
        state.push_str(",SchedulingDisabled");
    }
    let labels = object["metadata"]["labels"].as_object().into_iter().flatten();
    let roles: Vec<&str> = labels.filter_map(|(key, _)| key.strip_prefix(ROLE)).collect();
    let roles = if roles.is_empty() { "<none>".to_owned() } else { roles.join(",") };
    let address = |kind: &str| {
        let found = elements(&status["addresses"]).find(|one| one["type"] == kind);
        or(found.map_or(&Value::Null, |one| &one["address"]), "<none>")
    };
    vec![
        name(object),
        state.into(),
        roles.into(),
        age(object, now),
        or(&info["kubeletVersion"], ""),
        address("InternalIP"),
        address("ExternalIP"),
        or(&info["osImage"], "<unknown>"),
        or(&info["kernelVersion"], "<unknown>"),
        or(&info["containerRuntimeVersion"], "<unknown>"),
    ]
}
