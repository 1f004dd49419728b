//! The built-in engine beside Velero: the same backup and the same restores on the same API server and store, one
//! after the other, and what the API server can do at all.
//!
//! Velero runs as it is installed, with its own limits on requests. Times are from the creation of a Backup or Restore
//! until a watch shows its last phase, for both alike.

mod floor;
mod workload;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, ResourceExt};
use kurator_api::names::VELERO_NAMESPACE;
use kurator_api::velero::{Backup, BackupStorageLocation, Restore, ServerStatusRequest};
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;
use kurator_testkit::fixtures::{Object, json_of, object, velero as in_member};
use kurator_testkit::{Guest, Lab, LabSpec, S3};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use self::workload::{SOURCE, Workload};
use super::usage::{Process, Taken};
use super::{follow, machine, publish};

/// Longest time for anything; Velero restores some 28 objects a second.
const BOUND: Duration = Duration::from_secs(2 * 3600);
const LOCATION: &str = "default";
/// Requests side by side when the objects are sown.
const SOWERS: usize = 32;

/// Options of `bench engine`.
#[derive(clap::Args)]
pub(crate) struct Engine {
    /// Objects to back up, about 1 KiB each.
    #[arg(long, default_value_t = 20_000)]
    objects: usize,
    /// Namespaces that they are in.
    #[arg(long, default_value_t = 100)]
    namespaces: usize,
    /// Leave Velero out.
    #[arg(long)]
    builtin_only: bool,
}

/// What one engine took.
#[derive(Serialize)]
struct Side {
    backup_s: f64,
    backup_cpu_s: f64,
    backup_peak_mib: f64,
    restore_s: f64,
    restore_cpu_s: f64,
    restore_peak_mib: f64,
    /// Absent if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    one_namespace_restore_s: Option<f64>,
    stored_bytes: u64,
}

#[derive(Serialize)]
struct Floor {
    list_s: f64,
    create_per_s: f64,
}

/// How many times better the built-in engine is.
#[derive(Serialize)]
struct Ratio {
    backup: f64,
    restore: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    one_namespace_restore: Option<f64>,
    backup_memory: f64,
    /// Its objects per second over those of the bare loop.
    restore_vs_floor: f64,
}

#[derive(Serialize)]
struct Outcome {
    objects: usize,
    namespaces: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    velero: Option<Side>,
    builtin: Side,
    floor: Floor,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<Ratio>,
}

pub(crate) fn run(task: &Engine) -> Result<ExitCode> {
    ensure!(task.objects > 0 && task.namespaces > 0, "--objects and --namespaces must be at least 1");
    if cfg!(debug_assertions) {
        // The bare loop shares the machine with the API server: it must not be slower than the engine that it measures.
        return again_in_release();
    }
    let program = crate::cargo::kurator("release")?;
    let spec = LabSpec { members: 1, velero: true, s3: true };
    let lab = Lab::start_named(None, spec, &|line| eprintln!("{line}"))?;
    let outcome = lab.run(measure(&lab, &program, task))?;
    println!("{}", machine());
    table(&outcome);
    publish(if task.builtin_only { "engine-alone" } else { "engine" }, &outcome)?;
    Ok(ExitCode::SUCCESS)
}

fn again_in_release() -> Result<ExitCode> {
    let arguments = ["run", "--quiet", "--release", "--package", "xtask", "--"].map(str::to_owned);
    let arguments: Vec<String> = arguments.into_iter().chain(std::env::args().skip(1)).collect();
    crate::cargo::cargo(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(ExitCode::SUCCESS)
}

async fn measure(lab: &Lab, program: &Path, task: &Engine) -> Result<Outcome> {
    let workload = Workload { objects: task.objects, namespaces: task.namespaces };
    let connect = async || client(lab).await;
    // Without the engine's limit on the time of a request: a large collection takes long to delete.
    let janitor = lab.member(1).client()?;
    location(&janitor).await?;
    let seconds = workload.create(&[connect().await?], SOWERS, SOURCE, None).await?;
    eprintln!("{} objects in {} namespaces sown in {seconds:.1} s", workload.objects, workload.namespaces);
    let list_s = floor::lists(&connect().await?).await?;
    eprintln!("all lists side by side: {list_s:.2} s");

    let mut bench = Bench::new(lab, workload, janitor)?;
    let velero = match task.builtin_only {
        true => None,
        false => {
            let process = Process(lab.member(1).velero_pid().context("Velero does not run")?);
            Some(bench.side(process, "velero", None).await?)
        }
    };
    lab.member(1).stop_velero()?;
    let engine = start(lab, program)?;
    bench.answers().await?;
    let same = velero.is_some().then_some("velero");
    let builtin = bench.side(Process(engine.id()), "builtin", same).await?;
    drop(engine);

    // Sowing was a bare loop too, on an API server that had nothing behind it.
    let sown = workload.objects as f64 / seconds;
    let create_per_s = floor::creations(workload, &connect, &bench.janitor).await?.max(sown);
    let floor = Floor { list_s: rounded(list_s), create_per_s: create_per_s.round() };
    let ratio = velero.as_ref().map(|velero| ratio(velero, &builtin, &floor, workload.objects));
    Ok(Outcome { objects: workload.objects, namespaces: workload.namespaces, velero, builtin, floor, ratio })
}

/// The client type of the engine itself, with a connection of its own.
async fn client(lab: &Lab) -> Result<Client> {
    let kubeconfig = Kubeconfig::from_yaml(&lab.member(1).kubeconfig())?;
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok(hub_client(config, &WriteGate::open())?)
}

async fn location(client: &Client) -> Result<()> {
    let keys = format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    );
    let secret = json!({"metadata": {"name": "keys"}, "stringData": {"cloud": keys}});
    let secret: Secret = serde_json::from_value(secret)?;
    let params = PostParams::default();
    Api::<Secret>::namespaced(client.clone(), VELERO_NAMESPACE).create(&params, &secret).await?;
    let location = json!({
        "provider": "aws",
        "objectStorage": {"bucket": S3::BUCKET},
        "credential": {"name": "keys", "key": "cloud"},
        "config": {"region": S3::REGION, "s3Url": S3::ENDPOINT, "s3ForcePathStyle": "true"},
    });
    let location: BackupStorageLocation = object(LOCATION, location)?;
    Api::namespaced(client.clone(), VELERO_NAMESPACE).create(&params, &location).await?;
    Ok(())
}

fn start(lab: &Lab, program: &Path) -> Result<Guest> {
    let log = File::create(lab.dir().join("engine.log"))?;
    let mut command = Command::new(program);
    command.args(["engine", "--kubeconfig"]).arg(lab.member(1).kubeconfig_path());
    command.stdin(Stdio::null()).stderr(log);
    Ok(lab.spawn(&mut command)?)
}

/// One cluster, and the server that serves it at the moment.
struct Bench<'a> {
    lab: &'a Lab,
    workload: Workload,
    janitor: Client,
    backups: UnboundedReceiver<(Instant, Backup)>,
    restores: UnboundedReceiver<(Instant, Restore)>,
    _watches: TaskTracker,
}

impl<'a> Bench<'a> {
    fn new(lab: &'a Lab, workload: Workload, janitor: Client) -> Result<Self> {
        let watches = TaskTracker::new();
        let client = lab.member(1).client()?;
        let (seen, backups) = unbounded_channel();
        watches.spawn(follow::<Backup>(Api::namespaced(client.clone(), VELERO_NAMESPACE), seen));
        let (seen, restores) = unbounded_channel();
        watches.spawn(follow::<Restore>(Api::namespaced(client, VELERO_NAMESPACE), seen));
        Ok(Self { lab, workload, janitor, backups, restores, _watches: watches })
    }

    /// Waits until the server serves: it answers what it is asked, and knows the location.
    async fn answers(&self) -> Result<()> {
        let requests = in_member::<ServerStatusRequest>(self.lab.member(1))?;
        loop {
            // A server that starts asks so itself, and takes an answer for another server's.
            let name = "bench";
            requests.create(&object(name, json!({}))?).await?;
            let answered = requests.until_phase(name, "Processed").await;
            requests.delete(name).await?;
            if answered.is_ok() {
                return Ok(());
            }
        }
    }

    /// A backup of everything, a restore of all of it and one of a single namespace; of the backup `from`, if that is
    /// another one.
    async fn side(&mut self, server: Process, name: &str, from: Option<&str>) -> Result<Side> {
        let locations = in_member::<BackupStorageLocation>(self.lab.member(1))?;
        locations.until_phase(LOCATION, "Available").await?;
        // Whatever a server does once only.
        let warm = format!("{name}-first");
        self.back_up(server, &warm, json!({"includedNamespaces": ["default"]})).await?;
        let (backup_s, backup) = self.back_up(server, name, json!({})).await?;
        let stored_bytes = self.lab.s3().stored_bytes(&format!("backups/{name}")).await?;

        let from = from.unwrap_or(name);
        let Workload { objects, .. } = self.workload;
        let all = self.workload.namespaces(SOURCE);
        let (restore_s, restore) = self.restore(server, &format!("{name}-all"), from, &all, objects).await?;
        let one_namespace_restore_s = if all.len() > 1 {
            let name = format!("{name}-one");
            let (one_s, _) = self.restore(server, &name, from, &all[..1], self.workload.in_first()).await?;
            Some(rounded(one_s))
        } else {
            None
        };
        Ok(Side {
            backup_s: rounded(backup_s),
            backup_cpu_s: rounded(backup.cpu.as_secs_f64()),
            backup_peak_mib: rounded(backup.peak_mib),
            restore_s: rounded(restore_s),
            restore_cpu_s: rounded(restore.cpu.as_secs_f64()),
            restore_peak_mib: rounded(restore.peak_mib),
            one_namespace_restore_s,
            stored_bytes,
        })
    }

    async fn back_up(&mut self, server: Process, name: &str, mut spec: Value) -> Result<(f64, Taken)> {
        spec["storageLocation"] = LOCATION.into();
        let begun = server.begin()?;
        let began = Instant::now();
        in_member::<Backup>(self.lab.member(1))?.create(&object(name, spec)?).await?;
        let (at, ended) = ended(&mut self.backups, name).await?;
        let taken = begun.end()?;
        told(name, (at - began).as_secs_f64(), &taken, &ended["status"]);
        Ok(((at - began).as_secs_f64(), taken))
    }

    /// Restores these namespaces into new ones, which are taken away again.
    async fn restore(
        &mut self,
        server: Process,
        name: &str,
        from: &str,
        namespaces: &[String],
        objects: usize,
    ) -> Result<(f64, Taken)> {
        let mapped = |namespace: &String| namespace.replacen(SOURCE, name, 1);
        let mapping: BTreeMap<_, _> = namespaces.iter().map(|found| (found, mapped(found))).collect();
        let spec = json!({"backupName": from, "includedNamespaces": namespaces, "namespaceMapping": mapping});
        let begun = server.begin()?;
        let began = Instant::now();
        in_member::<Restore>(self.lab.member(1))?.create(&object(name, spec)?).await?;
        let (at, ended) = ended(&mut self.restores, name).await?;
        let taken = begun.end()?;
        told(name, (at - began).as_secs_f64(), &taken, &ended["status"]);
        let made = Workload::restored(&self.janitor, name).await?;
        ensure!(made >= objects, "{name} made {made} objects instead of {objects}");
        self.workload.delete(&self.janitor, name).await?;
        Ok(((at - began).as_secs_f64(), taken))
    }
}

/// When the watch showed the last phase, and the object then.
async fn ended<K: Object>(
    seen: &mut UnboundedReceiver<(Instant, K)>,
    name: &str,
) -> Result<(Instant, Value)> {
    let found = timeout(BOUND, async {
        loop {
            let (at, found) = seen.recv().await.context("the watch has ended")?;
            if found.name_any() != name {
                continue;
            }
            let found = json_of(&found);
            match found["status"]["phase"].as_str().unwrap_or_default() {
                "Completed" => return Ok((at, found)),
                "Failed" | "PartiallyFailed" | "FailedValidation" => bail!("{name}: {}", found["status"]),
                _ => {}
            }
        }
    });
    found.await.with_context(|| format!("{name} did not end"))?
}

fn told(name: &str, seconds: f64, taken: &Taken, status: &Value) {
    let (began, ended) = (&status["startTimestamp"], &status["completionTimestamp"]);
    let Taken { cpu, peak_mib } = taken;
    eprintln!(
        "{name}: {seconds:.2} s, {cpu:.2?} CPU, peak {peak_mib:.1} MiB; by its own clock from {began} to {ended}; {}",
        status["progress"]
    );
}

fn ratio(velero: &Side, builtin: &Side, floor: &Floor, objects: usize) -> Ratio {
    Ratio {
        backup: rounded(velero.backup_s / builtin.backup_s),
        restore: rounded(velero.restore_s / builtin.restore_s),
        one_namespace_restore: velero
            .one_namespace_restore_s
            .zip(builtin.one_namespace_restore_s)
            .map(|(theirs, ours)| rounded(theirs / ours)),
        backup_memory: rounded(velero.backup_peak_mib / builtin.backup_peak_mib),
        restore_vs_floor: rounded(objects as f64 / builtin.restore_s / floor.create_per_s),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn table(outcome: &Outcome) {
    let Outcome { objects, namespaces, velero, builtin, floor, ratio } = outcome;
    println!("{objects} objects in {namespaces} namespaces");
    let row = |what: &str, value: fn(&Side) -> Option<f64>| {
        let shown = |side: &Side| value(side).map_or_else(String::new, |value| format!("{value:.2}"));
        let theirs = velero.as_ref().map_or_else(String::new, shown);
        println!("{what:<32}{theirs:>12}{:>12}", shown(builtin));
    };
    println!("{:<32}{:>12}{:>12}", "", "Velero", "built-in");
    row("backup, s", |side| Some(side.backup_s));
    row("backup, CPU s", |side| Some(side.backup_cpu_s));
    row("backup, peak MiB", |side| Some(side.backup_peak_mib));
    row("stored, MiB", |side| Some(side.stored_bytes as f64 / f64::from(1 << 20)));
    row("restore of all, s", |side| Some(side.restore_s));
    row("restore of all, CPU s", |side| Some(side.restore_cpu_s));
    row("restore of all, peak MiB", |side| Some(side.restore_peak_mib));
    row("restore of one namespace, s", |side| side.one_namespace_restore_s);
    println!("floor: all lists {:.2} s, {:.0} creations/s", floor.list_s, floor.create_per_s);
    if let Some(ratio) = ratio {
        println!(
            "built-in: backup {:.1}x, with 1/{:.1} of the memory; restore {:.1}x, {:.0} % of the floor",
            ratio.backup,
            ratio.backup_memory,
            ratio.restore,
            ratio.restore_vs_floor * 100.0
        );
    }
}
