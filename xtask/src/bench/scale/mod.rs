//! Scale: one hub with many members. The members are embedded clusters in this process, behind TLS; the hub is
//! `kurator serve` in a process of its own, whose memory and CPU time the kernel counts.
//!
//! The hub's own API server and the object store are in this process too: what they take is not the hub's.

mod docs;
mod hub;
mod measure;
mod plot;
#[cfg(test)]
mod tests;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use self::measure::{Measured, Pauses};
use super::{machine, publish};

const PAUSES: Pauses = Pauses {
    started: Duration::from_secs(2),
    settled: Duration::from_secs(10),
    idle: Duration::from_secs(60),
};

/// Options of `bench scale`.
#[derive(clap::Args)]
pub(crate) struct Scale {
    /// Sizes of the fleet, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,3000")]
    members: Vec<usize>,
    /// Write the table and the plot into docs/.
    #[arg(long)]
    docs: bool,
    /// Flags of `kurator serve`, such as `--engine-memory`.
    #[arg(last = true)]
    hub: Vec<String>,
}

/// What may not be exceeded.
struct Bar {
    what: &'static str,
    unit: &'static str,
    most: f64,
    /// Sizes of fleets that it is for.
    from: usize,
    to: usize,
    value: fn(&Measured) -> f64,
}

/// As the project promises. With few members the hub's fixed costs are all that is seen, such as the pages of its program.
const BARS: [Bar; 3] = [
    Bar {
        what: "memory of the hub per member",
        unit: "KiB",
        most: 200.0,
        from: 1000,
        to: usize::MAX,
        value: |measured| measured.hub_kib_per_member,
    },
    Bar {
        what: "CPU time of the idle hub",
        unit: "% of a core",
        most: 5.0,
        from: 100,
        to: 1000,
        value: |measured| measured.idle_cpu_percent,
    },
    Bar {
        what: "status of a Backup",
        unit: "bytes",
        most: 1_048_576.0,
        from: 100,
        to: 3000,
        value: |measured| measured.status_bytes as f64,
    },
];

pub(crate) fn run(task: &Scale) -> Result<ExitCode> {
    ensure!(!task.members.is_empty(), "--members names no size; give some, such as 100,1000");
    ensure!(task.members.iter().all(|members| (1..=5000).contains(members)), "--members must be 1 to 5000");
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })
        .context("cannot raise the limit of open files")?;
    let program = crate::cargo::kurator("release")?;
    let mut all = Vec::new();
    for members in &task.members {
        eprintln!("{members} members");
        all.push(measure::measure(&program, *members, PAUSES, &task.hub)?);
    }
    println!("{}", machine());
    publish("scale", &all)?;
    if task.docs {
        docs::write(&all)?;
    }
    let broken = broken(&all);
    for sentence in &broken {
        eprintln!("{sentence}");
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Which bars do not hold, in sentences.
fn broken(all: &[Measured]) -> Vec<String> {
    let over = |measured: &Measured| {
        let members = measured.members;
        let over = BARS.iter().filter(move |bar| (bar.from..=bar.to).contains(&members));
        let over = over.map(|bar| (bar, (bar.value)(measured))).filter(|(bar, value)| *value > bar.most);
        let over = over.map(|(Bar { what, unit, most, .. }, value)| {
            format!("a bar does not hold: with {members} members, {what} is {value} {unit}, above {most}")
        });
        over.collect::<Vec<_>>()
    };
    all.iter().flat_map(over).collect()
}
