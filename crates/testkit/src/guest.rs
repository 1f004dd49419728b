//! A program of the caller's that runs inside the lab.

use std::{
    io,
    process::{Child, ExitStatus},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::ended::ended;

/// A process started with [`crate::Lab::spawn`], killed and waited for when it is dropped.
///
/// It is a direct child: its id and its exit status are the program's own.
pub struct Guest {
    child: Child,
}

impl Guest {
    pub(crate) fn new(child: Child) -> Self {
        Self { child }
    }

    /// The child, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Process id as the outside sees it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the program to end, as a cluster would.
    ///
    /// # Errors
    /// The kernel refused, or the program has ended.
    pub fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Stops the program from running, without its knowledge.
    ///
    /// # Errors
    /// The kernel refused, or the program has ended.
    pub fn pause(&self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// Lets a paused program go on.
    ///
    /// # Errors
    /// The kernel refused, or the program has ended.
    pub fn resume(&self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), signal)?)
    }

    /// Ends the program without a chance to tidy up, and waits for that.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// Waits for the program's own end.
    ///
    /// # Errors
    /// `TimedOut` after the bound.
    pub fn wait(&mut self, bound: Duration) -> io::Result<ExitStatus> {
        ended(&mut self.child, bound)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, format!("it still runs after {bound:?}")))
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // An unreaped child would keep the lab's PID namespace from ending. Already dead is as good as killed.
        let _ = self.kill();
    }
}
