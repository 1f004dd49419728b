//! What is known of each cluster, from caches alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kurator_api::backup::{Backup, BackupDetails, GoodRun, StoredAt};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero;
use kurator_member::member::Member;
use kurator_schedule::Dialect;
use tokio::time::Instant;

use super::super::validate::owner;
use super::apply::{CHANGE, CREATE, REMOVE, RUN_NOW, key};
use super::runs::{self, History};
use super::validate::{Aim, Asked, Plugins};
use crate::ctx::Ctx;
use crate::fleet::places;
use crate::hub::{Guarded, Presence};
use crate::location::{self, Usable};
use crate::members::Access;
use crate::proof::shown;
use crate::run::Owner;
use crate::run::child::{Contact, Place, place, place_among};
use crate::run::rows::Details;
use crate::run::word;
use crate::writes::Write;

/// What is known of one cluster when its row is decided.
pub(super) struct Seen {
    pub(super) cluster: ClusterKey,
    /// Whether the Backup asks for a Schedule there.
    pub(super) selected: bool,
    /// The row as last written, if any.
    pub(super) recorded: Option<BackupDetails>,
    /// Whether the hub has an object for the cluster.
    pub(super) on_hub: bool,
    pub(super) contact: Contact,
    pub(super) place: Place<velero::Schedule>,
    /// `None` while nobody knows.
    pub(super) history: Option<History>,
    /// Where the newest complete run lies, or else the newest.
    pub(super) stored: Option<StoredAt>,
    /// Where runs shall go.
    pub(super) location: Usable,
    pub(super) dialect: Dialect,
    pub(super) writes: Writes,
    /// The run that was asked for now.
    pub(super) asked_run: Place<velero::Backup>,
}

/// What is known of the writes in one cluster.
pub(super) struct Writes {
    pub(super) create: Write,
    pub(super) change: Write,
    pub(super) remove: Write,
    pub(super) run_now: Write,
}

pub(super) fn clusters(
    ctx: &Ctx,
    backup: &Backup,
    asked: &Asked,
    fleet: Option<&Guarded<Fleet>>,
    now: Timestamp,
) -> Vec<Seen> {
    let edited = backup.metadata.generation != backup.status.as_ref().and_then(|s| s.observed_generation);
    let plugins = Plugins::of(fleet.and_then(|fleet| fleet.0.as_ref().ok()));
    let rows = backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
    let key_of = |row: &BackupDetails| row.cluster(&asked.owner.namespace);
    let mut recorded: BTreeMap<_, _> = rows.iter().map(|row| (key_of(row), row.clone())).collect();
    let (selected, wanted) = match &asked.aim {
        Aim::In(clusters, wanted) => (clusters.as_slice(), Some(wanted)),
        Aim::Nowhere | Aim::Hold => (&[][..], None),
    };
    every(selected, rows.iter().map(key_of))
        .into_iter()
        .map(|(cluster, selected)| {
            let selected = selected && stays(ctx, &cluster);
            if edited {
                // What became of a write for an earlier spec says nothing about this one.
                ctx.writes.forget(&key(&asked.owner, &cluster, CHANGE));
            }
            let look = Look {
                ctx,
                owner: &asked.owner,
                plugin_of: wanted.and_then(|wanted| wanted.plugin_of.as_deref()),
                run_now: wanted.and_then(|wanted| wanted.run_now.as_deref()),
                now,
            };
            let recorded = recorded.remove(&cluster);
            let dialect = plugins.dialect(&cluster);
            look.at(cluster, selected, recorded, dialect)
        })
        .collect()
}

/// Whether a Schedule may be made in a cluster: not if its object is being deleted, nor over the connection that is
/// left of one that is gone.
fn stays(ctx: &Ctx, cluster: &ClusterKey) -> bool {
    match ctx.hub.presence(cluster) {
        Presence::There => true,
        Presence::Leaving => false,
        Presence::Gone => ctx.members.get(cluster).is_none(),
    }
}

/// The clusters that are selected and those that have a row without being so, each once; which of the two it is.
fn every(selected: &[ClusterKey], rows: impl Iterator<Item = ClusterKey>) -> Vec<(ClusterKey, bool)> {
    let mut known: BTreeSet<_> = selected.iter().cloned().collect();
    let mut all: Vec<_> = selected.iter().map(|cluster| (cluster.clone(), true)).collect();
    for cluster in rows {
        // Kurator wrote a row per run.
        if known.insert(cluster.clone()) {
            all.push((cluster, false));
        }
    }
    all
}

/// What the look at a cluster needs to know.
struct Look<'a> {
    ctx: &'a Ctx,
    owner: &'a Owner,
    plugin_of: Option<&'a str>,
    run_now: Option<&'a str>,
    now: Timestamp,
}

impl Look<'_> {
    fn at(
        &self,
        cluster: ClusterKey,
        selected: bool,
        recorded: Option<BackupDetails>,
        dialect: Dialect,
    ) -> Seen {
        let state = |what| self.ctx.writes.state(&key(self.owner, &cluster, what));
        let writes = Writes {
            create: state(CREATE),
            change: state(CHANGE),
            remove: state(REMOVE),
            run_now: state(RUN_NOW),
        };
        let why = "the member can't be asked".to_owned();
        let nothing = Seen {
            selected,
            recorded,
            on_hub: self.ctx.hub.has_cluster(&cluster),
            contact: Contact::NotYet(None),
            place: Place::Unknown { why: why.clone() },
            history: None,
            stored: None,
            location: Err((Reason::Unreachable, why.clone())),
            dialect,
            writes,
            asked_run: Place::Unknown { why },
            cluster,
        };
        match self.ctx.members.access(&nothing.cluster) {
            Access::Connecting => nothing,
            Access::Away { reason, why } => Seen { contact: Contact::Lost { reason, why }, ..nothing },
            Access::Alive { member, uid, settled, .. } => self.in_member(nothing, &member, uid, settled),
        }
    }

    fn in_member(&self, nothing: Seen, member: &Member, uid: String, settled: Option<Instant>) -> Seen {
        let place = place(|name| member.schedules().get(name), self.owner, &nothing.cluster);
        if settled.is_some() && matches!(place, Place::Unknown { .. }) {
            return Seen { contact: Contact::NotYet(settled), ..nothing };
        }
        if matches!(place, Place::Ours(_)) {
            self.ctx.writes.forget(&key(self.owner, &nothing.cluster, CREATE));
        }
        let shown = |run| shown(self.ctx, &nothing.cluster, run);
        let history = known_runs(member, self.owner, &nothing.cluster, &place)
            .map(|known| runs::proven(known, nothing.recorded.as_ref(), self.now, shown))
            .map(|known| runs::history(known, self.now))
            .filter(|history| !history.is_no_news(nothing.recorded.as_ref()));
        let telling = history.as_ref().and_then(|history| history.good.as_ref().or(history.newest.as_ref()));
        let asked_run = match (self.run_now, &place) {
            (Some(token), Place::Ours(schedule)) => {
                asked_run(member, self.owner, &nothing.cluster, &schedule.name_any(), token)
            }
            _ => nothing.asked_run,
        };
        if matches!(asked_run, Place::Ours(_)) {
            self.ctx.writes.forget(&key(self.owner, &nothing.cluster, RUN_NOW));
        }
        Seen {
            contact: Contact::Live { uid },
            stored: telling.and_then(|run| self.stored(member, run)),
            history,
            location: self.location(&nothing.cluster, member),
            place,
            asked_run,
            ..nothing
        }
    }

    /// Where runs go to; or why there are none now.
    fn location(&self, cluster: &ClusterKey, member: &Member) -> Usable {
        word::in_its_fleet(self.ctx, self.owner, cluster)?;
        match word::silence(self.ctx, self.owner, cluster) {
            Some(why) => Err((Reason::VeleroSilent, why)),
            None => location::usable(&self.ctx.hub, member, self.plugin_of, location::Use::Backup),
        }
    }

    fn stored(&self, member: &Member, run: &velero::Backup) -> Option<StoredAt> {
        places::stored(self.ctx, &self.owner.fleet, member, run.spec.storage_location.as_deref()?)
    }
}

/// The run that was asked for by this value, or the name that it can have.
fn asked_run(
    member: &Member,
    owner: &Owner,
    cluster: &ClusterKey,
    schedule: &str,
    token: &str,
) -> Place<velero::Backup> {
    let names =
        [names::run_now_name(schedule, token), names::second_run_now_name(schedule, token, &owner.uid)];
    place_among(names, |name| member.backups().get(name), owner, cluster)
}

/// The runs that the member has; `None` while nobody knows.
fn known_runs(
    member: &Member,
    owner: &Owner,
    cluster: &ClusterKey,
    place: &Place<velero::Schedule>,
) -> Option<Vec<Arc<velero::Backup>>> {
    let schedule = match place {
        Place::Unknown { .. } => return None,
        Place::Ours(schedule) => Some(schedule.as_ref()),
        Place::Free { .. } | Place::Leaving { .. } | Place::Namesake { .. } | Place::Taken { .. } => None,
    };
    member.backups().select(|backup| runs::is_run(backup, owner, cluster, schedule)).present()
}

/// The newest complete run of a scheduled Backup that a member has and that has not expired; `None` if it has none,
/// an error that says why if nobody knows.
pub(crate) fn restorable(
    ctx: &Ctx,
    member: &Member,
    backup: &Backup,
    row: Option<&BackupDetails>,
    now: Timestamp,
) -> Result<Option<GoodRun>, String> {
    let (owner, cluster) = (owner(backup, &ctx.hub.uid), member.id());
    let place = place(|name| member.schedules().get(name), &owner, cluster);
    match known_runs(member, &owner, cluster, &place) {
        Some(known) => {
            let known = runs::proven(known, row, now, |run| shown(ctx, cluster, run));
            Ok(runs::history(known, now).good.map(|run| runs::as_good_run(&run)))
        }
        None => Err(match place {
            Place::Unknown { why } => why,
            _ => "its Backups are being listed".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::schedule::testing::cluster;

    #[test]
    fn k21_k22_a_cluster_of_which_kurator_wrote_many_rows_has_one() {
        let rows = ["m1", "m1", "m3", "m3"].map(cluster);
        let all = every(&["m1", "m2"].map(cluster), rows.into_iter());
        let expected = [("m1", true), ("m2", true), ("m3", false)].map(|(name, is)| (cluster(name), is));
        assert_eq!(all, expected);
    }
}
