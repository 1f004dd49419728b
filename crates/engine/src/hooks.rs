//! What the hooks of backups and of restores share: how one runs, is told of, and counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use crate::call::Caller;
use crate::exec::{self, Command};
use crate::report::{About, Report};

/// Commands side by side, at most: each has a connection of its own.
const SIDE_BY_SIDE: usize = 16;

/// A hook of one pod.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook<'a> {
    /// Its name in the spec, or `<from-annotation>`.
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) pod: &'a str,
}

/// What a hook does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) container: &'a str,
    /// The command and its arguments.
    pub(crate) command: &'a [String],
    pub(crate) timeout: Duration,
}

/// What became of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It has succeeded.
    Well,
    /// It has failed, or was not begun.
    Badly,
    /// It counts as failed, and may have done what it is for.
    Unknown,
}

/// Runs the hooks of one backup or restore.
pub(crate) struct Runner<'a> {
    caller: &'a Caller,
    report: &'a Report,
    turns: Semaphore,
    attempted: AtomicU64,
    failed: AtomicU64,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(caller: &'a Caller, report: &'a Report) -> Self {
        let turns = Semaphore::new(SIDE_BY_SIDE);
        Self { caller, report, turns, attempted: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }

    /// Hooks that are to be run, whatever comes of them.
    pub(crate) fn attempt(&self, hooks: usize) {
        self.attempted.fetch_add(hooks as u64, Relaxed);
    }

    /// A hook that failed, or was not begun although it should have been.
    pub(crate) fn fail(&self, hook: Hook<'_>, why: &str) {
        self.failed.fetch_add(1, Relaxed);
        let Hook { name, namespace, pod } = hook;
        self.report.error(About::Namespace(namespace), format!("pod {namespace}/{pod}: hook {name} {why}"));
    }

    /// Runs a hook. `then` is what its failure means, for the message.
    pub(crate) async fn run(&self, hook: Hook<'_>, work: Work<'_>, then: &str) -> Ended {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        let Hook { name, namespace, pod } = hook;
        let Work { container, command: words, timeout } = work;
        let told = format!("pod {namespace}/{pod}: hook {name}");
        self.report.info(format!("{told} runs in container {container}: {words:?}"));
        let (output, result) =
            exec::run(self.caller, &Command { namespace, pod, container, words, timeout }).await;
        for (stream, text) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            if !text.is_empty() {
                self.report.info(format!("{told}: {stream}: {text}"));
            }
        }
        match result {
            Ok(()) => Ended::Well,
            Err(error) => {
                self.fail(
                    hook,
                    &format!("failed in container {container}, command {words:?}: {error}{then}"),
                );
                if error.is_uncertain() { Ended::Unknown } else { Ended::Badly }
            }
        }
    }

    /// `status.hookStatus`, as Velero 1.18: counts that are zero are left out.
    pub(crate) fn status(&self) -> Value {
        let mut status = Map::new();
        for (field, count) in [("hooksAttempted", &self.attempted), ("hooksFailed", &self.failed)] {
            let count = count.load(Relaxed);
            if count > 0 {
                status.insert(field.to_owned(), count.into());
            }
        }
        Value::Object(status)
    }
}
