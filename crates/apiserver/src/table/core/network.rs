//! What leads to pods.

use jiff::Timestamp;
use serde_json::Value;

use super::cells::{age, count, elements, labels, name, or};

pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
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

pub(super) fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
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
