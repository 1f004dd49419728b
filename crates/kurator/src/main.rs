//! The `kurator` binary: backs up, restores and migrates workloads over a fleet of clusters.

mod cli;
mod engine;
mod failure;
mod heap;
mod kubeconfig;
mod process;
mod proxy;
mod quickstart;
mod rbac;
mod serve;
mod terminal;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    heap::keep_small();
    match cli::run(cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
