//! One server process of the lab, its log, and the faults it can be given.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{
    LabError,
    binaries::last_lines,
    cage::{Cage, DATA, Host, lock},
    wait,
};

/// How long a component may take to become ready; a lab shares its machine with compilers.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How a component is started, also after it was killed.
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, OsString)>,
}

/// A server process on one host.
pub(crate) struct Component {
    recipe: Recipe,
    cage: Arc<Cage>,
    host: Arc<Host>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
    /// Arguments for the next start, after those of the recipe: of a flag given twice the last one counts.
    changed: Mutex<Vec<OsString>>,
}

impl Component {
    pub(crate) fn new(recipe: Recipe, cage: &Arc<Cage>, host: &Arc<Host>, logs: &Path) -> Self {
        let log = logs.join(format!("{}.log", recipe.name));
        let (cage, host) = (Arc::clone(cage), Arc::clone(host));
        Self { recipe, cage, host, log, child: Mutex::default(), changed: Mutex::default() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.recipe.name
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Id of the running process, as the outside sees it.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mut child = lock(&self.child);
        let child = child.as_mut()?;
        matches!(child.try_wait(), Ok(None)).then(|| child.id())
    }

    /// Starts the process; nothing happens if it runs. Its log goes on where it ended.
    pub(crate) fn start(&self) -> Result<(), LabError> {
        if self.pid().is_some() {
            return Ok(());
        }
        let spawn_error = |source| LabError::Spawn { component: self.name().to_owned(), source };
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(spawn_error)?;
        let errors = File::try_clone(&log).map_err(spawn_error)?;
        let mut command = Command::new(&self.recipe.program);
        command
            .args(&self.recipe.args)
            .args(lock(&self.changed).iter())
            // A proxy or cloud credentials in the caller's environment are nothing to a host of the lab.
            .env_clear()
            .env("HOME", DATA)
            .envs(self.recipe.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // A group of its own: signals reach the plugins it starts too, and a Ctrl-C only reaches the owner.
            .process_group(0);
        let child = self.cage.spawn(Some(&self.host), &mut command).map_err(spawn_error)?;
        *lock(&self.child) = Some(child);
        Ok(())
    }

    /// Changes a flag from the next start on.
    pub(crate) fn change(&self, flag: impl Into<OsString>) {
        lock(&self.changed).push(flag.into());
    }

    /// Kills the process and waits for its end; nothing happens if it does not run.
    pub(crate) fn kill(&self) -> Result<(), LabError> {
        if self.pid().is_some() {
            self.signal(Signal::SIGKILL)?;
        }
        self.reap();
        Ok(())
    }

    pub(crate) fn pause(&self) -> Result<(), LabError> {
        self.signal(Signal::SIGSTOP)
    }

    pub(crate) fn resume(&self) -> Result<(), LabError> {
        self.signal(Signal::SIGCONT)
    }

    /// Takes the end of a process that is known to be dying.
    pub(crate) fn reap(&self) {
        if let Some(mut child) = lock(&self.child).take()
            && let Err(error) = child.wait()
        {
            tracing::warn!(component = self.name(), %error, "cannot wait for a killed process");
        }
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let failed = |source| LabError::Signal { component: self.name().to_owned(), source };
        let pid = self.pid().ok_or(nix::errno::Errno::ESRCH).map_err(failed)?;
        killpg(Pid::from_raw(pid.cast_signed()), signal).map_err(failed)
    }

    /// Waits until the probe succeeds; ends at once with the end of the log if the process does.
    pub(crate) async fn ready(
        &self,
        mut probe: impl AsyncFnMut() -> Result<(), String>,
    ) -> Result<(), LabError> {
        let outcome = wait::until("an answer", READY_WITHIN, async || {
            if self.pid().is_none() {
                return Ok(Some(Err("it ended by itself".to_owned())));
            }
            probe().await.map(|()| Some(Ok(())))
        });
        match outcome.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(self.not_ready(why)),
            Err(late) => Err(self.not_ready(late.to_string())),
        }
    }

    fn not_ready(&self, why: String) -> LabError {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = last_lines(&String::from_utf8_lossy(&log), 20);
        LabError::NotReady { component: self.name().to_owned(), why, tail }
    }
}
