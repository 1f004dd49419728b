//! The pods with hooks, taken one block after the other.

use kurator_archive::{ItemPath, Slip};

use super::{Gather, Stopped, is_core};
use crate::backup::hooks::{ExecHook, Phase, Pod, PodHooks, Step};
use crate::backup::run::hooked::{Hooked, blocks};
use crate::hooks::{Hook, Work};
use crate::report::About;
use crate::types::ApiType;

impl Gather<'_> {
    /// Whether a pod has hooks. If it has none, what is wrong with them is told.
    pub(super) fn waits_for_hooks(&self, path: &ItemPath, json: &[u8]) -> bool {
        let [pre, post] = self.hooks(json);
        if !pre.hooks.is_empty() || !post.hooks.is_empty() {
            return true;
        }
        self.warn(path, pre.warnings.into_iter().chain(post.warnings));
        false
    }

    /// The hooks of a pod before and after its backup.
    fn hooks(&self, json: &[u8]) -> [PodHooks; 2] {
        // What cannot be read is told when it is noted.
        let pod: Option<Pod<'_>> = serde_json::from_slice(json).ok();
        let of = |phase| pod.as_ref().map(|pod| self.backup.hooks.of(pod, phase)).unwrap_or_default();
        [of(Phase::Pre), of(Phase::Post)]
    }

    fn warn(&self, path: &ItemPath, warnings: impl Iterator<Item = String>) {
        for warning in warnings {
            self.report.warning(About::from(path.namespace()), format!("{path}: {warning}"));
        }
    }

    /// What was put aside of a pod.
    fn put_aside(&self, slip: Slip) -> Result<Vec<u8>, Stopped> {
        Ok(self.taken().shelf.get(slip)?)
    }

    /// Takes the pods with hooks, and what these bring in.
    pub(super) async fn hooked(&self) -> Result<(), Stopped> {
        let Some(api) = self.catalog.types.iter().find(|api| is_core(api, "pods")) else { return Ok(()) };
        loop {
            let waiting = std::mem::take(&mut self.taken().hooked);
            if waiting.is_empty() {
                return Ok(());
            }
            for block in blocks(waiting, self.selection.ordered(api)) {
                self.block(api, block).await?;
            }
        }
    }

    /// Whatever becomes of the pods in between, the hooks after them undo what those before them did.
    async fn block(&self, api: &ApiType, pods: Vec<Hooked>) -> Result<(), Stopped> {
        let mut packed = Vec::new();
        let mut after = Vec::new();
        let mut stopped = Ok(());
        for Hooked { path, kind, slip, claims: _ } in pods {
            let json = match self.put_aside(slip) {
                Ok(json) => json,
                Err(error) => {
                    stopped = stopped.and(Err(error));
                    break;
                }
            };
            let [pre, post] = self.hooks(&json);
            self.warn(&path, pre.warnings.into_iter().chain(post.warnings));
            if self.run_hooks(&path, &pre.hooks, "; the pod is not in the backup").await {
                after.push((path.clone(), post.hooks));
                packed.push((path, kind, slip));
            } else {
                // It stays out; its claims don't.
                stopped = stopped.and(self.note(api, &path, json).map(drop));
            }
        }
        for (path, kind, slip) in packed {
            stopped = match stopped.and(self.put_aside(slip)) {
                Ok(json) => self.pack(api, path, kind, json).await,
                Err(error) => Err(error),
            };
        }
        stopped = stopped.and(self.related().await);
        for (path, post) in &after {
            self.run_hooks(path, post, "").await;
        }
        stopped
    }

    /// Runs the hooks of a pod in one phase; whether the pod goes on.
    async fn run_hooks(&self, path: &ItemPath, hooks: &[ExecHook], then: &str) -> bool {
        self.runner.attempt(hooks.len());
        for hook in hooks {
            let then = if hook.stops { then } else { "" };
            let on =
                Hook { name: &hook.name, namespace: path.namespace().unwrap_or_default(), pod: path.name() };
            let succeeded = match &hook.step {
                Step::Run { container, command, timeout } => {
                    self.runner.run(on, Work { container, command, timeout: *timeout }, then).await
                }
                Step::Ended => true,
                Step::Failed(why) => {
                    self.runner.fail(on, &format!("failed: {why}{then}"));
                    false
                }
            };
            if !succeeded && hook.stops {
                return false;
            }
        }
        true
    }
}
