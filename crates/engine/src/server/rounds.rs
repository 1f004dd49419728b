//! The rounds over everything there is to do: what is begun now, and what became of what was begun.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kube::{Resource, ResourceExt as _};
use kurator_api::velero::{Backup, BackupStorageLocation, BackupStorageLocationSpec, Restore, Schedule};
use tokio::sync::Notify;
use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use super::awaited::Look;
use super::faults::Faults;
use super::lease::{Contest, Held, Tenure};
use super::queue::{self, Work};
use super::turn::{in_turn, while_held, with_lease};
use super::{Server, awaited, backup, ended, known, location, request, restore, schedule};
use crate::runs::Kind;
use kurator_member::knowledge::Knowledge;

/// Longest time without a look around.
const LOOK: Duration = Duration::from_secs(60);
/// Locations that are looked at side by side, and status requests that are answered: however many there are, somebody
/// else's objects cost no more memory than this.
const SIDE_BY_SIDE: usize = 8;

/// What a task works on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Job {
    Backup(String),
    /// Of a Backup that somebody else has ended.
    Proof(String),
    Restore(String),
    Location(String),
    Schedule(String),
    Request(String),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There is nothing left to do.
    Done,
    /// It is taken up again, by whoever has the Lease then.
    BrokenOff,
}

pub(super) struct Rounds {
    running: JoinSet<End>,
    jobs: HashMap<Id, Job>,
    contest: Arc<Contest>,
    /// Backups and Restores that have ended, until the watch says so too.
    ended: HashSet<String>,
    faults: Faults,
    /// Locations as they were when they were last looked at.
    checked: HashMap<String, Looked>,
}

/// On what the usability of a location depends, as far as that can be seen without asking the store.
#[derive(PartialEq)]
struct Looked {
    spec: BackupStorageLocationSpec,
    /// Version of the Secret that it names.
    credential: Option<String>,
    /// [`Stores::changes`](super::Stores::changes).
    changes: u64,
}

impl Rounds {
    pub(super) fn new() -> Self {
        Self {
            running: JoinSet::new(),
            jobs: HashMap::new(),
            contest: Contest::new(),
            ended: HashSet::new(),
            faults: Faults::default(),
            checked: HashMap::new(),
        }
    }

    pub(super) async fn go(&mut self, server: &Arc<Server>, wake: &Notify, tenure: &mut Tenure) {
        let (mut wanted, mut untold) = (self.contest.changes(), server.untold.subscribe());
        loop {
            wanted.mark_unchanged();
            untold.mark_unchanged();
            let pause = self.round(server, tenure);
            tokio::select! {
                () = wake.notified() => {}
                () = tenure.changed() => {}
                _ = wanted.changed() => {}
                _ = untold.changed() => {}
                Some(ended) = self.running.join_next_with_id(), if !self.running.is_empty() => {
                    let (id, end) = match ended {
                        Ok((id, end)) => (id, Ok(end)),
                        Err(died) => (died.id(), Err(died)),
                    };
                    if let Some(job) = self.jobs.remove(&id) {
                        self.note(job, end);
                    }
                }
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Breaks everything off.
    pub(super) async fn end(mut self) {
        self.running.shutdown().await;
    }

    fn note(&mut self, job: Job, end: Result<End, tokio::task::JoinError>) {
        match end {
            Ok(End::Done) => {
                if let Job::Backup(uid) | Job::Restore(uid) = job {
                    self.ended.insert(uid);
                }
            }
            Ok(End::BrokenOff) => {}
            Err(died) => {
                tracing::error!(job = ?job, error = %died, "a task of the engine has died; it is begun again");
                self.faults.note(job, died);
            }
        }
    }

    /// Starts what is to be done now; returns for how long nothing is.
    fn round(&mut self, server: &Arc<Server>, tenure: &mut Tenure) -> Duration {
        if !server.member.is_alive() {
            return LOOK;
        }
        let pause = self.requests(server).min(self.locations(server));
        let (backups, restores) = (known(server.member.backups()), known(server.member.restores()));
        self.forget(server, &backups, &restores);
        let mut pause = pause.min(self.prove(server, &backups));
        let now = server.clock.now();
        let mut schedules = Vec::new();
        for found in known(server.member.schedules()) {
            match schedule::due(&found, &backups, now) {
                Some(Duration::ZERO) => schedules.push(found),
                Some(later) => pause = pause.min(later),
                None => {}
            }
        }
        let makes_backups = self.jobs.values().any(|job| matches!(job, Job::Schedule(_)));
        let held = tenure.tend(!schedules.is_empty() || makes_backups || self.contest.is_wanted());
        if let Some(held) = &held {
            for found in schedules {
                pause = pause.min(self.run_schedule(server, held, found).unwrap_or(LOOK));
            }
        }
        self.contest.tell(held);
        let rests = [self.back_up(server, &backups), self.restore(server, &restores)];
        rests.into_iter().flatten().fold(pause, Duration::min)
    }

    /// Looks for Backups that have ended, of which somebody has to see whether the store has them.
    fn prove(&mut self, server: &Arc<Server>, all: &[Arc<Backup>]) -> Duration {
        let mut pause = LOOK;
        for backup in all {
            let uid = backup.uid().unwrap_or_default();
            let ours = self.ended.contains(&uid) || self.is_running(&Job::Backup(uid.clone()));
            match server.awaited.look(server, backup, ours) {
                Look::Prove if self.running_of(|job| matches!(job, Job::Proof(_))) < SIDE_BY_SIDE => {
                    if let Some(why) = awaited::nowhere(server, backup) {
                        server.stores.unproven(&uid, &why);
                        continue;
                    }
                    let (server, backup) = (Arc::clone(server), Arc::clone(backup));
                    let rest =
                        self.start(Job::Proof(uid), async move { awaited::prove(&server, &backup).await });
                    pause = pause.min(rest.unwrap_or(LOOK));
                }
                Look::Later(rest) => pause = pause.min(rest),
                // The end of one is followed by a round.
                Look::Prove | Look::Rest => {}
            }
        }
        pause
    }

    fn requests(&mut self, server: &Arc<Server>) -> Duration {
        let now = server.clock.now();
        let mut pause = LOOK;
        for request in known(server.member.status_requests()) {
            match request::due(&request, now) {
                Some(Duration::ZERO) => {
                    if self.running_of(|job| matches!(job, Job::Request(_))) >= SIDE_BY_SIDE {
                        // The end of one is followed by a round.
                        return LOOK;
                    }
                    let (job, server) = (Job::Request(request.name_any()), Arc::clone(server));
                    let rest = self.start(job, async move {
                        request::handle(&server, &request).await;
                        End::Done
                    });
                    pause = pause.min(rest.unwrap_or(LOOK));
                }
                Some(later) => pause = pause.min(later),
                None => {}
            }
        }
        pause
    }

    fn locations(&mut self, server: &Arc<Server>) -> Duration {
        let now = server.clock.now();
        let mut pause = LOOK;
        for found in known(server.member.locations()) {
            let name = found.name_any();
            let looked = Looked {
                spec: found.spec.clone(),
                credential: credential_version(server, &found),
                changes: server.stores.changes(),
            };
            let is_news = self.checked.get(&name) != Some(&looked) || server.is_doubted(&name);
            let due = if is_news { Some(Duration::ZERO) } else { location::due(&found, now) };
            match due {
                Some(Duration::ZERO) => {
                    let job = Job::Location(name.clone());
                    if self.is_running(&job) {
                        continue;
                    }
                    if self.running_of(|job| matches!(job, Job::Location(_))) >= SIDE_BY_SIDE {
                        return LOOK;
                    }
                    let checking = Arc::clone(server);
                    let rest = self.start(job, async move {
                        location::check(&checking, found).await;
                        End::Done
                    });
                    if rest.is_none() {
                        server.doubt_no_more(&name);
                        self.checked.insert(name, looked);
                    }
                    pause = pause.min(rest.unwrap_or(LOOK));
                }
                Some(later) => pause = pause.min(later),
                None => {}
            }
        }
        pause
    }

    fn run_schedule(&mut self, server: &Arc<Server>, held: &Held, found: Arc<Schedule>) -> Option<Duration> {
        let (server, held) = (Arc::clone(server), held.clone());
        let job = Job::Schedule(found.name_any());
        self.start(job, async move { while_held(held, schedule::run(&server, &found)).await })
    }

    fn back_up(&mut self, server: &Arc<Server>, all: &[Arc<Backup>]) -> Option<Duration> {
        let (job, found) = self.next(server, all, Job::Backup)?;
        let (server, contest) = (Arc::clone(server), Arc::clone(&self.contest));
        match self.faults.given_up(&job) {
            Some(why) => self
                .start(job, async move { with_lease(&contest, ended::give_up(&server, &*found, why)).await }),
            None => self.start(job, async move {
                let run = |place| backup::back_up(&server, &found, place);
                in_turn(&server.runs, &contest, Kind::Backup, run).await
            }),
        }
    }

    fn restore(&mut self, server: &Arc<Server>, all: &[Arc<Restore>]) -> Option<Duration> {
        let (job, found) = self.next(server, all, Job::Restore)?;
        let (server, contest) = (Arc::clone(server), Arc::clone(&self.contest));
        match self.faults.given_up(&job) {
            Some(why) => self
                .start(job, async move { with_lease(&contest, ended::give_up(&server, &*found, why)).await }),
            None => self.start(job, async move {
                let run = |place| restore::restore(&server, &found, place);
                in_turn(&server.runs, &contest, Kind::Restore, run).await
            }),
        }
    }

    /// The next Backup or Restore, unless one is running. Those whose ends are not taken hold nothing up, up to a number.
    fn next<K: Work + Resource>(
        &self,
        server: &Server,
        all: &[Arc<K>],
        job: fn(String) -> Job,
    ) -> Option<(Job, Arc<K>)> {
        let untold = server.untold.borrow();
        let untold = |running: &Job| untold.iter().any(|run| *running == job(run.clone()));
        let kind = std::mem::discriminant(&job(String::new()));
        let (over, going): (Vec<_>, Vec<_>) = self
            .jobs
            .values()
            .filter(|running| std::mem::discriminant(*running) == kind)
            .partition(|running| untold(running));
        if !going.is_empty() || over.len() >= SIDE_BY_SIDE {
            return None;
        }
        let is_left = |object: &K| {
            object
                .meta()
                .uid
                .as_ref()
                .is_none_or(|uid| !self.ended.contains(uid) && !over.contains(&&job(uid.clone())))
        };
        let found = queue::next(all.iter().filter(|object| is_left(object)))?;
        Some((job(found.uid().unwrap_or_default()), Arc::clone(found)))
    }

    /// Of what is gone or done nothing has to be remembered.
    fn forget(&mut self, server: &Server, backups: &[Arc<Backup>], restores: &[Arc<Restore>]) {
        fn uids<K: Work + Resource>(all: &[Arc<K>]) -> HashSet<&str> {
            let unfinished = all.iter().filter(|object| object.stage().is_some());
            unfinished.filter_map(|object| object.meta().uid.as_deref()).collect()
        }
        // What is not known is not gone.
        let member = &server.member;
        if member.backups().select(|_| false).is_unknown() || member.restores().select(|_| false).is_unknown()
        {
            return;
        }
        let there: HashSet<_> = backups.iter().filter_map(|backup| backup.meta().uid.as_deref()).collect();
        server.awaited.keep_only(|uid| there.contains(uid));
        server.stores.keep_only(&|uid| there.contains(uid));
        let (backups, restores) = (uids(backups), uids(restores));
        self.ended.retain(|uid| backups.contains(uid.as_str()) || restores.contains(uid.as_str()));
        self.faults.retain(|job| match job {
            Job::Backup(uid) => backups.contains(uid.as_str()),
            Job::Proof(uid) => there.contains(uid.as_str()),
            Job::Restore(uid) => restores.contains(uid.as_str()),
            Job::Location(name) => is_there(&server.member.locations().get(name)),
            Job::Schedule(name) => is_there(&server.member.schedules().get(name)),
            Job::Request(name) => is_there(&server.member.status_requests().get(name)),
        });
        self.checked.retain(|name, _| is_there(&server.member.locations().get(name)));
    }

    fn is_running(&self, job: &Job) -> bool {
        self.jobs.values().any(|running| running == job)
    }

    fn running_of(&self, of_kind: impl Fn(&Job) -> bool) -> usize {
        self.jobs.values().filter(|job| of_kind(job)).count()
    }

    /// Starts a task, unless it is running. One that has died a moment ago is left alone, for the time that is returned.
    fn start(&mut self, job: Job, task: impl Future<Output = End> + Send + 'static) -> Option<Duration> {
        let rest = self.faults.rest(&job);
        if rest.is_none() && !self.is_running(&job) {
            let id = self.running.spawn(task.in_current_span()).id();
            self.jobs.insert(id, job);
        }
        rest
    }
}

/// Version of the Secret that a location names; nothing where there is none, or the member does not say.
fn credential_version(server: &Server, location: &BackupStorageLocation) -> Option<String> {
    let name = location.spec.credential.as_ref()?.name.as_ref()?;
    server.member.secrets().get(name).present()?.metadata.resource_version.clone()
}

/// Whether something is there, or may be.
fn is_there<K>(found: &Knowledge<K>) -> bool {
    !matches!(found, Knowledge::Absent)
}
