//! A stand-in for a cluster: keeps objects by path, and does not answer what the test wants unanswered.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::testing::{ok, status};

/// Whether a request is treated otherwise than the rest, by its method, path and body.
type Chosen = dyn Fn(&Method, &str, &Value) -> bool + Send + Sync;

#[derive(Clone)]
pub(super) struct Cluster(Arc<State>);

struct State {
    objects: Mutex<BTreeMap<String, Value>>,
    hangs: Box<Chosen>,
    refuses: Box<Chosen>,
    /// Requests without an answer.
    hung: watch::Sender<usize>,
    /// Counts the writes.
    written: watch::Sender<u64>,
}

impl Cluster {
    pub(super) fn new(
        objects: impl IntoIterator<Item = (impl Into<String>, Value)>,
        hangs: impl Fn(&Method, &str, &Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let objects = objects.into_iter().map(|(path, object)| (path.into(), object)).collect();
        Self(Arc::new(State {
            objects: Mutex::new(objects),
            hangs: Box::new(hangs),
            refuses: Box::new(|_, _, _| false),
            hung: watch::Sender::new(0),
            written: watch::Sender::new(0),
        }))
    }

    /// One that forbids some requests.
    pub(super) fn refusing(
        objects: impl IntoIterator<Item = (impl Into<String>, Value)>,
        refuses: impl Fn(&Method, &str, &Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let mut cluster = Self::new(objects, |_, _, _| false);
        Arc::get_mut(&mut cluster.0).unwrap().refuses = Box::new(refuses);
        cluster
    }

    pub(super) fn client(&self) -> Client {
        let cluster = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let cluster = cluster.clone();
            async move { Ok::<_, Infallible>(cluster.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// What is at `path` now.
    pub(super) fn object(&self, path: &str) -> Value {
        self.0.objects.lock().unwrap().get(path).cloned().unwrap_or_default()
    }

    /// Puts something else at `path`, or takes away what is there.
    pub(super) fn replace(&self, path: &str, by: Option<Value>) {
        let mut objects = self.0.objects.lock().unwrap();
        match by {
            Some(by) => drop(objects.insert(path.to_owned(), by)),
            None => drop(objects.remove(path)),
        }
    }

    /// Waits until what is at `path` is as wanted.
    pub(super) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) {
        let mut written = self.0.written.subscribe();
        while !holds(&self.object(path)) {
            written.changed().await.unwrap();
        }
    }

    /// How many requests are left without an answer.
    pub(super) fn hung(&self) -> usize {
        *self.0.hung.borrow()
    }

    /// Waits until a request is left without an answer.
    pub(super) async fn until_hung(&self) {
        self.0.hung.subscribe().wait_for(|hung| *hung > 0).await.unwrap();
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = parts.uri.path();
        if (self.0.hangs)(&parts.method, path, &body) {
            self.0.hung.send_modify(|hung| *hung += 1);
            return pending().await;
        }
        if (self.0.refuses)(&parts.method, path, &body) {
            return status(403, "Forbidden", "not you");
        }
        // Nothing changes but by those who are tested, and they know what they do.
        if parts.uri.query().is_some_and(|query| query.contains("watch=")) {
            return pending().await;
        }
        match (parts.method, path) {
            (Method::GET, "/readyz") => ok("ok"),
            (Method::GET, "/version") => ok(json!({
                "major": "1", "minor": "36", "gitVersion": "v1.36.3", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
            })
            .to_string()),
            (Method::GET, "/api") => ok(discovery()),
            (Method::GET, "/apis") => ok(json!({"items": []}).to_string()),
            (Method::GET, path) => self.get(path),
            (Method::POST, path) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                self.write(&format!("{path}/{name}"), |object| *object = body.clone())
            }
            (Method::PATCH, path) => {
                let (sent, there) = (&body["metadata"]["uid"], self.object(path));
                match sent.is_null() || *sent == there["metadata"]["uid"] {
                    _ if there.is_null() => status(404, "NotFound", "not found"),
                    false => status(409, "Conflict", "another UID"),
                    true => self.write(path, |object| merge(object, &body)),
                }
            }
            (Method::PUT, path) => self.write(path, |object| *object = body),
            (_, path) => {
                self.0.objects.lock().unwrap().remove(path);
                ok("{}")
            }
        }
    }

    fn get(&self, path: &str) -> Response<Body> {
        let objects = self.0.objects.lock().unwrap();
        if let Some(object) = objects.get(path) {
            return ok(object.to_string());
        }
        let last = path.rsplit('/').next().unwrap_or_default();
        if !last.ends_with('s') || last == "volumesnapshotlocations" {
            return status(404, "NotFound", "not found");
        }
        let below = format!("{path}/");
        let items =
            objects.iter().filter(|(at, _)| at.strip_prefix(&below).is_some_and(|name| !name.contains('/')));
        let items: Vec<_> = items.map(|(_, object)| object).collect();
        ok(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items})
            .to_string())
    }

    fn write(&self, path: &str, change: impl FnOnce(&mut Value)) -> Response<Body> {
        let object = {
            let mut objects = self.0.objects.lock().unwrap();
            let object = objects.entry(path.to_owned()).or_default();
            change(object);
            object["metadata"]["resourceVersion"] = json!("2");
            object.to_string()
        };
        self.0.written.send_modify(|written| *written += 1);
        ok(object)
    }
}

/// A JSON merge patch.
fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    for (field, value) in patch {
        match value {
            Value::Null => drop(object.as_object_mut().unwrap().remove(field)),
            value => merge(&mut object[field], value),
        }
    }
}

/// A cluster that serves pods and nothing else that is backed up.
fn discovery() -> String {
    let pods = json!({
        "resource": "pods", "responseKind": {"group": "", "version": "v1", "kind": "Pod"}, "scope": "Namespaced",
        "singularResource": "pod", "verbs": ["create", "delete", "get", "list"],
    });
    let version = json!({"version": "v1", "freshness": "Current", "resources": [pods]});
    json!({"items": [{"metadata": {"name": ""}, "versions": [version]}]}).to_string()
}
