//! The hub that a verb talks to, found as kubectl finds it, and what its refusals mean.

use std::path::PathBuf;

use kube::Client;
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;

use crate::failure::Failure;
use crate::process;

/// Which hub, and which namespace of it; as kubectl's flags of these names.
#[derive(Default, clap::Args)]
pub(crate) struct HubFlags {
    /// Kubeconfig of the hub, instead of $KUBECONFIG and ~/.kube/config
    #[arg(long, value_name = "FILE", global = true, help_heading = "Hub")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME", global = true, help_heading = "Hub")]
    context: Option<String>,

    /// Namespace, instead of the context's
    #[arg(long, short, value_name = "NAMESPACE", global = true, help_heading = "Hub")]
    namespace: Option<String>,
}

/// A hub, and the namespace that is meant.
pub(crate) struct Hub {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    server: String,
}

impl HubFlags {
    pub(crate) async fn connect(&self) -> Result<Hub, Failure> {
        let config = process::config("hub", self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        Ok(Hub { client: hub_client(config, &WriteGate::open())?, namespace, server })
    }

    /// The namespace as given, for what is never sent to a hub.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

impl Hub {
    pub(crate) fn new(client: Client, namespace: &str, server: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), server: server.to_owned() }
    }

    /// What a person is told of a request that failed; `what` was asked about, such as ``backup `docs` ``.
    pub(crate) fn failure(&self, what: &str, error: kube::Error) -> Failure {
        let kube::Error::Api(status) = &error else {
            let told = anyhow::Error::new(error).context(format!("cannot reach the hub at {}", self.server));
            return Failure::with_hint(told, "try `kubectl get --raw /version` with the same kubeconfig");
        };
        let is_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
        let hint = if status.is_not_found() && is_object {
            format!("`kurator get --namespace {}` shows what is there", self.namespace)
        } else if status.is_not_found() {
            "the hub does not have Kurator's types; they come with `kurator serve`".to_owned()
        } else if status.is_already_exists() {
            "choose another name, or delete that one first".to_owned()
        } else if status.is_forbidden() {
            "`kubectl auth can-i --list` with the same kubeconfig shows what you may do".to_owned()
        } else {
            String::new()
        };
        let told = anyhow::anyhow!("{what}: {}", status.message);
        if hint.is_empty() { told.into() } else { Failure::with_hint(told, hint) }
    }
}
