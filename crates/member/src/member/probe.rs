//! The task that decides whether the member is alive.
//!
//! It is the only writer of the liveness. It looks when something casts doubt (a broken watch), and now and then
//! without a reason, because a server that hangs keeps its connections open and says nothing. Bounds, for a
//! connection that is pinged: dead pings are noticed after 6.5 s, the look that follows takes [`DOUBT`] at most;
//! a return is noticed after the longest pause and one [`PATIENCE`].

use std::{sync::Arc, time::Duration};

use http::{Request, StatusCode, Version};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, client::Body};
use tokio::time::{sleep, timeout};

use super::{
    Shared,
    liveness::{Backoff, Liveness, Trouble},
    why::{explain, trouble},
};
use crate::connect::{CONNECT_TIMEOUT, Over};

/// Longest time for one look.
///
/// A little more than a connection may take, so that the connection's own words are heard.
pub(super) const PATIENCE: Duration = CONNECT_TIMEOUT.saturating_add(Duration::from_millis(250));

/// Longest time for a look at a member that was alive and whose watch broke: the connection has been silent for
/// six seconds and a half by then, and ten are allowed in all.
const DOUBT: Duration = Duration::from_secs(3);

/// Time between two looks over HTTP/1.1, which has no pings.
const WITHOUT_PINGS: Duration = Duration::from_secs(4);

/// What tells a cluster apart can't be had.
const NO_NAMESPACE: &str = "cannot read namespace `kube-system`";

/// How often a member is only asked whether it is ready until it is asked once more which cluster it is: every five
/// minutes. It is asked at once over another connection than before, since what lies between may lead elsewhere.
const SAME: u32 = 10;

/// What a member says of itself.
#[derive(Clone)]
struct Seen {
    version: String,
    uid: String,
    /// The connection that it said so over, as far as that can be told.
    over: Option<Over>,
    /// Looks since that have found it ready over the same.
    since: u32,
}

/// That a server is ready.
struct Ready {
    /// Whether its connection is pinged.
    pinged: bool,
    over: Option<Over>,
}

/// Looks until it is cancelled.
pub(super) async fn run(shared: Arc<Shared>, look_every: Duration) {
    let mut backoff = Backoff::default();
    let mut limit = PATIENCE;
    let mut before = None;
    loop {
        match look(&shared.client, before.take(), limit).await {
            Ok((seen, pinged)) => {
                let pause = if pinged { look_every } else { look_every.min(WITHOUT_PINGS) };
                backoff.reset();
                alive(&shared, &seen);
                tokio::select! {
                    () = shared.doubt.notified() => limit = DOUBT,
                    () = sleep(pause.mul_f64(1.0 - fastrand::f64() / 5.0)) => {
                        limit = PATIENCE;
                        before = Some(seen);
                    }
                }
            }
            Err(why) => {
                not_alive(&shared, why);
                limit = PATIENCE;
                sleep(backoff.next()).await;
            }
        }
    }
}

/// What the member is, and whether its connection is pinged; `before` is what it was when nothing was wrong with it.
async fn look(client: &Client, before: Option<Seen>, limit: Duration) -> Result<(Seen, bool), Trouble> {
    match timeout(limit, examine(client, before)).await {
        Ok(seen) => seen,
        Err(_) => Err(Trouble::NoAnswer(format!("no answer within {} s", limit.as_secs()))),
    }
}

/// One request after the other: asked at once, they would open a connection each.
async fn examine(client: &Client, before: Option<Seen>) -> Result<(Seen, bool), Trouble> {
    let Ready { pinged, over } = ready(client).await?;
    let is_same = |seen: &Seen| seen.over.is_some() && seen.over == over && seen.since < SAME;
    if let Some(seen) = before.filter(is_same) {
        return Ok((Seen { since: seen.since + 1, ..seen }, pinged));
    }
    let version = client.apiserver_version().await.map_err(|error| trouble(&error))?.git_version;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let system = namespaces.get_metadata("kube-system").await.map_err(|error| match trouble(&error) {
        Trouble::Unauthorized => Trouble::Unauthorized,
        Trouble::NoAnswer(why) => Trouble::NoAnswer(format!("{NO_NAMESPACE}: {why}")),
        Trouble::Forbidden(why) => Trouble::Forbidden(format!("{NO_NAMESPACE}: {why}")),
    })?;
    let uid = system.metadata.uid.unwrap_or_default();
    Ok((Seen { version, uid, over, since: 0 }, pinged))
}

/// Whether the server calls itself ready. One that doesn't tell us (403, 404) has answered all the same.
async fn ready(client: &Client) -> Result<Ready, Trouble> {
    let request = Request::get("/readyz").body(Body::empty());
    let request = request.map_err(|error| Trouble::NoAnswer(error.to_string()))?;
    let response = client.send(request).await.map_err(|error| trouble(&error))?;
    let (status, pinged) = (response.status(), response.version() == Version::HTTP_2);
    let over = response.extensions().get::<Over>().copied();
    // Read to its end: an HTTP/1.1 connection could not be used again otherwise.
    let body =
        response.into_body().collect_bytes().await.map_err(|error| Trouble::NoAnswer(explain(&error)))?;
    if status == StatusCode::UNAUTHORIZED {
        return Err(Trouble::Unauthorized);
    }
    if status.is_server_error() {
        let failed = String::from_utf8_lossy(&body);
        let failed: Vec<&str> = failed.lines().filter_map(|line| line.strip_prefix("[-]")).take(2).collect();
        let what = if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) };
        let why = format!("the server is not ready ({}){what}", status.as_u16());
        return Err(Trouble::NoAnswer(why));
    }
    Ok(Ready { pinged, over })
}

fn alive(shared: &Shared, seen: &Seen) {
    let Seen { version, uid, over: _, since: _ } = seen.clone();
    match shared.liveness() {
        Liveness::Alive { since, version: old_version, uid: old_uid } if old_uid == uid => {
            if old_version != version {
                shared.say(Liveness::Alive { since, version, uid }, false);
            }
        }
        Liveness::Alive { uid: old_uid, .. } => {
            tracing::warn!(%old_uid, %uid, "another cluster answers under the same address");
            shared.forget("another cluster answers under this address; the objects are being listed");
            shared.say(Liveness::Alive { since: shared.clock.now(), version, uid }, true);
        }
        Liveness::Connecting { .. } | Liveness::Unreachable { .. } => {
            tracing::info!(%version, %uid, "member is alive");
            shared.forget("the cluster answers; the objects are being listed");
            shared.say(Liveness::Alive { since: shared.clock.now(), version, uid }, true);
        }
    }
}

fn not_alive(shared: &Shared, why: Trouble) {
    let since = match shared.liveness() {
        // One failure at the start is no verdict: names and routes may be as young as the member.
        Liveness::Connecting { since, why: None } => {
            shared.say(Liveness::Connecting { since, why: Some(why) }, false);
            return;
        }
        Liveness::Unreachable { since, .. } => since,
        Liveness::Connecting { why: Some(_), .. } | Liveness::Alive { .. } => {
            tracing::warn!(%why, "member is unreachable");
            shared.clock.now()
        }
    };
    shared.forget(&format!("the cluster is unreachable: {why}"));
    shared.say(Liveness::Unreachable { since, why }, true);
}
