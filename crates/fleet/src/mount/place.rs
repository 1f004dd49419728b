//! Where a backup lies, and which way leads there from a cluster. Pure.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::StoredAt;
use kurator_api::cluster::ClusterKey;
use kurator_api::velero::BackupStorageLocation;

use super::render;
use crate::fleet::store::{NoStore, Store};
use crate::location::{is_mount, stored_at};

/// A place that a backup was stored at.
pub(crate) struct Source<'a> {
    pub(crate) place: &'a StoredAt,
    /// The cluster that stored it.
    pub(crate) cluster: &'a ClusterKey,
    /// URL of the object store, if anybody can say.
    pub(crate) endpoint: Option<String>,
    /// The store of the Fleet that the cluster belongs to, or why it can't be used.
    pub(crate) store: Result<&'a Store, &'a NoStore>,
}

/// How a cluster gets at a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Way {
    /// By a location that it has anyway.
    Own(Arc<BackupStorageLocation>),
    /// By a location of this name, made for it.
    Mount(String),
    /// Not at all, and why.
    None(String),
}

/// What was begun goes on; else the cluster's own locations come first.
pub(super) fn way(source: &Source<'_>, own: &[Arc<BackupStorageLocation>], recorded: Option<&str>) -> Way {
    if let Some(recorded) = recorded {
        return Way::Mount(recorded.to_owned());
    }
    if let Some(own) = reaching(own, source.place, source.endpoint.as_deref()) {
        return Way::Own(own);
    }
    match source.store {
        Ok(store) => Way::Mount(render::name(store, source.place)),
        Err(why) => Way::None(unreadable(source, why)),
    }
}

fn unreadable(source: &Source<'_>, why: &NoStore) -> String {
    let StoredAt { bucket, prefix, .. } = source.place;
    format!(
        "no storage location here reaches bucket `{bucket}`, prefix `{prefix}` of {}, and {why}; mend that, or make such a \
         location in this cluster",
        source.cluster.name
    )
}

/// A location of the cluster's own that reaches the place; one that Velero finds to work, if there is one.
fn reaching(
    all: &[Arc<BackupStorageLocation>],
    place: &StoredAt,
    endpoint: Option<&str>,
) -> Option<Arc<BackupStorageLocation>> {
    let mut fit: Vec<_> =
        all.iter().filter(|location| !is_mount(location) && same_place(location, place, endpoint)).collect();
    let works = |location: &BackupStorageLocation| {
        let phase = location.status.as_ref().and_then(|status| status.phase.as_ref());
        phase.is_some_and(kurator_api::velero::BackupStorageLocationPhase::is_available)
    };
    fit.sort_by_key(|location| (!works(location), location.name_any()));
    fit.first().map(|location| Arc::clone(location))
}

/// Whether a location is on this place. An endpoint that nobody knows is taken for the same.
pub(crate) fn same_place(location: &BackupStorageLocation, place: &StoredAt, endpoint: Option<&str>) -> bool {
    let here =
        stored_at(location).is_some_and(|here| here.bucket == place.bucket && here.prefix == place.prefix);
    let there = |endpoint: &str| {
        endpoint_of(location).unwrap_or_default().trim_end_matches('/') == endpoint.trim_end_matches('/')
    };
    here && endpoint.is_none_or(there)
}

/// URL of the store that a location is on; none means the provider's own.
pub(crate) fn endpoint_of(location: &BackupStorageLocation) -> Option<String> {
    location.spec.config.get("s3Url").cloned()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{place, source_cluster, store};
    use super::*;
    use serde_json::json;

    fn location(
        name: &str,
        bucket: &str,
        prefix: &str,
        endpoint: &str,
        phase: &str,
    ) -> Arc<BackupStorageLocation> {
        let mut spec = json!({"objectStorage": {"bucket": bucket}, "config": {"s3Url": endpoint}});
        if !prefix.is_empty() {
            spec["objectStorage"]["prefix"] = json!(prefix);
        }
        let whole = json!({"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}});
        Arc::new(serde_json::from_value(whole).unwrap())
    }

    fn goes(all: &[Arc<BackupStorageLocation>], recorded: Option<&str>) -> String {
        let (store, place, cluster) = (store(), place(), source_cluster());
        let endpoint = Some(store.endpoint().to_owned());
        let source = Source { place: &place, cluster: &cluster, endpoint, store: Ok(&store) };
        match way(&source, all, recorded) {
            Way::Own(location) => location.name_any(),
            Way::Mount(name) => name,
            Way::None(why) => why,
        }
    }

    const URL: &str = "http://minio:9000";

    #[test]
    fn a_location_of_the_clusters_own_on_the_place_is_used() {
        let own = location("mine", "velero", "a/b", URL, "Available");
        assert_eq!(goes(&[own], None), "mine");
        let slashes = location("mine", "velero", "/a/b/", "http://minio:9000/", "Available");
        assert_eq!(goes(&[slashes], None), "mine");
    }

    #[test]
    fn of_two_locations_on_the_place_the_one_that_works_is_used() {
        let (broken, good) = (
            location("a", "velero", "a/b", URL, "Unavailable"),
            location("b", "velero", "a/b", URL, "Available"),
        );
        assert_eq!(goes(&[broken, good], None), "b");
    }

    #[test]
    fn another_bucket_prefix_or_store_is_another_place() {
        let mount = goes(&[], None);
        assert!(mount.starts_with("kurator-ro-"), "{mount}");
        for other in [
            location("x", "other", "a/b", URL, "Available"),
            location("x", "velero", "a", URL, "Available"),
            location("x", "velero", "", URL, "Available"),
            location("x", "velero", "a/b", "http://other:9000", "Available"),
        ] {
            assert_eq!(goes(&[other], None), mount);
        }
    }

    #[test]
    fn a_mount_of_somebody_else_is_not_the_clusters_own() {
        let theirs = location("kurator-ro-00000000", "velero", "a/b", URL, "Available");
        assert_ne!(goes(&[theirs], None), "kurator-ro-00000000");
    }

    #[test]
    fn a_mount_that_was_begun_goes_on_whatever_the_cluster_gets_later() {
        let own = location("mine", "velero", "a/b", URL, "Available");
        assert_eq!(goes(&[own], Some("kurator-ro-0123abcd")), "kurator-ro-0123abcd");
    }

    #[test]
    fn without_a_store_the_sentence_names_the_place_and_the_remedy() {
        let (place, cluster) = (place(), source_cluster());
        let why = "fleet `f` has no backup plugin".to_owned();
        let source = Source { place: &place, cluster: &cluster, endpoint: None, store: Err(&why) };
        let Way::None(said) = way(&source, &[], None) else { panic!("a way") };
        assert_eq!(
            said,
            "no storage location here reaches bucket `velero`, prefix `a/b` of m1, and fleet `f` has no backup plugin; \
             mend that, or make such a location in this cluster"
        );
    }
}
