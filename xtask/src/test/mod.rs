//! `cargo xtask test`: every tier that this machine can run. One that could run and did not is a failure.

mod programs;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use kurator_testkit::binaries::{self, Module};
use kurator_testkit::requirements;

use crate::cargo::cargo;

/// Tests that run on any machine.
const WITHOUT_LAB: [&str; 6] = ["cli", "embedded", "fleet_anew", "quickstart", "s3server", "seeds"];

pub(crate) fn run() -> Result<ExitCode> {
    let lab = requirements();
    if lab.is_ok() {
        // Built here, where the progress can be seen, and not inside the first test.
        binaries::ensure(&Module::ALL, &|line| println!("{line}"))
            .context("cannot build the lab's programs")?;
    }
    // A failure of one tier doesn't hide what the others say.
    let units = cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
    let docs = cargo(&["test", "--workspace", "--no-fail-fast", "--doc"]);
    let failed = if lab.is_ok() {
        programs::run(&programs::built()?)?
    } else {
        // What brings its own clusters along needs no lab.
        let mut words = vec!["test", "--workspace", "--no-fail-fast"];
        words.extend(WITHOUT_LAB.iter().flat_map(|name| ["--test", name]));
        cargo(&words)?;
        Vec::new()
    };
    units?;
    docs?;
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    match lab {
        Ok(()) => println!("\ntiers run: unit, lab"),
        Err(missing) => println!("\ntiers run: unit\nnot run: lab, because {missing}"),
    }
    Ok(ExitCode::SUCCESS)
}
