//! `cargo xtask bench`: where the numbers in `docs/benchmarks.md` come from.

mod engine;
mod fanout;
mod migrate;
mod scale;
mod usage;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use kube::Api;
use kube::runtime::watcher::{self, Event};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

/// What can be measured.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// Backup and restore by the built-in engine and by Velero.
    Engine(engine::Engine),
    /// How fast a Backup reaches all members, and how fast its end reaches the hub.
    Fanout(fanout::Fanout),
    /// How long a migration takes beyond Velero's backup and restore.
    Migrate(migrate::Migration),
    /// What a hub takes with hundreds and thousands of members.
    Scale(scale::Scale),
}

pub(crate) fn run(task: Bench) -> Result<ExitCode> {
    match task {
        Bench::Engine(task) => engine::run(&task),
        Bench::Fanout(task) => fanout::run(&task),
        Bench::Migrate(task) => migrate::run(&task),
        Bench::Scale(task) => scale::run(&task),
    }
}

/// Two points of a distribution, in milliseconds.
#[derive(Serialize)]
struct Percentiles {
    p50: f64,
    p99: f64,
}

impl Percentiles {
    /// By nearest rank: of fewer than 100 values, p99 is the largest.
    fn of(mut values: Vec<Duration>) -> Self {
        values.sort();
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            let value = values.get(rank - 1).copied().unwrap_or_default();
            (value.as_secs_f64() * 10_000.0).round() / 10.0
        };
        Self { p50: at(50), p99: at(99) }
    }
}

/// Passes on everything that a watch shows, with the time of its arrival.
async fn follow<K>(api: Api<K>, seen: UnboundedSender<(Instant, K)>)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let mut events = std::pin::pin!(watcher::watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(object) | Event::InitApply(object)) = event
            && seen.send((Instant::now(), object)).is_err()
        {
            return;
        }
    }
}

/// Writes a result where scripts find it and prints it for people.
fn publish(name: &str, result: &impl Serialize) -> Result<()> {
    let folder = crate::cargo::root().join("target/bench");
    std::fs::create_dir_all(&folder).context("cannot make target/bench")?;
    let path = folder.join(format!("{name}.json"));
    let json = serde_json::to_string_pretty(result)?;
    std::fs::write(&path, format!("{json}\n")).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{json}");
    Ok(())
}

/// Which machine, for the table.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} cores, {}", cores, model.trim_start_matches([' ', '\t', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_percentile_of_twenty_values_is_the_largest() {
        let percentiles = Percentiles::of((1..=20).map(Duration::from_millis).collect());
        assert_eq!((percentiles.p50, percentiles.p99), (10.0, 20.0));
    }
}
