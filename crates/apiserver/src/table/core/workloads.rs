//! Pods and what makes them.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{age, containers, count, elements, labels, name, or};
use crate::{
    select,
    table::age::{between, since},
};

/// Nothing runs here, so that a pod is what its status says.
pub(super) fn pod(object: &Value, now: Timestamp) -> Vec<Value> {
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

pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
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
        select::text(&spec["selector"]).into(),
    ]
}

pub(super) fn replica_set(object: &Value, now: Timestamp) -> Vec<Value> {
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
        select::text(&spec["selector"]).into(),
    ]
}

pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let [names, images] = containers(&spec["template"]);
    let ready = format!("{}/{}", count(&status["readyReplicas"]), spec["replicas"].as_i64().unwrap_or(1));
    vec![name(object), ready.into(), age(object, now), names, images]
}

pub(super) fn scale(object: &Value, now: Timestamp) -> Vec<Value> {
    let replicas = |part: &str| count(&object[part]["replicas"]);
    vec![name(object), replicas("spec").into(), replicas("status").into(), age(object, now)]
}

pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
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
        select::text(&spec["selector"]).into(),
    ]);
    cells
}

pub(super) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
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
        select::text(&spec["selector"]).into(),
    ]
}

pub(super) fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
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
        select::text(&template["selector"]).into(),
    ]
}
