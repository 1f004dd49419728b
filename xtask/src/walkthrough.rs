//! `cargo xtask walkthrough`: the user's guide, run block by block on real components.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use kurator_testkit::walkthrough::walk;
use kurator_testkit::{Lab, LabSpec};

use crate::cargo::{kurator, root};

pub(crate) fn run() -> Result<ExitCode> {
    println!("     building kurator");
    let program = kurator("dev")?;
    let began = Instant::now();
    let spec = LabSpec { members: 2, velero: true, s3: true };
    let lab =
        Lab::start_named(None, spec, &|line| println!("     {line}")).context("cannot start the lab")?;
    println!("ok   {:6.1} s  a hub, two members with Velero, and MinIO run", began.elapsed().as_secs_f64());
    walk(&lab, &program, &root(), &|line| println!("{line}"))?;
    println!("\nall steps passed in {:.0} s", began.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}
