//! Installs the CRDs on the hub, or brings older ones up to date. Never downgrades.

use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use kurator_api::names::CRD_VERSION_ANNOTATION;
use semver::Version;

/// Longest time until the API server serves a new type.
const SERVED_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn install(client: &Client) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    for wanted in kurator_api::crds::all() {
        let name = wanted.name_any();
        let present = api.get_opt(&name).await.with_context(|| format!("cannot read CRD {name}"))?;
        if present.as_ref().is_some_and(|present| is_anothers(&name, present)) {
            continue;
        }
        if let Some(newer) = present.as_ref().and_then(|present| newer(present, &wanted)) {
            tracing::warn!(name, version = %newer, "a newer CRD is installed and stays");
            continue;
        }
        let params = PatchParams::apply("kurator").force();
        api.patch(&name, &params, &Patch::Apply(&wanted))
            .await
            .with_context(|| format!("cannot install CRD {name}"))?;
    }
    for wanted in kurator_api::crds::all() {
        let name = wanted.name_any();
        let established = kube::runtime::wait::await_condition(
            api.clone(),
            &name,
            kube::runtime::conditions::is_crd_established(),
        );
        tokio::time::timeout(SERVED_WITHIN, established)
            .await
            .with_context(|| format!("the API server does not serve CRD {name}"))??;
    }
    Ok(())
}

/// Provisioned clusters belong to Kurator's cluster operator: where it has installed their type, with a
/// schema of its own, it stays. Of all other types, ours take the place of Kurator's.
fn is_anothers(name: &str, present: &CustomResourceDefinition) -> bool {
    name == "clusters.cluster.kurator.dev" && !present.annotations().contains_key(CRD_VERSION_ANNOTATION)
}

/// The version of the installed CRD, if it is later than ours.
fn newer(present: &CustomResourceDefinition, wanted: &CustomResourceDefinition) -> Option<Version> {
    let version = |crd: &CustomResourceDefinition| {
        crd.annotations().get(CRD_VERSION_ANNOTATION).and_then(|text| Version::parse(text).ok())
    };
    let installed = version(present)?;
    version(wanted).is_none_or(|ours| installed > ours).then_some(installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crd(version: Option<&str>) -> CustomResourceDefinition {
        let mut crd = CustomResourceDefinition::default();
        if let Some(version) = version {
            crd.annotations_mut().insert(CRD_VERSION_ANNOTATION.to_owned(), version.to_owned());
        }
        crd
    }

    #[test]
    fn a_newer_crd_is_never_downgraded() {
        assert!(newer(&crd(Some("0.10.0")), &crd(Some("0.9.0"))).is_some());
        assert!(newer(&crd(Some("0.9.0")), &crd(Some("0.9.0"))).is_none());
    }

    #[test]
    fn the_type_of_provisioned_clusters_is_left_to_kurators_operator() {
        assert!(is_anothers("clusters.cluster.kurator.dev", &crd(None)));
        assert!(!is_anothers("clusters.cluster.kurator.dev", &crd(Some("0.1.0"))));
        assert!(!is_anothers("fleets.fleet.kurator.dev", &crd(None)));
    }

    #[test]
    fn kurators_own_crd_has_no_version_and_is_brought_up_to_date() {
        assert!(newer(&crd(None), &crd(Some("0.1.0"))).is_none());
    }
}
