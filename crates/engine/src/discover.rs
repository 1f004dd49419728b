//! Asks a cluster what it serves.

use std::collections::HashSet;

use kube::core::discovery::v2::{APIGroupDiscoveryList, APIResourceDiscovery};

use crate::call::{CallError, Caller};
use crate::types::{ApiType, Catalog};

/// All types in the versions that the cluster prefers.
///
/// Two requests where the server aggregates its discovery (Kubernetes 1.26 and later), one per version else. A group
/// whose own server is down is told in [`Catalog::failed`].
///
/// # Errors
/// If the API server does not answer at all.
pub async fn discover(caller: &Caller) -> Result<Catalog, CallError> {
    let core = caller.read(|client| async move { client.list_core_api_versions_aggregated().await }).await?;
    if core.items.is_empty() {
        return one_by_one(caller).await;
    }
    let mut catalog = Catalog::default();
    add(&mut catalog, core);
    add(&mut catalog, caller.read(|client| async move { client.list_api_groups_aggregated().await }).await?);
    Ok(catalog)
}

fn add(catalog: &mut Catalog, list: APIGroupDiscoveryList) {
    for found in list.items {
        let group = found.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        // Versions come in the order of preference: the first that has a type is the preferred one for it.
        let mut known = HashSet::new();
        for offered in found.versions {
            let version = offered.version.unwrap_or_default();
            if offered.freshness.as_deref() == Some("Stale") {
                catalog.failed.push((format!("{group}/{version}"), "its server does not answer".to_owned()));
            }
            for resource in offered.resources {
                let Some(resource) = api_type(&group, &version, resource) else { continue };
                if known.insert(resource.resource.clone()) {
                    catalog.types.push(resource);
                }
            }
        }
    }
}

/// `None` for an entry that has only subresources.
fn api_type(group: &str, version: &str, found: APIResourceDiscovery) -> Option<ApiType> {
    let response = found.response_kind?;
    Some(ApiType {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: response.kind?,
        resource: found.resource?,
        singular: found.singular_resource.unwrap_or_default(),
        short_names: found.short_names,
        namespaced: found.scope.as_deref() == Some("Namespaced"),
        verbs: found.verbs,
    })
}

async fn one_by_one(caller: &Caller) -> Result<Catalog, CallError> {
    let mut catalog = Catalog::default();
    let mut versions = Vec::new();
    let core = caller.read(|client| async move { client.list_core_api_versions().await }).await?;
    for version in core.versions {
        versions.push((String::new(), version));
    }
    let groups = caller.read(|client| async move { client.list_api_groups().await }).await?;
    for group in groups.groups {
        let preferred = group.preferred_version.map(|preferred| preferred.version);
        let mut offered: Vec<_> = group.versions.into_iter().map(|offered| offered.version).collect();
        offered.sort_by_key(|version| Some(version) != preferred.as_ref());
        versions.extend(offered.into_iter().map(|version| (group.name.clone(), version)));
    }
    let mut known = HashSet::new();
    for (group, version) in versions {
        let (group, version) = (&group, &version);
        let found = caller.read(|client| async move {
            match group.as_str() {
                "" => client.list_core_api_resources(version).await,
                _ => client.list_api_group_resources(&format!("{group}/{version}")).await,
            }
        });
        match found.await {
            Ok(found) => {
                let whole = found.resources.into_iter().filter(|resource| !resource.name.contains('/'));
                for resource in whole {
                    if known.insert((group.clone(), resource.name.clone())) {
                        catalog.types.push(ApiType {
                            group: group.clone(),
                            version: version.clone(),
                            kind: resource.kind,
                            resource: resource.name,
                            singular: resource.singular_name,
                            short_names: resource.short_names.unwrap_or_default(),
                            namespaced: resource.namespaced,
                            verbs: resource.verbs,
                        });
                    }
                }
            }
            Err(error) => catalog.failed.push((format!("{group}/{version}"), error.to_string())),
        }
    }
    Ok(catalog)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ok, server, status};

    #[test]
    fn each_type_is_told_once_in_the_version_preferred_for_it() {
        let resource = |name: &str| {
            json!({ "resource": name, "responseKind": { "group": "g", "kind": "K" }, "scope": "Namespaced",
                "singularResource": "k", "verbs": ["list"], "shortNames": ["s"] })
        };
        let list = json!({ "items": [{ "metadata": { "name": "g" }, "versions": [
            { "version": "v2", "freshness": "Current", "resources": [resource("as")] },
            { "version": "v1", "freshness": "Current", "resources": [resource("as"), resource("bs")] },
        ]}]});
        let mut catalog = Catalog::default();
        add(&mut catalog, serde_json::from_value(list).unwrap());
        let told: Vec<_> = catalog.types.iter().map(|t| (t.group_resource(), t.version.as_str())).collect();
        assert_eq!(told, [("as.g".to_owned(), "v2"), ("bs.g".to_owned(), "v1")]);
    }

    #[test]
    fn a_group_whose_server_is_down_is_told() {
        let list = json!({ "items": [{ "metadata": { "name": "metrics.k8s.io" },
            "versions": [{ "version": "v1beta1", "freshness": "Stale" }] }] });
        let mut catalog = Catalog::default();
        add(&mut catalog, serde_json::from_value(list).unwrap());
        assert_eq!(
            catalog.failed,
            [("metrics.k8s.io/v1beta1".to_owned(), "its server does not answer".to_owned())]
        );
    }

    /// A server without aggregated discovery; `g/v1` is answered as said, from the n-th time on with its types.
    async fn found_one_by_one(code: u16, from: usize) -> Catalog {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let (caller, _) = server(move |_, path| match path {
            "/api" => ok(r#"{"versions": ["v1"], "serverAddressByClientCIDRs": []}"#),
            "/apis" => {
                let version = json!({"groupVersion": "g/v1", "version": "v1"});
                let group = json!({"name": "g", "versions": [version], "preferredVersion": version});
                ok(json!({"groups": [group]}).to_string())
            }
            "/apis/g/v1" if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < from => {
                status(code, "", "not now")
            }
            _ => {
                let version = if path.ends_with("g/v1") { "g/v1" } else { "v1" };
                let resource = json!({
                    "name": "as", "singularName": "a", "namespaced": true, "kind": "A", "verbs": ["list"],
                });
                ok(json!({"groupVersion": version, "resources": [resource]}).to_string())
            }
        });
        discover(&caller).await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_is_not_told_at_once_is_asked_for_again() {
        for code in [429, 503] {
            let catalog = found_one_by_one(code, 2).await;
            let told: Vec<_> = catalog.types.iter().map(ApiType::group_resource).collect();
            assert_eq!(told, ["as", "as.g"], "{code}");
            assert_eq!(catalog.failed, []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_version_that_stays_away_is_told_and_the_others_are_known() {
        let catalog = found_one_by_one(503, usize::MAX).await;
        let told: Vec<_> = catalog.types.iter().map(ApiType::group_resource).collect();
        assert_eq!(told, ["as"]);
        assert_eq!(catalog.failed, [("g/v1".to_owned(), "not now".to_owned())]);
    }
}
