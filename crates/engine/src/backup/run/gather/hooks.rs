//! The pods with hooks, taken one block after the other.

use kurator_archive::ItemPath;

use super::{Gather, Stopped, is_core};
use crate::backup::hooks::{ExecHook, Phase, Pod, Step};
use crate::backup::run::hooked::{Hooked, blocks};
use crate::hooks::{Hook, Work};
use crate::report::About;
use crate::types::ApiType;

impl Gather<'_> {
    /// The hooks of a pod before and after its backup, if it has any.
    pub(super) fn hooks(&self, path: &ItemPath, json: &[u8]) -> Option<(Vec<ExecHook>, Vec<ExecHook>)> {
        // What cannot be read is told when it is noted.
        let pod: Pod<'_> = serde_json::from_slice(json).ok()?;
        let of = |phase| {
            let found = self.backup.hooks.of(&pod, phase);
            for warning in found.warnings {
                self.report.warning(About::from(path.namespace()), format!("{path}: {warning}"));
            }
            found.hooks
        };
        let (pre, post) = (of(Phase::Pre), of(Phase::Post));
        (!pre.is_empty() || !post.is_empty()).then_some((pre, post))
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
        for Hooked { path, kind, json, pre, post, claims: _ } in pods {
            if self.run_hooks(&path, &pre, "; the pod is not in the backup").await {
                after.push((path.clone(), post));
                packed.push((path, kind, json));
            } else {
                // It stays out; its claims don't.
                self.note(api, &path, json);
            }
        }
        let mut stopped = Ok(());
        for (path, kind, json) in packed {
            stopped = stopped.and(self.pack(api, path, kind, json).await);
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
