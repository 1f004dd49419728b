//! The life of one Velero object that a hub object makes in one member: the pure step from what is
//! known to what is said and done.
//!
//! Invariants: nothing is created unless its absence is known; a row that is final stays; an object
//! that was made once is never made again.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::backup::RowPhase;
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::BackupPhase;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use tokio::time::Instant;

use super::apply::creation;
use super::rows::Row;
use super::word;
use super::{Claim, Owner, Started};
use crate::ctx::Ctx;
use crate::members::Access;
use crate::proof::shown;
use crate::writes::{Failure, Write};

/// A Velero object with an end.
pub(crate) trait VeleroRun: ResourceExt + Clone {
    type Status: Clone + Default + PartialEq;
    /// What must be known before one can be made.
    type Needs;
    /// What the object's status says, in this project's terms.
    fn outcome(&self) -> Outcome<Self::Status>;

    /// The good end that its status claims, where a store can tell whether that is so.
    fn claim(&self) -> Option<&BackupPhase> {
        None
    }

    /// Itself with another end than it claims.
    #[must_use]
    fn ending(&self, _: BackupPhase) -> Self {
        self.clone()
    }
}

/// A Velero status, read.
pub(crate) struct Outcome<S> {
    pub(crate) status: S,
    pub(crate) phase: RowPhase,
    pub(crate) message: Option<String>,
    /// Volume claims that are stored without the data of their volumes.
    pub(crate) without_data: Option<u32>,
}

/// Which name the child has or shall have in a member.
#[derive(Clone, Debug)]
pub(crate) enum Place<K> {
    /// Nobody knows yet.
    Unknown { why: String },
    /// Our object is there.
    Ours(Arc<K>),
    /// Nothing of ours is there; this name can be taken.
    Free { name: String },
    /// An object of somebody else still has the name, but is being deleted.
    Leaving { name: String },
    /// What has the name was made for an object called as ours, which this hub does not know to be gone: the hub
    /// was built again, or there are two. It may be the very run that is asked for.
    Namesake { name: String },
    /// Every name we may use belongs to somebody else.
    Taken { name: String },
}

/// Finds our object among the names it may have, in the order of choice.
pub(crate) fn place<K: ResourceExt>(
    look: impl Fn(&str) -> Knowledge<Arc<K>>,
    owner: &Owner,
    cluster: &ClusterKey,
) -> Place<K> {
    place_among(owner.names(cluster), look, owner, cluster)
}

/// As [`place`], of an object that has names of its own.
pub(crate) fn place_among<K: ResourceExt>(
    names: impl IntoIterator<Item = String>,
    look: impl Fn(&str) -> Knowledge<Arc<K>>,
    owner: &Owner,
    cluster: &ClusterKey,
) -> Place<K> {
    let mut free = None;
    let mut leaving = None;
    let mut namesake = None;
    let mut taken = None;
    for (choice, name) in names.into_iter().enumerate() {
        match look(&name) {
            Knowledge::Unknown { why, .. } => return Place::Unknown { why },
            Knowledge::Present(object) if is_ours(&*object, owner, cluster) => return Place::Ours(object),
            Knowledge::Present(object) if object.meta().deletion_timestamp.is_some() => leaving = Some(name),
            Knowledge::Present(object) if choice == 0 && owner.claim == Claim::Adopt => {
                return Place::Ours(object);
            }
            Knowledge::Present(object) if is_namesake(&*object, owner, cluster) => namesake = Some(name),
            Knowledge::Present(_) => taken = Some(name),
            Knowledge::Absent => {
                free.get_or_insert(name);
            }
        }
    }
    match (free, leaving, namesake, taken) {
        (_, _, Some(name), _) if owner.claim == Claim::None => Place::Namesake { name },
        (Some(name), _, _, _) => Place::Free { name },
        (None, Some(name), _, _) => Place::Leaving { name },
        (None, None, namesake, taken) => Place::Taken { name: taken.or(namesake).unwrap_or_default() },
    }
}

/// Ours by UID, or made by Kurator itself for an object of this name, which knew no owner UID.
fn is_ours<K: ResourceExt>(object: &K, owner: &Owner, cluster: &ClusterKey) -> bool {
    match object.labels().get(names::OWNER_UID_LABEL) {
        Some(uid) => {
            *uid == owner.uid
                && object
                    .annotations()
                    .get(names::CLUSTER_ANNOTATION)
                    .is_none_or(|made_for| *made_for == cluster.to_string())
        }
        None => {
            let (key, value) = owner.name_label();
            object.labels().get(key) == Some(&value)
        }
    }
}

/// Whether the owner may remove this object: ours by UID, or one that Kurator made for it, under exactly its name or
/// by the schedule of that name.
pub(crate) fn belongs<K: ResourceExt>(object: &K, owner: &Owner, cluster: &ClusterKey) -> bool {
    let first = owner.first_choice(cluster);
    let by_name = || {
        object.name_any() == first || object.labels().get(names::VELERO_SCHEDULE_NAME_LABEL) == Some(&first)
    };
    is_ours(object, owner, cluster) && (object.labels().contains_key(names::OWNER_UID_LABEL) || by_name())
}

/// Made for an object of this kind, namespace and name, which was not deleted in order.
fn is_namesake<K: ResourceExt>(object: &K, owner: &Owner, cluster: &ClusterKey) -> bool {
    let says = |annotation, expected: String| object.annotations().get(annotation) == Some(&expected);
    says(names::OWNER_ANNOTATION, owner.reference())
        && says(names::CLUSTER_ANNOTATION, cluster.to_string())
        && !object.annotations().contains_key(names::RELEASED_ANNOTATION)
}

/// What a child needs in order to be created, or why it can't be yet.
pub(crate) type Precondition<N> = Result<N, NotYet>;

/// Why a child can't be created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NotYet {
    /// It will be possible when something changes.
    Wait(Reason, String),
    /// It never will be.
    Never(Reason, String),
}

impl NotYet {
    /// Nothing begins any more for what this says of its Fleet.
    pub(crate) fn once_over(over: Option<&(Reason, String)>) -> Result<(), Self> {
        over.map_or(Ok(()), |over| Err(over.clone().into()))
    }
}

impl From<(Reason, String)> for NotYet {
    fn from((reason, message): (Reason, String)) -> Self {
        Self::Wait(reason, message)
    }
}

/// Whether the member can be asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contact {
    /// It answers, as the cluster with this UID.
    Live { uid: String },
    /// Being connected to or listed; what was said before stands, at most until the given time.
    NotYet(Option<Instant>),
    /// Out of reach, and why.
    Lost { reason: Reason, why: String },
}

/// What is known of one cluster when its row is decided.
pub(crate) struct Seen<'a, K: VeleroRun> {
    pub(crate) cluster: &'a ClusterKey,
    /// The row as last written, if any.
    pub(crate) recorded: Option<Row<K::Status>>,
    pub(crate) contact: Contact,
    pub(crate) place: Place<K>,
    /// Our object was made by somebody else and does not say yet that it is ours.
    pub(crate) adopted: bool,
    /// Why nobody works on our object.
    pub(crate) silence: Option<String>,
    /// Why the good end that our object claims is not believed; or, while it claims none, why its end can't be written.
    pub(crate) unproven: Option<String>,
    pub(crate) write: Write,
    pub(crate) precondition: Precondition<K::Needs>,
}

/// Gathers what is known of one cluster, from caches alone.
///
/// `look` finds a child by name, `needs` says what a new one needs; both are asked only while the
/// member answers.
pub(crate) fn observe<'a, K: VeleroRun>(
    ctx: &Ctx,
    run: &Started<K::Status>,
    cluster: &'a ClusterKey,
    look: impl Fn(&Member, &str) -> Knowledge<Arc<K>>,
    needs: impl FnOnce(&Member) -> Precondition<K::Needs>,
) -> Seen<'a, K> {
    let recorded = run.recorded.get(cluster).cloned();
    let (member, uid, settled) = match ctx.members.access(cluster) {
        Access::Alive { member, uid, settled, .. } => (member, uid, settled),
        Access::Connecting => return Seen::nothing(cluster, recorded, Contact::NotYet(None)),
        Access::Away { reason, why } => {
            return Seen::nothing(cluster, recorded, Contact::Lost { reason, why });
        }
    };
    if let Some(other) =
        recorded.as_ref().and_then(|row| row.seen_in.as_ref()).filter(|seen_in| **seen_in != uid)
    {
        let why = format!(
            "{cluster} leads to another cluster now (UID {uid}, the run began in {other}); lead it back, or delete this object"
        );
        return Seen::nothing(cluster, recorded, Contact::Lost { reason: Reason::Unreachable, why });
    }
    let place = place(|name| look(&member, name), &run.owner, cluster);
    if settled.is_some() && matches!(place, Place::Unknown { .. }) {
        return Seen::nothing(cluster, recorded, Contact::NotYet(settled));
    }
    let key = creation(&run.owner, cluster);
    let is_over = recorded.as_ref().is_some_and(|row| row.phase.is_terminal());
    let (place, adopted, unproven) = match place {
        Place::Ours(child) => {
            ctx.writes.forget(&key);
            let adopted = child.labels().get(names::OWNER_UID_LABEL) != Some(&run.owner.uid);
            // What is said of a run that is over stays, whatever becomes of its object.
            let (child, unproven) = if is_over { (child, None) } else { shown(ctx, cluster, child) };
            (Place::Ours(child), adopted, unproven)
        }
        other => (other, false, None),
    };
    let silence = match &place {
        Place::Ours(_) if !is_over => word::silence(ctx, &run.owner, cluster),
        _ => None,
    };
    let write = ctx.writes.state(&key);
    let has_begun = recorded.as_ref().is_some_and(Row::started);
    let precondition = match word::in_its_fleet(ctx, &run.owner, cluster) {
        Err(why) if !has_begun => Err(why.into()),
        Err(_) | Ok(()) => needs(&member),
    };
    let contact = Contact::Live { uid };
    Seen { cluster, recorded, contact, place, adopted, silence, unproven, write, precondition }
}

impl<'a, K: VeleroRun> Seen<'a, K> {
    /// A member that can't be asked.
    fn nothing(cluster: &'a ClusterKey, recorded: Option<Row<K::Status>>, contact: Contact) -> Self {
        let why = "the member can't be asked";
        let place = Place::Unknown { why: why.to_owned() };
        let precondition = Err(NotYet::Wait(Reason::Unreachable, why.to_owned()));
        let (adopted, silence, unproven, write) = (false, None, None, Write::None);
        Seen { cluster, recorded, contact, place, adopted, silence, unproven, write, precondition }
    }
}

/// What follows for one cluster.
#[derive(Debug, PartialEq)]
pub(crate) struct Step<S, N> {
    pub(crate) row: Row<S>,
    /// The name under which the child is to be created now, and what it needs.
    pub(crate) create: Option<(String, N)>,
    /// The name of a child that is to say that it is ours.
    pub(crate) adopt: Option<String>,
    /// When to look again although nothing may have changed.
    pub(crate) look_again: Option<Instant>,
}

pub(crate) fn step<K: VeleroRun>(seen: Seen<'_, K>) -> Step<K::Status, K::Needs> {
    let Seen { cluster, recorded, contact, place, adopted, silence, unproven, write, precondition } = seen;
    let row = recorded.unwrap_or_else(|| Row::new(cluster.clone()));
    if row.phase.is_terminal() {
        return said(row);
    }
    let uid = match contact {
        Contact::Live { uid } => uid,
        Contact::NotYet(until) => return Step { look_again: until, ..said(row) },
        Contact::Lost { reason, why } => return said(row.because(reason, why)),
    };
    match place {
        Place::Ours(child) => Step {
            adopt: adopted.then(|| child.name_any()),
            ..said(proven(served(observed(Row { seen_in: Some(uid), ..row }, &*child), silence), unproven))
        },
        Place::Unknown { why } => said(row.because(Reason::VeleroMissing, why)),
        Place::Free { .. } | Place::Leaving { .. } | Place::Namesake { .. } | Place::Taken { .. }
            if row.started() =>
        {
            said(child_is_gone(row))
        }
        Place::Leaving { name } => said(row.because(Reason::Waiting, leaving(&name))),
        Place::Namesake { name } => said(row.because(Reason::AlreadyExists, namesake(&name))),
        Place::Taken { name } => said(row.because(Reason::AlreadyExists, taken(&name))),
        Place::Free { name } => not_there_yet(row, name, write, precondition),
    }
}

/// What is said of [`Place::Leaving`].
pub(crate) fn leaving(name: &str) -> String {
    format!("an earlier `{name}` in the member is still being deleted")
}

/// What is said of [`Place::Namesake`].
pub(crate) fn namesake(name: &str) -> String {
    format!(
        "`{name}` was made before, for an object of this name; annotate this one `{}: \"true\"` to take it over or \
         `{}: \"true\"` to run anew",
        names::ADOPT_ANNOTATION,
        names::RUN_AGAIN_ANNOTATION
    )
}

/// What is said of [`Place::Taken`].
pub(crate) fn taken(name: &str) -> String {
    format!(
        "`{name}` is somebody else's; rename this object or annotate it `{}: \"true\"` to run under another name",
        names::RUN_AGAIN_ANNOTATION
    )
}

fn not_there_yet<S, N>(row: Row<S>, name: String, write: Write, precondition: Precondition<N>) -> Step<S, N> {
    match write {
        Write::InFlight => said(row.because(Reason::InProgress, "being created in the member")),
        Write::Done { until } => {
            let row = Row { child: Some(name), ..row }
                .because(Reason::InProgress, "created; waiting for the member to show it");
            Step { look_again: Some(until), ..said(row) }
        }
        Write::Failed { failure: Failure::Refused(why), .. } => {
            said(row.in_phase(RowPhase::Failed).because(Reason::MemberRefused, why))
        }
        Write::Failed { failure, retry_at } if retry_at > Instant::now() => {
            let (reason, message) = match failure {
                Failure::Forbidden(why) => (Reason::Forbidden, why),
                Failure::NoPlace(why) => (Reason::VeleroMissing, why),
                Failure::Refused(why) | Failure::Transient(why) => (Reason::Waiting, why),
            };
            Step { look_again: Some(retry_at), ..said(row.because(reason, message)) }
        }
        Write::None | Write::Failed { .. } => match precondition {
            Err(NotYet::Wait(reason, message)) => said(row.because(reason, message)),
            Err(NotYet::Never(reason, message)) => {
                said(row.in_phase(RowPhase::FailedValidation).because(reason, message))
            }
            Ok(needs) => Step {
                create: Some((name, needs)),
                ..said(row.because(Reason::InProgress, "being created in the member"))
            },
        },
    }
}

fn observed<K: VeleroRun>(row: Row<K::Status>, child: &K) -> Row<K::Status> {
    let Outcome { status, phase, message, without_data } = child.outcome();
    let reason = match phase {
        RowPhase::Completed => Reason::Completed,
        RowPhase::PartiallyFailed => Reason::PartiallyFailed,
        RowPhase::Failed | RowPhase::FailedValidation => Reason::Failed,
        RowPhase::Pending | RowPhase::InProgress => Reason::InProgress,
    };
    Row { child: Some(child.name_any()), status: Some(status), without_data, ..row }
        .in_phase(phase)
        .because(reason, message.unwrap_or_default())
}

/// What nobody works on does not go on, whatever it says of itself.
fn served<S>(row: Row<S>, silence: Option<String>) -> Row<S> {
    match silence.filter(|_| !row.phase.is_terminal()) {
        Some(why) => row.because(Reason::VeleroSilent, why),
        None => row,
    }
}

/// A good end is not told before it is proven; and one that can't be written is to be explained.
fn proven<S>(row: Row<S>, unproven: Option<String>) -> Row<S> {
    match unproven {
        Some(why) if row.phase.is_terminal() => {
            row.in_phase(RowPhase::InProgress).because(Reason::InProgress, why)
        }
        Some(why) => row.in_phase(RowPhase::InProgress).because(Reason::MemberRefused, why),
        None => row,
    }
}

fn child_is_gone<S>(row: Row<S>) -> Row<S> {
    row.in_phase(RowPhase::Failed).because(
        Reason::ChildGone,
        "the Velero object was deleted in the member before it finished; it is not made again",
    )
}

fn said<S, N>(row: Row<S>) -> Step<S, N> {
    Step { row, create: None, adopt: None, look_again: None }
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` reads best where it is used")]
mod tests;
