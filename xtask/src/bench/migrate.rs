//! Migration: two members with real Velero, and what the hub adds to Velero's own work.
//!
//! Velero's timestamps are whole seconds, so everything is timed by watches: from when an object appears until its
//! phase is terminal.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use kurator_api::migrate::{Migrate, MigratePhase};
use kurator_api::{names, velero};
use kurator_testkit::fixtures::{Tenant, ready, sow};
use kurator_testkit::{Lab, LabSpec, Serving};
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::{Percentiles, follow, machine, publish};

/// Namespace on the hub and in the members, name of the fleet, value of the label `app`.
const NAME: &str = "bench-migrate";
/// What the hub may add to one migration.
const BAR: Duration = Duration::from_secs(1);
/// Longest time for one run.
const BOUND: Duration = Duration::from_secs(120);

/// Options of `bench migrate`.
#[derive(clap::Args)]
pub(crate) struct Migration {
    /// Migrations, one after the other.
    #[arg(long, default_value_t = 20)]
    runs: usize,
}

#[derive(Serialize)]
struct Outcome {
    runs: usize,
    backup_ms: Percentiles,
    restore_ms: Percentiles,
    total_ms: Percentiles,
    overhead_ms: Percentiles,
}

/// What one migration took.
struct Run {
    backup: Duration,
    restore: Duration,
    total: Duration,
}

impl Run {
    fn overhead(&self) -> Duration {
        self.total.saturating_sub(self.backup + self.restore)
    }
}

pub(crate) fn run(task: &Migration) -> Result<ExitCode> {
    ensure!(task.runs > 0, "--runs must be at least 1");
    let program = crate::cargo::kurator("release")?;
    let spec = LabSpec { members: 2, velero: true, s3: true };
    let lab = Lab::start_named(None, spec, &|line| eprintln!("{line}"))?;
    let serving = Serving::start(&lab, &program, [] as [&str; 0])?;
    let runs = lab.run(measure(&lab, &serving, task.runs))?;
    let all = |value: fn(&Run) -> Duration| Percentiles::of(runs.iter().map(value).collect());
    println!("{}", machine());
    let outcome = Outcome {
        runs: runs.len(),
        backup_ms: all(|run| run.backup),
        restore_ms: all(|run| run.restore),
        total_ms: all(|run| run.total),
        overhead_ms: all(Run::overhead),
    };
    publish("migrate", &outcome)?;
    let worst = runs.iter().map(Run::overhead).max().unwrap_or_default();
    if worst > BAR {
        eprintln!("the hub added {worst:?} to one migration; the bar is {BAR:?}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(lab: &Lab, serving: &Serving, runs: usize) -> Result<Vec<Run>> {
    ready(serving).await?;
    let tenant = Tenant::new(lab, NAME).await?;
    let clusters = tenant.ready_fleet(2).await?;
    sow(lab.member(1), NAME).await?;
    let label = Patch::Merge(json!({"metadata": {"labels": {"app": NAME}}}));
    let maps = Api::<ConfigMap>::namespaced(lab.member(1).client()?, NAME);
    maps.patch("prices", &PatchParams::default(), &label).await?;

    let tasks = TaskTracker::new();
    let (seen, mut backups) = unbounded_channel();
    let of_source = Api::namespaced(lab.member(1).client()?, names::VELERO_NAMESPACE);
    tasks.spawn(follow::<velero::Backup>(of_source, seen));
    let (seen, mut restores) = unbounded_channel();
    let of_target = Api::namespaced(lab.member(2).client()?, names::VELERO_NAMESPACE);
    tasks.spawn(follow::<velero::Restore>(of_target, seen));
    let (seen, mut migrates) = unbounded_channel();
    tasks.spawn(follow::<Migrate>(Api::namespaced(lab.hub().client()?, NAME), seen));

    let mut measured = Vec::with_capacity(runs);
    for number in 0..runs {
        let name = format!("m-{number}");
        let one = one(&tenant, &clusters, &name, &mut backups, &mut restores, &mut migrates);
        let run = timeout(BOUND, one).await.with_context(|| format!("run {number} did not end"))??;
        let Run { backup, restore, total } = &run;
        eprintln!(
            "run {number}: backup {backup:?}, restore {restore:?}, total {total:?}, hub {:?}",
            run.overhead()
        );
        // Without it, the next one would find the way from the source to the target prepared.
        tenant.all::<Migrate>().delete(&name).await?;
        tenant.all::<Migrate>().until_gone(&name).await?;
        measured.push(run);
    }
    Ok(measured)
}

async fn one(
    tenant: &Tenant<'_>,
    clusters: &[String],
    name: &str,
    backups: &mut UnboundedReceiver<(Instant, velero::Backup)>,
    restores: &mut UnboundedReceiver<(Instant, velero::Restore)>,
    migrates: &mut UnboundedReceiver<(Instant, Migrate)>,
) -> Result<Run> {
    let [source, target] = clusters else { anyhow::bail!("two members are needed") };
    let one = |name: &String| json!({"fleet": NAME, "clusters": [{"kind": "AttachedCluster", "name": name}]});
    let policy = json!({
        "resourceFilter": {"labelSelector": {"matchLabels": {"app": NAME}}}, "namespaceMapping": {NAME: name},
    });
    let spec = json!({"sourceCluster": one(source), "targetCluster": one(target), "policy": policy});
    let began = Instant::now();
    tenant.create::<Migrate>(name, spec).await?;
    let total = loop {
        let (at, migrate) = migrates.recv().await.context("the watch of the hub ended")?;
        let phase = migrate.status.as_ref().and_then(|status| status.phase);
        if migrate.name_any() == name && phase.is_some_and(MigratePhase::is_terminal) {
            ensure!(phase == Some(MigratePhase::Completed), "it ended as {phase:?}");
            break at - began;
        }
    };
    let backup = lasted(backups, name, |backup| {
        backup
            .status
            .as_ref()
            .and_then(|status| status.phase.as_ref())
            .is_some_and(velero::BackupPhase::is_terminal)
    });
    let restore = lasted(restores, name, |restore| {
        restore
            .status
            .as_ref()
            .and_then(|status| status.phase.as_ref())
            .is_some_and(velero::RestorePhase::is_terminal)
    });
    Ok(Run { backup: backup.await?, restore: restore.await?, total })
}

/// From when the Velero object of this Migrate appeared until its end.
async fn lasted<K: ResourceExt>(
    seen: &mut UnboundedReceiver<(Instant, K)>,
    migrate: &str,
    has_ended: impl Fn(&K) -> bool,
) -> Result<Duration> {
    let mut began = None;
    loop {
        let (at, object) = seen.recv().await.context("the watch of a member ended")?;
        if object.labels().get(names::MIGRATE_NAME_LABEL).map(String::as_str) != Some(migrate) {
            continue;
        }
        let began = *began.get_or_insert(at);
        if has_ended(&object) {
            return Ok(at - began);
        }
    }
}
