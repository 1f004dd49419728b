//! `cargo xtask lab`: the tests' lab, kept up for people.
//!
//! A process in the background owns the lab, exactly as a test would, and `down` kills it. What a
//! crash of that process would leave behind is therefore the same: nothing that runs.

use std::{
    io::{BufRead, BufReader, Write, stdin},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use kurator_testkit::{LabSpec, LabState};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Name of the one lab that people have; tests number theirs.
const NAME: &str = "dev";
/// Said by the owner when the lab is ready.
const READY: &str = "ready";
/// Answered by `up`: the lab is to outlive it.
const KEEP: &str = "keep";

/// Subcommands of `lab`.
#[derive(clap::Subcommand)]
pub(crate) enum Lab {
    /// Start a hub, members and an object store, and leave them running.
    Up(Up),
    /// End the lab; nothing of it remains.
    Down,
    /// Show what runs where.
    Status,
    /// Run a command (a shell by default) inside the lab's network, with KUBECONFIG of the hub and MEMBER1, MEMBER2, …
    Shell {
        /// Command and arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Own the lab until killed: what `up` leaves in the background.
    #[command(hide = true)]
    Hold(Up),
}

/// What to start.
#[derive(clap::Args)]
pub(crate) struct Up {
    /// Number of member clusters.
    #[arg(long, default_value_t = 2)]
    members: usize,
    /// Leave Velero out of the members.
    #[arg(long)]
    no_velero: bool,
    /// Leave the object store out.
    #[arg(long)]
    no_s3: bool,
}

pub(crate) fn run(task: Lab) -> Result<ExitCode> {
    match task {
        Lab::Up(up) => start(&up)?,
        Lab::Down => stop()?,
        Lab::Status => return status(),
        Lab::Shell { command } => shell(command)?,
        Lab::Hold(up) => hold(&up)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the owner in the background and relays what it says until the lab is ready.
fn start(up: &Up) -> Result<()> {
    ensure!(!LabState::is_held(NAME), "a lab is already up; `cargo xtask lab down` ends it");
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(["lab", "hold", "--members", &up.members.to_string()]);
    if up.no_velero {
        command.arg("--no-velero");
    }
    if up.no_s3 {
        command.arg("--no-s3");
    }
    // Both streams, and nothing of the caller's: an inherited one would keep `lab up | tail` waiting for its end.
    let (said, says) = std::io::pipe().context("cannot make a pipe")?;
    command.stdin(Stdio::piped()).stdout(says.try_clone().context("cannot share a pipe")?).stderr(says);
    let mut owner = command.spawn().context("cannot start the lab's owner")?;
    // It holds the pipe's other end, whose closing is to be the owner's end.
    drop(command);
    let mut ready = false;
    for line in BufReader::new(said).lines() {
        let line = line.context("cannot read from the lab's owner")?;
        if line == READY {
            ready = true;
            break;
        }
        eprintln!("{line}");
    }
    if !ready {
        owner.wait().context("cannot wait for the lab's owner")?;
        bail!("the lab did not start");
    }
    let mut stdin = owner.stdin.take().context("the lab's owner has no input")?;
    writeln!(stdin, "{KEEP}").context("the lab's owner is gone")?;
    let state = LabState::of(NAME)?.context("the lab is ready but has written no state")?;
    explain(&state);
    Ok(())
}

fn explain(state: &LabState) {
    print_state(state);
    println!();
    println!("a shell inside:  cargo xtask lab shell");
    println!("one command:     cargo xtask lab shell kubectl get namespaces");
    let has_velero = state.components.iter().any(|component| component.name.ends_with("-velero"));
    let default = if has_velero { "--default-installer none" } else { "--default-engine builtin" };
    println!("kurator:         cargo xtask lab shell target/release/kurator serve {default}");
    println!("by hand:         nsenter --target {} --mount --net --pid -- COMMAND", state.init);
    println!("end it:          cargo xtask lab down");
}

fn print_state(state: &LabState) {
    println!("clusters");
    for cluster in &state.clusters {
        println!("  {:<10} https://{}:6443  {}", cluster.name, cluster.address, cluster.kubeconfig.display());
    }
    println!("components");
    for component in &state.components {
        let pid = component.pid.filter(|pid| Path::new(&format!("/proc/{pid}")).exists());
        let pid = pid.map_or_else(|| "ended".to_owned(), |pid| format!("pid {pid}"));
        println!("  {:<34} {:<16} {pid:<12} {}", component.name, component.address, component.log.display());
    }
}

fn status() -> Result<ExitCode> {
    match LabState::of(NAME)? {
        Some(state) => print_state(&state),
        None if LabState::is_held(NAME) => println!("the lab is starting or ending"),
        None => {
            println!("no lab is up; `cargo xtask lab up` starts one");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn stop() -> Result<()> {
    let Some(state) = LabState::of(NAME)? else {
        ensure!(!LabState::is_held(NAME), "the lab is still starting; end its `lab up` instead");
        println!("no lab is up");
        return Ok(());
    };
    let labs = state.clusters.first().and_then(|hub| hub.kubeconfig.parent()).unwrap_or(Path::new("."));
    // The folder's lock was just seen held, so this id is its owner's and not a stranger's.
    kill(Pid::from_raw(state.owner.cast_signed()), Signal::SIGTERM).context("cannot end the lab's owner")?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while LabState::is_held(NAME) {
        ensure!(Instant::now() < deadline, "process {} still owns the lab after 30 s", state.owner);
        std::thread::sleep(Duration::from_millis(20));
    }
    while Path::new(&format!("/proc/{}", state.init)).exists() {
        ensure!(Instant::now() < deadline, "process {} is still there after 30 s", state.init);
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("the lab is gone; its logs stay in {} until the next one starts", labs.display());
    Ok(())
}

fn shell(command: Vec<String>) -> Result<()> {
    let state = LabState::of(NAME)?.context("no lab is up; `cargo xtask lab up` starts one")?;
    let hub = state.clusters.first().context("the lab has no hub")?;
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(state.path.iter().cloned().chain(std::env::split_paths(&inherited)))
        .context("cannot put the lab's programs into PATH")?;
    let command = if command.is_empty() { vec!["sh".to_owned()] } else { command };
    let members = state.clusters.iter().skip(1).enumerate();
    let error = Command::new("nsenter")
        .args(["--target", &state.init.to_string(), "--mount", "--net", "--pid", "--wd=.", "--"])
        .args(command)
        .env("KUBECONFIG", &hub.kubeconfig)
        .envs(members.map(|(i, member)| (format!("MEMBER{}", i + 1), &member.kubeconfig)))
        .env("PATH", path)
        .exec();
    Err(error).context("cannot run nsenter")
}

/// Owns the lab until it is killed, or until `up` ends before the lab is ready.
fn hold(up: &Up) -> Result<()> {
    // Out of the terminal's reach: a Ctrl-C there is for `up`, whose end is noticed below.
    nix::unistd::setsid().context("cannot leave the terminal's session")?;
    std::thread::spawn(end_with_starter);
    let spec = LabSpec { members: up.members, velero: !up.no_velero, s3: !up.no_s3 };
    let _lab = kurator_testkit::Lab::start_named(Some(NAME), spec, &|line| println!("{line}"))?;
    println!("{READY}");
    loop {
        std::thread::park();
    }
}

/// Ends this process, and the lab with it, if its input closes before it is told to stay.
fn end_with_starter() {
    let mut line = String::new();
    match stdin().read_line(&mut line) {
        Ok(_) if line.trim_end() == KEEP => {}
        _ => std::process::exit(1),
    }
}
