//! Writes into velero.io objects: their CRDs have no status subresource, a status is a field like any other.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};

use crate::call::{CallError, Caller, Content};
use crate::fresh::{metadata_at, path};

/// Pause before a write that has to be made is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// Longest pause before one that somebody has to allow is tried again.
const LONGEST: Duration = Duration::from_secs(60);
/// Refusals of what is written, and not of the moment.
const FOR_GOOD: [StatusCode; 3] =
    [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::PAYLOAD_TOO_LARGE];
/// Refusals that last until somebody mends what they come from: a right, or an admission policy.
const UNTIL_MENDED: [StatusCode; 2] = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];

/// How the API server may answer who means an object whose name another one has by now.
const PERHAPS_ANOTHER: [StatusCode; 3] =
    [StatusCode::NOT_FOUND, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY];

/// The object that is written to, and no other that has its name later.
#[derive(Clone, Debug)]
pub(super) struct Target {
    path: String,
    /// None of one that was never in a cluster.
    uid: Option<String>,
}

/// Who has the name of a target now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// The target, or the server does not say.
    Kept,
    /// Another object.
    Another,
    /// Nobody, as the server says this once.
    Free,
}

impl Target {
    pub(super) fn of<K: Resource<DynamicType = ()>>(namespace: &str, object: &K) -> Self {
        Self { path: path::<K>(namespace, &object.name_any()), uid: object.uid() }
    }

    /// Whether `error` is about an object that has gone, and another may have its name: one answer of a server that has
    /// just started is not enough for it if the object is still `shown`.
    pub(super) async fn is_lost(&self, caller: &Caller, error: &CallError, shown: bool) -> bool {
        if !PERHAPS_ANOTHER.iter().any(|code| error.is(*code)) {
            return false;
        }
        match self.name(caller).await {
            Name::Kept => false,
            Name::Another => true,
            Name::Free => !shown,
        }
    }

    async fn name(&self, caller: &Caller) -> Name {
        match metadata_at(caller, &self.path).await {
            Ok(Some(there)) if self.uid.is_some() && there.uid != self.uid => Name::Another,
            Ok(Some(_)) | Err(_) => Name::Kept,
            Ok(None) => Name::Free,
        }
    }
}

/// Merges `patch` into the target.
pub(super) async fn merge(caller: &Caller, target: &Target, mut patch: Value) -> Result<(), CallError> {
    if let Some(uid) = &target.uid {
        // The server refuses it for any other.
        patch["metadata"]["uid"] = json!(uid);
    }
    let content =
        Content { kind: "application/merge-patch+json", body: patch.to_string().into_bytes().into() };
    caller.patch(&target.path, content).await.map(drop)
}

/// What an object is told of the end of its run.
pub(super) struct End<'a> {
    /// Everything that the run has changed.
    pub(super) whole: Value,
    /// The last phase.
    pub(super) phase: Option<&'a str>,
    /// Why it has failed, if it has.
    pub(super) reason: Option<&'a str>,
    /// When it ended.
    pub(super) at: Option<Timestamp>,
}

impl End<'_> {
    /// How it ended, and why the rest is not told.
    fn least(&self, refusal: &CallError) -> Value {
        let unsaid = format!("the API server refuses the whole status of this run: {refusal}");
        let reason = self.reason.map_or_else(|| unsaid.clone(), |reason| format!("{reason}; {unsaid}"));
        let at = self.at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        json!({"status": {"phase": self.phase, "failureReason": reason, "completionTimestamp": at}})
    }
}

/// Tells the target how its run has ended, for as long as it takes and the target is there; `is_shown` says whether a
/// watch still shows it. Where the server refuses that for good, it is told the least; where it refuses that too, the
/// object stays as it is and the log says so. Where somebody has to allow it, `refused` is told.
pub(super) async fn tell_end(
    caller: &Caller,
    target: &Target,
    end: &End<'_>,
    is_shown: impl Fn() -> bool,
    mut refused: impl FnMut(&CallError),
) {
    let path = target.path.as_str();
    let (mut least, mut pause) = (None, AGAIN);
    while let Err(error) = merge(caller, target, least.as_ref().unwrap_or(&end.whole).clone()).await {
        if target.is_lost(caller, &error, is_shown()).await {
            tracing::warn!(path, "deleted before it could be told how its run has ended");
            return;
        }
        if !FOR_GOOD.iter().any(|code| error.is(*code)) {
            tracing::warn!(path, error = %error, "cannot write how the run has ended; trying again");
            if UNTIL_MENDED.iter().any(|code| error.is(*code)) {
                refused(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            } else {
                tokio::time::sleep(AGAIN).await;
            }
        } else if least.is_none() {
            tracing::warn!(path, error = %error, "the status of the run is refused; writing the least of it");
            least = Some(end.least(&error));
        } else {
            tracing::error!(
                path,
                phase = end.phase,
                error = %error,
                "the API server refuses even the phase of the run: the object stays as it is; delete it"
            );
            return;
        }
    }
}

#[cfg(test)]
mod tests;
