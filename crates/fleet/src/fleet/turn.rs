//! The decision for one member of a Fleet: what its row says and what is written in it next.

mod builtin;
mod clean_up;
mod inherit;
mod location;

use kurator_api::cluster::ClusterKey;
use kurator_api::condition::{MAX_MESSAGE, shorten};
use kurator_api::fleet::{Engine, FleetClusterStatus, MemberBackupStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{AccessMode, BackupStorageLocation};
use tokio::time::Instant;

use super::claim::kept_by;
use super::lack::Lack;
use super::layout::{self, Owner, RootFinding};
use super::observe::{SeenAlive, SeenContact, SeenMember, SeenVelero};
use super::plan::Action;
use super::probe::Probe;
use super::server::{self, Server};
use super::validate::{Problem, ValidFleet, ValidPlugin};
use crate::hub::Presence;
use crate::location::{checked, verdict};
use crate::writes::{Failure, Write};
pub(super) use clean_up::Hitch;
use location::{Wanted, record_place};

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
    /// UID of this hub's namespace kube-system.
    pub(super) hub: &'a str,
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
            return Some(not_ready(row, Reason::ClusterInAnotherFleet, kept_by(rival)));
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
                    self.clean_up(key, row, alive, in_use.as_ref(), *listed)
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
        backup.message = Some(shorten(&message, MAX_MESSAGE)).filter(|text| !text.is_empty());
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
        if let Some(other) = &alive.served_as {
            let message =
                format!("the hub serves this very cluster as {other}; take one of the two out of its Fleet");
            return Err((Reason::SameCluster, message));
        }
        if let Ok(velero) = &alive.velero {
            self.answer(alive, velero)?;
        }
        let plugin = match self.goal {
            Goal::Serve(plugin) => plugin,
            Goal::Faulty(problems) => {
                if let (Ok(velero), Some(name)) = (&alive.velero, status.location.clone()) {
                    note_phase(status, velero, &name);
                }
                let first = problems.first().map(|problem| (problem.reason, problem.message.clone()));
                return Err(first.unwrap_or((Reason::InvalidSpec, String::new())));
            }
            Goal::Off => return Ok(()),
        };
        self.change_engine(plugin.engine, status)?;
        if let Some(lack) = &alive.lack {
            return Err(match plugin.engine {
                Engine::Velero => without_velero(lack),
                Engine::Builtin => self.make_types(status, alive, lack),
            });
        }
        let velero = match (&alive.velero, alive.settled) {
            (Ok(velero), _) => velero,
            (Err(_), Some(until)) => {
                self.at(until);
                return still(status, BEING_LISTED);
            }
            (Err(_), None) if plugin.engine == Engine::Builtin => return still(status, BEING_LISTED),
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
            Engine::Velero => {
                let name = self.location_name(plugin, key, velero, &prefix)?;
                self.inherit(key, alive, velero, &name)?;
                self.write(plugin, key, alive, velero, Wanted { name, prefix: &prefix, mode })?
            }
            Engine::Builtin => {
                // Where somebody else serves, nothing is changed under him.
                self.check_engine(status, alive)?;
                let before = status.clone();
                let name = self.kept_name(plugin, key, status, velero, &prefix)?;
                self.inherit(key, alive, velero, &name)?;
                record_place(status, &name, &plugin.bucket, &prefix, layout);
                if let Some(mode) = &mode {
                    status.read_only = *mode == AccessMode::ReadOnly;
                }
                if *status != before {
                    return Err((
                        Reason::Waiting,
                        format!("the place of storage location `{name}` is being recorded"),
                    ));
                }
                if !velero.locations.iter().any(|found| found.metadata.name.as_ref() == Some(&name)) {
                    self.make_namespace(status, alive)?;
                }
                self.write(plugin, key, alive, velero, Wanted { name, prefix: &prefix, mode })?
            }
        };
        record_place(status, &name, &plugin.bucket, &prefix, layout);
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
            Server::Silent => Err((Reason::VeleroSilent, server::silence(alive))),
        }
    }

    /// Plans a write unless one is under way; says why if the last one failed and it is too early.
    fn attempt(&mut self, state: &Write, action: Action) -> Result<(), (Reason, String)> {
        match state {
            Write::InFlight => Ok(()),
            Write::Failed { failure, retry_at } if *retry_at > Instant::now() => {
                self.at(*retry_at);
                let by_velero = matches!(self.goal, Goal::Serve(plugin) if plugin.engine == Engine::Velero);
                let remedy = match failure {
                    Failure::NoPlace(_) if by_velero => "; install Velero again",
                    _ => "",
                };
                Err((failure.reason(), format!("{failure}{remedy}")))
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
    match note_phase(status, velero, name) {
        Some(location) => checked(location, who),
        None => Err((Reason::LocationPending, format!("storage location `{name}` is being written"))),
    }
}

/// Writes down what is said of the location of this name; the location, if it is there.
fn note_phase<'a>(
    status: &mut MemberBackupStatus,
    velero: &'a SeenVelero,
    name: &str,
) -> Option<&'a BackupStorageLocation> {
    let found = velero.locations.iter().find(|location| location.metadata.name.as_deref() == Some(name));
    let found = found.map(AsRef::as_ref);
    status.phase = found.and_then(verdict).map(|(phase, _)| phase.as_str().to_owned());
    found
}

/// Velero's types are nobody's to make but its own.
fn without_velero(lack: &Lack) -> (Reason, String) {
    let message = match lack.hidden.first() {
        Some(why) if lack.types.is_empty() => why.clone(),
        _ if lack.is_all() => {
            format!("{}; install Velero, or let the hub do its work with `engine: Builtin`", lack.told())
        }
        _ => format!("{}; install it again, as `velero install --crds-only` does", lack.told()),
    };
    (Reason::VeleroMissing, message)
}

const BEING_LISTED: &str = "what is in the member is being listed";
const BEING_ASKED: &str = "Velero is being asked whether it runs";

/// Nothing new is known: what was good stays good, as after a restart of the hub.
fn still(status: &MemberBackupStatus, why: &str) -> Result<(), (Reason, String)> {
    if status.ready { Ok(()) } else { Err((Reason::Waiting, why.to_owned())) }
}

fn not_ready(mut row: FleetClusterStatus, reason: Reason, message: impl AsRef<str>) -> FleetClusterStatus {
    row.ready = false;
    row.reason = Some(reason.as_str().to_owned());
    row.message = Some(shorten(message.as_ref(), MAX_MESSAGE));
    row
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests;
