//! Services: addresses and ports that the old cluster chose.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::object;
use super::{ActionError, Work};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// `velero.io/service`: the cluster IPs go unless the Service is headless; node ports go unless they are kept by
/// the Restore or were asked for explicitly.
pub(super) fn reset(work: &mut Work<'_>) -> Result<(), ActionError> {
    let service = &mut work.made.object;
    if object::text(service, &["spec", "clusterIP"]) != Some("None") {
        object::remove(service, &["spec", "clusterIP"]);
        object::remove(service, &["spec", "clusterIPs"]);
    }
    if work.context.plan.keep_node_ports {
        return Ok(());
    }
    let applied = match object::annotation(service, LAST_APPLIED) {
        Some(text) => Some(serde_json::from_str(text).map_err(|why| last_applied(&why))?),
        None => None,
    };
    let asked = Asked { applied: applied.as_ref(), managed: work.managed_fields };
    let asked_health_check = asked.for_health_check_port();
    clear_node_ports(service, &asked);
    let is = |path, value| object::text(service, path) == Some(value);
    let checks = is(&["spec", "externalTrafficPolicy"], "Local") && is(&["spec", "type"], "LoadBalancer");
    if checks && !asked_health_check {
        object::remove(service, &["spec", "healthCheckNodePort"]);
    }
    Ok(())
}

/// Without the text that is wrong: it is the user's, and may be long.
fn last_applied(why: &serde_json::Error) -> ActionError {
    ActionError::LastApplied { fault: format!("line {} column {}", why.line(), why.column()) }
}

fn clear_node_ports(service: &mut Value, asked: &Asked<'_>) {
    if object::text(service, &["spec", "type"]) == Some("ExternalName") {
        return;
    }
    let Some(ports) = object::list_mut(service, &["spec", "ports"]) else { return };
    let kept: Vec<bool> = match asked.applied {
        Some(applied) => {
            let explicit = Explicit::of(applied);
            ports.iter().map(|port| explicit.holds(port)).collect()
        }
        None => {
            let keys = asked.managed_port_keys();
            ports.iter().map(|port| keys.contains(key(port).as_str())).collect()
        }
    };
    for (port, kept) in ports.iter_mut().zip(kept) {
        if let (false, Some(port)) = (kept, port.as_object_mut()) {
            port.remove("nodePort");
        }
    }
}

/// What tells which ports somebody asked for.
struct Asked<'a> {
    applied: Option<&'a Value>,
    managed: Option<&'a Value>,
}

impl<'a> Asked<'a> {
    fn managed_specs(&self) -> impl Iterator<Item = &'a Value> {
        let entries = self.managed.and_then(Value::as_array).into_iter().flatten();
        entries.filter_map(|entry| object::at(entry, &["fieldsV1", "f:spec"]))
    }

    fn for_health_check_port(&self) -> bool {
        let applied = self.applied.and_then(|applied| object::at(applied, &["spec", "healthCheckNodePort"]));
        applied.and_then(Value::as_f64).is_some_and(|port| port != 0.0)
            || self.managed_specs().any(|spec| spec.get("f:healthCheckNodePort").is_some())
    }

    /// Keys of the ports whose node port somebody manages, as `k:{"port":80,"protocol":"TCP"}`.
    fn managed_port_keys(&self) -> BTreeSet<&'a str> {
        let ports = self.managed_specs().filter_map(|spec| spec.get("f:ports")?.as_object()).flatten();
        ports.filter(|(_, port)| port.get("f:nodePort").is_some()).map(|(key, _)| key.as_str()).collect()
    }
}

fn key(port: &Value) -> String {
    let number = port.get("port").and_then(Value::as_i64).unwrap_or_default();
    let protocol = object::text(port, &["protocol"]).unwrap_or_default();
    format!(r#"k:{{"port":{number},"protocol":"{protocol}"}}"#)
}

/// The node ports in the configuration that was applied last: by name, or of ports without one by number.
#[derive(Default)]
struct Explicit<'a> {
    names: BTreeSet<&'a str>,
    numbers: BTreeSet<i64>,
}

impl<'a> Explicit<'a> {
    fn of(applied: &'a Value) -> Self {
        let mut explicit = Self::default();
        for port in object::list(applied, &["spec", "ports"]) {
            let number = port.get("nodePort").and_then(|number| match number {
                Value::String(text) => text.parse().ok(),
                other => other.as_i64(),
            });
            match (number, object::text(port, &["name"]).unwrap_or_default()) {
                (None | Some(..=0), _) => {}
                (Some(number), "") => {
                    explicit.numbers.insert(number);
                }
                (Some(_), name) => {
                    explicit.names.insert(name);
                }
            }
        }
        explicit
    }

    fn holds(&self, port: &Value) -> bool {
        match object::text(port, &["name"]).unwrap_or_default() {
            "" => port.get("nodePort").and_then(Value::as_i64).is_some_and(|own| self.numbers.contains(&own)),
            name => self.names.contains(name),
        }
    }
}
