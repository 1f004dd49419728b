//! Which storage location of a member a Backup goes to, or is read from.

use kube::{Resource, ResourceExt};
use kurator_api::backup::StoredAt;
use kurator_api::cluster::ClusterKey;
use kurator_api::duration::GoDuration;
use kurator_api::fleet::{Fleet, FleetClusterStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{AccessMode, BackupStorageLocation, BackupStorageLocationPhase};
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use serde_json::{Value, json};

use crate::hub::{Hub, in_namespace};
use crate::text;

/// Name of the location, or why there is none to use.
pub(crate) type Usable = Result<String, (Reason, String)>;

/// UID of the Fleet if its backup plugin decides on the storage location.
pub(crate) fn plugin_of(fleet: &Fleet) -> Option<String> {
    fleet.spec.plugin.as_ref()?.backup.as_ref()?;
    fleet.metadata.uid.clone()
}

/// What a location is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    Backup,
    /// Needs no right to write: Velero restores from a read-only location, too.
    Restore,
}

/// With a backup plugin, the location that its Fleet wrote for this very cluster; without one, whatever Velero's own
/// default is.
pub(crate) fn usable(hub: &Hub, member: &Member, plugin_of: Option<&str>, purpose: Use) -> Usable {
    let wanted = plugin_of.map(|fleet| Written { fleet, cluster: member.id().to_string() });
    let usable = match member.locations().list() {
        Knowledge::Unknown { why, .. } => Err((Reason::VeleroMissing, why)),
        Knowledge::Absent => choose(&[], wanted.as_ref(), purpose),
        Knowledge::Present(all) => {
            choose(&all.iter().map(AsRef::as_ref).collect::<Vec<_>>(), wanted.as_ref(), purpose)
        }
    };
    usable.map_err(|why| told(hub, member, plugin_of, why))
}

/// Whether a Backup that the member has can be read from the location of this name. Without a plugin the hub waits for
/// none that is not there, nor for its first check: nobody may make the one or the other.
pub(crate) fn readable(
    hub: &Hub,
    member: &Member,
    plugin_of: Option<&str>,
    name: &str,
) -> Result<(), (Reason, String)> {
    let Some(location) = member.locations().get(name).present() else {
        return plugin_of.map_or(Ok(()), |_| usable(hub, member, plugin_of, Use::Restore).map(drop));
    };
    match checked(&location, "Velero") {
        Err(why) if plugin_of.is_some() || why.0 == Reason::LocationUnavailable => {
            Err(told(hub, member, plugin_of, why))
        }
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Why a location can't be used: what its Fleet says, where that explains more.
fn told(hub: &Hub, member: &Member, plugin_of: Option<&str>, why: (Reason, String)) -> (Reason, String) {
    let said = plugin_of.and_then(|fleet| said_by_fleet(hub, member.id(), fleet));
    let explains = |said: &(Reason, String)| match why.0 {
        Reason::LocationPending | Reason::VeleroMissing => true,
        // The Fleet knows what somebody has to mend.
        Reason::LocationUnavailable => said.0.waits_for_somebody(),
        _ => false,
    };
    said.filter(explains).unwrap_or(why)
}

/// Why the Fleet with this UID has no location in a cluster, in its own words.
fn said_by_fleet(hub: &Hub, cluster: &ClusterKey, uid: &str) -> Option<(Reason, String)> {
    let fleets = in_namespace(&hub.fleets, &cluster.namespace);
    let fleet = fleets.iter().find(|fleet| fleet.meta().uid.as_deref() == Some(uid))?;
    said_in_row(&fleet.name_any(), hub.fleet_rows.row(fleet, cluster)?)
}

/// What a Fleet says of one of its clusters, unless that is no news.
pub(crate) fn said_in_row(fleet: &str, row: &FleetClusterStatus) -> Option<(Reason, String)> {
    let (reason, message) = match row.backup.as_ref().filter(|_| row.ready) {
        Some(backup) => (&backup.reason, &backup.message),
        None => (&row.reason, &row.message),
    };
    let reason = Reason::of(reason.as_deref()?)?;
    // What the Fleet itself waits for says less than that it is to write a location.
    let telling = !matches!(reason, Reason::Waiting | Reason::AsExpected | Reason::Connected);
    let message = message.as_ref().filter(|_| telling)?;
    Some((reason, format!("fleet `{fleet}`: {message}")))
}

/// By which Fleet, and for which cluster, a location was written.
struct Written<'a> {
    /// Its UID.
    fleet: &'a str,
    /// As the annotation has it.
    cluster: String,
}

impl Written<'_> {
    fn is(&self, location: &BackupStorageLocation) -> bool {
        is_owned_by(location, self.fleet)
            && location
                .annotations()
                .get(names::CLUSTER_ANNOTATION)
                .is_none_or(|cluster| *cluster == self.cluster)
    }
}

fn choose(all: &[&BackupStorageLocation], plugin: Option<&Written<'_>>, purpose: Use) -> Usable {
    let chosen = match plugin {
        Some(wanted) => {
            let mut ours: Vec<_> = all.iter().filter(|location| wanted.is(location)).collect();
            ours.sort_by_key(|location| is_read_only(location));
            ours.first()
                .copied()
                .ok_or_else(|| "the fleet has not written its storage location yet".to_owned())
        }
        None => {
            let own: Vec<_> = all.iter().filter(|location| !is_mount(location)).collect();
            match (own.iter().find(|location| location.spec.default == Some(true)), own.as_slice()) {
                (Some(location), _) | (None, [location]) => Ok(*location),
                (None, own) => Err(format!("{} storage locations and none is the default", own.len())),
            }
        }
    };
    let location = chosen.map_err(|why| (Reason::LocationPending, why))?;
    if purpose == Use::Backup && is_read_only(location) {
        let name = location.name_any();
        return Err((Reason::LocationUnavailable, format!("storage location `{name}` is read-only")));
    }
    available(location)
}

/// The locations whose content Velero brings into the member by itself.
pub(crate) fn synced(member: &Member) -> Result<Vec<String>, (Reason, String)> {
    match member.locations().list() {
        Knowledge::Unknown { why, .. } => Err((Reason::VeleroMissing, why)),
        Knowledge::Absent => Ok(Vec::new()),
        Knowledge::Present(all) => {
            let never = |period: &String| period.parse::<GoDuration>().is_ok_and(GoDuration::is_zero);
            let works = |location: &BackupStorageLocation| {
                !location.spec.backup_sync_period.as_ref().is_some_and(never) && available(location).is_ok()
            };
            Ok(all.iter().filter(|location| works(location)).map(|location| location.name_any()).collect())
        }
    }
}

/// Name of a location that Velero has found to work, or what it says.
pub(crate) fn available(location: &BackupStorageLocation) -> Usable {
    checked(location, "Velero").map(|()| location.name_any())
}

/// Whether `who` looks after a location has found it to work, or what it says.
pub(crate) fn checked(location: &BackupStorageLocation, who: &str) -> Result<(), (Reason, String)> {
    let name = location.name_any();
    match verdict(location) {
        Some((BackupStorageLocationPhase::Available, _)) => Ok(()),
        None => {
            let message = format!("storage location `{name}` is not checked by {who} yet");
            Err((Reason::LocationPending, message))
        }
        Some((phase, words)) => {
            let words = text::veleros_words(words.unwrap_or("no message"));
            // It may name the location itself.
            let named = words.strip_prefix(&format!("storage location `{name}`"));
            let words = match named.map(|rest| (rest, rest.strip_prefix(": "))) {
                Some((_, Some(rest))) => rest.to_owned(),
                Some((rest, None)) => format!("it{rest}"),
                None => words,
            };
            Err((Reason::LocationUnavailable, format!("storage location `{name}` is {phase}: {words}")))
        }
    }
}

/// The phase of a location, and what is said of it. That it does not work counts no more from when a check is asked for:
/// without the time of the last one, as [`unchecked`] leaves it.
pub(crate) fn verdict(
    location: &BackupStorageLocation,
) -> Option<(&BackupStorageLocationPhase, Option<&str>)> {
    let status = location.status.as_ref()?;
    let phase = status.phase.as_ref()?;
    let counts = phase.is_available() || status.last_validation_time.is_some();
    counts.then_some((phase, status.message.as_deref()))
}

/// Makes Velero check a location within seconds. The phase stays: without one, runs that begin meanwhile would fail.
pub(crate) fn unchecked() -> Value {
    json!({"status": {"lastValidationTime": null}})
}

/// Where a location says that its backups lie; `None` if it names no bucket.
pub(crate) fn stored_at(location: &BackupStorageLocation) -> Option<StoredAt> {
    let storage = location.spec.object_storage.as_ref()?;
    Some(StoredAt {
        location: location.name_any(),
        bucket: storage.bucket.clone()?,
        prefix: storage.prefix.as_deref().unwrap_or_default().trim_matches('/').to_owned(),
        fleet: None,
    })
}

/// Whether the location was made to read what another cluster, or another place, has.
pub(crate) fn is_mount(location: &BackupStorageLocation) -> bool {
    location.name_any().starts_with(names::READ_ONLY_LOCATION_PREFIX)
}

/// Whether this Fleet wrote the location.
pub(crate) fn is_owned_by(location: &BackupStorageLocation, fleet_uid: &str) -> bool {
    location.labels().get(names::OWNER_UID_LABEL).is_some_and(|uid| uid == fleet_uid)
}

pub(crate) fn is_read_only(location: &BackupStorageLocation) -> bool {
    location.spec.access_mode == Some(AccessMode::ReadOnly)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(value: serde_json::Value) -> BackupStorageLocation {
        serde_json::from_value(value).unwrap()
    }

    const OF_F: Option<&Written<'static>> = Some(&Written { fleet: "f", cluster: String::new() });

    fn available(name: &str, owner: &str, default: bool) -> BackupStorageLocation {
        location(json!({
            "metadata": {"name": name, "labels": {"kurator.dev/owner-uid": owner}},
            "spec": {"default": default, "provider": "aws"}, "status": {"phase": "Available"},
        }))
    }

    fn unavailable(words: &str) -> BackupStorageLocation {
        location(json!({
            "metadata": {"name": "default"}, "spec": {"default": true}, "status": {
                "phase": "Unavailable", "message": words, "lastValidationTime": "2026-11-01T00:00:00Z",
            },
        }))
    }

    #[test]
    fn with_a_plugin_only_the_fleets_own_location_counts() {
        let foreign = available("default", "other", true);
        assert_eq!(choose(&[&foreign], OF_F, Use::Backup).unwrap_err().0, Reason::LocationPending);
        assert_eq!(
            choose(&[&foreign, &available("kurator", "f", false)], OF_F, Use::Backup),
            Ok("kurator".into())
        );
    }

    #[test]
    fn a_location_that_the_fleet_wrote_for_another_cluster_does_not_count() {
        let mut written = available("default", "f", false);
        written
            .annotations_mut()
            .insert(names::CLUSTER_ANNOTATION.into(), "AttachedCluster default/a".into());
        let wanted =
            |cluster: &str| Written { fleet: "f", cluster: format!("AttachedCluster default/{cluster}") };
        assert_eq!(choose(&[&written], Some(&wanted("a")), Use::Backup), Ok("default".into()));
        let of_another = choose(&[&written], Some(&wanted("b")), Use::Backup);
        assert_eq!(of_another.unwrap_err().0, Reason::LocationPending);
    }

    #[test]
    fn without_a_plugin_the_default_one_is_used() {
        let (a, b) = (available("a", "x", false), available("b", "x", true));
        assert_eq!(choose(&[&a, &b], None, Use::Backup), Ok("b".into()));
        assert_eq!(choose(&[&a, &a], None, Use::Backup).unwrap_err().0, Reason::LocationPending);
    }

    #[test]
    fn what_is_mounted_to_be_read_is_never_chosen() {
        let (own, mount) = (available("a", "x", false), available("kurator-ro-0123abcd", "x", false));
        assert_eq!(choose(&[&mount, &own], None, Use::Backup), Ok("a".into()));
        assert_eq!(choose(&[&mount], None, Use::Restore).unwrap_err().0, Reason::LocationPending);
    }

    #[test]
    fn an_unavailable_location_is_named_with_veleros_words() {
        for words in ["no such bucket", "storage location `default`: no such bucket"] {
            let (reason, message) = choose(&[&unavailable(words)], None, Use::Backup).unwrap_err();
            assert_eq!(reason, Reason::LocationUnavailable);
            assert_eq!(message, "storage location `default` is Unavailable: no such bucket");
        }
        let message =
            choose(&[&unavailable("storage location `default` is odd")], None, Use::Backup).unwrap_err().1;
        assert_eq!(message, "storage location `default` is Unavailable: it is odd");
    }

    #[test]
    fn that_a_location_does_not_work_counts_no_more_when_it_is_to_be_checked_again() {
        let mut changed = unavailable("no such key");
        changed.status.as_mut().unwrap().last_validation_time = None;
        let (reason, message) = choose(&[&changed], None, Use::Backup).unwrap_err();
        assert_eq!(reason, Reason::LocationPending);
        assert_eq!(message, "storage location `default` is not checked by Velero yet");
    }

    #[test]
    fn a_read_only_location_is_good_for_restores_alone() {
        let mut foreign = available("default", "f", true);
        foreign.spec.access_mode = Some(AccessMode::ReadOnly);
        assert_eq!(choose(&[&foreign], OF_F, Use::Restore), Ok("default".into()));
        assert_eq!(choose(&[&foreign], OF_F, Use::Backup).unwrap_err().0, Reason::LocationUnavailable);
    }

    #[test]
    fn what_the_fleet_says_of_the_cluster_stands_for_a_location_that_is_not_there() {
        let said = |backup: serde_json::Value| {
            let row = json!({"kind": "AttachedCluster", "name": "m1", "ready": true, "backup": backup});
            said_in_row("f", &serde_json::from_value(row).unwrap())
        };
        let same = said(json!({"ready": false, "reason": "SameCluster", "message": "as m2"}));
        assert_eq!(same, Some((Reason::SameCluster, "fleet `f`: as m2".into())));
        let waits =
            said(json!({"ready": false, "reason": "Waiting", "message": "the bucket is being looked at"}));
        assert_eq!(waits, None);
    }
}
