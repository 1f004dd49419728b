//! Writes into velero.io objects: their CRDs have no status subresource, a status is a field like any other.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::{CallError, Caller, Content};

/// Pause before a write that has to be made is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// Refusals of what is written, and not of the moment.
const FOR_GOOD: [StatusCode; 3] =
    [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY, StatusCode::PAYLOAD_TOO_LARGE];

/// Merges `patch` into what is at `path`.
pub(super) async fn merge(caller: &Caller, path: &str, patch: &Value) -> Result<(), CallError> {
    let body = patch.to_string().into_bytes();
    caller.patch(path, Content { kind: "application/merge-patch+json", body: body.into() }).await.map(drop)
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

/// Tells the object at `path` how its run has ended, for as long as it takes. Where the server refuses that for good, it is
/// told the least; where it refuses that too, the object stays as it is and the log says so.
pub(super) async fn tell_end(caller: &Caller, path: &str, end: &End<'_>) {
    let mut least = None;
    while let Err(error) = merge(caller, path, least.as_ref().unwrap_or(&end.whole)).await {
        if error.is(StatusCode::NOT_FOUND) {
            return;
        }
        if !FOR_GOOD.iter().any(|code| error.is(*code)) {
            tracing::warn!(path, error = %error, "cannot write how the run has ended; trying again");
            tokio::time::sleep(AGAIN).await;
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
mod tests {
    use super::*;
    use crate::testing::{ok, server, status};

    fn end() -> End<'static> {
        End {
            whole: json!({"status": {"phase": "Completed", "progress": {"totalItems": 3}}}),
            phase: Some("Completed"),
            reason: None,
            at: Some(Timestamp::UNIX_EPOCH),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_not_taken_now_is_written_later() {
        for code in [403, 409, 503] {
            let (caller, log) =
                server(move |n, _| if n < 20 { status(code, "", "not now") } else { ok("{}") });
            tell_end(&caller, "/x", &end()).await;
            assert_eq!(log.paths().len(), 21, "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_status_that_is_refused_for_good_the_least_is_written_with_the_refusal() {
        for code in [400, 413, 422] {
            let (caller, log) =
                server(move |n, _| if n == 0 { status(code, "Invalid", "no such field") } else { ok("{}") });
            tell_end(&caller, "/x", &end()).await;
            let bodies = log.bodies();
            assert_eq!(bodies.len(), 2, "{code}");
            let told: Value = serde_json::from_slice(&bodies[1]).unwrap();
            assert_eq!(
                told,
                json!({"status": {
                    "phase": "Completed", "completionTimestamp": "1970-01-01T00:00:00Z",
                    "failureReason": "the API server refuses the whole status of this run: no such field",
                }})
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_least_is_refused_too_nothing_is_repeated() {
        let (caller, log) = server(|_, _| status(422, "Invalid", "no"));
        tell_end(&caller, "/x", &end()).await;
        assert_eq!(log.paths().len(), 2);
    }
}
