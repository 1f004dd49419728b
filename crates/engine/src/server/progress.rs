//! Writes how far a run is into its object.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::Server;
use super::write::{Target, merge};
use crate::progress::Progress;

/// Progress is written at most this often, as Velero 1.18.
const EVERY: Duration = Duration::from_secs(1);

/// Follows `progress` until the object is gone, or another has its name; `done` is the name of the field that counts what
/// is done, and `is_shown` says whether a watch still shows the object.
pub(super) async fn follow(
    server: &Server,
    target: &Target,
    done: &str,
    mut progress: watch::Receiver<Progress>,
    is_shown: impl Fn() -> bool,
) {
    loop {
        tokio::time::sleep(EVERY).await;
        // Who tells nothing new may wait for long, and that for nobody.
        if !progress.has_changed().unwrap_or_default() && is_shown() {
            continue;
        }
        let told = *progress.borrow_and_update();
        let patch = json!({"status": {"progress": {"totalItems": told.total, done: told.done}}});
        if let Err(error) = merge(&server.caller, target, patch).await {
            if target.is_lost(&server.caller, &error, is_shown()).await {
                return;
            }
            tracing::debug!(object = ?target, error = %error, "progress is not written; the next one tells more");
        }
    }
}
