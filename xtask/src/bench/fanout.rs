//! Fan-out: many AttachedClusters that share one real API server, and an actor in Velero's place that
//! completes each Velero Backup one second after it appears. What is measured is the hub alone.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kurator_api::backup::{Backup, BackupSpec, Destination};
use kurator_api::cluster::{
    AttachedCluster, AttachedClusterSpec, ClusterKind, ClusterReference, SecretKeyRef,
};
use kurator_api::fleet::{Fleet, FleetPhase, FleetSpec};
use kurator_api::{names, velero};
use kurator_testkit::wait::until;
use kurator_testkit::{Lab, LabSpec, Serving};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::{Percentiles, follow, machine, publish};

const NAMESPACE: &str = "default";
/// How long the actor lets a Velero Backup run.
const WORK: Duration = Duration::from_secs(1);
/// Longest time for one run or one step of the preparation.
const BOUND: Duration = Duration::from_secs(120);

/// Options of `bench fanout`.
#[derive(clap::Args)]
pub(crate) struct Fanout {
    /// AttachedClusters in the fleet.
    #[arg(long, default_value_t = 50)]
    members: usize,
    /// Backups, one after the other.
    #[arg(long, default_value_t = 20)]
    runs: usize,
}

#[derive(Serialize)]
struct Outcome {
    members: usize,
    runs: usize,
    objects_in_members_ms: Percentiles,
    terminal_to_hub_ms: Percentiles,
}

pub(crate) fn run(task: &Fanout) -> Result<ExitCode> {
    ensure!(task.members > 0 && task.runs > 0, "--members and --runs must be at least 1");
    let program = crate::cargo::kurator("release")?;
    let spec = LabSpec { members: 1, velero: true, s3: false };
    let lab = Lab::start_named(None, spec, &|line| eprintln!("{line}"))?;
    lab.member(1).stop_velero()?;
    let _serving = Serving::start(&lab, &program, [] as [&str; 0])?;
    let outcome = lab.run(measure(&lab, task))?;
    println!("{}", machine());
    publish("fanout", &outcome)?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(lab: &Lab, task: &Fanout) -> Result<Outcome> {
    let (hub, member) = (lab.hub().client()?, lab.member(1).client()?);
    prepare(lab, &hub, &member, task.members).await?;
    let tasks = TaskTracker::new();
    let (seen, mut created) = unbounded_channel();
    tasks.spawn(follow::<velero::Backup>(Api::namespaced(member.clone(), names::VELERO_NAMESPACE), seen));
    let (seen, mut on_hub) = unbounded_channel();
    tasks.spawn(follow::<Backup>(Api::namespaced(hub.clone(), NAMESPACE), seen));
    let mut reach = Vec::new();
    let mut finish = Vec::new();
    for number in 0..task.runs {
        let name = format!("fanout-{number}");
        let run = one(&hub, &member, &name, task.members, &mut created, &mut on_hub);
        let (reached, finished) =
            timeout(BOUND, run).await.with_context(|| format!("run {number} did not end"))??;
        eprintln!(
            "run {number}: in all members after {reached:?}, on the hub {finished:?} after the last phase"
        );
        reach.push(reached);
        finish.push(finished);
    }
    Ok(Outcome {
        members: task.members,
        runs: task.runs,
        objects_in_members_ms: Percentiles::of(reach),
        terminal_to_hub_ms: Percentiles::of(finish),
    })
}

/// One Backup: the time from just before its creation until every member has its object, and the time from
/// the last terminal phase in a member to the terminal phase on the hub, each as a watch shows it.
async fn one(
    hub: &Client,
    member: &Client,
    name: &str,
    members: usize,
    created: &mut UnboundedReceiver<(Instant, velero::Backup)>,
    on_hub: &mut UnboundedReceiver<(Instant, Backup)>,
) -> Result<(Duration, Duration)> {
    let destination = Destination { fleet: "fanout".to_owned(), ..Destination::default() };
    let backup = Backup::new(name, BackupSpec { destination, ..BackupSpec::default() });
    let began = Instant::now();
    Api::<Backup>::namespaced(hub.clone(), NAMESPACE).create(&PostParams::default(), &backup).await?;

    let actors = TaskTracker::new();
    let mut seen = HashMap::new();
    let mut ended = HashMap::new();
    while ended.len() < members {
        let (at, object) = created.recv().await.context("the watch of the member ended")?;
        if object.labels().get(names::BACKUP_NAME_LABEL).map(String::as_str) != Some(name) {
            continue;
        }
        let child = object.name_any();
        if object.status.and_then(|status| status.phase).is_some_and(|phase| phase.is_terminal()) {
            ended.entry(child).or_insert(at);
        } else if seen.insert(child.clone(), at).is_none() {
            actors.spawn(complete(member.clone(), child, at + WORK));
        }
    }
    let latest = |times: &HashMap<String, Instant>| times.values().max().copied().unwrap_or(began);
    let (reached, last) = (latest(&seen) - began, latest(&ended));
    loop {
        let (at, object) = on_hub.recv().await.context("the watch of the hub ended")?;
        let phase = object.status.as_ref().and_then(|status| status.phase);
        if object.name_any() == name && phase.is_some_and(kurator_api::backup::BackupPhase::is_terminal) {
            return Ok((reached, at.saturating_duration_since(last)));
        }
    }
}

/// Acts as Velero: completes a Backup.
async fn complete(member: Client, name: String, at: Instant) {
    tokio::time::sleep_until(at).await;
    let status = json!({"status": {"phase": "Completed", "formatVersion": "1.1.0", "version": 1}});
    let api = Api::<velero::Backup>::namespaced(member, names::VELERO_NAMESPACE);
    if let Err(error) = api.patch(&name, &PatchParams::default(), &Patch::Merge(&status)).await {
        // The run then ends at its bound, which says that it failed.
        eprintln!("the actor cannot complete {name}: {error}");
    }
}

/// A fleet without plugin, whose members have a storage location that is Available.
async fn prepare(lab: &Lab, hub: &Client, member: &Client, members: usize) -> Result<()> {
    let params = PostParams::default();
    let location: velero::BackupStorageLocation = serde_json::from_value(json!({
        "metadata": {"name": "default"},
        "spec": {"provider": "aws", "default": true, "objectStorage": {"bucket": "none"}},
        "status": {"phase": "Available"},
    }))?;
    Api::namespaced(member.clone(), names::VELERO_NAMESPACE).create(&params, &location).await?;
    let kubeconfig = BTreeMap::from([("value".to_owned(), lab.member(1).kubeconfig())]);
    let secret = Secret { string_data: Some(kubeconfig), ..Secret::default() };
    let secret = Secret { metadata: named("kubeconfig"), ..secret };
    Api::namespaced(hub.clone(), NAMESPACE).create(&params, &secret).await?;

    let clusters = Api::<AttachedCluster>::namespaced(hub.clone(), NAMESPACE);
    let served = async || clusters.list(&kube::api::ListParams::default()).await.map(Some);
    until("the types to be served", BOUND, served).await?;
    let clusters = Arc::new(clusters);
    let names: Vec<_> = (0..members).map(|i| format!("member-{i}")).collect();
    for name in &names {
        let kubeconfig = Some(SecretKeyRef { name: "kubeconfig".to_owned(), key: "value".to_owned() });
        clusters.create(&params, &AttachedCluster::new(name, AttachedClusterSpec { kubeconfig })).await?;
    }
    let references =
        names.iter().map(|name| ClusterReference::to(ClusterKind::AttachedCluster, name)).collect();
    let fleets = Api::<Fleet>::namespaced(hub.clone(), NAMESPACE);
    fleets.create(&params, &Fleet::new("fanout", FleetSpec { clusters: references, plugin: None })).await?;
    until("all members to be ready", BOUND, async || {
        let status =
            fleets.get("fanout").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let ready = status.phase == Some(FleetPhase::Ready) && status.ready_clusters as usize == members;
        if ready { Ok(Some(())) } else { Err(format!("{} of {members}", status.ready_clusters)) }
    })
    .await?;
    Ok(())
}

fn named(name: &str) -> kube::core::ObjectMeta {
    kube::core::ObjectMeta { name: Some(name.to_owned()), ..kube::core::ObjectMeta::default() }
}
