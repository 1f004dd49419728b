//! What the built-in engine survives: an API server and a store that refuse, stall, break off and restart, objects that
//! change under it, its own death before any write, and a second engine.
//!
//! Member 1 has an engine behind proxies for all tests; to member 2 each test brings engines of its own.

mod api;
mod changes;
mod clocks;
mod crash;
mod lease;
mod midway;
mod own;
mod places;
mod refusals;
#[path = "../engine/scene.rs"]
mod scene;
mod store;

use std::{
    io::Read as _,
    path::PathBuf,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

use anyhow::Context as _;
use flate2::read::MultiGzDecoder;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::{Method, request::Parts};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use kurator_api::velero::{Backup, BackupStorageLocation, Restore};
use kurator_testkit::{
    Cluster, Guest, Lab, LabSpec, Proxy,
    fixtures::{Object, json_of, object, velero as in_member},
};
use scene::{LOCATION, PREFIX, location, of, start_by};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

fn lab() -> anyhow::Result<&'static Lab> {
    Ok(Lab::shared(LabSpec { members: 2, velero: true, s3: true })?)
}

/// Member 1, its engine, and what is between them.
struct Stage {
    lab: &'static Lab,
    /// Between the engine and the API server.
    api: Proxy,
    /// Between the engine and the store.
    store: Proxy,
    log: PathBuf,
    _engine: Guest,
}

impl Stage {
    fn set() -> anyhow::Result<Self> {
        let lab = lab()?;
        let member = lab.member(1);
        member.stop_velero()?;
        lab.run(async {
            let (api, store) = (Proxy::to_api(member)?, Proxy::to_store()?);
            location(member, &store.url()).await?;
            let log = lab.dir().join("engine.log");
            let engine = start_by(lab, &api.kubeconfig(member, lab.dir())?, &log)?;
            Ok(Self { lab, api, store, log, _engine: engine })
        })
    }

    fn member(&self) -> &Cluster {
        self.lab.member(1)
    }

    /// Runs a Backup to its end.
    async fn back_up(&self, name: &str, spec: Value, phase: &str) -> anyhow::Result<Value> {
        self.run::<Backup>(name, spec, phase, &format!("{PREFIX}/backups/{name}/{name}-results.gz")).await
    }

    /// Runs a Restore to its end.
    async fn restore(&self, name: &str, spec: Value, phase: &str) -> anyhow::Result<Value> {
        let results = format!("{PREFIX}/restores/{name}/restore-{name}-results.gz");
        self.run::<Restore>(name, spec, phase, &results).await
    }

    /// The object's status when it ended, with the `results` that are stored of it.
    async fn run<K: Object>(
        &self,
        name: &str,
        spec: Value,
        phase: &str,
        results: &str,
    ) -> anyhow::Result<Value> {
        let shelf = in_member::<K>(self.member())?;
        shelf.create(&object::<K>(name, spec)?).await?;
        self.ended::<K>(name, phase, results).await
    }

    /// As [`Stage::run`], of what was created already.
    async fn ended<K: Object>(&self, name: &str, phase: &str, results: &str) -> anyhow::Result<Value> {
        let shelf = in_member::<K>(self.member())?;
        let has_ended = |object: &K| !json_of(object)["status"]["completionTimestamp"].is_null();
        let mut status = json_of(&shelf.until(name, "its end", has_ended).await?)["status"].clone();
        if let Some(packed) = self.lab.s3().get(results).await? {
            status["results"] = serde_json::from_str(&unpacked(&packed)?)?;
        }
        assert_eq!(status["phase"], phase, "{name}: {status}");
        Ok(status)
    }

    /// Runs a Backup and a Restore of it into a namespace of its own, both without any warning, and sees that all
    /// its ConfigMaps are there again.
    async fn goes_round(&self, namespace: &str, name: &str) -> Outcome {
        let backup = self.back_up(name, of(namespace), "Completed").await?;
        assert_eq!(backup["errors"], Value::Null, "{backup}");
        let copy = format!("{name}-copy");
        let spec = json!({"backupName": name, "namespaceMapping": {namespace: copy}});
        let restore = self.restore(name, spec, "Completed").await?;
        assert_eq!((&restore["errors"], &restore["warnings"]), (&Value::Null, &Value::Null), "{restore}");
        assert_eq!(contents(self.member(), &copy).await?, contents(self.member(), namespace).await?);
        Ok(())
    }
}

/// Runs a test on member 1, one at a time.
fn on_stage(test: impl AsyncFnOnce(&Stage) -> Outcome) -> Outcome {
    static STAGE: OnceLock<Result<Mutex<Stage>, String>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Stage::set().map(Mutex::new).map_err(|error| format!("{error:#}")));
    let stage = stage.as_ref().map_err(|error| anyhow::anyhow!("the stage is not set: {error}"))?;
    let stage: MutexGuard<'_, Stage> = stage.lock().unwrap_or_else(PoisonError::into_inner);
    stage.lab.run(async {
        stage.api.pass();
        stage.store.pass();
        in_member::<BackupStorageLocation>(stage.member())?.until_phase(LOCATION, "Available").await?;
        let tested = test(&stage).await;
        stage.api.pass();
        stage.store.pass();
        tested
    })
}

/// Whether a request sends something by this method to a path that ends so.
fn sends(request: &Parts, method: &Method, end: &str) -> bool {
    request.method == *method && request.uri.path().ends_with(end)
}

/// Makes a namespace with so many ConfigMaps, each with so many bytes that cannot be compressed.
async fn fill(member: &Cluster, namespace: &str, maps: usize, bytes: usize) -> Outcome {
    let client = member.client()?;
    let made: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &made).await?;
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    stream::iter(0..maps)
        .map(|i| {
            let api = api.clone();
            async move {
                let mut map: ConfigMap = serde_json::from_value(
                    json!({"metadata": {"name": map_name(i)}, "data": {"i": i.to_string()}}),
                )?;
                let noise: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
                map.binary_data = Some([("noise".to_owned(), k8s_openapi::ByteString(noise))].into());
                api.create(&PostParams::default(), &map).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(16)
        .try_collect()
        .await
}

fn map_name(i: usize) -> String {
    format!("map-{i:04}")
}

/// Names and contents of the ConfigMaps in a namespace, but for the one that Kubernetes makes.
async fn contents(member: &Cluster, namespace: &str) -> anyhow::Result<Vec<(Option<String>, Value)>> {
    let maps = Api::<ConfigMap>::namespaced(member.client()?, namespace);
    let maps = maps.list(&ListParams::default()).await?.items.into_iter();
    let maps = maps.filter(|map| map.metadata.name.as_deref() != Some("kube-root-ca.crt"));
    Ok(maps.map(|map| (map.metadata.name.clone(), json!([map.data, map.binary_data]))).collect())
}

/// The text in a gzip file.
fn unpacked(packed: &[u8]) -> anyhow::Result<String> {
    let mut text = String::new();
    MultiGzDecoder::new(packed).read_to_string(&mut text).context("cannot unpack")?;
    Ok(text)
}
