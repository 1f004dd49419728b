//! The storage location of a member, with the Secret that Velero needs for it.

use std::sync::Arc;

use kube::ResourceExt;
use kube::core::ObjectMeta;
use kurator_api::backup::StoredAt;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, Layout, MemberBackupStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{AccessMode, BackupStorageLocation};

use super::super::observe::{SeenAlive, SeenSecret, SeenVelero};
use super::super::places;
use super::super::plan::Action;
use super::super::render;
use super::super::validate::ValidPlugin;
use super::Turn;
use crate::location::is_owned_by;

/// How many earlier places of a member are remembered.
const EARLIER_PLACES: usize = 16;

/// A location that is to be there. Without a mode, it keeps the one it has.
pub(super) struct Wanted<'a> {
    pub(super) name: String,
    pub(super) prefix: &'a str,
    pub(super) mode: Option<AccessMode>,
}

impl Turn<'_> {
    /// Writes what differs; the name of the location. Without a mode, a location keeps the one it has.
    pub(super) fn write(
        &mut self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
        wanted: Wanted<'_>,
    ) -> Result<String, (Reason, String)> {
        let Wanted { name, prefix, mode } = wanted;
        let secret = match plugin.engine {
            Engine::Velero => Some(self.write_secret(plugin, key, alive, velero)?),
            Engine::Builtin => None,
        };
        let secret = secret.as_deref();
        let present = velero.locations.iter().find(|found| found.metadata.name.as_deref() == Some(&name));
        let kept = || present.and_then(|found| found.spec.access_mode.clone());
        let mode = mode.or_else(kept).unwrap_or(AccessMode::ReadWrite);
        let default = mode == AccessMode::ReadWrite
            && may_be_default(velero, &self.valid.uid, present.map(AsRef::as_ref));
        let place = render::Place { name: &name, prefix, secret, mode, default };
        let wanted = render::location(self.valid, plugin, key, place);
        let is_right = |found: &Arc<BackupStorageLocation>| {
            is_owned_by(found, &self.valid.uid) && render::says(found, &wanted)
        };
        let right = present.is_some_and(is_right);
        if !right {
            self.attempt(&alive.location_write, Action::Location(Box::new(wanted)))?;
        }
        self.retire(plugin, key, alive, velero, &name, secret)?;
        let credential = secret.map(render::credential_in);
        if present.is_some_and(|found| found.spec.credential != credential) {
            // What was found to work was so with the credential of another engine.
            return Err((Reason::Waiting, format!("storage location `{name}` is being written")));
        }
        if secret.is_none() && right {
            self.remove_secrets(key, alive, velero)?;
        }
        Ok(name)
    }

    /// Brings the credential into the member; the name of its Secret.
    fn write_secret(
        &mut self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
    ) -> Result<String, (Reason, String)> {
        let secret = self.secret_name(plugin, velero, key);
        let held = velero.secrets.iter().find(|held| held.name == secret);
        let content = render::content_hash(plugin);
        let says = |held: &SeenSecret| held.content.as_ref() == Some(&content) && self.wrote(held);
        if !held.is_some_and(says) {
            let wanted = Box::new(render::secret(self.valid, plugin, key, &secret));
            let is_another = held.is_some_and(|held| held.content.as_ref() != Some(&content));
            let credential = Some(render::credential_in(&secret));
            let reads_it = |location: &&Arc<BackupStorageLocation>| location.spec.credential == credential;
            let readers = velero.locations.iter().filter(|_| is_another).filter(reads_it);
            let locations = readers.map(|location| location.name_any()).collect();
            let replace = held.is_some();
            self.attempt(&alive.secret_write, Action::Secret { secret: wanted, replace, locations })?;
        }
        if held.is_none() {
            // Velero checks a new location at once and, if it fails for want of its Secret, only a minute later
            // again.
            return Err((Reason::Waiting, "the credential is being written".to_owned()));
        }
        Ok(secret)
    }

    /// The location that is on this place already, else a name that is free.
    pub(super) fn location_name(
        &self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        velero: &SeenVelero,
        prefix: &str,
    ) -> Result<String, (Reason, String)> {
        let same_place = |location: &&BackupStorageLocation| {
            location.spec.object_storage.as_ref().is_some_and(|at| {
                at.bucket.as_deref() == Some(&plugin.bucket)
                    && at.prefix.as_deref().unwrap_or_default() == prefix
            })
        };
        let left = velero.locations.iter().map(AsRef::as_ref).filter(|location| self.is_left(location, key));
        match velero.ours(&self.valid.uid).chain(left).find(same_place) {
            Some(present) => Ok(present.metadata.name.clone().unwrap_or_default()),
            None => free_name(velero, plugin, prefix),
        }
    }

    /// Whether a location was written for this member by an earlier Fleet of this very name: the hub was built again.
    fn is_left(&self, location: &BackupStorageLocation, key: &ClusterKey) -> bool {
        let says = |annotation, value: &String| location.annotations().get(annotation) == Some(value);
        says(names::OWNER_ANNOTATION, &render::owner(self.valid, key))
            && says(names::CLUSTER_ANNOTATION, &key.to_string())
    }

    fn wrote(&self, secret: &SeenSecret) -> bool {
        secret.owner.as_ref() == Some(&self.valid.uid)
    }

    /// Kurator's name for the Secret, unless a Fleet of the same name elsewhere on the hub has taken it here.
    fn secret_name(&self, plugin: &ValidPlugin, velero: &SeenVelero, key: &ClusterKey) -> String {
        let is_left = |secret: &SeenSecret| {
            secret.made_by == Some(render::owner(self.valid, key)) && secret.made_for == Some(key.to_string())
        };
        let foreign = |secret: &SeenSecret| secret.owner.is_some() && !self.wrote(secret) && !is_left(secret);
        if velero.secrets.iter().any(|secret| secret.name == plugin.secret && foreign(secret)) {
            return names::second_choice(&plugin.secret, &self.valid.uid);
        }
        plugin.secret.clone()
    }

    /// An earlier place of ours is kept for restores, read-only: Velero would drop the Backup objects of
    /// a location that is moved. One that the hub itself reads follows the Fleet to where its bucket is now.
    fn retire(
        &mut self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
        current: &str,
        secret: Option<&str>,
    ) -> Result<(), (Reason, String)> {
        let credential = secret.map(render::credential_in);
        let of_this_cluster = |location: &BackupStorageLocation| {
            let annotations = location.metadata.annotations.as_ref();
            annotations
                .and_then(|all| all.get(names::CLUSTER_ANNOTATION))
                .is_none_or(|of| *of == key.to_string())
        };
        let earlier = velero.ours(&self.valid.uid).find(|location| {
            location.metadata.name.as_deref() != Some(current)
                && of_this_cluster(location)
                && (location.spec.access_mode != Some(AccessMode::ReadOnly)
                    || location.spec.default == Some(true)
                    || location.spec.credential != credential
                    || (secret.is_none() && location.spec.config != plugin.config))
        });
        let Some(earlier) = earlier else { return Ok(()) };
        let mut retired = earlier.clone();
        retired.metadata = ObjectMeta {
            name: earlier.metadata.name.clone(),
            namespace: earlier.metadata.namespace.clone(),
            labels: earlier.metadata.labels.clone(),
            annotations: earlier.metadata.annotations.clone(),
            ..ObjectMeta::default()
        };
        retired.status = None;
        retired.spec.access_mode = Some(AccessMode::ReadOnly);
        retired.spec.default = Some(false);
        retired.spec.credential = credential;
        if secret.is_none() {
            retired.spec.config = plugin.config.clone();
            retired.spec.provider = Some(plugin.provider.to_owned());
        }
        tracing::info!(cluster = %key, location = ?retired.metadata.name, "keeping an earlier storage location read-only");
        let name = earlier.metadata.name.clone().unwrap_or_default();
        self.attempt(&alive.retirement, Action::Retire(Box::new(retired)))?;
        match secret {
            Some(_) => Ok(()),
            // The hub opens it for nobody who could write there.
            None => Err((Reason::Waiting, format!("storage location `{name}` is being made read-only"))),
        }
    }
}

/// Writes down where new backups go; where the engine of the hub serves, that is in the status before any location says
/// so. The place before stays known.
pub(super) fn record_place(
    status: &mut MemberBackupStatus,
    name: &str,
    bucket: &str,
    prefix: &str,
    layout: Layout,
) {
    let now = StoredAt {
        location: name.to_owned(),
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        fleet: None,
    };
    if let Some(before) = places::current(status).filter(|before| *before != now) {
        status.earlier.retain(|place| ![&before.location, &now.location].contains(&&place.location));
        if before.location != now.location {
            status.earlier.push(before);
        }
        let too_many = status.earlier.len().saturating_sub(EARLIER_PLACES);
        status.earlier.drain(..too_many);
    }
    let StoredAt { location, bucket, prefix, fleet: _ } = now;
    status.location = Some(location);
    status.bucket = Some(bucket);
    status.prefix = Some(prefix);
    status.layout = Some(layout);
}

/// Velero allows one default location and takes the mark off all but the newest. So it is never put where
/// somebody else's location has it, nor put back where Velero took it off.
fn may_be_default(velero: &SeenVelero, fleet_uid: &str, present: Option<&BackupStorageLocation>) -> bool {
    let has_mark = |location: &BackupStorageLocation| location.spec.default == Some(true);
    let others =
        velero.locations.iter().any(|location| has_mark(location) && !is_owned_by(location, fleet_uid));
    !others || present.is_some_and(has_mark)
}

/// `default` for the first place, a name of its own for each later one.
fn free_name(velero: &SeenVelero, plugin: &ValidPlugin, prefix: &str) -> Result<String, (Reason, String)> {
    let later = render::later_location(plugin, prefix);
    [render::FIRST_LOCATION.to_owned(), later.clone()]
        .into_iter()
        .find(|name| !velero.locations.iter().any(|found| found.metadata.name.as_deref() == Some(name)))
        .ok_or_else(|| {
            let message = format!(
                "storage locations `{}` and `{later}` exist and are somebody else's",
                render::FIRST_LOCATION
            );
            (Reason::LocationConflict, message)
        })
}
