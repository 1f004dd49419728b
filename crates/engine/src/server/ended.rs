//! The end of a Backup or Restore: what its object is told of it.

use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use kurator_api::velero::{Backup, BackupPhase, Restore, RestorePhase};
use kurator_member::cache::Cache;
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use serde_json::{Value, json};

use super::Server;
use super::queue::Work;
use super::write::{End, Target, tell_end};
use crate::call::CallError;

/// Something that has run, or can't be run.
pub(super) trait Ended: Work + Resource<DynamicType = ()> + Clone {
    /// Makes it one that has failed.
    fn fail(&mut self, why: String, at: Timestamp);

    /// What its object is told.
    fn end(&self) -> End<'_>;

    /// Where the watch shows it.
    fn shown_in(member: &Member) -> &Cache<Self>;
}

impl Ended for Backup {
    fn shown_in(member: &Member) -> &Cache<Self> {
        member.backups()
    }

    fn fail(&mut self, why: String, at: Timestamp) {
        let status = self.status.get_or_insert_default();
        status.phase = Some(BackupPhase::Failed);
        status.failure_reason = Some(why);
        status.completion_timestamp = Some(at);
    }

    fn end(&self) -> End<'_> {
        let status = self.status.as_ref();
        End {
            whole: whole(self),
            phase: status.and_then(|status| status.phase.as_ref()).map(BackupPhase::as_str),
            reason: status.and_then(|status| status.failure_reason.as_deref()),
            at: status.and_then(|status| status.completion_timestamp),
        }
    }
}

impl Ended for Restore {
    fn shown_in(member: &Member) -> &Cache<Self> {
        member.restores()
    }

    fn fail(&mut self, why: String, at: Timestamp) {
        let status = self.status.get_or_insert_default();
        status.phase = Some(RestorePhase::Failed);
        status.failure_reason = Some(why);
        status.completion_timestamp = Some(at);
    }

    fn end(&self) -> End<'_> {
        let status = self.status.as_ref();
        End {
            whole: json!({
                "metadata": {"annotations": self.metadata.annotations}, "spec": self.spec, "status": self.status,
            }),
            phase: status.and_then(|status| status.phase.as_ref()).map(RestorePhase::as_str),
            reason: status.and_then(|status| status.failure_reason.as_deref()),
            at: status.and_then(|status| status.completion_timestamp),
        }
    }
}

/// Everything of a Backup that a run writes.
pub(super) fn whole(backup: &Backup) -> Value {
    let metadata = json!({
        "labels": backup.metadata.labels,
        "annotations": backup.metadata.annotations,
    });
    json!({"metadata": metadata, "spec": backup.spec, "status": backup.status})
}

/// One that has failed.
pub(super) fn failed<K: Ended>(server: &Server, mut object: K, why: String) -> K {
    tracing::warn!(kind = &*K::kind(&()), name = object.name_any(), why, "the run has failed");
    object.fail(why, server.clock.now());
    object
}

/// Tells the object how its run has ended.
pub(super) async fn tell<K: Ended>(server: &Server, ended: &K) {
    let end = ended.end();
    let target = Target::of(&server.namespace, ended);
    let untold = Untold { server, run: ended.uid().unwrap_or_default() };
    let refused = |error: &CallError| {
        untold.because(&format!(
            "the run has ended as {}, and the member refuses to have that written; allow it, and it is written within \
             a minute: {error}",
            end.phase.unwrap_or_default()
        ));
    };
    tell_end(&server.caller, &target, &end, || is_shown(server, ended), refused).await;
    tracing::info!(kind = &*K::kind(&()), name = ended.name_any(), phase = end.phase, "the run has ended");
}

/// A run whose end is being told, and perhaps not taken.
struct Untold<'a> {
    server: &'a Server,
    run: String,
}

impl Untold<'_> {
    fn because(&self, why: &str) {
        self.server.stores.untold(&self.run, Some(why));
        self.server.untold.send_if_modified(|all| all.insert(self.run.clone()));
    }
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if self.server.untold.send_if_modified(|all| all.remove(&self.run)) {
            self.server.stores.untold(&self.run, None);
        }
    }
}

/// Whether a watch still shows the object.
pub(super) fn is_shown<K: Ended>(server: &Server, object: &K) -> bool {
    match K::shown_in(&server.member).get(&object.name_any()) {
        Knowledge::Present(shown) => shown.meta().uid == object.meta().uid,
        Knowledge::Absent => false,
        // What is not known is not gone.
        Knowledge::Unknown { .. } => true,
    }
}

/// Ends what cannot be run.
pub(super) async fn give_up<K: Ended>(server: &Server, known: &K, why: String) {
    tell(server, &failed(server, known.clone(), why)).await;
}
