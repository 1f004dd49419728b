//! One size: attach, stay idle, back everything up.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use kurator_api::backup::{Backup, BackupPhase};
use kurator_api::fleet::{Fleet, FleetPhase};
use kurator_api::names::VELERO_NAMESPACE;
use kurator_api::velero;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::hub::Hub;
use super::world::{self, FLEET, NAMESPACE, WORKLOAD, World};
use crate::bench::follow;
use crate::bench::usage::Memory;

/// Longest time for one step.
const BOUND: Duration = Duration::from_secs(900);
const BACKUP: &str = "everything";

/// What is waited for without a sign.
#[derive(Clone, Copy)]
pub(super) struct Pauses {
    /// After its start the hub loads what it needs once, whatever its members; watches of this process begin.
    pub(super) started: Duration,
    /// What begins with a new connection has ended after this time.
    pub(super) settled: Duration,
    /// How long the idle hub is watched.
    pub(super) idle: Duration,
}

/// What was measured at one size.
#[derive(Serialize)]
pub(super) struct Measured {
    pub(super) members: usize,
    /// From the first AttachedCluster until the Fleet is Ready.
    pub(super) attach_s: f64,
    /// CPU time of the hub meanwhile.
    pub(super) attach_cpu_s: f64,
    /// From just before the Backup is created until its status on the hub is terminal.
    pub(super) fanout_s: f64,
    /// CPU time of the hub meanwhile.
    pub(super) fanout_cpu_s: f64,
    /// From the last terminal phase in a member to that on the hub.
    pub(super) hub_lag_ms: f64,
    /// Of what is resident, what the idle hub has beyond the same hub without members.
    pub(super) hub_kib_per_member: f64,
    /// Likewise, of its private memory alone.
    pub(super) hub_private_kib_per_member: f64,
    pub(super) hub_peak_mib: f64,
    pub(super) idle_cpu_percent: f64,
    /// Of the Backup at its end, as JSON.
    pub(super) status_bytes: usize,
    /// Changes of the Backup, its creation included.
    pub(super) backup_writes: usize,
    /// Of all statuses that the Backup has had.
    pub(super) backup_written_bytes: usize,
    /// Changes of anything on the hub from the Backup's creation to its end.
    pub(super) hub_writes: u64,
}

pub(super) fn measure(program: &Path, members: usize, pauses: Pauses, flags: &[String]) -> Result<Measured> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(one_size(program, members, pauses, flags));
    runtime.shutdown_background();
    measured
}

async fn one_size(program: &Path, members: usize, pauses: Pauses, flags: &[String]) -> Result<Measured> {
    let world = World::start(members).await?;
    let mut hub = Hub::start(program, &world, flags).await?;
    let process = hub.process();
    sleep(pauses.started).await;
    let (alone, cpu) = (process.memory()?, process.cpu()?);

    let began = Instant::now();
    world.attach().await?;
    timeout(BOUND, fleet_is_ready(&world)).await.context("the Fleet does not become Ready")??;
    let (attach_s, attach_cpu) = (began.elapsed().as_secs_f64(), process.cpu()? - cpu);
    eprintln!("attached after {attach_s:.1} s");

    sleep(pauses.settled).await;
    let (began, cpu) = (Instant::now(), process.cpu()?);
    sleep(pauses.idle).await;
    let idle_cpu_percent = (process.cpu()? - cpu).as_secs_f64() / began.elapsed().as_secs_f64() * 100.0;
    let with_members = process.memory()?;
    eprintln!("idle: {idle_cpu_percent:.2} % of a core, {} KiB resident", with_members.resident);

    let cpu = process.cpu()?;
    let run = timeout(BOUND, back_up(&world, pauses.started)).await;
    hub.lives()?;
    let run = run.context("the Backup does not end")??;
    let fanout_cpu = process.cpu()? - cpu;
    let per_member = |part: fn(&Memory) -> u64| {
        round(part(&with_members).saturating_sub(part(&alone)) as f64 / members as f64)
    };
    Ok(Measured {
        members,
        attach_s: round(attach_s),
        attach_cpu_s: round(attach_cpu.as_secs_f64()),
        fanout_s: round(run.took.as_secs_f64()),
        fanout_cpu_s: round(fanout_cpu.as_secs_f64()),
        hub_lag_ms: round(run.lag.as_secs_f64() * 1000.0),
        hub_kib_per_member: per_member(|memory| memory.resident),
        hub_private_kib_per_member: per_member(|memory| memory.private),
        hub_peak_mib: round(process.memory()?.peak as f64 / 1024.0),
        idle_cpu_percent: round(idle_cpu_percent),
        status_bytes: run.status_bytes,
        backup_writes: run.writes,
        backup_written_bytes: run.written_bytes,
        hub_writes: run.hub_writes,
    })
}

async fn fleet_is_ready(world: &World) -> Result<()> {
    let tasks = TaskTracker::new();
    let (seen, mut fleets) = unbounded_channel();
    tasks.spawn(follow::<Fleet>(Api::namespaced(world.hub.clone(), NAMESPACE), seen));
    loop {
        let (_, fleet) = fleets.recv().await.context("the watch of the hub ended")?;
        let status = fleet.status.unwrap_or_default();
        let all = status.ready_clusters as usize == world.members.len();
        if fleet.metadata.name.as_deref() == Some(FLEET) && status.phase == Some(FleetPhase::Ready) && all {
            return Ok(());
        }
    }
}

/// What became of the Backup.
struct Run {
    took: Duration,
    lag: Duration,
    status_bytes: usize,
    writes: usize,
    written_bytes: usize,
    hub_writes: u64,
}

async fn back_up(world: &World, started: Duration) -> Result<Run> {
    let tasks = TaskTracker::new();
    let (seen, mut in_members) = unbounded_channel();
    for member in &world.members {
        let api = Api::<velero::Backup>::namespaced(member.client.clone(), VELERO_NAMESPACE);
        tasks.spawn(follow(api, seen.clone()));
    }
    let (seen, mut on_hub) = unbounded_channel();
    tasks.spawn(follow::<Backup>(Api::namespaced(world.hub.clone(), NAMESPACE), seen));
    let policy = json!({"resourceFilter": {"includedNamespaces": [WORKLOAD]}, "ttl": "720h"});
    let spec = json!({"destination": {"fleet": FLEET}, "policy": policy});
    let backup = json!({"spec": spec});
    let backup = world::object("backup.kurator.dev/v1alpha1", "Backup", NAMESPACE, BACKUP, &backup);

    sleep(started).await;
    let revision = revision(world).await?;
    let began = Instant::now();
    world::create(&world.hub, &backup).await?;
    let (mut writes, mut written_bytes) = (0, 0);
    let (at, status_bytes) = loop {
        let (at, backup) = on_hub.recv().await.context("the watch of the hub ended")?;
        let status = backup.status.unwrap_or_default();
        let bytes = serde_json::to_vec(&status)?.len();
        writes += 1;
        written_bytes += bytes;
        let Some(phase) = status.phase.filter(|phase| phase.is_terminal()) else { continue };
        ensure!(phase == BackupPhase::Completed, "the Backup is {phase:?}: {:?}", status.conditions);
        break (at, bytes);
    };
    let hub_writes = self::revision(world).await?.saturating_sub(revision);
    let mut ended = HashMap::new();
    while ended.len() < world.members.len() {
        let (at, backup) = in_members.recv().await.context("the watches of the members ended")?;
        let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
        if phase.is_some_and(velero::BackupPhase::is_terminal) {
            ended.entry(backup.name_any()).or_insert(at);
        }
    }
    let last = ended.values().max().copied().unwrap_or(began);
    let (took, lag) = (at - began, at.saturating_duration_since(last));
    Ok(Run { took, lag, status_bytes, writes, written_bytes, hub_writes })
}

/// How often anything on the hub has been written.
async fn revision(world: &World) -> Result<u64> {
    let api = Api::<Secret>::namespaced(world.hub.clone(), NAMESPACE);
    let list = api.list(&ListParams::default().limit(1)).await?;
    let version = list.metadata.resource_version.unwrap_or_default();
    version.parse().with_context(|| format!("`{version}` counts no writes"))
}

/// Two digits behind the point.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
