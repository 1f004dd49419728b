//! The decision for one member of a Fleet: what its row says and what is written in it next.

mod clean_up;

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::ObjectMeta;
use kurator_api::cluster::ClusterKey;
use kurator_api::condition::shorten;
use kurator_api::fleet::{Engine, FleetClusterStatus, Layout, MemberBackupStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{AccessMode, BackupStorageLocation};
use tokio::time::Instant;

use super::layout::{self, Owner, RootFinding};
use super::observe::{SeenAlive, SeenContact, SeenMember, SeenSecret, SeenVelero};
use super::plan::Action;
use super::probe::Probe;
use super::render;
use super::server::{self, Server};
use super::validate::{Problem, ValidFleet, ValidPlugin};
use crate::hub::Presence;
use crate::location::is_owned_by;
use crate::served::Standing;
use crate::writes::Write;
pub(super) use clean_up::Hitch;

/// What the Fleet wants of its members.
#[derive(Clone, Copy)]
pub(super) enum Goal<'a> {
    /// No plugin: what was written is to go.
    Off,
    /// A plugin that can't be set up as it is written: what is there stays.
    Faulty(&'a [Problem]),
    Serve(&'a ValidPlugin),
}

/// The decision for one member.
pub(super) struct Turn<'a> {
    pub(super) valid: &'a ValidFleet,
    pub(super) goal: Goal<'a>,
    pub(super) root: &'a Probe<RootFinding>,
    /// An earlier member that is the same cluster.
    pub(super) twin: Option<ClusterKey>,
    pub(super) actions: Vec<Action>,
    pub(super) hitch: Option<Hitch>,
    pub(super) look_again: Option<Instant>,
}

impl Turn<'_> {
    pub(super) fn row(&mut self, member: &SeenMember) -> Option<FleetClusterStatus> {
        let SeenMember { key, listed, recorded, presence, rival, in_use, contact } = member;
        let mut row = recorded.clone().unwrap_or_default();
        row.name.clone_from(&key.name);
        row.kind = key.kind;
        if *presence != Presence::There {
            return self.without_object(member, row);
        }
        if let Some(rival) = rival.as_ref().filter(|_| *listed) {
            let message = format!("fleet `{rival}` has this cluster; take it off one of the two");
            return Some(not_ready(row, Reason::ClusterInAnotherFleet, message));
        }
        if !listed && row.backup.is_none() {
            return None;
        }
        match contact {
            SeenContact::Connecting if recorded.is_some() => Some(row),
            SeenContact::Connecting => Some(not_ready(row, Reason::Connecting, "being connected to")),
            SeenContact::Away { reason, why } if *listed => Some(not_ready(row, *reason, why)),
            SeenContact::Away { why, .. } => Some(self.stuck(row, why)),
            SeenContact::Alive(alive) => match self.goal {
                Goal::Serve(_) | Goal::Faulty(_) if *listed => Some(self.serve(key, row, alive)),
                Goal::Off | Goal::Serve(_) | Goal::Faulty(_) => {
                    self.clean_up(key, row, alive, in_use.as_deref(), *listed)
                }
            },
        }
    }

    /// The member is to have the plugin.
    fn serve(
        &mut self,
        key: &ClusterKey,
        mut row: FleetClusterStatus,
        alive: &SeenAlive,
    ) -> FleetClusterStatus {
        row.ready = true;
        row.reason = Some(Reason::Connected.as_str().to_owned());
        row.message = None;
        let mut backup = row.backup.take().unwrap_or_default();
        let said = self.backup(key, &mut backup, alive);
        backup.ready = said.is_ok();
        let (reason, message) = match said {
            Ok(()) => (Reason::AsExpected, String::new()),
            Err(why) => why,
        };
        backup.reason = Some(reason.as_str().to_owned());
        backup.message = Some(shorten(&message)).filter(|text| !text.is_empty());
        row.backup = Some(backup);
        row
    }

    fn backup(
        &mut self,
        key: &ClusterKey,
        status: &mut MemberBackupStatus,
        alive: &SeenAlive,
    ) -> Result<(), (Reason, String)> {
        if let Some(twin) = &self.twin {
            let message =
                format!("this is the same cluster as {twin}; take one of the two off spec.clusters");
            return Err((Reason::SameCluster, message));
        }
        let plugin = match self.goal {
            Goal::Serve(plugin) => plugin,
            Goal::Faulty(problems) => {
                let first = problems.first().map(|problem| (problem.reason, problem.message.clone()));
                return Err(first.unwrap_or((Reason::InvalidSpec, String::new())));
            }
            Goal::Off => return Ok(()),
        };
        self.change_engine(plugin.engine, status)?;
        let velero = match (&alive.velero, alive.settled) {
            (Ok(velero), _) => velero,
            (Err(why), _) if plugin.engine == Engine::Builtin => {
                self.attempt(&alive.foundation, Action::LayFoundation)?;
                return still(status, &format!("the types of velero.io are being made: {why}"));
            }
            (Err(_), Some(until)) => {
                self.at(until);
                return still(status, "what is in the member is being listed");
            }
            (Err(why), None) => return Err((Reason::VeleroMissing, why.clone())),
        };
        let Some(layout) = layout::choose(plugin, self.root, Some(status), key) else {
            return still(status, "the bucket is being looked at");
        };
        let prefix = layout::prefix(plugin, layout, key);
        let (mode, taken) = match &alive.owner {
            Probe::Running => return still(status, "the owner of the prefix is being asked for"),
            Probe::Known(Owner::Ours) => (Some(AccessMode::ReadWrite), None),
            Probe::Known(Owner::Foreign { cluster_uid }) => (Some(AccessMode::ReadOnly), Some(cluster_uid)),
            Probe::Failed { retry_at, .. } => {
                self.at(*retry_at);
                (None, None)
            }
        };
        let name = match plugin.engine {
            Engine::Velero => self.write(plugin, key, alive, velero, &prefix, mode)?,
            Engine::Builtin => {
                // Where somebody else serves, nothing is changed under him.
                self.check_engine(status, alive)?;
                let place = Place { prefix: &prefix, mode: mode.clone(), layout };
                if let Some(name) = self.record(plugin, key, status, velero, &place)? {
                    return still(status, &format!("storage location `{name}` is being written"));
                }
                self.write(plugin, key, alive, velero, &prefix, mode)?
            }
        };
        status.bucket = Some(plugin.bucket.clone());
        status.location = Some(name.clone());
        status.prefix = Some(prefix.clone());
        status.layout = Some(layout);
        let location = check_location(plugin.engine, status, velero, &name);
        match plugin.engine {
            Engine::Builtin => location?,
            Engine::Velero => match self.check_server(status, alive, velero) {
                // It explains whatever is said of the location, a new one being checked by nobody.
                Err(silent @ (Reason::VeleroSilent, _)) => return Err(silent),
                server => location.and(server)?,
            },
        }
        match taken {
            None => Ok(()),
            Some(owner) => Err((
                Reason::PrefixTaken,
                format!(
                    "prefix `{prefix}` belongs to cluster `{owner}` and is mounted read-only; use another prefix, or \
                     take it over: annotate the cluster `{}` with that UID",
                    names::TAKE_OVER_PREFIX_ANNOTATION
                ),
            )),
        }
    }

    /// What is known of the engine before says nothing of another one. Ends the pass where there was another.
    fn change_engine(
        &mut self,
        engine: Engine,
        status: &mut MemberBackupStatus,
    ) -> Result<(), (Reason, String)> {
        let before = status.engine.replace(engine);
        // Rows of earlier versions name none.
        let was = before.or(status.location.is_some().then_some(Engine::Velero));
        if was.is_none_or(|was| was == engine) {
            return Ok(());
        }
        status.ready = false;
        status.server_version = None;
        self.at(Instant::now() + SOON);
        Err((Reason::Waiting, format!("the engine is being changed to {engine:?}")))
    }

    /// Whether the hub serves the member; its namespace is made on the way.
    fn check_engine(
        &mut self,
        status: &mut MemberBackupStatus,
        alive: &SeenAlive,
    ) -> Result<(), (Reason, String)> {
        match &alive.engine {
            Some(Standing::Serves { version }) => {
                status.server_version = Some(version.clone());
                Ok(())
            }
            Some(Standing::Refused(why)) => Err((Reason::ServedByAnother, why.clone())),
            Some(Standing::Failed(why)) => {
                self.attempt(&alive.foundation, Action::LayFoundation)?;
                Err((Reason::Waiting, format!("the built-in engine is being started: {why}")))
            }
            Some(Standing::Starting) | None => {
                self.attempt(&alive.foundation, Action::LayFoundation)?;
                still(status, "the built-in engine finds out whether another server is there")
            }
        }
    }

    /// Where the engine may store is in the status before any location says so: the hub follows its own word alone. The
    /// name of a location that is not in the status yet.
    fn record(
        &mut self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        status: &mut MemberBackupStatus,
        velero: &SeenVelero,
        place: &Place<'_>,
    ) -> Result<Option<String>, (Reason, String)> {
        let name = self.location_name(plugin, key, velero, place.prefix)?;
        let before = status.clone();
        status.location = Some(name.clone());
        status.bucket = Some(plugin.bucket.clone());
        status.prefix = Some(place.prefix.to_owned());
        status.layout = Some(place.layout);
        if let Some(mode) = &place.mode {
            status.read_only = *mode == AccessMode::ReadOnly;
        }
        let same = (&before.location, &before.bucket, &before.prefix, before.read_only)
            == (&status.location, &status.bucket, &status.prefix, status.read_only);
        Ok((!same).then_some(name))
    }

    /// Writes what differs; the name of the location. Without a mode, a location keeps the one it has.
    fn write(
        &mut self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
        prefix: &str,
        mode: Option<AccessMode>,
    ) -> Result<String, (Reason, String)> {
        let secret = match plugin.engine {
            Engine::Velero => Some(self.write_secret(plugin, key, alive, velero)?),
            Engine::Builtin => None,
        };
        let secret = secret.as_deref();
        let name = self.location_name(plugin, key, velero, prefix)?;
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
        self.retire(key, alive, velero, &name, secret)?;
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
            self.attempt(&alive.secret_write, Action::Secret { secret: wanted, replace: held.is_some() })?;
        }
        if held.is_none() {
            // Velero checks a new location at once and, if it fails for want of its Secret, only a minute later
            // again.
            return Err((Reason::Waiting, "the credential is being written".to_owned()));
        }
        Ok(secret)
    }

    /// What Velero needed before the hub served: the credential is on the hub alone.
    fn remove_secrets(
        &mut self,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
    ) -> Result<(), (Reason, String)> {
        let secrets = self.secrets(key, velero);
        if secrets.is_empty() {
            return Ok(());
        }
        self.attempt(&alive.secret_removal, Action::DeleteSecrets(secrets))
    }

    /// The location that is on this place already, else a name that is free.
    fn location_name(
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
    /// a location that is moved.
    fn retire(
        &mut self,
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
                    || location.spec.credential != credential)
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
        tracing::info!(cluster = %key, location = ?retired.metadata.name, "keeping an earlier storage location read-only");
        self.attempt(&alive.location_write, Action::Location(Box::new(retired)))
    }

    fn check_server(
        &mut self,
        status: &mut MemberBackupStatus,
        alive: &SeenAlive,
        velero: &SeenVelero,
    ) -> Result<(), (Reason, String)> {
        if let Some(version) = server::version(velero) {
            status.server_version = Some(version);
        }
        match server::server(alive, velero, Instant::now()) {
            Server::Answers { until } => {
                self.at(until);
                if status.server_version.is_none() && !velero.requests.iter().any(|_| true) {
                    self.attempt(&alive.server_write, Action::AskServer)?;
                }
                Ok(())
            }
            Server::Ask => {
                self.attempt(&alive.server_write, Action::AskServer)?;
                still(status, BEING_ASKED)
            }
            Server::Asked { until } => {
                self.at(until);
                still(status, BEING_ASKED)
            }
            Server::Silent => Err((
                Reason::VeleroSilent,
                "no Velero server answers in namespace `velero`; start it".to_owned(),
            )),
        }
    }

    /// Plans a write unless one is under way; says why if the last one failed and it is too early.
    fn attempt(&mut self, state: &Write, action: Action) -> Result<(), (Reason, String)> {
        match state {
            Write::InFlight => Ok(()),
            Write::Failed { failure, retry_at } if *retry_at > Instant::now() => {
                self.at(*retry_at);
                Err((Reason::MemberRefused, failure.to_string()))
            }
            // Believed for a while. What somebody else changes back at once is written at this pace and no faster.
            Write::Done { until } => {
                self.at(*until);
                Ok(())
            }
            Write::None | Write::Failed { .. } => {
                self.actions.push(action);
                Ok(())
            }
        }
    }

    fn at(&mut self, time: Instant) {
        self.look_again = self.look_again.into_iter().chain([time]).min();
    }
}

fn check_location(
    engine: Engine,
    status: &mut MemberBackupStatus,
    velero: &SeenVelero,
    name: &str,
) -> Result<(), (Reason, String)> {
    let who = match engine {
        Engine::Velero => "Velero",
        Engine::Builtin => "the built-in engine",
    };
    let found = velero.locations.iter().find(|location| location.metadata.name.as_deref() == Some(name));
    let seen = found.and_then(|location| location.status.as_ref());
    let phase = seen.and_then(|seen| seen.phase.as_ref());
    status.phase = phase.map(|phase| phase.as_str().to_owned());
    match phase {
        None => {
            Err((Reason::LocationPending, format!("{who} has not checked storage location `{name}` yet")))
        }
        Some(phase) if phase.is_available() => Ok(()),
        Some(phase) => {
            let message = seen.and_then(|seen| seen.message.as_deref()).unwrap_or("no message");
            Err((Reason::LocationUnavailable, format!("storage location `{name}` is {phase}: {message}")))
        }
    }
}

const BEING_ASKED: &str = "Velero is being asked whether it runs";
/// Pause before the next look where only this process has to do something.
const SOON: Duration = Duration::from_millis(50);

/// A place in the bucket, and what may be done there; no mode where nobody could be asked whose it is.
struct Place<'a> {
    prefix: &'a str,
    mode: Option<AccessMode>,
    layout: Layout,
}

/// Nothing new is known: what was good stays good, as after a restart of the hub.
fn still(status: &MemberBackupStatus, why: &str) -> Result<(), (Reason, String)> {
    if status.ready { Ok(()) } else { Err((Reason::Waiting, why.to_owned())) }
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

fn not_ready(mut row: FleetClusterStatus, reason: Reason, message: impl AsRef<str>) -> FleetClusterStatus {
    row.ready = false;
    row.reason = Some(reason.as_str().to_owned());
    row.message = Some(shorten(message.as_ref()));
    row
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests;
