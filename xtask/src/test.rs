//! `cargo xtask test`: every tier that this machine can run. One that could run and did not is a failure.

use std::process::ExitCode;

use anyhow::{Context, Result};
use kurator_testkit::binaries::{self, Module};
use kurator_testkit::requirements;

use crate::cargo::cargo;

pub(crate) fn run() -> Result<ExitCode> {
    match requirements() {
        Ok(()) => {
            // Built here, where the progress can be seen, and not inside the first test.
            binaries::ensure(&Module::ALL, &|line| println!("{line}"))
                .context("cannot build the lab's programs")?;
            cargo(&["test", "--workspace", "--no-fail-fast"])?;
            println!("\ntiers run: unit, lab");
        }
        Err(missing) => {
            cargo(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins"])?;
            println!("\ntiers run: unit");
            println!("not run: lab, because {missing}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
