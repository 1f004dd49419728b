//! Tasks of the repository: `cargo xtask --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks through its two streams"
)]

mod bench;
mod cargo;
mod crds;
mod lab;
mod test;
mod walkthrough;

use std::process::ExitCode;

use clap::Parser;

/// Tasks of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Real clusters, Velero and object storage on this machine.
    #[command(subcommand)]
    Lab(lab::Lab),
    /// Walk the user's guide on real components, block by block.
    Walkthrough(walkthrough::Walkthrough),
    /// Run every test that this machine can run, and say which it can't.
    Test,
    /// Measure, and write the result to target/bench/.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Write the CRDs and the list of reasons from the code.
    Crds(crds::Crds),
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Lab(task) => lab::run(task),
        Task::Walkthrough(task) => walkthrough::run(&task),
        Task::Test => test::run(),
        Task::Bench(task) => bench::run(task),
        Task::Crds(task) => crds::run(&task),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
