//! The elector against a stand-in for the server: one Lease, refused if it was changed meanwhile.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::*;

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    lease: Option<Value>,
    version: u64,
    writes: u32,
    /// Answers nothing any more.
    hangs: bool,
}

impl Server {
    fn client(&self) -> Client {
        let server = self.clone();
        Client::new(
            service_fn(move |request: Request<Body>| {
                let server = server.clone();
                async move {
                    if server.0.lock().unwrap().hangs {
                        std::future::pending::<()>().await;
                    }
                    let (head, body) = request.into_parts();
                    let body = body.collect_bytes().await.unwrap();
                    let (code, answer) = server.answer(&head.method, serde_json::from_slice(&body).ok());
                    let answer = axum::body::Body::from(answer.to_string());
                    Ok::<_, Infallible>(Response::builder().status(code).body(answer).unwrap())
                }
            }),
            "default",
        )
    }

    fn answer(&self, method: &Method, sent: Option<Value>) -> (u16, Value) {
        let refuse = |code: u16, reason: &str| {
            (
                code,
                json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}),
            )
        };
        let mut stored = self.0.lock().unwrap();
        match (method, sent, &stored.lease) {
            (&Method::GET, _, Some(lease)) => (200, lease.clone()),
            (&Method::GET, _, None) => refuse(404, "NotFound"),
            (&Method::POST, Some(_), Some(_)) => refuse(409, "AlreadyExists"),
            (&Method::POST, Some(lease), None) => (201, stored.store(lease)),
            (&Method::PUT, Some(lease), Some(old))
                if lease["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"] =>
            {
                (200, stored.store(lease))
            }
            (&Method::PUT, Some(_), _) => refuse(409, "Conflict"),
            _ => refuse(405, "MethodNotAllowed"),
        }
    }

    fn holder(&self) -> Option<String> {
        let stored = self.0.lock().unwrap();
        stored.lease.as_ref()?["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    fn hang(&self) {
        self.0.lock().unwrap().hangs = true;
    }
}

impl Stored {
    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        self.writes += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }
}

fn run(server: &Server, identity: &str) -> (watch::Receiver<Claim>, CancellationToken) {
    let stop = CancellationToken::new();
    let config = LeaseConfig::new("kurator-system", "kurator", identity);
    (elect(server.client(), config, stop.clone()), stop)
}

/// Virtual time: generous, and over at once if nothing happens any more.
const SOON: Duration = Duration::from_secs(60);

async fn held(claim: &mut watch::Receiver<Claim>) {
    timeout(SOON, claim.wait_for(Claim::is_held)).await.expect("never held").unwrap();
}

async fn lost(claim: &mut watch::Receiver<Claim>) {
    timeout(SOON, claim.wait_for(|claim| *claim == Claim::Lost)).await.expect("never lost").unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_two_one_leads_and_the_other_knows_who() {
    let server = Server::default();
    let (mut a, _stop_a) = run(&server, "a");
    held(&mut a).await;
    let (mut b, _stop_b) = run(&server, "b");
    let waiting = Claim::Waiting { holder: Some("a".to_owned()) };
    timeout(SOON, b.wait_for(|claim| *claim == waiting)).await.unwrap().unwrap();

    // A hundred renewals, in virtual time.
    let writes = server.0.lock().unwrap().writes;
    while server.0.lock().unwrap().writes < writes + 100 {
        timeout(SOON, a.changed()).await.expect("no renewal").unwrap();
        assert!(a.borrow().is_held() && !b.borrow().is_held());
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_that_start_at_once_exactly_one_leads() {
    let server = Server::default();
    let mut all: Vec<_> = (0..20).map(|n| run(&server, &format!("p{n}"))).collect();
    timeout(SOON, async {
        // Far enough that everybody had its turn.
        while server.0.lock().unwrap().writes < 20 {
            let leaders = all.iter().filter(|(claim, _)| claim.borrow().is_held()).count();
            assert!(leaders <= 1, "{leaders} leaders");
            futures::future::select_all(all.iter_mut().map(|(claim, _)| Box::pin(claim.changed())))
                .await
                .0
                .unwrap();
        }
    })
    .await
    .unwrap();
    let leader = server.holder().unwrap();
    let number: usize = leader.trim_start_matches('p').parse().unwrap();
    held(&mut all[number].0).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_leader_hands_the_lease_back_and_a_rival_leads_within_a_look() {
    let server = Server::default();
    let (mut a, stop) = run(&server, "a");
    held(&mut a).await;
    let (mut b, _stop_b) = run(&server, "b");
    timeout(SOON, b.changed()).await.unwrap().unwrap();

    let start = Instant::now();
    stop.cancel();
    lost(&mut a).await;
    // The channel closes when the task has ended.
    timeout(SOON, async { while a.changed().await.is_ok() {} }).await.unwrap();
    assert_ne!(server.holder().as_deref(), Some("a"));
    held(&mut b).await;
    assert!(start.elapsed() <= Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_died_is_followed_after_its_duration() {
    let server = Server::default();
    let dead = json!({"metadata": {"name": "kurator", "resourceVersion": "0"},
        // A clock that is a century ahead must not matter.
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 15, "renewTime": "2126-01-01T00:00:00.000000Z"}});
    server.0.lock().unwrap().lease = Some(dead);
    let start = Instant::now();
    let (mut b, _stop) = run(&server, "b");
    held(&mut b).await;
    let took = start.elapsed();
    assert!((Duration::from_secs(15)..Duration::from_secs(18)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_server_hangs_stops_claiming_before_a_rival_may_lead() {
    let server = Server::default();
    let (mut a, _stop) = run(&server, "a");
    held(&mut a).await;
    server.hang();
    let start = Instant::now();
    let Claim::Held { until } = *a.borrow() else { panic!("not held") };
    // Rivals wait for 15 s from the last write at the earliest, and nothing was written since.
    assert!(until <= start + Duration::from_secs(10), "{:?}", until - start);
    tokio::time::sleep_until(until).await;
    assert!(!a.borrow().is_held());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_sees_another_holder_is_lost_for_good() {
    let server = Server::default();
    let (mut a, _stop) = run(&server, "a");
    held(&mut a).await;
    {
        let mut stored = server.0.lock().unwrap();
        let mut lease = stored.lease.clone().unwrap();
        lease["spec"]["holderIdentity"] = json!("thief");
        stored.store(lease);
    }
    lost(&mut a).await;
    timeout(SOON, async { while a.changed().await.is_ok() {} }).await.unwrap();
    assert_eq!(server.holder().as_deref(), Some("thief"));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_never_led_writes_nothing_when_it_ends() {
    let server = Server::default();
    let (mut a, _stop_a) = run(&server, "a");
    held(&mut a).await;
    server.hang();
    let writes = server.0.lock().unwrap().writes;
    let (mut b, stop_b) = run(&server, "b");
    stop_b.cancel();
    lost(&mut b).await;
    assert_eq!(server.0.lock().unwrap().writes, writes);
}
