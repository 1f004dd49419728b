//! `cargo xtask walkthrough`: the user's guide, run block by block on real components.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use kurator_api::fleet::Engine;
use kurator_testkit::Lab;
use kurator_testkit::walkthrough::{lab, walk};

use crate::cargo::{kurator, root};

/// Options of `walkthrough`.
#[derive(clap::Args)]
pub(crate) struct Walkthrough {
    /// Who executes the backups: Velero in the members, or the hub, whose members have nothing.
    #[arg(long, default_value = "velero")]
    engine: Engine,
}

pub(crate) fn run(task: &Walkthrough) -> Result<ExitCode> {
    let engine = task.engine;
    println!("     building kurator");
    let program = kurator("dev")?;
    let began = Instant::now();
    let lab = Lab::start_named(None, lab(engine), &|line| println!("     {line}"))
        .context("cannot start the lab")?;
    let with = match engine {
        Engine::Velero => "with",
        Engine::Builtin => "without",
    };
    println!("ok   {:6.1} s  a hub, two members {with} Velero, and MinIO run", began.elapsed().as_secs_f64());
    walk(&lab, engine, &program, &root(), &|line| println!("{line}"))?;
    println!("\nall steps passed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}
