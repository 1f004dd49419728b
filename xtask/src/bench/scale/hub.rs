//! The hub: `kurator serve` in a process of its own.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kurator_testkit::{plain_http, wait::until};

use super::world::World;
use crate::bench::usage::Process;

const BOUND: Duration = Duration::from_secs(60);

/// A hub that runs, killed when this is dropped.
pub(super) struct Hub {
    child: Child,
    log: PathBuf,
}

impl Hub {
    /// Starts it in a world and waits until it leads.
    pub(super) async fn start(program: &Path, world: &World, flags: &[String]) -> Result<Self> {
        let address = free_address()?;
        let log = world.log();
        let mut command = Command::new(program);
        command.args(["serve", "--allow-loopback-members", "--default-engine", "builtin", "--listen"]);
        command.arg(address.to_string()).arg("--kubeconfig").arg(world.kubeconfig());
        command.arg("--spool").arg(world.spool()).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let mut hub = Self { child, log };
        let asked = address.to_string();
        until("the hub to lead", BOUND, async || match plain_http::get(&asked, "/readyz").await {
            Ok((200, said)) if said.contains("leading") => Ok(Some(())),
            Ok((status, said)) => Err(format!("{status} {said}")),
            Err(error) => Err(error.to_string()),
        })
        .await
        .with_context(|| hub.last_words())?;
        hub.lives()?;
        Ok(hub)
    }

    /// What the kernel counts of it.
    pub(super) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// It is still the process that was started.
    pub(super) fn lives(&mut self) -> Result<()> {
        match self.child.try_wait().context("cannot ask for the hub")? {
            None => Ok(()),
            Some(ended) => bail!("the hub has ended ({ended}): {}", self.last_words()),
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(10).collect();
        format!("last lines of its log:\n{}", lines.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // What is dead already is as good.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Free a moment ago.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}
