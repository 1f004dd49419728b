//! The pods with hooks, taken one block after the other.

use kurator_archive::ItemPath;

use super::{Gather, Stopped, is_core};
use crate::backup::hooks::{ExecHook, Phase, Pod, Step};
use crate::backup::run::hooked::{Hooked, blocks};
use crate::hooks::{Ended, Hook, Work};
use crate::report::About;
use crate::types::ApiType;

/// What a run holds while its hooks run, in bytes: the packer that waits, the catalog, connections.
const WITHOUT_OBJECTS: usize = 4 << 20;
/// The same for each object that was seen, beside its pods with hooks, in bytes.
const OF_AN_OBJECT: usize = 64;
/// The same for each object that was looked for because another brings it in, in bytes.
const OF_A_REFERENCE: usize = 256;

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

    /// Takes the pods with hooks, and what these bring in. That may take as long as the hooks want and needs little
    /// memory, so others have the place meanwhile: for all of it, since between two hooks of a pod, when a database is
    /// held still, nothing may be waited for.
    pub(super) async fn hooked(&self) -> Result<(), Stopped> {
        let Some(api) = self.catalog.types.iter().find(|api| is_core(api, "pods")) else { return Ok(()) };
        let held = {
            let taken = self.taken();
            if taken.hooked.is_empty() {
                return Ok(());
            }
            let pods: usize = taken.hooked.iter().map(|pod| pod.json.len()).sum();
            let seen = taken.seen.len().saturating_mul(OF_AN_OBJECT);
            let looked = taken.looked.len().saturating_mul(OF_A_REFERENCE);
            WITHOUT_OBJECTS.saturating_add(pods).saturating_add(seen).saturating_add(looked)
        };
        self.backup.place.aside(held, self.in_blocks(api)).await
    }

    async fn in_blocks(&self, api: &ApiType) -> Result<(), Stopped> {
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

    /// Whatever becomes of the pods in between, the hooks after them undo what those before them did: also in a pod that
    /// stays out because one of several hooks before it failed.
    async fn block(&self, api: &ApiType, pods: Vec<Hooked>) -> Result<(), Stopped> {
        let mut packed = Vec::new();
        let mut after = Vec::new();
        for Hooked { path, kind, json, pre, post, claims: _ } in pods {
            let before = self.run_hooks(&path, &pre, "; the pod is not in the backup").await;
            if before.goes_on || before.has_effect {
                after.push((path.clone(), post));
            }
            if before.goes_on {
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

    /// Runs the hooks of a pod in one phase.
    async fn run_hooks(&self, path: &ItemPath, hooks: &[ExecHook], then: &str) -> OfPod {
        self.runner.attempt(hooks.len());
        let mut has_effect = false;
        for hook in hooks {
            let then = if hook.stops { then } else { "" };
            let on =
                Hook { name: &hook.name, namespace: path.namespace().unwrap_or_default(), pod: path.name() };
            let ended = match &hook.step {
                Step::Run { container, command, timeout } => {
                    self.runner.run(on, Work { container, command, timeout: *timeout }, then).await
                }
                Step::Ended => continue,
                Step::Failed(why) => {
                    self.runner.fail(on, &format!("failed: {why}{then}"));
                    Ended::Badly
                }
            };
            has_effect |= ended != Ended::Badly;
            if ended != Ended::Well && hook.stops {
                return OfPod { goes_on: false, has_effect };
            }
        }
        OfPod { goes_on: true, has_effect }
    }
}

/// What the hooks of a pod in one phase came to.
struct OfPod {
    /// None has failed that stops.
    goes_on: bool,
    /// One may have done what it is for.
    has_effect: bool,
}
