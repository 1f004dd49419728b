//! Lets nothing but reads through while somebody else leads.
//!
//! The gate is a layer of the client itself, so that no controller can forget it. It looks at the claim at the
//! moment a request is handed to the connection, and it compares a monotonic deadline rather than a flag: a
//! process that was stopped and goes on after its lease has run out finds the gate shut before any task had a
//! chance to notice.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use futures::future::{Either, Ready, ready};
use http::{Method, Request, header};
use tokio::sync::watch;
use tower::{BoxError, Layer, Service};

use crate::lease::Claim;

/// Asked about one write at the moment it would be sent: go, or the reason why not.
type MayWrite = dyn Fn() -> Result<(), String> + Send + Sync;

/// Whether requests that change something may be sent. Cheap to clone.
#[derive(Clone)]
pub struct WriteGate(Arc<MayWrite>);

impl WriteGate {
    /// A gate that is always open: for tests, for processes that have no rivals, and for the elector's own
    /// client, which must write before it leads.
    #[must_use]
    pub fn open() -> Self {
        Self::asking(|| Ok(()))
    }

    /// A gate that is open while `claim` is held.
    #[must_use]
    pub fn new(claim: watch::Receiver<Claim>) -> Self {
        Self::asking(move || led_by(&claim.borrow()))
    }

    /// A gate that asks `may_write` once for each write, which passes or is refused with the reason given: a
    /// limit on the number of writes, say, after which a process is as good as dead.
    #[must_use]
    pub fn asking(may_write: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(may_write))
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), GateClosed> {
        // A command in a pod begins with a GET.
        let upgrades = request.headers().contains_key(header::UPGRADE);
        if matches!(*request.method(), Method::GET | Method::HEAD) && !upgrades {
            return Ok(());
        }
        (self.0)().map_err(|why| GateClosed {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            why,
        })
    }
}

impl fmt::Debug for WriteGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteGate").finish_non_exhaustive()
    }
}

/// Whether this process leads, or who does instead.
fn led_by(claim: &Claim) -> Result<(), String> {
    match claim {
        claim if claim.is_held() => Ok(()),
        Claim::Held { .. } => Err("the lease was not renewed in time".to_owned()),
        Claim::Waiting { holder: Some(holder) } => Err(format!("`{holder}` leads")),
        Claim::Waiting { holder: None } => Err("nobody leads yet".to_owned()),
        Claim::Lost => Err("leadership was lost".to_owned()),
    }
}

/// A write that was not sent because this process does not lead.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{method} {path} was not sent: {why}; it is repeated by whoever leads")]
pub struct GateClosed {
    /// The method that was refused.
    pub method: Method,
    /// The path that it was for, without host and query.
    pub path: String,
    /// Who leads instead, or why this process no longer does.
    pub why: String,
}

impl GateClosed {
    /// The refusal behind an error of a gated client, if that is what it was.
    #[must_use]
    pub fn behind(error: &kube::Error) -> Option<&Self> {
        match error {
            kube::Error::Service(source) => source.downcast_ref(),
            _ => None,
        }
    }
}

impl<S> Layer<S> for WriteGate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// A client's service behind a [`WriteGate`].
#[derive(Clone, Debug)]
pub struct Gated<S> {
    gate: WriteGate,
    inner: S,
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Error = BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Either<S::Future, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.gate.check(&request) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(closed) => Either::Right(ready(Err(closed.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        time::Duration,
    };

    use http::Response;
    use kube::client::Body;
    use tokio::time::{Instant, advance};
    use tower::service_fn;

    use super::*;

    /// A client whose server answers everything with an empty 200.
    fn client(gate: &WriteGate) -> kube::Client {
        let server =
            service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
        let server = tower::ServiceExt::map_err(server, BoxError::from);
        kube::Client::new(gate.layer(server), "default")
    }

    async fn send(client: &kube::Client, method: Method) -> kube::Result<()> {
        let request = Request::builder().method(method).uri("/api/v1/secrets?fieldManager=x");
        client.send(request.body(Body::empty()).unwrap()).await.map(drop)
    }

    const WRITES: [Method; 4] = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

    #[tokio::test]
    async fn an_open_gate_lets_everything_through() {
        let client = client(&WriteGate::open());
        for method in WRITES {
            send(&client, method).await.unwrap();
        }
    }

    #[tokio::test]
    async fn reads_pass_and_writes_fail_while_another_leads() {
        let (_claim, watched) = watch::channel(Claim::Waiting { holder: Some("other".to_owned()) });
        let client = client(&WriteGate::new(watched));
        send(&client, Method::GET).await.unwrap();
        send(&client, Method::HEAD).await.unwrap();
        for method in WRITES {
            let error = send(&client, method.clone()).await.unwrap_err();
            let closed = GateClosed::behind(&error).unwrap();
            assert_eq!((&closed.method, closed.path.as_str()), (&method, "/api/v1/secrets"));
            assert!(closed.to_string().contains("`other` leads"), "{closed}");
        }
    }

    #[tokio::test]
    async fn a_command_in_a_pod_is_a_write_although_it_is_a_get() {
        let (_claim, watched) = watch::channel(Claim::Lost);
        let request = Request::get("/api/v1/namespaces/a/pods/b/exec").header("upgrade", "websocket");
        let error = client(&WriteGate::new(watched)).send(request.body(Body::empty()).unwrap()).await;
        assert!(GateClosed::behind(&error.unwrap_err()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_claim_that_was_not_renewed_closes_the_gate_though_nobody_says_so() {
        let until = Instant::now() + Duration::from_secs(10);
        let (_claim, watched) = watch::channel(Claim::Held { until });
        let client = client(&WriteGate::new(watched));
        send(&client, Method::POST).await.unwrap();
        advance(Duration::from_secs(10)).await;
        let error = send(&client, Method::POST).await.unwrap_err();
        assert!(GateClosed::behind(&error).is_some(), "{error}");
        send(&client, Method::GET).await.unwrap();
    }

    #[tokio::test]
    async fn the_gate_follows_the_claim_and_stays_shut_when_its_task_is_gone() {
        let (claim, watched) = watch::channel(Claim::Waiting { holder: None });
        let client = client(&WriteGate::new(watched));
        assert!(send(&client, Method::POST).await.is_err());
        claim.send_replace(Claim::Held { until: Instant::now() + Duration::from_secs(600) });
        send(&client, Method::POST).await.unwrap();
        claim.send_replace(Claim::Lost);
        drop(claim);
        assert!(send(&client, Method::POST).await.is_err());
    }

    #[tokio::test]
    async fn a_gate_that_counts_lets_so_many_writes_pass_over_all_clients_and_reads_uncounted() {
        let left = AtomicUsize::new(2);
        let take = move || left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        let gate = WriteGate::asking(move || take().map(drop).map_err(|_| "none is left".to_owned()));
        let (one, other) = (client(&gate), client(&gate));
        for _ in 0..3 {
            send(&one, Method::GET).await.unwrap();
        }
        send(&one, Method::POST).await.unwrap();
        send(&other, Method::PATCH).await.unwrap();
        let error = send(&one, Method::POST).await.unwrap_err();
        assert_eq!(GateClosed::behind(&error).unwrap().why, "none is left");
    }
}
