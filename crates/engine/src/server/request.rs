//! Requests for a sign of life.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;
use kurator_api::velero::{RequestPhase, ServerStatusRequest};
use serde_json::json;

use super::write::{AGAIN, Target, merge};
use super::{SERVER_VERSION, Server};
use crate::fresh::path;

/// How long an answer can be read, as in Velero 1.18.
const KEPT: Duration = Duration::from_secs(60);

pub(super) fn is_answered(request: &ServerStatusRequest) -> bool {
    request.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&RequestPhase::Processed)
}

/// How long until something is to be done about a request: it is answered, and later removed.
pub(super) fn due(request: &ServerStatusRequest, now: Timestamp) -> Option<Duration> {
    if request.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let answered = request.status.as_ref().and_then(|status| status.processed_timestamp);
    let Some(answered) = answered.filter(|_| is_answered(request)) else { return Some(Duration::ZERO) };
    let gone = Duration::try_from(now.duration_since(answered)).unwrap_or_default();
    Some(KEPT.saturating_sub(gone))
}

/// Says who serves, or removes what was answered long enough ago.
pub(super) async fn handle(server: &Server, request: &ServerStatusRequest) {
    let done = if is_answered(request) {
        let path = path::<ServerStatusRequest>(&server.namespace, &request.name_any());
        server.caller.delete(&path).await.map(drop)
    } else {
        let now = server.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = json!({
            "phase": "Processed", "processedTimestamp": now, "serverVersion": SERVER_VERSION, "plugins": [],
        });
        merge(&server.caller, &Target::of(&server.namespace, request), json!({"status": status})).await
    };
    if let Err(error) = done {
        tracing::warn!(request = request.name_any(), error = %error, "cannot answer or remove a status request");
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_at_once_and_its_answer_removed_after_a_minute() {
        let request = |status: serde_json::Value| -> ServerStatusRequest {
            serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {}, "status": status})).unwrap()
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let answered = json!({"phase": "Processed", "processedTimestamp": "2026-01-01T00:00:00Z"});
        let table = [
            (json!({}), "2026-01-01T00:00:00Z", Duration::ZERO),
            (answered.clone(), "2026-01-01T00:00:20Z", Duration::from_secs(40)),
            (answered.clone(), "2026-01-01T00:01:00Z", Duration::ZERO),
            // Clocks can go back.
            (answered, "2025-12-31T00:00:00Z", KEPT),
        ];
        for (status, now, expected) in table {
            assert_eq!(due(&request(status.clone()), at(now)), Some(expected), "{status} {now}");
        }
    }
}
