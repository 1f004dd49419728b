//! What is backed up: namespaces full of small objects of four types.

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use http::{Request, StatusCode};
use k8s_openapi::ByteString;
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use kurator_testkit::wait::until;

use super::BOUND;

/// Beginning of the names of the namespaces that are backed up.
pub(super) const SOURCE: &str = "bench";
/// The types, as path and kind.
const TYPES: [(&str, &str, &str); 4] = [
    ("/api/v1", "configmaps", "ConfigMap"),
    ("/api/v1", "secrets", "Secret"),
    ("/api/v1", "serviceaccounts", "ServiceAccount"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles", "Role"),
];
/// Of eight objects, which is of which type: half are ConfigMaps, a quarter Secrets.
const MIX: [usize; 8] = [0, 1, 0, 2, 0, 1, 0, 3];
/// Bytes of data in a ConfigMap or Secret.
const SIZE: usize = 900;
/// Requests side by side when things are put there or taken away.
const SIDE_BY_SIDE: usize = 16;

/// So many objects in so many namespaces.
#[derive(Clone, Copy)]
pub(super) struct Workload {
    pub(super) objects: usize,
    pub(super) namespaces: usize,
}

impl Workload {
    /// The namespaces whose names begin with `beginning`.
    pub(super) fn namespaces(self, beginning: &str) -> Vec<String> {
        (0..self.namespaces).map(|number| format!("{beginning}-{number:03}")).collect()
    }

    /// The same with so many objects at most.
    pub(super) fn at_most(self, objects: usize) -> Self {
        Self { objects: self.objects.min(objects), ..self }
    }

    /// How many objects are in the first namespace.
    pub(super) fn in_first(self) -> usize {
        self.objects.div_ceil(self.namespaces)
    }

    /// Creates everything, `side_by_side` requests at a time spread over `clients`; how many seconds that took. With a
    /// `restore`, the objects are as a Velero Restore of that name makes them.
    pub(super) async fn create(
        self,
        clients: &[Client],
        side_by_side: usize,
        beginning: &str,
        restore: Option<&str>,
    ) -> Result<f64> {
        let names = self.namespaces(beginning);
        let client = |number: usize| &clients[number % clients.len()];
        let began = Instant::now();
        let made = names.iter().enumerate().map(|(number, name)| {
            let body = labelled(json!({"metadata": {"name": name}}), restore);
            post(client(number), "/api/v1/namespaces".to_owned(), body)
        });
        futures::stream::iter(made).buffer_unordered(side_by_side).try_collect::<()>().await?;
        // Each worker is a task of its own, as the requests of separate callers are.
        let mut workers = JoinSet::new();
        for worker in 0..side_by_side {
            let (client, names, restore) =
                (client(worker).clone(), names.clone(), restore.map(str::to_owned));
            workers.spawn(async move {
                for number in (worker..self.objects).step_by(side_by_side) {
                    let (path, body) = object(number, &names[number % names.len()]);
                    post(&client, path, labelled(body, restore.as_deref())).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(worker) = workers.join_next().await {
            worker.context("a task that creates objects has died")??;
        }
        Ok(began.elapsed().as_secs_f64())
    }

    /// Counts what a Restore of this name made.
    pub(super) async fn restored(client: &Client, restore: &str) -> Result<usize> {
        let mut count = 0;
        for (root, resource, _) in TYPES {
            let mut next = String::new();
            loop {
                let selector = format!("labelSelector=velero.io/restore-name%3D{restore}");
                let path = format!("{root}/{resource}?limit=2000&{selector}&continue={next}");
                let page: Page = get(client, &path).await?;
                count += page.items.len();
                next = page.metadata.next;
                if next.is_empty() {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Takes the namespaces away with everything in them, and waits until they are gone.
    pub(super) async fn delete(self, client: &Client, beginning: &str) -> Result<()> {
        let names = self.namespaces(beginning);
        let collections = names.iter().flat_map(|name| {
            TYPES.iter().map(move |(root, resource, _)| format!("{root}/namespaces/{name}/{resource}"))
        });
        let all = collections.chain(names.iter().map(|name| format!("/api/v1/namespaces/{name}")));
        let all = all.map(|path| async move { delete(client, &path).await });
        futures::stream::iter(all).buffered(SIDE_BY_SIDE).try_collect::<()>().await?;
        let of_these = |page: &Page| {
            let left = page.items.iter().filter_map(|item| item["metadata"]["name"].as_str());
            left.filter(|name| name.starts_with(&format!("{beginning}-"))).count()
        };
        until("the namespaces to be gone", BOUND, async || {
            let page: Page = get(client, "/api/v1/namespaces").await.map_err(|error| format!("{error:#}"))?;
            match of_these(&page) {
                0 => Ok(Some(())),
                left => Err(format!("{left} are left")),
            }
        })
        .await?;
        Ok(())
    }
}

/// Part of the answer to a list request.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMeta,
    items: Vec<Value>,
}

#[derive(Deserialize, Default)]
struct PageMeta {
    #[serde(rename = "continue", default)]
    next: String,
}

/// Path of the collection and body of an object.
fn object(number: usize, namespace: &str) -> (String, Value) {
    let (root, resource, kind) = TYPES[MIX[number / 100 % MIX.len()]];
    let version = root.trim_start_matches("/apis/").trim_start_matches("/api/");
    let mut body = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": format!("object-{number:06}"),
            "namespace": namespace,
            "labels": {"app": "bench", "number": number.to_string()},
        },
    });
    match kind {
        "ConfigMap" => body["data"] = json!({"settings": text(number)}),
        "Secret" => body["data"] = json!({"password": ByteString(text(number).into_bytes())}),
        "Role" => {
            let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]});
            body["rules"] = json!([rule]);
        }
        _ => {}
    }
    (format!("{root}/namespaces/{namespace}/{resource}"), body)
}

/// Something that compresses about as settings do: words in an order of its own.
fn text(number: usize) -> String {
    const WORDS: [&str; 16] = [
        "replica", "timeout", "enabled", "host", "port", "path", "limit", "retry", "cache", "level", "token",
        "queue", "batch", "region", "quota", "mode",
    ];
    let mut state = number as u64;
    let mut text = String::with_capacity(SIZE + 32);
    while text.len() < SIZE {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let word = WORDS[usize::try_from(state >> 60).unwrap_or_default()];
        text.push_str(&format!("{word}={}\n", state >> 40 & 0xffff));
    }
    text
}

fn labelled(mut body: Value, restore: Option<&str>) -> Value {
    if let Some(restore) = restore {
        body["metadata"]["labels"]["velero.io/restore-name"] = restore.into();
        body["metadata"]["labels"]["velero.io/backup-name"] = restore.into();
    }
    body
}

async fn post(client: &Client, path: String, body: Value) -> Result<()> {
    let body = serde_json::to_vec(&body)?;
    let request = Request::post(&path).header(http::header::CONTENT_TYPE, "application/json");
    let answer = client.send(request.body(body.into())?).await.with_context(|| format!("POST {path}"))?;
    let code = answer.status();
    let said = answer.into_body().collect_bytes().await?;
    ensure!(code.is_success(), "POST {path}: {code}: {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// Deletes as often as it takes: a large collection takes longer than a server gives one request.
async fn delete(client: &Client, path: &str) -> Result<()> {
    until(&format!("{path} to be deleted"), BOUND, async || {
        let request = Request::delete(path).body(Vec::new().into()).map_err(|error| error.to_string())?;
        let code = client.send(request).await.map_err(|error| error.to_string())?.status();
        if code.is_success() || matches!(code, StatusCode::NOT_FOUND | StatusCode::CONFLICT) {
            Ok(Some(()))
        } else {
            Err(code.to_string())
        }
    })
    .await?;
    Ok(())
}

async fn get<T: serde::de::DeserializeOwned>(client: &Client, path: &str) -> Result<T> {
    client.request(Request::get(path).body(Vec::new())?).await.with_context(|| format!("GET {path}"))
}
