//! Commands that run in pods before and after they are backed up, by the rules of Velero 1.18.3.
//!
//! [`Hooks`] is read once from a Backup; [`Hooks::of`] says what runs in one pod. Pure; whoever runs the commands keeps
//! to this: the hooks of a pod run one after the other. A hook that fails is an error in the backup's results. If it
//! also [`stops`](ExecHook::stops), those behind it don't run, and before the backup the pod stays out of it. The
//! hooks after the backup run in every pod whose hooks before it did not stop, and where one before that which stopped
//! may have had its effect: a database that was frozen has to be thawed (decision 9). `hooksAttempted` counts all hooks of
//! these pods, those that didn't run included; `hooksFailed` those that failed.

mod annotations;
mod raw;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use kurator_api::duration::GoDuration;
use serde::Deserialize;
use serde_json::Value;

use crate::glob::Globs;
use crate::labels::Selector;
use crate::types::Catalog;

/// How long a command may take if nothing is said.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it may take at most; as Velero's next release.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(4 * 60 * 60);

/// The hooks of a Backup's spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    rules: Vec<Rule>,
}

/// Hooks for the pods that it selects.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    name: String,
    namespaces: Lists,
    /// Names as users write them.
    resources: (Vec<String>, Vec<String>),
    selector: Selector,
    pre: Vec<Exec>,
    post: Vec<Exec>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lists {
    include: Globs,
    exclude: Globs,
}

impl Lists {
    fn take(&self, name: &str) -> bool {
        !self.exclude.matches(name) && (self.include.is_empty() || self.include.matches(name))
    }
}

/// A command as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exec {
    /// Its place in its list, which others may share.
    index: usize,
    /// Empty: the first.
    container: String,
    command: Vec<String>,
    stops: bool,
    /// Zero: the default.
    timeout: GoDuration,
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the pod is backed up.
    Pre,
    /// After it.
    Post,
}

/// What is needed of a pod, borrowed from its bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    #[serde(borrow)]
    metadata: PodMeta<'a>,
    #[serde(borrow)]
    spec: PodSpec<'a>,
    #[serde(borrow)]
    status: PodStatus<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodMeta<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(borrow)]
    annotations: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodSpec<'a> {
    #[serde(borrow)]
    containers: Option<Vec<Container<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodStatus<'a> {
    #[serde(borrow)]
    phase: Cow<'a, str>,
}

/// The hooks of one pod in one phase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodHooks {
    /// In the order in which they run.
    pub hooks: Vec<ExecHook>,
    /// Warnings for the backup's results.
    pub warnings: Vec<String>,
}

/// A hook of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecHook {
    /// Name of the spec's entry; `<from-annotation>` for a hook of the pod itself.
    pub name: String,
    /// Its place in the list of the entry, from 0.
    pub index: usize,
    /// What is to be done.
    pub step: Step,
    /// Whether its failure ends the hooks of the pod, and before the backup keeps the pod out of it. As in Velero
    /// 1.18.3 only if `onError` is `Fail` in so many words, although `Fail` is called the default.
    pub stops: bool,
}

/// What a hook comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A command is run.
    Run {
        /// In this container.
        container: String,
        /// The command and its arguments; not empty.
        command: Vec<String>,
        /// For at most so long; then the hook has failed.
        timeout: Duration,
    },
    /// Nothing: the pod has ended. The hook has succeeded.
    Ended,
    /// It has failed before it began, for this reason.
    Failed(String),
}

impl Hooks {
    /// Reads `spec.hooks`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(hooks: Option<&Value>) -> Result<Self, Vec<String>> {
        raw::parse(hooks).map(|rules| Self { rules })
    }

    /// Without those that are not for pods: nothing else has hooks.
    #[must_use]
    pub fn for_pods(mut self, catalog: &Catalog) -> Self {
        let lists = |names: &[String]| -> Globs {
            names.iter().filter_map(|name| raw::resolved(name, catalog)).collect()
        };
        self.rules.retain(|Rule { resources: (include, exclude), .. }| {
            // As Velero: `*` among what is left out means nothing.
            let mut exclude = exclude.clone();
            exclude.retain(|name| name != "*");
            Lists { include: lists(include), exclude: lists(&exclude) }.take("pods")
        });
        self
    }

    /// What runs in a pod. Its annotations count; only without them the spec does.
    #[must_use]
    pub fn of(&self, pod: &Pod<'_>, phase: Phase) -> PodHooks {
        let mut found = PodHooks::default();
        if let Some(annotations) = &pod.metadata.annotations
            && let Some(exec) = annotations::hook(annotations, phase, &mut found.warnings)
        {
            found.add("<from-annotation>", &exec, pod);
            return found;
        }
        let rules = self.rules.iter().filter(|rule| {
            rule.namespaces.take(&pod.metadata.namespace) && rule.selector.matches(&pod.metadata.labels)
        });
        for rule in rules {
            let hooks = match phase {
                Phase::Pre => &rule.pre,
                Phase::Post => &rule.post,
            };
            hooks.iter().for_each(|exec| found.add(&rule.name, exec, pod));
        }
        found
    }

    /// Whether the spec has none. Pods may have their own.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl PodHooks {
    fn add(&mut self, name: &str, exec: &Exec, pod: &Pod<'_>) {
        let step = self.step(name, exec, pod);
        self.hooks.push(ExecHook { name: name.to_owned(), index: exec.index, step, stops: exec.stops });
    }

    fn step(&mut self, name: &str, exec: &Exec, pod: &Pod<'_>) -> Step {
        let mut containers = pod.spec.containers.iter().flatten().map(|container| container.name.as_ref());
        let container = if exec.container.is_empty() {
            containers.next().ok_or_else(|| "need at least 1 container".to_owned())
        } else {
            containers
                .find(|name| *name == exec.container)
                .ok_or_else(|| format!("no such container: {:?}", exec.container))
        };
        let container = match container {
            Ok(container) => container.to_owned(),
            Err(why) => return Step::Failed(why),
        };
        if exec.command.is_empty() {
            return Step::Failed("command is required".to_owned());
        }
        if matches!(pod.status.phase.as_ref(), "Succeeded" | "Failed") {
            return Step::Ended;
        }
        let mut timeout = Duration::from(exec.timeout);
        if timeout.is_zero() {
            timeout = DEFAULT_TIMEOUT;
        }
        if timeout > LONGEST_TIMEOUT {
            self.warnings.push(format!("the timeout {} of the hook `{name}` is cut to 4h", exec.timeout));
            timeout = LONGEST_TIMEOUT;
        }
        Step::Run { container, command: exec.command.clone(), timeout }
    }
}
