//! The types that a restore brings itself: waited for until the API server serves them.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::call::{CallError, Caller};
use crate::discover::discover;
use crate::report::{About, Report};
use crate::types::Catalog;

/// Longest time that CRDs are waited for, as Velero 1.18's `--resource-timeout`.
const ESTABLISHED: Duration = Duration::from_secs(600);
/// First and longest pause between two looks at a CRD.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Waits until the API server serves the types of these CRDs.
///
/// Discovery may lag behind, or be another server's: what the cluster serves is asked until it names them all.
///
/// # Errors
/// [`CallError`] if what the cluster serves cannot be asked.
pub(super) async fn awaited(
    caller: &Caller,
    names: &[String],
    report: &Report,
) -> Result<Catalog, CallError> {
    let until = Instant::now() + ESTABLISHED;
    let served = established(caller, names, report, until).await;
    let mut pause = LOOKS.0;
    loop {
        let catalog = discover(caller).await?;
        let is_listed = |name: &&String| catalog.types.iter().any(|api| api.group_resource() == **name);
        let Some(missing) = served.iter().find(|name| !is_listed(name)) else { return Ok(catalog) };
        if Instant::now() + pause > until {
            let why = format!("the API server does not list {missing} among its types after {ESTABLISHED:?}");
            report.error(About::Cluster, why);
            return Ok(catalog);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOKS.1);
    }
}

/// Those CRDs that are established in time.
async fn established(caller: &Caller, names: &[String], report: &Report, until: Instant) -> Vec<String> {
    let mut served = Vec::new();
    for name in names {
        let mut pause = LOOKS.0;
        loop {
            match is_served(caller, name).await {
                Ok(true) => {
                    served.push(name.clone());
                    break;
                }
                Ok(false) if Instant::now() + pause > until => {
                    report.error(About::Cluster, format!("{name} is not served after {ESTABLISHED:?}"));
                    break;
                }
                Ok(false) => tokio::time::sleep(pause).await,
                Err(error) => {
                    report.error(About::Cluster, format!("cannot see whether {name} is served: {error}"));
                    break;
                }
            }
            pause = (pause * 2).min(LOOKS.1);
        }
    }
    served
}

async fn is_served(caller: &Caller, name: &str) -> Result<bool, CallError> {
    let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
    let Some(found) = caller.get(&path).await? else {
        return Err(CallError::Unusable("it is gone".to_owned()));
    };
    let found: Value =
        serde_json::from_slice(&found).map_err(|error| CallError::Unusable(error.to_string()))?;
    let conditions = found.pointer("/status/conditions").and_then(Value::as_array);
    let holds = |kind: &str| {
        let is = |condition: &Value| condition["type"] == kind && condition["status"] == "True";
        conditions.is_some_and(|conditions| conditions.iter().any(is))
    };
    Ok(holds("Established") && holds("NamesAccepted"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use kurator_member::clock::SystemClock;
    use serde_json::json;

    use super::*;
    use crate::testing::{ok, server};

    const NAME: &str = "gadgets.ops.example.com";

    /// Discovery as the server aggregates it, with one type.
    fn listing(group: &str, resource: &str) -> String {
        let resource = json!({
            "resource": resource, "responseKind": {"group": group, "kind": "K"}, "scope": "Namespaced", "verbs": ["list"],
        });
        let versions = json!([{"version": "v1", "freshness": "Current", "resources": [resource]}]);
        json!({"items": [{"metadata": {"name": group}, "versions": versions}]}).to_string()
    }

    fn established() -> String {
        let conditions = ["Established", "NamesAccepted"].map(|kind| json!({"type": kind, "status": "True"}));
        json!({"status": {"conditions": conditions}}).to_string()
    }

    /// What is known in the end, and what was told, where the type is listed from the `n`th look on.
    async fn after(n: usize) -> (Catalog, u64) {
        let looks = AtomicUsize::new(0);
        let (caller, _) = server(move |_, path| match path {
            "/api" => ok(listing("", "pods")),
            "/apis" if looks.fetch_add(1, Relaxed) >= n => ok(listing("ops.example.com", "gadgets")),
            "/apis" => ok(r#"{"items": []}"#),
            _ => ok(established()),
        });
        let report = Report::new("restore", "velero", "r", Arc::new(SystemClock), &std::env::temp_dir());
        let catalog = awaited(&caller, &[NAME.to_owned()], &report).await.unwrap();
        (catalog, report.close().unwrap().errors)
    }

    #[tokio::test(start_paused = true)]
    async fn a_type_that_is_established_is_awaited_until_discovery_has_it() {
        let (catalog, errors) = after(3).await;
        assert!(catalog.types.iter().any(|api| api.group_resource() == NAME));
        assert_eq!(errors, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_type_that_discovery_never_has_is_an_error() {
        let (_, errors) = after(usize::MAX).await;
        assert_eq!(errors, 1);
    }
}
