//! What all rows of a Fleet say and what is written in its members next. Pure but for the time of deadlines.
//!
//! [`super::turn`] decides for one member.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Secret;
use kurator_api::cluster::ClusterKey;
use kurator_api::condition;
use kurator_api::fleet::{Engine, FleetClusterStatus, Layout, MemberBackupStatus};
use kurator_api::reason::Reason;
use kurator_api::velero::BackupStorageLocation;
use tokio::time::Instant;

use super::layout::RootFinding;
use super::observe::{Seen, SeenContact, SeenMember};
use super::probe::Probe;
use super::turn::{Goal, Hitch, Turn};
use super::validate::{Plugin, Problem, ValidFleet, ValidPlugin};
use crate::hub::Presence;
use crate::run::rows::cut;

/// Something to write in a member.
pub(super) enum Action {
    /// With `replace`, also what another manager wrote, which is Kurator's own. What was said of these locations, which
    /// read it, is of its content before.
    Secret {
        secret: Box<Secret>,
        replace: bool,
        locations: Vec<String>,
    },
    Location(Box<BackupStorageLocation>),
    /// An earlier place, to be read alone.
    Retire(Box<BackupStorageLocation>),
    AskServer,
    /// Asks, by the UID of this Fleet, whether the hub that wrote a location before is gone; or takes such a question off.
    Question {
        location: String,
        by: Option<String>,
    },
    /// What was written for the engine before is no longer to be believed.
    ChangeEngine,
    /// The namespace and types that the built-in engine works on.
    LayFoundation,
    ClearFoundation,
    DeleteLocations(Vec<String>),
    DeleteSecrets(Vec<String>),
}

/// What follows for all members.
pub(super) struct Plan {
    pub(super) rows: Vec<FleetClusterStatus>,
    pub(super) actions: Vec<(ClusterKey, Action)>,
    pub(super) problems: Vec<Problem>,
    /// Notes that hinder nothing.
    pub(super) notes: Vec<Problem>,
    pub(super) not_managed: Vec<String>,
    /// How many rows are of clusters in the spec.
    pub(super) listed: usize,
    /// Members of which no step towards their clean-up is possible now.
    pub(super) stuck: Vec<ClusterKey>,
    /// Members that are not cleaned up before something else on the hub has gone.
    pub(super) needed: Vec<ClusterKey>,
    /// Members that are not before a person has helped with that.
    pub(super) blocked: Vec<ClusterKey>,
    /// Members that nobody will reach again and that something of ours may be left in.
    pub(super) lost: Vec<ClusterKey>,
    /// Members whose objects need not wait for this Fleet any longer to be deleted.
    pub(super) left: Vec<ClusterKey>,
    pub(super) look_again: Option<Instant>,
    /// Members whose velero.io objects the hub is to execute.
    pub(super) served: Vec<ClusterKey>,
}

#[cfg(test)]
impl Plan {
    /// These rows, all of listed clusters, and nothing to do.
    pub(super) fn of(rows: Vec<FleetClusterStatus>) -> Self {
        Self {
            listed: rows.len(),
            rows,
            actions: Vec::new(),
            problems: Vec::new(),
            notes: Vec::new(),
            not_managed: Vec::new(),
            stuck: Vec::new(),
            needed: Vec::new(),
            blocked: Vec::new(),
            lost: Vec::new(),
            left: Vec::new(),
            look_again: None,
            served: Vec::new(),
        }
    }
}

pub(super) fn plan(valid: &ValidFleet, seen: Seen) -> Plan {
    let mut problems = valid.problems.clone();
    let mut notes = Vec::new();
    let mut look_again: Option<Instant> = None;
    let faults;
    let goal = match &valid.plugin {
        Plugin::Off => Goal::Off,
        Plugin::Faulty(faults) => Goal::Faulty(faults),
        Plugin::On(plugin) => match check_root(plugin, &seen.root) {
            Ok(note) => {
                notes.extend(note);
                Goal::Serve(plugin)
            }
            Err(problem) => {
                faults = [problem];
                Goal::Faulty(&faults)
            }
        },
    };
    if let Goal::Faulty(faults) = goal {
        problems.extend_from_slice(faults);
    }
    if let Probe::Failed { retry_at, .. } = &seen.root {
        look_again = Some(*retry_at);
    }
    let mut rows: Vec<FleetClusterStatus> = Vec::with_capacity(seen.members.len());
    let mut actions = Vec::new();
    let (mut stuck, mut needed, mut blocked, mut lost) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut left, mut served) = (Vec::new(), Vec::new());
    let holders = holders(&seen.members);
    for member in seen.members {
        let twin = twin(&member, &holders);
        let mut turn = Turn {
            valid,
            hub: &seen.hub,
            goal,
            twin,
            root: &seen.root,
            actions: Vec::new(),
            hitch: None,
            look_again: None,
        };
        let row = turn.row(&member);
        match turn.hitch {
            Some(Hitch::Stuck) => stuck.push(member.key.clone()),
            Some(Hitch::Needed) => needed.push(member.key.clone()),
            Some(Hitch::Blocked) => blocked.push(member.key.clone()),
            Some(Hitch::Lost) => lost.push(member.key.clone()),
            None => {}
        }
        let is_clean = row.as_ref().is_none_or(|row| row.backup.is_none());
        if member.presence == Presence::Leaving && turn.hitch.is_none() && is_clean {
            left.push(member.key.clone());
        }
        if row.as_ref().is_some_and(is_served) {
            served.push(member.key.clone());
        }
        look_again = look_again.into_iter().chain(turn.look_again).min();
        actions.extend(turn.actions.into_iter().map(|action| (member.key.clone(), action)));
        rows.extend(row);
    }
    let room = condition::room(rows.len());
    for row in &mut rows {
        cut(&mut row.message, room);
        row.backup.iter_mut().for_each(|backup| cut(&mut backup.message, room));
    }
    Plan {
        rows,
        actions,
        problems,
        notes,
        not_managed: valid.not_managed.clone(),
        listed: valid.clusters.len(),
        stuck,
        needed,
        blocked,
        lost,
        left,
        look_again,
        served,
    }
}

/// Until nothing of the plugin is left in it: what runs there is to end before.
fn is_served(row: &FleetClusterStatus) -> bool {
    let by_hub = |backup: &MemberBackupStatus| {
        let is_anothers = backup.reason.as_deref() == Some(Reason::SameCluster.as_str());
        backup.engine == Some(Engine::Builtin) && !is_anothers
    };
    let is_anothers = row.reason.as_deref() == Some(Reason::ClusterInAnotherFleet.as_str());
    row.backup.as_ref().is_some_and(by_hub) && !is_anothers
}

/// What is worth knowing of the root, or why it can't be used as the spec says. A store out of the hub's
/// reach holds nothing up.
fn check_root(plugin: &ValidPlugin, root: &Probe<RootFinding>) -> Result<Option<Problem>, Problem> {
    let note = |reason, message| Ok(Some(Problem { reason, message }));
    match root {
        Probe::Running => Ok(None),
        Probe::Failed { why, .. } => {
            note(Reason::OwnerUnverified, format!("the hub cannot read bucket `{}`: {why}", plugin.bucket))
        }
        Probe::Known(found) => match found.decide(plugin.layout) {
            Err(message) => Err(Problem { reason: Reason::InvalidSpec, message }),
            Ok(Layout::Shared) if plugin.layout.is_none() => note(
                Reason::LayoutAdopted,
                format!("bucket `{}` holds backups at its root and stays shared", plugin.bucket),
            ),
            Ok(_) => Ok(None),
        },
    }
}

/// Which member stands for each cluster, by UID: of several that lead to one cluster the one that has its
/// storage location there already, else the first.
fn holders(members: &[SeenMember]) -> HashMap<String, ClusterKey> {
    let mut holders = HashMap::new();
    for established in [true, false] {
        for member in members {
            let has_location = member.holds_location();
            if let SeenContact::Alive(alive) = &member.contact
                && has_location == established
            {
                holders.entry(alive.uid.clone()).or_insert_with(|| member.key.clone());
            }
        }
    }
    holders
}

/// The other member that stands for the cluster that this one leads to.
fn twin(member: &SeenMember, holders: &HashMap<String, ClusterKey>) -> Option<ClusterKey> {
    let SeenContact::Alive(alive) = &member.contact else { return None };
    holders.get(&alive.uid).filter(|holder| **holder != member.key).cloned()
}
