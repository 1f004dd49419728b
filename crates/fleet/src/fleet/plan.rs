//! What each member's row says and what is written in it next. Pure but for the time of deadlines.

use k8s_openapi::api::core::v1::Secret;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{FleetClusterStatus, Layout, MemberBackupStatus};
use kurator_api::reason::Reason;
use kurator_api::velero::{AccessMode, BackupStorageLocation};
use tokio::time::Instant;

use super::layout::{self, Owner, RootFinding};
use super::observe::{Seen, SeenAlive, SeenContact, SeenMember, SeenVelero};
use super::probe::Probe;
use super::render;
use super::server::{self, Server};
use super::validate::{Plugin, Problem, ValidFleet, ValidPlugin};
use crate::writes::Write;

/// Something to write in a member.
pub(super) enum Action {
    Secret(Box<Secret>),
    Location(Box<BackupStorageLocation>),
    AskServer,
    DeleteLocation(String),
    DeleteSecret(String),
}

/// A row of the status; `None` in place of one is a member that is forgotten.
pub(super) struct Plan {
    pub(super) rows: Vec<FleetClusterStatus>,
    pub(super) actions: Vec<(ClusterKey, Action)>,
    pub(super) problems: Vec<Problem>,
    /// Notes that hinder nothing.
    pub(super) notes: Vec<Problem>,
    pub(super) not_managed: Vec<String>,
    /// How many rows are of clusters in the spec.
    pub(super) listed: usize,
    pub(super) look_again: Option<Instant>,
}

pub(super) fn plan(valid: &ValidFleet, seen: Seen) -> Plan {
    let mut problems = valid.problems.clone();
    let mut notes = Vec::new();
    let mut look_again: Option<Instant> = None;
    let place = match &valid.plugin {
        Plugin::Off => None,
        Plugin::Faulty(faults) => {
            problems.extend(faults.clone());
            None
        }
        Plugin::On(plugin) => match decide_layout(plugin, &seen.root) {
            Ok((layout, root_notes)) => {
                notes.extend(root_notes);
                layout.map(|layout| (&**plugin, layout))
            }
            Err(problem) => {
                problems.push(problem);
                None
            }
        },
    };
    if let Probe::Failed { retry_at, .. } = &seen.root {
        look_again = Some(*retry_at);
    }
    let off = matches!(valid.plugin, Plugin::Off);
    let mut rows = Vec::with_capacity(seen.members.len());
    let mut actions = Vec::new();
    let mut clusters_seen: Vec<(String, ClusterKey)> = Vec::new();
    for member in seen.members {
        let twin = twin(&member, &mut clusters_seen);
        let mut turn = Turn { valid, place, off, twin, actions: Vec::new(), look_again: None };
        let row = turn.row(&member);
        look_again = look_again.into_iter().chain(turn.look_again).min();
        actions.extend(turn.actions.into_iter().map(|action| (member.key.clone(), action)));
        rows.extend(row);
    }
    Plan {
        rows,
        actions,
        problems,
        notes,
        not_managed: valid.not_managed.clone(),
        listed: valid.clusters.len(),
        look_again,
    }
}

/// The layout, if it can be known by now; a store out of the hub's reach holds nothing up.
fn decide_layout(
    plugin: &ValidPlugin,
    root: &Probe<RootFinding>,
) -> Result<(Option<Layout>, Vec<Problem>), Problem> {
    match root {
        Probe::Running => Ok((None, Vec::new())),
        Probe::Failed { why, .. } => {
            let message = format!("the hub cannot read bucket `{}`: {why}", plugin.bucket);
            let note = Problem { reason: Reason::OwnerUnverified, message };
            Ok((Some(plugin.layout.unwrap_or(Layout::PerCluster)), vec![note]))
        }
        Probe::Known(found) => match found.decide(plugin.layout) {
            Err(message) => Err(Problem { reason: Reason::InvalidSpec, message }),
            Ok(layout) if layout == Layout::Shared && plugin.layout.is_none() => {
                let message =
                    format!("bucket `{}` holds backups at its root and stays shared", plugin.bucket);
                Ok((Some(layout), vec![Problem { reason: Reason::LayoutAdopted, message }]))
            }
            Ok(layout) => Ok((Some(layout), Vec::new())),
        },
    }
}

/// An earlier member of this Fleet that is the same cluster.
fn twin(member: &SeenMember, seen: &mut Vec<(String, ClusterKey)>) -> Option<ClusterKey> {
    let SeenContact::Alive(alive) = &member.contact else { return None };
    let first = seen.iter().find(|(uid, _)| *uid == alive.uid).map(|(_, key)| key.clone());
    seen.push((alive.uid.clone(), member.key.clone()));
    first
}

/// The decision for one member.
struct Turn<'a> {
    valid: &'a ValidFleet,
    place: Option<(&'a ValidPlugin, Layout)>,
    /// The plugin is not wanted, as opposed to not possible at the moment.
    off: bool,
    twin: Option<ClusterKey>,
    actions: Vec<Action>,
    look_again: Option<Instant>,
}

impl Turn<'_> {
    fn row(&mut self, member: &SeenMember) -> Option<FleetClusterStatus> {
        let SeenMember { key, listed, recorded, exists, rival, contact } = member;
        let mut row = recorded.clone().unwrap_or_default();
        row.name.clone_from(&key.name);
        row.kind = key.kind;
        if !exists {
            let message = format!("there is no {key}; create it or take it off spec.clusters");
            return listed.then(|| not_ready(row, Reason::ClusterNotFound, message));
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
            SeenContact::Away { why } => Some(not_ready(row, Reason::Unreachable, why)),
            SeenContact::Alive(alive) if *listed && !self.off => Some(self.serve(key, row, alive)),
            SeenContact::Alive(alive) => self.clean_up(row, alive, *listed),
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
        backup.message = Some(kurator_api::condition::shorten(&message)).filter(|text| !text.is_empty());
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
        let Some((plugin, layout)) = self.place else {
            return Err((
                Reason::Waiting,
                "the plugin cannot be set up as it is; see the conditions".to_owned(),
            ));
        };
        let velero = match (&alive.velero, alive.settled) {
            (Ok(velero), _) => velero,
            (Err(_), Some(until)) => {
                self.at(until);
                return still(status, "what is in the member is being listed");
            }
            (Err(why), None) => return Err((Reason::VeleroMissing, why.clone())),
        };
        let prefix = layout::prefix(plugin, layout, key);
        let (mode, taken) = match &alive.owner {
            Probe::Running if status.location.is_none() => {
                return Err((Reason::Waiting, "the owner of the prefix is being asked for".to_owned()));
            }
            Probe::Running | Probe::Known(Owner::Ours) => (AccessMode::ReadWrite, None),
            Probe::Failed { retry_at, .. } => {
                self.at(*retry_at);
                (AccessMode::ReadWrite, None)
            }
            Probe::Known(Owner::Foreign { cluster_uid }) => (AccessMode::ReadOnly, Some(cluster_uid)),
        };
        let name = self.write(key, alive, velero, &prefix, mode)?;
        status.location = Some(name.clone());
        status.prefix = Some(prefix.clone());
        status.layout = Some(layout);
        self.check_location(status, velero, &name)?;
        self.check_server(status, alive, velero)?;
        match taken {
            None => Ok(()),
            Some(owner) => Err((
                Reason::PrefixTaken,
                format!(
                    "prefix `{prefix}` belongs to cluster `{owner}` and is mounted read-only; use another storage.location.prefix"
                ),
            )),
        }
    }

    /// Writes what differs; the name of the location.
    fn write(
        &mut self,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
        prefix: &str,
        mode: AccessMode,
    ) -> Result<String, (Reason, String)> {
        let Some((plugin, _)) = self.place else { return Ok(String::new()) };
        let secret = render::secret(self.valid, plugin, key);
        let hash =
            secret.metadata.annotations.as_ref().and_then(|all| all.get(render::CONTENT_HASH)).cloned();
        if !velero.secrets.iter().any(|(name, content)| *name == plugin.secret && *content == hash) {
            self.attempt(&alive.secret_write, Action::Secret(Box::new(secret)))?;
        }
        let same_place = |location: &&BackupStorageLocation| {
            location.spec.object_storage.as_ref().is_some_and(|at| {
                at.bucket.as_deref() == Some(&plugin.bucket)
                    && at.prefix.as_deref().unwrap_or_default() == prefix
            })
        };
        let name = match velero.ours(&self.valid.uid).find(same_place) {
            Some(present) => present.metadata.name.clone().unwrap_or_default(),
            None => free_name(velero, plugin, prefix)?,
        };
        let wanted = render::location(self.valid, plugin, key, &name, prefix, mode);
        let present = velero.locations.iter().find(|found| found.metadata.name.as_deref() == Some(&name));
        if !present.is_some_and(|found| render::says(found, &wanted)) {
            self.attempt(&alive.location_write, Action::Location(Box::new(wanted)))?;
        }
        self.retire(key, alive, velero, &name)?;
        Ok(name)
    }

    /// An earlier place of ours is kept for restores, read-only: Velero would drop the Backup objects of
    /// a location that is moved.
    fn retire(
        &mut self,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
        current: &str,
    ) -> Result<(), (Reason, String)> {
        let earlier = velero.ours(&self.valid.uid).find(|location| {
            location.metadata.name.as_deref() != Some(current)
                && (location.spec.access_mode != Some(AccessMode::ReadOnly)
                    || location.spec.default == Some(true))
        });
        let Some(earlier) = earlier else { return Ok(()) };
        let mut retired = earlier.clone();
        retired.metadata = kube::core::ObjectMeta {
            name: earlier.metadata.name.clone(),
            namespace: earlier.metadata.namespace.clone(),
            labels: earlier.metadata.labels.clone(),
            annotations: earlier.metadata.annotations.clone(),
            ..kube::core::ObjectMeta::default()
        };
        retired.status = None;
        retired.spec.access_mode = Some(AccessMode::ReadOnly);
        retired.spec.default = Some(false);
        tracing::info!(cluster = %key, location = ?retired.metadata.name, "keeping an earlier storage location read-only");
        self.attempt(&alive.location_write, Action::Location(Box::new(retired)))
    }

    fn check_location(
        &self,
        status: &mut MemberBackupStatus,
        velero: &SeenVelero,
        name: &str,
    ) -> Result<(), (Reason, String)> {
        let found = velero.locations.iter().find(|location| location.metadata.name.as_deref() == Some(name));
        let seen = found.and_then(|location| location.status.as_ref());
        let phase = seen.and_then(|seen| seen.phase.as_ref());
        status.phase = phase.map(|phase| phase.as_str().to_owned());
        match phase {
            None => Err((
                Reason::LocationPending,
                format!("Velero has not checked storage location `{name}` yet"),
            )),
            Some(phase) if phase.is_available() => Ok(()),
            Some(phase) => {
                let message = seen.and_then(|seen| seen.message.as_deref()).unwrap_or("no message");
                Err((Reason::LocationUnavailable, format!("storage location `{name}` is {phase}: {message}")))
            }
        }
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

    /// The plugin is to go from the member; it is forgotten once nothing of ours is left.
    fn clean_up(
        &mut self,
        mut row: FleetClusterStatus,
        alive: &SeenAlive,
        listed: bool,
    ) -> Option<FleetClusterStatus> {
        row.ready = true;
        row.reason = Some(Reason::Connected.as_str().to_owned());
        row.message = None;
        if row.backup.is_none() {
            return Some(row);
        }
        let left = match &alive.velero {
            Err(_) if alive.settled.is_some() => {
                self.look_again = self.look_again.into_iter().chain(alive.settled).min();
                Ok(true)
            }
            // Without Velero's types there are no locations, and nobody to read the Secret.
            Err(_) => Ok(false),
            Ok(velero) => self.delete_ours(alive, velero),
        };
        match left {
            Ok(false) => {
                row.backup = None;
                listed.then_some(row)
            }
            Ok(true) => Some(not_ready(row, Reason::MemberCleanupPending, "being cleaned up")),
            Err((_, why)) => Some(not_ready(row, Reason::MemberCleanupPending, why)),
        }
    }

    fn delete_ours(&mut self, alive: &SeenAlive, velero: &SeenVelero) -> Result<bool, (Reason, String)> {
        if let Some(location) = velero.ours(&self.valid.uid).next() {
            let name = location.metadata.name.clone().unwrap_or_default();
            self.attempt(&alive.location_write, Action::DeleteLocation(name))?;
            return Ok(true);
        }
        if let Some((name, _)) = velero.secrets.first() {
            self.attempt(&alive.secret_write, Action::DeleteSecret(name.clone()))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Plans a write unless one is under way; says why if the last one failed and it is too early.
    fn attempt(&mut self, state: &Write, action: Action) -> Result<(), (Reason, String)> {
        match state {
            Write::InFlight => Ok(()),
            Write::Failed { failure, retry_at } if *retry_at > Instant::now() => {
                self.at(*retry_at);
                Err((Reason::MemberRefused, failure.to_string()))
            }
            Write::Done { until } => {
                self.at(*until);
                self.actions.push(action);
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

const BEING_ASKED: &str = "Velero is being asked whether it runs";

/// Nothing new is known: what was good stays good, as after a restart of the hub.
fn still(status: &MemberBackupStatus, why: &str) -> Result<(), (Reason, String)> {
    if status.ready { Ok(()) } else { Err((Reason::Waiting, why.to_owned())) }
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
    row.message = Some(kurator_api::condition::shorten(message.as_ref()));
    row
}
