//! Which store a location of a member that the hub serves means: found in the hub's own objects, compared with what
//! the location says, and never taken from it.

use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, StoredAt};
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::fleet::{Fleet, MemberBackupStatus};
use kurator_api::velero::{AccessMode, BackupStorageLocation, BackupStorageLocationSpec};
use kurator_store::Location;

use super::layout;
use super::store;
use crate::ctx::Ctx;
use crate::hub::{Hub, in_namespace};
use crate::location::{is_mount, stored_at};
use crate::mount;

/// The store behind `location` of `cluster`, or why it is not used.
pub(crate) async fn store(
    ctx: &Ctx,
    cluster: &ClusterKey,
    location: &BackupStorageLocation,
) -> Result<Location, String> {
    let name = location.name_any();
    let is_mount = is_mount(location);
    let candidates =
        if is_mount { mounted(&ctx.hub, cluster, &name) } else { own(&ctx.hub, cluster, location) };
    let mut why = None;
    for Candidate { fleet, places } in candidates {
        let store = match store::of(ctx, &fleet).await {
            Ok(Ok(store)) => store,
            Ok(Err(fault)) => {
                why = Some(fault);
                continue;
            }
            Err(error) => {
                why = Some(kurator_member::causes::chain(&error));
                continue;
            }
        };
        let found = places.into_iter().find(|(place, _)| !is_mount || mount::name(&store, place) == name);
        let Some((place, read_only)) = found else { continue };
        return match differs(&location.spec, &store.spec(&place), read_only) {
            None => Ok(store.location(&place.bucket, &place.prefix)),
            Some(field) => Err(format!(
                "storage location `{name}`: `{field}` is not what fleet `{}` wrote, and what others write is not \
                 followed; delete the location, and it is written again",
                fleet.name_any()
            )),
        };
    }
    Err(match why {
        Some(why) => format!("storage location `{name}`: {why}"),
        None => format!(
            "storage location `{name}` was not written by a Fleet; the hub follows no other, so use the Fleet's, or serve \
             this cluster with `kurator engine`"
        ),
    })
}

/// The places of a Fleet that a location may be on, and whether it may only be read there.
struct Candidate {
    fleet: Fleet,
    places: Vec<(StoredAt, bool)>,
}

/// Places of the cluster's own under this name: where its Fleet has it store now, or a Backup of it was stored once.
fn own(hub: &Hub, cluster: &ClusterKey, location: &BackupStorageLocation) -> Vec<Candidate> {
    let name = location.name_any();
    let says = stored_at(location);
    let mut found = Vec::new();
    for fleet in fleets(hub, cluster) {
        let Some(row) = row_of(&fleet, cluster) else { continue };
        let now = place_of(row).filter(|place| place.location == name).map(|place| (place, row.read_only));
        let of_fleet = |backup: &Backup| backup.spec.destination.fleet == fleet.name_any();
        let once = || {
            backups(hub, cluster, of_fleet)
                .filter(|(key, _)| key == cluster)
                .map(|(_, place)| (place, true))
                .find(|(place, _)| says.as_ref() == Some(place))
        };
        if let Some((place, read_only)) = now.or_else(once) {
            found.push(Candidate { fleet, places: vec![(place, read_only)] });
        }
    }
    found
}

/// Places that a mount of this name may be on, if somebody on the hub has asked for it in this cluster.
fn mounted(hub: &Hub, cluster: &ClusterKey, name: &str) -> Vec<Candidate> {
    let namespace = &cluster.namespace;
    let is_row = |kind: ClusterKind, cluster_name: &str, location: Option<&String>| {
        kind == cluster.kind && cluster_name == cluster.name && location.is_some_and(|at| at == name)
    };
    let migrates: Vec<_> = in_namespace(&hub.migrates, namespace)
        .into_iter()
        .filter_map(|migrate| migrate.0.as_ref().ok().and_then(|migrate| migrate.status.clone()))
        .filter(|status| {
            let mut rows = status.target_cluster_status.iter();
            rows.any(|row| is_row(row.cluster_kind, &row.cluster_name, row.source_location.as_ref()))
        })
        .collect();
    let restores = in_namespace(&hub.restores, namespace);
    let restored = restores.iter().filter_map(|restore| restore.0.as_ref().ok()).any(|restore| {
        let mut rows = restore.status.iter().flat_map(|status| &status.restore_details);
        rows.any(|row| is_row(row.cluster_kind, &row.cluster_name, row.source_location.as_ref()))
    });
    if migrates.is_empty() && !restored {
        return Vec::new();
    }
    let mut places: Vec<StoredAt> = backups(hub, cluster, |_| true).map(|(_, place)| place).collect();
    let sources = migrates.iter().filter_map(|status| status.source_cluster_status.as_ref());
    places.extend(sources.filter_map(|row| recorded(namespace, row)).map(|(_, place)| place));
    let fleets = fleets(hub, cluster);
    for fleet in &fleets {
        let rows = fleet.status.iter().flat_map(|status| &status.clusters);
        places.extend(rows.filter_map(|row| place_of(row.backup.as_ref()?)));
    }
    places.sort_by(|a, b| (&a.bucket, &a.prefix).cmp(&(&b.bucket, &b.prefix)));
    places.dedup_by(|a, b| (&a.bucket, &a.prefix) == (&b.bucket, &b.prefix));
    let places: Vec<_> = places.into_iter().map(|place| (place, true)).collect();
    fleets.into_iter().map(|fleet| Candidate { fleet, places: places.clone() }).collect()
}

fn fleets(hub: &Hub, cluster: &ClusterKey) -> Vec<Fleet> {
    let all = in_namespace(&hub.fleets, &cluster.namespace);
    all.iter().filter_map(|fleet| fleet.0.as_ref().ok().cloned()).collect()
}

fn row_of<'a>(fleet: &'a Fleet, cluster: &ClusterKey) -> Option<&'a MemberBackupStatus> {
    let mut rows = fleet.status.iter().flat_map(|status| &status.clusters);
    rows.find(|row| row.kind == cluster.kind && row.name == cluster.name)?.backup.as_ref()
}

/// Where a Fleet has a cluster store.
fn place_of(backup: &MemberBackupStatus) -> Option<StoredAt> {
    Some(StoredAt {
        location: backup.location.clone()?,
        bucket: backup.bucket.clone()?,
        prefix: backup.prefix.clone().unwrap_or_default(),
    })
}

/// Where Backups of this namespace were stored, and by which cluster.
fn backups(
    hub: &Hub,
    cluster: &ClusterKey,
    wanted: impl Fn(&Backup) -> bool,
) -> impl Iterator<Item = (ClusterKey, StoredAt)> {
    let namespace = cluster.namespace.clone();
    let all = in_namespace(&hub.backups, &namespace);
    let found: Vec<_> = all
        .iter()
        .filter_map(|backup| backup.0.as_ref().ok().filter(|backup| wanted(backup)))
        .flat_map(|backup| backup.status.iter().flat_map(|status| &status.backup_details))
        .filter_map(|row| recorded(&namespace, row))
        .collect();
    found.into_iter()
}

/// The place in a row, unless it is another cluster's: it was read from the member once, which may have lied.
fn recorded(namespace: &str, row: &BackupDetails) -> Option<(ClusterKey, StoredAt)> {
    let key = ClusterKey {
        namespace: namespace.to_owned(),
        kind: row.cluster_kind,
        name: row.cluster_name.clone(),
    };
    let place = row.stored.clone()?;
    layout::may_be_of(&place.prefix, &key).then_some((key, place))
}

/// The first field that decides where a connection goes, or with what rights, and is not as the hub has it.
fn differs(
    found: &BackupStorageLocationSpec,
    wanted: &BackupStorageLocationSpec,
    read_only: bool,
) -> Option<&'static str> {
    let place = |spec: &BackupStorageLocationSpec| {
        let storage = spec.object_storage.clone().unwrap_or_default();
        let prefix = storage.prefix.unwrap_or_default().trim_matches('/').to_owned();
        (storage.bucket.unwrap_or_default(), prefix, storage.ca_cert)
    };
    let ((bucket, prefix, ca), (our_bucket, our_prefix, our_ca)) = (place(found), place(wanted));
    [
        ("spec.provider", found.provider == wanted.provider),
        ("spec.config", found.config == wanted.config),
        ("spec.objectStorage.bucket", bucket == our_bucket),
        ("spec.objectStorage.prefix", prefix == our_prefix),
        ("spec.objectStorage.caCert", ca == our_ca),
        ("spec.credential", found.credential == wanted.credential),
        ("spec.accessMode", !read_only || found.access_mode == Some(AccessMode::ReadOnly)),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn ours() -> Value {
        json!({
            "provider": "aws", "config": {"s3Url": "http://s3", "region": "r"},
            "objectStorage": {"bucket": "velero", "prefix": "clusters/default/attachedcluster/m1"},
        })
    }

    /// The field that differs when somebody wrote this over what the hub wrote.
    fn over(change: &Value, read_only: bool) -> Option<&'static str> {
        let spec = |value: Value| serde_json::from_value::<BackupStorageLocationSpec>(value).unwrap();
        let mut found = ours();
        for (key, value) in change.as_object().unwrap() {
            found[key] = value.clone();
        }
        differs(&spec(found), &spec(ours()), read_only)
    }

    #[test]
    fn every_field_that_decides_where_a_connection_goes_must_be_the_hubs_own() {
        let storage = |bucket: &str, prefix: &str, ca: Option<&str>| json!({"objectStorage": {"bucket": bucket, "prefix": prefix, "caCert": ca}});
        let at_home = "clusters/default/attachedcluster/m1";
        let table = [
            (json!({}), None),
            (json!({"accessMode": "ReadWrite", "default": true, "validationFrequency": "1s"}), None),
            (storage("velero", "/clusters/default/attachedcluster/m1/", None), None),
            (json!({"provider": "kurator.dev/local"}), Some("spec.provider")),
            (json!({"config": {"s3Url": "http://127.0.0.1", "region": "r"}}), Some("spec.config")),
            (
                json!({"config": {"s3Url": "http://s3", "region": "r", "profile": "other"}}),
                Some("spec.config"),
            ),
            (storage("other", at_home, None), Some("spec.objectStorage.bucket")),
            (
                storage("velero", "clusters/default/attachedcluster/m2", None),
                Some("spec.objectStorage.prefix"),
            ),
            (storage("velero", at_home, Some("Zm9v")), Some("spec.objectStorage.caCert")),
            (json!({"credential": {"name": "mine", "key": "cloud"}}), Some("spec.credential")),
        ];
        for (change, expected) in table {
            assert_eq!(over(&change, false), expected, "{change}");
        }
    }

    #[test]
    fn what_may_only_be_read_must_say_so() {
        assert_eq!(over(&json!({"accessMode": "ReadOnly"}), true), None);
        assert_eq!(over(&json!({"accessMode": "ReadWrite"}), true), Some("spec.accessMode"));
        assert_eq!(over(&json!({}), true), Some("spec.accessMode"));
    }

    #[test]
    fn a_place_in_a_row_that_is_another_clusters_does_not_count() {
        let row = |prefix: &str| -> BackupDetails {
            let stored = json!({"location": "default", "bucket": "velero", "prefix": prefix});
            let row = json!({"clusterName": "m1", "clusterKind": "AttachedCluster", "stored": stored});
            serde_json::from_value(row).unwrap()
        };
        let counts = |prefix: &str| recorded("default", &row(prefix)).is_some();
        assert!(counts("clusters/default/attachedcluster/m1"));
        assert!(counts("root/clusters/default/attachedcluster/m1"));
        assert!(counts(""));
        assert!(counts("shared"));
        assert!(!counts("clusters/default/attachedcluster/m2"));
        assert!(!counts("root/clusters/other/attachedcluster/m1"));
        assert!(!counts("clusters/default/attachedcluster/m1/deeper"));
    }
}
