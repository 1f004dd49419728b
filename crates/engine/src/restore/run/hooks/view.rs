//! What is seen of a pod that was restored.

use k8s_openapi::api::core::v1::Pod;

use crate::restore::ExecHook;

/// What a pod looks like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum View {
    /// Nothing has been seen of it.
    #[default]
    Unknown,
    /// It is not there any more.
    Gone,
    /// It has ended, in this phase.
    Ended(String),
    /// It is there, with the containers that have a status.
    There(Vec<Container>),
}

/// A container of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) is_running: bool,
    pub(super) is_ready: bool,
}

/// Where a hook can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Up {
    /// In this container.
    Container(String),
    /// Nowhere yet.
    NotYet,
    /// Never again.
    Never(String),
}

impl From<&Pod> for View {
    fn from(pod: &Pod) -> Self {
        let Some(status) = &pod.status else { return Self::There(Vec::new()) };
        if let Some(phase @ ("Succeeded" | "Failed")) = status.phase.as_deref() {
            return Self::Ended(phase.to_owned());
        }
        let containers = status.container_statuses.iter().flatten().map(|container| Container {
            name: container.name.clone(),
            is_running: container.state.as_ref().is_some_and(|state| state.running.is_some()),
            is_ready: container.ready,
        });
        Self::There(containers.collect())
    }
}

impl View {
    /// The first container with hooks that is up. It has to be ready if one of its hooks wants that.
    pub(super) fn up(&self, hooks: &[ExecHook]) -> Up {
        let containers = match self {
            Self::Unknown => return Up::NotYet,
            Self::Gone => return Up::Never("the pod was deleted".to_owned()),
            Self::Ended(phase) => return Up::Never(format!("the pod entered the phase {phase}")),
            Self::There(containers) => containers,
        };
        let is_up = |container: &&Container| {
            let mut own = hooks.iter().filter(|hook| hook.container == container.name).peekable();
            own.peek().is_some()
                && if own.any(|hook| hook.wait_for_ready) { container.is_ready } else { container.is_running }
        };
        containers.iter().find(is_up).map_or(Up::NotYet, |container| Up::Container(container.name.clone()))
    }
}
