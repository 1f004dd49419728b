//! The next step on the way to a Backup that a cluster can restore. Pure, but for the knowledge that it is handed.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::PartialObjectMeta;
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{Backup, BackupStorageLocation};
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use tokio::time::Instant;

use super::apply::{COPY, LOCATION, SECRET};
use super::copy::{Copy, Records};
use super::place::{Source, Way, same_place, way};
use super::render;
use crate::ctx::Ctx;
use crate::fleet::places;
use crate::fleet::render::{CONTENT_HASH, says};
use crate::fleet::store::Store;
use crate::location::available;
use crate::run::Owner;
use crate::run::child::{NotYet, Precondition};
use crate::run::rows::Rows;
use crate::served::is_served;
use crate::writes::{Failure, Write, WriteKey};

/// Something to write in the cluster that needs the mount.
pub(crate) enum Action {
    /// With `replace`, over what is there.
    Secret {
        secret: Box<Secret>,
        replace: bool,
    },
    Location {
        location: Box<BackupStorageLocation>,
        replace: bool,
    },
    Copy {
        copy: Box<Copy>,
        location: String,
    },
}

/// What somebody wants to restore in a cluster.
pub(crate) struct Wish<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) cluster: &'a ClusterKey,
    pub(crate) source: Source<'a>,
    /// Name of the mount that the owner's status has for this cluster.
    pub(crate) recorded: Option<&'a str>,
    /// The Backup; none while it runs, when only the way to it is prepared.
    pub(crate) copy: Option<Copy>,
}

/// How far it is.
pub(crate) struct Prepared {
    /// Name of the mount, to be written into the status before anything is made.
    pub(crate) location: Option<String>,
    pub(crate) actions: Vec<Action>,
    /// Name of the Backup, once it can be restored.
    pub(crate) ready: Precondition<String>,
    /// When to look again although nothing may have changed.
    pub(crate) look_again: Option<Instant>,
}

impl Prepared {
    /// The Backup is there already, in a mount that somebody else has asked for: first the status says that this one
    /// needs it too.
    pub(crate) fn found_in(mount: String) -> Self {
        let ready = Err(wait(Reason::LocationPending, "the way to the backup is being shared with another"));
        Self { location: Some(mount), actions: Vec::new(), ready, look_again: None }
    }
}

/// Writes into each row the name of the mount that its cluster is getting; what is written stays.
pub(crate) fn note_ways<S>(rows: &mut Rows<S>, prepared: &[(ClusterKey, Prepared)]) {
    for (cluster, way) in prepared {
        for row in rows.0.iter_mut().filter(|row| row.cluster == *cluster && row.source_location.is_none()) {
            row.source_location.clone_from(&way.location);
        }
    }
}

/// What is known of the cluster.
struct Seen {
    /// Where the hub executes what is there, and needs no Secret in the cluster: the names of the locations that a Fleet
    /// gave the cluster. It follows no others.
    by_hub: Option<BTreeSet<String>>,
    locations: Knowledge<Vec<Arc<BackupStorageLocation>>>,
    secrets: Knowledge<Vec<Arc<PartialObjectMeta<Secret>>>>,
    backup: Knowledge<Arc<Backup>>,
    secret_write: Write,
    location_write: Write,
    copy_write: Write,
}

pub(crate) fn prepare(ctx: &Ctx, member: &Member, wish: &Wish<'_>) -> Prepared {
    let write = |what| {
        let (owner, cluster) = (wish.owner.uid.clone(), wish.cluster.clone());
        ctx.writes.state(&WriteKey { owner, cluster, what })
    };
    let none = Knowledge::Absent;
    let locations = listed(member.locations().list());
    let given = || match &locations {
        Knowledge::Present(all) => {
            let names = all.iter().map(|location| location.name_any());
            names.filter(|name| places::is_given(&ctx.hub, wish.cluster, name)).collect()
        }
        Knowledge::Absent | Knowledge::Unknown { .. } => BTreeSet::new(),
    };
    let seen = Seen {
        by_hub: is_served(ctx, wish.cluster).then(given),
        locations,
        secrets: listed(member.secrets().list()),
        backup: wish.copy.as_ref().map_or(none, |copy| member.backups().get(&copy.backup.name_any())),
        secret_write: write(SECRET),
        location_write: write(LOCATION),
        copy_write: write(COPY),
    };
    next(wish, seen)
}

fn listed<T>(knowledge: Knowledge<Vec<T>>) -> Knowledge<Vec<T>> {
    match knowledge {
        Knowledge::Absent => Knowledge::Present(Vec::new()),
        other => other,
    }
}

fn next(wish: &Wish<'_>, seen: Seen) -> Prepared {
    let mut step = Step { actions: Vec::new(), look_again: None };
    let mut location = wish.recorded.map(str::to_owned);
    let ready = step.next(wish, seen, &mut location);
    Prepared { location, actions: step.actions, ready, look_again: step.look_again }
}

struct Step {
    actions: Vec<Action>,
    look_again: Option<Instant>,
}

impl Step {
    fn next(&mut self, wish: &Wish<'_>, seen: Seen, mount: &mut Option<String>) -> Precondition<String> {
        let Seen { by_hub, locations, secrets, backup, secret_write, location_write, copy_write } = seen;
        let locations = known(locations)?;
        let mut copy = wish.copy.clone();
        let is_followed = |location: &&Arc<BackupStorageLocation>| {
            by_hub.as_ref().is_none_or(|given| given.contains(&location.name_any()))
        };
        let own: Vec<_> = locations.iter().filter(is_followed).cloned().collect();
        let (name, location) = match way(&wish.source, &own, wish.recorded) {
            Way::None(why) => return Err(NotYet::Wait(Reason::SourceUnreadable, why)),
            Way::Own(own) => {
                if let Some(copy) = &mut copy
                    && let Some(at_home) = copy.at_home.take()
                {
                    copy.backup.metadata = at_home;
                }
                (own.name_any(), available(&own))
            }
            Way::Mount(name) => {
                if mount.as_deref() != Some(&name) {
                    *mount = Some(name);
                    return Err(wait(
                        Reason::LocationPending,
                        "a way to the source's backup is being prepared",
                    ));
                }
                let found = locations.iter().find(|location| location.name_any() == name);
                let by_hub = by_hub.is_some();
                let there = Found { by_hub, location: found.map(AsRef::as_ref), secrets: known(secrets)? };
                let location = self.mounted(wish, &name, &there, &secret_write, &location_write)?;
                (name, location)
            }
        };
        let Some(copy) = copy else {
            location?;
            return Err(wait(Reason::BackupNotFinished, "the backup of the source is not over"));
        };
        let backup = self.copied(copy, &name, backup, &locations, &wish.source, &copy_write)?;
        location?;
        Ok(backup)
    }

    /// Makes the mount what it should be; whether Velero can use it.
    fn mounted(
        &mut self,
        wish: &Wish<'_>,
        name: &str,
        there: &Found<'_>,
        secret_write: &Write,
        location_write: &Write,
    ) -> Result<crate::location::Usable, NotYet> {
        let store = match (wish.source.store, there.location) {
            (Ok(store), _) => store,
            // It works with what it has.
            (Err(_), Some(location)) => return Ok(available(location)),
            (Err(why), None) => return Err(NotYet::Wait(Reason::SourceUnreadable, why.clone())),
        };
        if there.location.is_some_and(|location| !is_made_by_us(location)) {
            let message =
                format!("storage location `{name}` exists and is somebody else's; delete or rename it");
            return Err(NotYet::Wait(Reason::LocationConflict, message));
        }
        let secret = match there.secret_of_fleet(store) {
            _ if there.by_hub => None,
            Some(secret) => Some(secret),
            None => {
                let held = there.secrets.iter().find(|secret| secret.name_any() == name);
                let content = held.and_then(|held| held.annotations().get(CONTENT_HASH));
                if content != Some(&store.content_hash()) {
                    let secret = Box::new(render::secret(store, wish.owner, wish.cluster, name));
                    self.attempt(secret_write, Action::Secret { secret, replace: held.is_some() })?;
                }
                if held.is_none() {
                    // Velero checks a new location at once, and one that fails only a minute later again.
                    return Err(wait(
                        Reason::LocationPending,
                        "the credential for the source is being written",
                    ));
                }
                Some(name.to_owned())
            }
        };
        let place = wish.source.place;
        let wanted = render::location(store, wish.owner, wish.cluster, place, name, secret.as_deref());
        match there.location {
            Some(found) if says(found, &wanted) => Ok(available(found)),
            found => {
                let location = Box::new(wanted);
                self.attempt(location_write, Action::Location { location, replace: found.is_some() })?;
                match found {
                    Some(found) => Ok(available(found)),
                    None => {
                        Ok(Err((Reason::LocationPending, format!("storage location `{name}` is being made"))))
                    }
                }
            }
        }
    }

    /// Brings the Backup; its name once it is there in full.
    fn copied(
        &mut self,
        copy: Copy,
        location: &str,
        seen: Knowledge<Arc<Backup>>,
        locations: &[Arc<BackupStorageLocation>],
        source: &Source<'_>,
        write: &Write,
    ) -> Precondition<String> {
        let name = copy.backup.name_any();
        let found = match seen {
            Knowledge::Unknown { why, .. } => return Err(NotYet::Wait(Reason::VeleroMissing, why)),
            Knowledge::Present(found) if found.metadata.deletion_timestamp.is_some() => {
                return Err(wait(
                    Reason::Waiting,
                    &format!("an earlier copy of `{name}` is still being deleted"),
                ));
            }
            Knowledge::Present(found) => Some(found),
            Knowledge::Absent => None,
        };
        if let Some(found) = &found {
            let lies_in = found.spec.storage_location.as_deref().unwrap_or_default();
            let at = locations.iter().find(|at| at.name_any() == lies_in);
            let is_it = lies_in == location
                || at.is_some_and(|at| same_place(at, source.place, source.endpoint.as_deref()));
            if !is_it {
                return Err(NotYet::Wait(
                    Reason::AlreadyExists,
                    format!(
                        "a Velero Backup `{name}` of somebody else, in storage location `{lies_in}`, has the name of the \
                         source's; delete it in this cluster, or migrate or restore under another name"
                    ),
                ));
            }
            if !is_unfinished_copy(found) {
                return usable(&name, found);
            }
        }
        if let Records::Away(why) = &copy.records {
            return Err(NotYet::Wait(
                Reason::Unreachable,
                format!(
                    "{} has the records of volumes: {why}; bring it back, or delete its cluster object to go on without \
                     volumes",
                    source.cluster.name
                ),
            ));
        }
        self.attempt(write, Action::Copy { copy: Box::new(copy), location: location.to_owned() })?;
        Err(wait(Reason::InProgress, "its Velero Backup is being brought into the member"))
    }

    /// Plans a write unless one is under way; says why if the last one failed and it is too early.
    fn attempt(&mut self, state: &Write, action: Action) -> Result<(), NotYet> {
        match state {
            Write::InFlight => Ok(()),
            Write::Failed { failure, retry_at } if *retry_at > Instant::now() => {
                self.at(*retry_at);
                let reason = match failure {
                    Failure::NoPlace(_) => Reason::VeleroMissing,
                    Failure::Refused(_) | Failure::Forbidden(_) | Failure::Transient(_) => {
                        Reason::MemberRefused
                    }
                };
                Err(NotYet::Wait(reason, failure.to_string()))
            }
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

/// What a cluster has of a mount.
struct Found<'a> {
    by_hub: bool,
    location: Option<&'a BackupStorageLocation>,
    secrets: Vec<Arc<PartialObjectMeta<Secret>>>,
}

impl Found<'_> {
    /// The Secret that the Fleet keeps in its own clusters.
    fn secret_of_fleet(&self, store: &Store) -> Option<String> {
        let of_fleet = |secret: &&Arc<PartialObjectMeta<Secret>>| {
            secret.labels().get(names::OWNER_UID_LABEL) == Some(&store.fleet)
        };
        self.secrets.iter().find(of_fleet).map(|secret| secret.name_any())
    }
}

fn is_made_by_us(location: &BackupStorageLocation) -> bool {
    location.labels().contains_key(names::OWNER_UID_LABEL)
}

/// A copy of ours whose maker was interrupted.
fn is_unfinished_copy(backup: &Backup) -> bool {
    let in_mount = backup
        .spec
        .storage_location
        .as_deref()
        .is_some_and(|location| location.starts_with(names::READ_ONLY_LOCATION_PREFIX));
    in_mount && !backup.annotations().contains_key(names::VOLUMES_ANNOTATION)
}

/// Name of a Backup that Velero restores.
pub(crate) fn usable(name: &str, backup: &Backup) -> Precondition<String> {
    let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
    match phase {
        Some(phase) if phase.is_usable() => Ok(name.to_owned()),
        _ => {
            let phase = phase.map_or("not set", kurator_api::velero::BackupPhase::as_str);
            let message = format!("Velero Backup `{name}` is in phase {phase}");
            Err(NotYet::Wait(Reason::BackupNotFinished, message))
        }
    }
}

fn known<T>(knowledge: Knowledge<T>) -> Result<T, NotYet>
where
    T: Default,
{
    match knowledge {
        Knowledge::Unknown { why, .. } => Err(NotYet::Wait(Reason::VeleroMissing, why)),
        Knowledge::Absent => Ok(T::default()),
        Knowledge::Present(all) => Ok(all),
    }
}

fn wait(reason: Reason, message: &str) -> NotYet {
    NotYet::Wait(reason, message.to_owned())
}

#[cfg(test)]
mod tests;
