//! A member that the plugin is to go from: what is removed next, and what that waits for.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, FleetClusterStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::Schedule;

use super::super::observe::{SeenAlive, SeenContact, SeenMember, SeenVelero};
use super::super::plan::Action;
use super::{Goal, Turn, not_ready};
use crate::hub::Presence;
use crate::usage::InUse;
use crate::writes::Write;

/// Why a member can't be cleaned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Hitch {
    /// Not now: it is out of reach, or refuses.
    Stuck,
    /// Not before something else on the hub has gone, which still needs it.
    Needed,
    /// As [`Hitch::Needed`], and that does not go by itself.
    Blocked,
    /// Never: its object is gone, and the connection with it.
    Lost,
}

impl Turn<'_> {
    /// The cluster object is gone, or waits for what was written in the cluster to go. Of one that is gone nobody has
    /// the way into the cluster but this process, if it is connected still; so what was written there goes now.
    pub(super) fn without_object(
        &mut self,
        member: &SeenMember,
        mut row: FleetClusterStatus,
    ) -> Option<FleetClusterStatus> {
        let SeenMember { key, listed, presence, in_use, contact, .. } = member;
        let leaving = *presence == Presence::Leaving;
        let missing = |row| {
            let message = match leaving {
                true => format!("{key} is being deleted; take it off spec.clusters"),
                false => format!("there is no {key}; create it or take it off spec.clusters"),
            };
            listed.then(|| not_ready(row, Reason::ClusterNotFound, message))
        };
        if leaving && !matches!(self.goal, Goal::Off) && matches!(contact, SeenContact::Alive(_)) {
            // Something may have been written of which no row tells yet.
            row.backup.get_or_insert_default();
        }
        match contact {
            _ if row.backup.is_none() => missing(row),
            SeenContact::Connecting => {
                Some(not_ready(row, Reason::MemberCleanupPending, "being connected to"))
            }
            SeenContact::Away { why, .. } if leaving => Some(self.stuck(row, why)),
            SeenContact::Away { .. } => {
                self.hitch = (!listed).then_some(Hitch::Lost);
                missing(row)
            }
            SeenContact::Alive(alive) => self
                .clean_up(key, row.clone(), alive, in_use.as_ref(), false)
                .or_else(|| missing(FleetClusterStatus { backup: None, ..row })),
        }
    }

    pub(super) fn stuck(&mut self, row: FleetClusterStatus, why: &str) -> FleetClusterStatus {
        self.hitched(Hitch::Stuck, row, why)
    }

    fn hitched(&mut self, hitch: Hitch, row: FleetClusterStatus, why: &str) -> FleetClusterStatus {
        self.hitch = Some(hitch);
        not_ready(row, Reason::MemberCleanupPending, why)
    }

    /// The plugin is to go from the member; it is forgotten once nothing of ours is left.
    pub(super) fn clean_up(
        &mut self,
        key: &ClusterKey,
        mut row: FleetClusterStatus,
        alive: &SeenAlive,
        in_use: Option<&InUse>,
        listed: bool,
    ) -> Option<FleetClusterStatus> {
        row.ready = true;
        row.reason = Some(Reason::Connected.as_str().to_owned());
        row.message = None;
        if row.backup.is_none() {
            return Some(row);
        }
        if let Some(InUse { why, needs_help }) = in_use {
            let hitch = if *needs_help { Hitch::Blocked } else { Hitch::Needed };
            return Some(self.hitched(hitch, row, why));
        }
        let left = match &alive.velero {
            Err(_) if alive.settled.is_some() => {
                self.look_again = self.look_again.into_iter().chain(alive.settled).min();
                Ok(true)
            }
            // Without Velero's types there are no locations, and nobody to read the Secret.
            Err(_) => Ok(false),
            Ok(velero) => match self.scheduled(key, alive, velero) {
                Some(why) => return Some(self.hitched(Hitch::Needed, row, &why)),
                None => self.delete_ours(key, alive, velero),
            },
        };
        let by_hub = row.backup.as_ref().is_some_and(|backup| backup.engine == Some(Engine::Builtin));
        let left = match left {
            Ok(false) if by_hub => self.clear(alive),
            other => other,
        };
        match left {
            Ok(false) => {
                row.backup = None;
                listed.then_some(row)
            }
            Ok(true) => Some(not_ready(row, Reason::MemberCleanupPending, "being cleaned up")),
            Err((_, why)) => Some(self.stuck(row, &why)),
        }
    }

    /// A schedule that would lose its storage location; its Backup removes it.
    fn scheduled(&mut self, key: &ClusterKey, alive: &SeenAlive, velero: &SeenVelero) -> Option<String> {
        let Some(schedules) = &velero.schedules else {
            let until = alive.settled?;
            self.at(until);
            return Some("its schedules are being listed".to_owned());
        };
        let locations = self.locations(key, velero);
        let stores_here = |schedule: &&Arc<Schedule>| {
            schedule.spec.template.storage_location.as_ref().is_some_and(|at| locations.contains(at))
        };
        let schedule = schedules.iter().find(stores_here)?;
        let whose = schedule.annotations().get(names::OWNER_ANNOTATION).map_or("its Backup", String::as_str);
        Some(format!("Velero Schedule `{}` still stores there; delete {whose}", schedule.name_any()))
    }

    /// Names of the locations that were written for this member, or for one that is no longer listed.
    fn locations(&self, key: &ClusterKey, velero: &SeenVelero) -> Vec<String> {
        let ours = velero.ours(&self.valid.uid).filter(|location| {
            let made_for = location.annotations().get(names::CLUSTER_ANNOTATION);
            // Mounts belong to the Restores and Migrates that they serve.
            !location.name_any().starts_with(names::READ_ONLY_LOCATION_PREFIX) && self.is_free(key, made_for)
        });
        ours.map(ResourceExt::name_any).collect()
    }

    /// Whether no other listed member was meant; several may lead to one cluster.
    fn is_free(&self, key: &ClusterKey, made_for: Option<&String>) -> bool {
        let meant = |other: &ClusterKey| other != key && made_for == Some(&other.to_string());
        !self.valid.clusters.iter().any(meant)
    }

    /// Names of the Secrets that were written for this member, or for one that is no longer listed.
    pub(super) fn secrets(&self, key: &ClusterKey, velero: &SeenVelero) -> Vec<String> {
        let ours = velero.secrets.iter().filter(|secret| {
            secret.owner.as_ref() == Some(&self.valid.uid) && self.is_free(key, secret.made_for.as_ref())
        });
        ours.map(|secret| secret.name.clone()).collect()
    }

    /// Takes away what the built-in engine worked on; whether that is still to be done.
    fn clear(&mut self, alive: &SeenAlive) -> Result<bool, (Reason, String)> {
        if let Write::Done { .. } = &alive.foundation_removal {
            return Ok(false);
        }
        if !matches!(alive.foundation, Write::InFlight) {
            self.attempt(&alive.foundation_removal, Action::ClearFoundation)?;
        }
        Ok(true)
    }

    fn delete_ours(
        &mut self,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
    ) -> Result<bool, (Reason, String)> {
        let writes = [&alive.location_write, &alive.retirement, &alive.secret_write];
        if writes.iter().any(|write| matches!(write, Write::InFlight)) {
            return Ok(true);
        }
        let locations = self.locations(key, velero);
        for write in [&alive.location_write, &alive.retirement] {
            if locations.is_empty()
                && let Write::Done { until } = write
            {
                self.at(*until);
                return Ok(true);
            }
        }
        if !locations.is_empty() {
            self.attempt(&alive.location_removal, Action::DeleteLocations(locations))?;
            return Ok(true);
        }
        let secrets = self.secrets(key, velero);
        if !secrets.is_empty() {
            self.attempt(&alive.secret_removal, Action::DeleteSecrets(secrets))?;
            return Ok(true);
        }
        if let Write::Done { until } = &alive.secret_write {
            self.at(*until);
            return Ok(true);
        }
        Ok(false)
    }
}
