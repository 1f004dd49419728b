//! A stand-in for a member's API server: enough to be probed, listed and watched, and to fail in every way.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::body::Body as Answer;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tower::{BoxError, service_fn};

use crate::connect::Over;

/// What happens to requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Answers,
    /// Nobody listens; open watches are reset.
    Refuses,
    /// Requests and watches are kept open and nothing comes.
    Hangs,
    RefusesCredentials,
}

#[derive(Clone)]
pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    mode: watch::Sender<Mode>,
    /// Paths that were asked for, apart from those of lists and watches.
    asked: watch::Sender<Vec<String>>,
}

struct State {
    uid: String,
    velero: bool,
    secrets: bool,
    version: u64,
    backups: BTreeMap<String, u64>,
    watches: Vec<mpsc::UnboundedSender<io::Result<Bytes>>>,
    /// Port of the connection that answers come over; none tells that of itself.
    connection: Option<u16>,
}

impl Cluster {
    pub(super) fn new() -> Self {
        let state = State {
            uid: "cluster-1".to_owned(),
            velero: true,
            secrets: true,
            version: 1,
            backups: BTreeMap::new(),
            watches: Vec::new(),
            connection: None,
        };
        let (mode, asked) = (watch::Sender::new(Mode::Answers), watch::Sender::default());
        Self { state: Arc::new(Mutex::new(state)), mode, asked }
    }

    pub(super) fn client(&self) -> Client {
        let cluster = self.clone();
        Client::new(
            service_fn(move |request: Request<Body>| {
                let cluster = cluster.clone();
                async move {
                    let uri = request.uri();
                    let mut answer = cluster.serve(uri.path(), uri.query().unwrap_or_default()).await;
                    if let (Ok(answer), Some(over)) = (&mut answer, cluster.over()) {
                        answer.extensions_mut().insert(over);
                    }
                    answer
                }
            }),
            "default",
        )
    }

    async fn serve(&self, path: &str, query: &str) -> Result<Response<Answer>, BoxError> {
        let mode = *self.mode.subscribe().wait_for(|mode| *mode != Mode::Hangs).await?;
        match mode {
            Mode::Refuses => return Err(io::Error::other("connection refused by the stand-in").into()),
            Mode::RefusesCredentials => return Ok(failure(401, "Unauthorized")),
            Mode::Answers | Mode::Hangs => {}
        }
        let mut state = self.state.lock().unwrap();
        let version = state.version.to_string();
        let (group, plural) = match path.rsplit_once('/') {
            Some((group, plural)) if group.ends_with("/namespaces/velero") => (group, plural),
            _ => {
                self.asked.send_modify(|asked| asked.push(path.to_owned()));
                return Ok(match path {
                    "/readyz" => ok(&json!("ok")),
                    "/version" => {
                        ok(&json!({"major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "",
                        "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}))
                    }
                    "/api/v1/namespaces/kube-system" => ok(&json!({
                        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                        "metadata": {"name": "kube-system", "uid": state.uid}})),
                    _ => failure(404, "NotFound"),
                });
            }
        };
        let secrets = plural == "secrets";
        if secrets && !state.secrets {
            return Ok(failure(403, "Forbidden"));
        }
        if !secrets && (!state.velero || group != "/apis/velero.io/v1/namespaces/velero") {
            return Ok(failure(404, "NotFound"));
        }
        if query.contains("watch=true") {
            let (sender, receiver) = mpsc::unbounded_channel();
            if plural == "backups" {
                state.watches.push(sender);
                return Ok(Response::new(Answer::from_stream(lines(receiver))));
            }
            // Watches of other kinds are as quiet as their kinds; they end with the mode alone.
            let mut mode = self.mode.subscribe();
            let end = async move {
                let _ = mode.wait_for(|mode| *mode == Mode::Refuses).await;
                drop(sender);
                Err::<Bytes, _>(io::Error::other("reset by the stand-in"))
            };
            return Ok(Response::new(Answer::from_stream(stream::once(end))));
        }
        let items: Vec<Value> = match plural {
            "backups" => {
                state.backups.iter().map(|(name, version)| backup(&state.uid, name, *version)).collect()
            }
            _ => Vec::new(),
        };
        Ok(ok(
            &json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        ))
    }

    fn over(&self) -> Option<Over> {
        let port = self.state.lock().unwrap().connection?;
        let [local, remote] = [port, 443].map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        Some(Over { local, remote })
    }

    /// From now on all answers come over the connection from this port; watches that are open stay.
    pub(super) fn answer_over(&self, port: u16) {
        self.state.lock().unwrap().connection = Some(port);
    }

    /// How often this path was asked for.
    pub(super) fn asked(&self, path: &str) -> usize {
        count(&self.asked.borrow(), path)
    }

    /// Waits until this path was asked for so often.
    pub(super) async fn until_asked(&self, path: &str, times: usize) {
        self.asked.subscribe().wait_for(|asked| count(asked, path) >= times).await.unwrap();
    }

    pub(super) fn set(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        if matches!(mode, Mode::Refuses | Mode::RefusesCredentials) {
            for watch in state.watches.drain(..) {
                let _ = watch.send(Err(io::Error::other("reset by the stand-in")));
            }
        }
        drop(state);
        self.mode.send_replace(mode);
    }

    pub(super) fn serve_velero(&self, served: bool) {
        self.state.lock().unwrap().velero = served;
    }

    pub(super) fn forbid_secrets(&self) {
        self.state.lock().unwrap().secrets = false;
    }

    pub(super) fn put(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        let version = state.version;
        let kind =
            if state.backups.insert(name.to_owned(), version).is_some() { "MODIFIED" } else { "ADDED" };
        let object = backup(&state.uid, name, version);
        state.send(&json!({"type": kind, "object": object}));
    }

    pub(super) fn delete(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        state.backups.remove(name);
        let object = backup(&state.uid, name, state.version);
        state.send(&json!({"type": "DELETED", "object": object}));
    }

    /// Deletes an object of which the watches hear only that they came too late.
    pub(super) fn compact_away(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        state.backups.remove(name);
        state.send(&json!({"type": "ERROR", "object": {
            "kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"}}));
        state.watches.clear();
    }

    /// Another, empty cluster answers from now on; open watches just go quiet.
    pub(super) fn become_another(&self, uid: &str) {
        let mut state = self.state.lock().unwrap();
        uid.clone_into(&mut state.uid);
        state.backups.clear();
    }
}

impl State {
    fn send(&mut self, event: &Value) {
        let line = Bytes::from(format!("{event}\n"));
        self.watches.retain(|watch| watch.send(Ok(line.clone())).is_ok());
    }
}

fn count(asked: &[String], path: &str) -> usize {
    asked.iter().filter(|asked| *asked == path).count()
}

fn lines(
    receiver: mpsc::UnboundedReceiver<io::Result<Bytes>>,
) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|line| (line, receiver)) })
        .fuse()
}

fn backup(uid: &str, name: &str, version: u64) -> Value {
    json!({"apiVersion": "velero.io/v1", "kind": "Backup", "spec": {}, "metadata": {
        "name": name, "namespace": "velero", "uid": format!("{uid}-{name}"), "resourceVersion": version.to_string()}})
}

fn ok(body: &Value) -> Response<Answer> {
    Response::new(Answer::from(body.to_string()))
}

fn failure(code: u16, reason: &str) -> Response<Answer> {
    let status =
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason});
    Response::builder().status(code).body(Answer::from(status.to_string())).unwrap()
}
