//! `cargo xtask test`: every tier that this machine can run. One that could run and did not is a failure.

use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::cargo;

pub(crate) fn run() -> Result<ExitCode> {
    cargo(&["test", "--workspace"])?;
    Ok(ExitCode::SUCCESS)
}
