//! Writes how far a run is into its object.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::Server;
use super::write::{Target, merge};
use crate::progress::Progress;

/// Progress is written at most this often, as Velero 1.18.
const EVERY: Duration = Duration::from_secs(1);

/// Follows `progress` and never ends; `done` is the name of the field that counts what is done.
pub(super) async fn follow<T>(
    server: &Server,
    target: &Target,
    done: &str,
    mut progress: watch::Receiver<Progress>,
) -> T {
    loop {
        tokio::time::sleep(EVERY).await;
        if progress.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let told = *progress.borrow_and_update();
        let patch = json!({"status": {"progress": {"totalItems": told.total, done: told.done}}});
        if let Err(error) = merge(&server.caller, target, patch).await {
            tracing::debug!(object = ?target, error = %error, "progress is not written; the next one tells more");
        }
    }
}
