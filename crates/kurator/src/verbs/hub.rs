//! The hub that a verb talks to, found as kubectl finds it, and what its refusals mean.

use std::path::PathBuf;

use anyhow::anyhow;
use kube::Client;
use kube::core::Status;
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;

use super::kinds::Kind;
use crate::failure::Failure;
use crate::process;

/// Which hub, and which namespace of it; as kubectl's flags of these names, before the verb or behind it.
#[derive(Default, clap::Args)]
pub(crate) struct HubFlags {
    /// Kubeconfig of the hub, instead of $KUBECONFIG and ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = "Hub")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME", help_heading = "Hub")]
    context: Option<String>,

    /// Namespace, instead of the context's
    #[arg(long, short, value_name = "NAMESPACE", help_heading = "Hub")]
    namespace: Option<String>,
}

/// A hub, and the namespace that is meant.
pub(crate) struct Hub {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    server: String,
    /// Where its kubeconfig comes from, for people.
    kubeconfig: String,
}

impl HubFlags {
    /// These, and where they leave something open, those that were given before the verb.
    pub(crate) fn or(self, before: Self) -> Self {
        Self {
            kubeconfig: self.kubeconfig.or(before.kubeconfig),
            context: self.context.or(before.context),
            namespace: self.namespace.or(before.namespace),
        }
    }

    /// The first of them that was given.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let is_given = [
            (self.kubeconfig.is_some(), "--kubeconfig"),
            (self.context.is_some(), "--context"),
            (self.namespace.is_some(), "--namespace"),
        ];
        is_given.into_iter().find_map(|(is_given, flag)| is_given.then_some(flag))
    }

    pub(crate) async fn connect(&self) -> Result<Hub, Failure> {
        let config = process::config("hub", self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let kubeconfig = self.kubeconfig.clone().map(|file| file.display().to_string());
        let kubeconfig =
            kubeconfig.or_else(|| std::env::var("KUBECONFIG").ok().filter(|files| !files.is_empty()));
        let kubeconfig = kubeconfig.unwrap_or_else(|| "~/.kube/config".to_owned());
        Ok(Hub { client: hub_client(config, &WriteGate::open())?, namespace, server, kubeconfig })
    }

    /// The namespace as given, for what is never sent to a hub.
    pub(crate) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }
}

impl Hub {
    /// A hub of this process.
    pub(crate) fn new(client: Client, namespace: &str, server: &str) -> Self {
        let kubeconfig = "the kubeconfig".to_owned();
        Self { client, namespace: namespace.to_owned(), server: server.to_owned(), kubeconfig }
    }

    /// What a person is told of a request that failed; `what` was asked about, such as ``backup `docs` ``.
    pub(crate) fn failure(&self, what: &str, error: kube::Error) -> Failure {
        let kube::Error::Api(status) = &error else {
            let told = anyhow::Error::new(error).context(format!("cannot reach the hub at {}", self.server));
            return Failure::with_hint(told, "try `kubectl get --raw /version` with the same kubeconfig");
        };
        let (told, hint) = self.place().refusal(what, status);
        let told = anyhow!(told);
        if hint.is_empty() { told.into() } else { Failure::with_hint(told, hint) }
    }

    fn place(&self) -> Place<'_> {
        Place { server: &self.server, kubeconfig: &self.kubeconfig, namespace: &self.namespace }
    }

    /// What a person is told of an object that is not there.
    pub(crate) fn missing(&self, kind: Kind, name: &str) -> Failure {
        let (one, namespace) = (kind.singular(), &self.namespace);
        Failure::with_hint(
            anyhow!("no {one} `{name}` in namespace {namespace}"),
            format!("`kurator get {one}s --namespace {namespace}` shows those that there are"),
        )
    }
}

/// What of a hub people are told.
struct Place<'a> {
    server: &'a str,
    kubeconfig: &'a str,
    namespace: &'a str,
}

impl Place<'_> {
    /// What the hub refused, and what to do about it.
    fn refusal(&self, what: &str, status: &Status) -> (String, String) {
        let Self { server, kubeconfig, namespace } = self;
        if is_unknown_type(status) {
            let hint = "is it the hub? `kurator serve` installs the types there; --kubeconfig and --context name another \
                        cluster";
            return (format!("{what}: the cluster at {server} has no Kurator types"), hint.to_owned());
        }
        let hint = if status.code == 401 {
            format!("renew the credential in {kubeconfig}")
        } else if status.is_not_found() {
            format!("`kurator get --namespace {namespace}` shows what is there")
        } else if status.is_already_exists() {
            "choose another name, or delete that one first".to_owned()
        } else if status.is_forbidden() {
            "`kubectl auth can-i --list` with the same kubeconfig shows what you may do".to_owned()
        } else {
            String::new()
        };
        (format!("{what}: {}", status.message), hint)
    }
}

/// Whether it is a whole type that the server does not know, and not an object of it.
pub(crate) fn is_unknown_type(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: &Status) -> (String, String) {
        let place = Place { server: "https://hub:6443/", kubeconfig: "hub.yaml", namespace: "default" };
        place.refusal("backups", status)
    }

    #[test]
    fn a_cluster_without_our_types_may_not_be_the_hub() {
        let status = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        let (what, hint) = told(&status);
        assert_eq!(what, "backups: the cluster at https://hub:6443/ has no Kurator types");
        assert!(hint.starts_with("is it the hub? `kurator serve` installs the types there;"), "{hint}");
    }

    #[test]
    fn a_credential_that_is_not_accepted_is_to_be_renewed_in_its_file() {
        let status = Status::failure("Unauthorized", "Unauthorized").with_code(401);
        let expected = ("backups: Unauthorized".to_owned(), "renew the credential in hub.yaml".to_owned());
        assert_eq!(told(&status), expected);
    }

    #[test]
    fn flags_behind_the_verb_count_before_those_in_front_of_it() {
        let flags = |namespace: Option<&str>, context: Option<&str>| HubFlags {
            namespace: namespace.map(str::to_owned),
            context: context.map(str::to_owned),
            kubeconfig: None,
        };
        let both = flags(Some("behind"), None).or(flags(Some("before"), Some("hub")));
        assert_eq!((both.namespace.as_deref(), both.context.as_deref()), (Some("behind"), Some("hub")));
        assert_eq!(flags(None, Some("hub")).given(), Some("--context"));
        assert_eq!(flags(None, None).given(), None);
    }
}
