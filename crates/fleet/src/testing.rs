//! All that the controllers share, with a stand-in for the hub's API server and for those of members.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::fleet::{Engine, Installer};
use kurator_member::clock::SystemClock;
use kurator_member::gate::WriteGate;
use kurator_member::kubeconfig::TrustPolicy;
use kurator_member::member::{Member, MemberOptions};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::assemble::{Caches, Setup, assemble};
use crate::ctx::{Ctx, Options};
use crate::metrics::Metrics;

/// What a request is answered with: a status code, and the object or the reason of a refusal.
pub(crate) type Answer = (u16, Value);

/// A client of a server that answers so, by method and path. Watches stay quiet.
pub(crate) fn answering(answer: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> Client {
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = Arc::clone(&answer);
        async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=")) {
                return pending().await;
            }
            let (code, said) = answer(request.method().as_str(), request.uri().path());
            let body = match code {
                200..=299 => said,
                _ => {
                    json!({"kind": "Status", "status": "Failure", "code": code, "reason": said, "message": said})
                }
            };
            let mut response = Response::new(Body::from(body.to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
            Ok::<_, Infallible>(response)
        }
    });
    Client::new(service, "default")
}

/// A server that has nothing and does nothing.
pub(crate) fn nobody() -> Client {
    answering(|_, _| (404, json!("NotFound")))
}

/// For a hub behind `client`, of which nothing is known but what is put into the caches.
pub(crate) fn ctx(client: Client) -> (Arc<Ctx>, Caches) {
    let setup = Setup {
        client,
        gate: WriteGate::open(),
        clock: Arc::new(SystemClock),
        metrics: Metrics::register(&mut Registry::default()),
        options: Options {
            default_engine: Engine::Velero,
            default_installer: Installer::None,
            trust: TrustPolicy::default(),
            concurrency: 1,
        },
        connect: Arc::new(kurator_member::connect::Network),
        stores: Arc::new(kurator_store::Network::default()),
        served: watch::Sender::default(),
        shutdown: CancellationToken::new(),
    };
    assemble(setup, "hub-uid".to_owned())
}

pub(crate) fn cluster() -> ClusterKey {
    ClusterKey { namespace: "default".to_owned(), kind: ClusterKind::AttachedCluster, name: "m1".to_owned() }
}

/// A member that has these Velero Backups and nothing else, once that is known.
pub(crate) async fn member_with(backups: Vec<Value>) -> Arc<Member> {
    let client = answering(move |_, path| {
        let found = match path.rsplit('/').next() {
            Some("readyz") => json!("ok"),
            Some("version") => json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            }),
            Some("kube-system") => json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": {"name": "kube-system", "uid": "cluster-uid"},
            }),
            last => {
                let items = if last == Some("backups") { backups.as_slice() } else { &[] };
                json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
            }
        };
        (200, found)
    });
    let news = Arc::new(Notify::new());
    let told = Arc::clone(&news);
    let on_change = Arc::new(move |_| told.notify_one());
    let member = Member::spawn(cluster(), client, MemberOptions::default(), on_change);
    while member.backups().list().is_unknown() || member.restores().list().is_unknown() {
        news.notified().await;
    }
    member
}
