//! The hub that a verb talks to, found as kubectl finds it, and what its refusals mean.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::PathBuf;

use anyhow::anyhow;
use http::Uri;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::Status;
use kube::{Client, ResourceExt as _};
use kurator_member::connect::hub_client;
use kurator_member::gate::WriteGate;

use super::kinds::Kind;
use super::{near, words};
use crate::failure::Failure;
use crate::{kubeconfig, quickstart};

/// Which hub, and which namespace of it; as kubectl's flags of these names, before the verb or behind it.
#[derive(Default, clap::Args)]
pub(crate) struct HubFlags {
    /// Kubeconfig of the hub, instead of the files of $KUBECONFIG, or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = "Hub")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig, instead of its current one
    #[arg(long, value_name = "NAME", help_heading = "Hub")]
    context: Option<String>,

    /// Namespace, instead of the context's
    #[arg(long, short, value_name = "NAMESPACE", value_parser = words::namespace, help_heading = "Hub")]
    namespace: Option<String>,
}

/// A hub, and the namespace that is meant.
pub(crate) struct Hub {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    server: String,
    /// Where its kubeconfig comes from, for people.
    kubeconfig: String,
    /// The files that it was read from, as far as they are named.
    files: Vec<PathBuf>,
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
        let config = kubeconfig::config("hub", self.kubeconfig.as_deref(), self.context.as_deref()).await?;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let files = self.kubeconfig.clone().map_or_else(kubeconfig::of_environment, |file| vec![file]);
        let shown: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let kubeconfig = if shown.is_empty() { "~/.kube/config".to_owned() } else { shown.join(":") };
        Ok(Hub { client: hub_client(config, &WriteGate::open())?, namespace, server, kubeconfig, files })
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
        let (namespace, server) = (namespace.to_owned(), server.to_owned());
        Self { client, namespace, server, kubeconfig, files: Vec::new() }
    }

    /// What a person is told of a request that failed; `what` was asked about, such as ``backup `docs` ``.
    pub(crate) fn failure(&self, what: &str, error: kube::Error) -> Failure {
        let kube::Error::Api(status) = &error else {
            let hint = self.ended().unwrap_or_else(|| self.place().silence(&error));
            let told = anyhow::Error::new(error).context(format!("cannot reach the hub at {}", self.server));
            return Failure::with_hint(told, hint);
        };
        let (told, hint) = self.place().refusal(what, status);
        let told = anyhow!(told);
        if hint.is_empty() { told.into() } else { Failure::with_hint(told, hint) }
    }

    /// What to do if it was a quickstart that is known to have ended.
    pub(crate) fn ended(&self) -> Option<String> {
        self.files.iter().any(|file| quickstart::has_ended(file)).then(|| self.place().begin_another())
    }

    /// Where it is.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    fn place(&self) -> Place<'_> {
        Place { server: &self.server, kubeconfig: &self.kubeconfig, namespace: &self.namespace }
    }

    /// What a person is told of objects that are not there.
    pub(crate) async fn missing(&self, missing: &[(Kind, String)]) -> Failure {
        let namespace = &self.namespace;
        let named: Vec<_> =
            missing.iter().map(|(kind, name)| format!("no {} `{name}`", kind.singular())).collect();
        let mut hint = String::new();
        if let [(kind, name), ..] = missing {
            let known = self.names(*kind).await;
            hint = near::question(name, known.iter().map(String::as_str));
            hint += &format!(
                "`kurator get {}s --namespace {namespace}` shows those that there are",
                kind.singular()
            );
        }
        Failure::with_hint(anyhow!("{} in namespace {namespace}", named.join(", ")), hint)
    }

    /// The names that objects of a kind have, as far as they can be had: somebody is to be helped, that is all.
    async fn names(&self, kind: Kind) -> Vec<String> {
        let mut names = Vec::new();
        for of in kind.types() {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &of);
            let listed = api.list_metadata(&ListParams::default().limit(LOOKED_AT)).await;
            names.extend(listed.into_iter().flatten().map(|object| object.name_any()));
        }
        names
    }

    /// The namespaces that hold objects of these kinds, as far as they can be had.
    pub(crate) async fn namespaces(&self, kinds: &[Kind]) -> BTreeSet<String> {
        let mut namespaces = BTreeSet::new();
        for of in kinds.iter().flat_map(|kind| kind.types()) {
            let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &of);
            let listed = api.list_metadata(&ListParams::default().limit(LOOKED_AT)).await;
            namespaces.extend(listed.into_iter().flatten().filter_map(|object| object.namespace()));
        }
        namespaces
    }
}

/// Objects that are looked at for a hint.
const LOOKED_AT: u32 = 500;

/// What of a hub people are told.
struct Place<'a> {
    server: &'a str,
    kubeconfig: &'a str,
    namespace: &'a str,
}

impl Place<'_> {
    /// What to do about a hub that does not answer.
    fn silence(&self, error: &(dyn Error + 'static)) -> String {
        let is_embedded = |server: &Uri| {
            let is_here = server.host().is_some_and(|host| host.starts_with("127."));
            is_here && server.path().starts_with("/clusters/")
        };
        if is_turned_away(error) && self.server.parse().is_ok_and(|server| is_embedded(&server)) {
            return self.begin_another();
        }
        "try `kubectl get --raw /version` with the same kubeconfig".to_owned()
    }

    /// What to do about a quickstart that has ended.
    fn begin_another(&self) -> String {
        let kubeconfig = self.kubeconfig;
        format!("the quickstart that {kubeconfig} belongs to has ended; `kurator quickstart` begins another")
    }

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

/// Whether the hub will not let somebody in or do something, however often they ask.
pub(crate) fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

/// Whether nobody listens where the server should be.
fn is_turned_away(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let said = error.downcast_ref::<io::Error>();
        if said.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
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
    fn a_quickstart_that_has_ended_is_told_from_a_hub_that_is_out_of_reach() {
        let hint = |server, kind: io::ErrorKind| {
            let place = Place { server, kubeconfig: "hub.yaml", namespace: "default" };
            place.silence(&kube::Error::Service(io::Error::from(kind).into()))
        };
        let (here, away) = ("https://127.0.0.1:4000/clusters/hub", "https://hub:6443/");
        let ended = "the quickstart that hub.yaml belongs to has ended; `kurator quickstart` begins another";
        assert_eq!(hint(here, io::ErrorKind::ConnectionRefused), ended);
        for (server, kind) in [(away, io::ErrorKind::ConnectionRefused), (here, io::ErrorKind::TimedOut)] {
            assert!(hint(server, kind).starts_with("try `kubectl get --raw /version`"), "{server}");
        }
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
