//! Deletion of Velero Backups with their data, in one member.
//!
//! Velero is asked by a DeleteBackupRequest, and it is over when the Backup is gone. A Backup object that is merely
//! deleted leaves its data, and comes back with Velero's next look into the store.

mod idle;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use kube::api::DeleteParams;
use kube::core::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::velero::{Backup, BackupPhase, DeleteBackupRequest, DeleteBackupRequestSpec, RequestPhase};
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use tokio::time::Instant;

use super::Owner;
use crate::ctx::Ctx;
use crate::hub::{Guarded, HubKind};
use crate::served::is_served;
use crate::text;
use crate::wake::WakeSet;
use crate::writes::{self, Write, WriteKey};
use idle::{Idle, Key};

/// The write that asks Velero in a member to delete backups.
pub(crate) const ERASE: &str = "erase";
/// Requests that are made at the same time in one member.
const AT_ONCE: usize = 8;
/// Time between a refusal and the next request; doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(60);
const LAST_RETRY: Duration = Duration::from_secs(600);
/// A server that ended in the middle of a deletion never takes it up again; after this time it is asked anew.
const PATIENCE: Duration = Duration::from_secs(600);
/// A Backup whose request is gone shows that it is gone, too, within this time.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// What is left of some backups in a member.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Erasing {
    /// What goes on by itself, one sentence per Backup.
    pub(crate) waiting: Vec<String>,
    /// What nobody carries out, or was refused, one sentence per Backup; can be given up.
    pub(crate) stuck: Vec<String>,
    /// Velero's own words on what it would not delete.
    pub(crate) refused: Vec<String>,
    /// When to look again although nothing may have changed.
    pub(crate) look_again: Option<Instant>,
}

impl Erasing {
    fn wait(&mut self, why: String, until: Option<Instant>) {
        self.waiting.push(why);
        self.look_at(until);
    }

    fn stuck(&mut self, why: String, until: Option<Instant>) {
        self.stuck.push(why);
        self.look_at(until);
    }

    /// Waits for Velero, which shows until `idle_at` that it is there.
    fn wait_for_velero(&mut self, why: String, until: Option<Instant>, idle_at: Instant) {
        if idle_at <= Instant::now() {
            self.stuck(why, until);
        } else {
            self.wait(why, Some(idle_at).into_iter().chain(until).min());
        }
    }

    fn look_at(&mut self, time: Option<Instant>) {
        self.look_again = self.look_again.into_iter().chain(time).min();
    }
}

/// Takes the next step with each of these Backups, all of which are the owner's to delete.
pub(crate) fn erase<R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    member: &Member,
    backups: &[Arc<Backup>],
    wakes: &Arc<WakeSet<Guarded<R>>>,
) -> Erasing {
    let mut erasing = Erasing::default();
    if backups.is_empty() {
        return erasing;
    }
    if is_served(ctx, cluster) {
        let why = |backup: &Arc<Backup>| {
            format!(
                "the built-in engine deletes nothing that it has stored yet, so with `Retain` Velero Backup `{}` stays",
                backup.name_any()
            )
        };
        erasing.refused.extend(backups.iter().map(why));
        erasing.stuck.extend(backups.iter().map(why));
        return erasing;
    }
    let requests = match member.delete_requests().list() {
        Knowledge::Unknown { why, .. } => {
            erasing.stuck(why, None);
            return erasing;
        }
        Knowledge::Absent => Vec::new(),
        Knowledge::Present(requests) => requests,
    };
    let mut jobs = Vec::new();
    for backup in backups {
        let request_of = newest(backup, &requests);
        let idle_at = ctx.refusals.idle.until(key(owner, cluster, backup), backup, request_of);
        let asked = request_of.map(|request| Asked {
            due: ctx.refusals.due(owner, cluster, backup, request),
            state: state(request),
        });
        let done = match asked {
            None => ctx.refusals.done(owner, cluster, backup),
            Some(_) => None,
        };
        match done.unwrap_or_else(|| step(backup, asked, Instant::now())) {
            Step::Wait { why, until } => erasing.wait_for_velero(why, until, idle_at),
            Step::Refused { why, until } => {
                erasing.refused.push(why.clone());
                erasing.stuck(why, Some(until));
            }
            Step::Ask => jobs.push(Job::Ask(Box::new(request(owner, cluster, backup)))),
            Step::Drop => jobs.push(Job::Drop(backup.name_any())),
        }
    }
    start(ctx, owner, cluster, member, jobs, &mut erasing, wakes);
    erasing
}

/// What is done about one Backup next.
#[derive(Debug, PartialEq)]
enum Step {
    /// Nothing; it goes on by itself.
    Wait { why: String, until: Option<Instant> },
    /// Nothing before this time: Velero did not do it.
    Refused { why: String, until: Instant },
    /// Velero is asked.
    Ask,
    /// The object alone goes: nothing was ever stored under it.
    Drop,
}

/// A request of ours.
#[derive(Clone, Debug)]
struct Asked {
    state: State,
    /// When another one may be made.
    due: Instant,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Velero has not looked at it.
    New,
    InProgress,
    /// Processed, and the Backup is still there: why.
    Refused(String),
}

fn state(request: &DeleteBackupRequest) -> State {
    let status = request.status.as_ref();
    match status.and_then(|status| status.phase.as_ref()) {
        None | Some(RequestPhase::New | RequestPhase::Other(_)) => State::New,
        Some(RequestPhase::InProgress) => State::InProgress,
        Some(RequestPhase::Processed | RequestPhase::Failed) => {
            let errors = status.map(|status| status.errors.join("; ")).unwrap_or_default();
            State::Refused(if errors.is_empty() {
                "Velero says that it is deleted, and it is still there".to_owned()
            } else {
                text::veleros_words(&errors)
            })
        }
    }
}

fn step(backup: &Backup, asked: Option<Asked>, now: Instant) -> Step {
    let name = backup.name_any();
    let wait = |why: String, until| Step::Wait { why, until };
    if backup.metadata.deletion_timestamp.is_some() {
        return wait(format!("`{name}` is being removed"), None);
    }
    let status = backup.status.as_ref();
    match status.and_then(|status| status.phase.as_ref()) {
        Some(BackupPhase::FailedValidation) => return Step::Drop,
        Some(BackupPhase::Failed)
            if status.and_then(|status| status.failure_reason.as_deref()).is_some_and(name_was_taken) =>
        {
            return Step::Drop;
        }
        Some(BackupPhase::Deleting) => {}
        Some(phase) if phase.is_terminal() => {}
        Some(phase) => return wait(format!("`{name}` is in phase {phase}, and ends first"), None),
        None => return wait(format!("`{name}` has not been started by Velero"), None),
    }
    match asked {
        None => Step::Ask,
        Some(Asked { state: State::New, .. }) => {
            wait(format!("Velero has not taken up the deletion of `{name}`"), None)
        }
        Some(Asked { state: State::InProgress, due }) if due > now => {
            wait(format!("Velero is deleting `{name}`"), Some(due))
        }
        Some(Asked { state: State::Refused(why), due }) if due > now => {
            Step::Refused { why: format!("`{name}`: {why}"), until: due }
        }
        Some(Asked { state: State::InProgress | State::Refused(_), .. }) => Step::Ask,
    }
}

/// Velero stores nothing where something lies already. What lies there is another Backup's.
fn name_was_taken(failure: &str) -> bool {
    failure.contains("already exists in object storage")
}

/// The request of ours that counts: one that is not done yet, else the latest.
fn newest<'a>(backup: &Backup, requests: &'a [Arc<DeleteBackupRequest>]) -> Option<&'a DeleteBackupRequest> {
    let about_it = |request: &&DeleteBackupRequest| {
        request.spec.backup_name == backup.metadata.name
            && request.labels().get(names::VELERO_BACKUP_UID_LABEL) == backup.metadata.uid.as_ref()
    };
    let open = |request: &DeleteBackupRequest| !matches!(state(request), State::Refused(_));
    let made = |request: &DeleteBackupRequest| request.creation_timestamp().map(|at| at.0);
    requests
        .iter()
        .map(AsRef::as_ref)
        .filter(about_it)
        .max_by(|a, b| (open(a), made(a)).cmp(&(open(b), made(b))))
}

fn request(owner: &Owner, cluster: &ClusterKey, backup: &Backup) -> DeleteBackupRequest {
    let name = backup.name_any();
    let mut metadata = owner.metadata(&name, cluster);
    metadata.labels.get_or_insert_default().extend([
        (names::VELERO_BACKUP_NAME_LABEL.to_owned(), names::label_value(&name)),
        (names::VELERO_BACKUP_UID_LABEL.to_owned(), backup.uid().unwrap_or_default()),
    ]);
    let metadata = ObjectMeta { name: None, generate_name: Some(format!("{name}-")), ..metadata };
    let spec = DeleteBackupRequestSpec { backup_name: Some(name), ..DeleteBackupRequestSpec::default() };
    DeleteBackupRequest { metadata, spec, status: None }
}

/// Something to write.
enum Job {
    Ask(Box<DeleteBackupRequest>),
    Drop(String),
}

impl Job {
    fn backup(&self) -> String {
        match self {
            Self::Ask(request) => request.spec.backup_name.clone().unwrap_or_default(),
            Self::Drop(name) => name.clone(),
        }
    }
}

/// Starts all jobs as one write, unless one is under way.
fn start<R: HubKind>(
    ctx: &Ctx,
    owner: &Owner,
    cluster: &ClusterKey,
    member: &Member,
    jobs: Vec<Job>,
    erasing: &mut Erasing,
    wakes: &Arc<WakeSet<Guarded<R>>>,
) {
    let key = WriteKey { owner: owner.uid.clone(), cluster: cluster.clone(), what: ERASE };
    if jobs.is_empty() {
        // Everything asked for shows.
        ctx.writes.forget(&key);
        return;
    }
    let (begin, failure, until) = match ctx.writes.state(&key) {
        Write::InFlight => (false, None, None),
        Write::Done { until } => (false, None, Some(until)),
        Write::Failed { failure, retry_at } if retry_at > Instant::now() => {
            (false, Some(failure), Some(retry_at))
        }
        Write::None | Write::Failed { .. } => (true, None, None),
    };
    for job in &jobs {
        let name = job.backup();
        match &failure {
            Some(why) if why.is_final() => erasing.stuck(format!("deletion of `{name}`: {why}"), until),
            Some(why) => erasing.wait(format!("deletion of `{name}`: {why}"), until),
            None => erasing.wait(format!("deletion of `{name}`: being asked for"), until),
        }
    }
    if !begin {
        return;
    }
    let client = member.client().clone();
    let requests = Api::<DeleteBackupRequest>::namespaced(client.clone(), names::VELERO_NAMESPACE);
    let backups = Api::<Backup>::namespaced(client, names::VELERO_NAMESPACE);
    let write = async move {
        let all = stream::iter(jobs).map(|job| {
            let (requests, backups) = (requests.clone(), backups.clone());
            async move {
                match job {
                    Job::Ask(request) => writes::create(&requests, &request).await,
                    Job::Drop(name) => writes::gone(backups.delete(&name, &DeleteParams::default()).await),
                }
            }
        });
        all.buffer_unordered(AT_ONCE).try_collect::<()>().await
    };
    let back = ObjectRef::new(&owner.name).within(&owner.namespace);
    let wakes = Arc::clone(wakes);
    ctx.writes.start(key, write, move || wakes.wake(back));
}

/// How often Velero did not delete what it was asked to, and when it is asked again. Lost in a restart, which then
/// waits the shortest time once more.
#[derive(Default)]
pub(crate) struct Refusals {
    asked: Mutex<HashMap<Key, Refusal>>,
    idle: Idle,
}

fn key(owner: &Owner, cluster: &ClusterKey, backup: &Backup) -> Key {
    (owner.uid.clone(), cluster.clone(), backup.name_any())
}

struct Refusal {
    /// UID of the request, and whether it was refused.
    about: (String, bool),
    times: u32,
    due: Instant,
    /// When it was first seen to be gone.
    gone: Option<Instant>,
}

impl Refusals {
    /// What follows where a request was seen and is gone: that is how Velero says that it is done. The Backup is gone
    /// then, but the watch that tells so is another one.
    fn done(&self, owner: &Owner, cluster: &ClusterKey, backup: &Backup) -> Option<Step> {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.get_mut(&key(owner, cluster, backup))?;
        let until = *entry.gone.get_or_insert_with(Instant::now) + SHOWN_WITHIN;
        let why = format!("`{}` is deleted; waiting for the member to show it", backup.name_any());
        (until > Instant::now()).then_some(Step::Wait { why, until: Some(until) })
    }

    /// When another request may follow this one: counted from when it was first seen as it is, because the member's
    /// clock is not ours.
    fn due(
        &self,
        owner: &Owner,
        cluster: &ClusterKey,
        backup: &Backup,
        request: &DeleteBackupRequest,
    ) -> Instant {
        let refused = matches!(state(request), State::Refused(_));
        self.look(key(owner, cluster, backup), (request.uid(), refused))
    }

    fn look(&self, key: Key, (uid, refused): (Option<String>, bool)) -> Instant {
        let about = (uid.unwrap_or_default(), refused);
        let now = Instant::now();
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(key).or_insert_with(|| Refusal {
            about: Default::default(),
            times: 0,
            due: now,
            gone: None,
        });
        if entry.about != about {
            entry.times = entry.times.saturating_add(u32::from(refused));
            entry.due = now + if refused { retry_after(entry.times) } else { PATIENCE };
            entry.about = about;
        }
        entry.gone = None;
        entry.due
    }

    /// Forgets an owner that is gone.
    pub(crate) fn forget(&self, owner: &str) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).retain(|(uid, _, _), _| uid != owner);
        self.idle.forget(owner);
    }
}

fn retry_after(times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(factor).min(LAST_RETRY)
}

#[cfg(test)]
mod tests;
