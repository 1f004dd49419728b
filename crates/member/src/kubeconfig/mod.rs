//! From a stranger's kubeconfig to one that may be used (K51).
//!
//! A kubeconfig can name programs to run, files to read, proxies to use and people to impersonate, and a plain
//! client obeys while it is being made. So there is one road: [`UntrustedKubeconfig::trust`] looks at the
//! selected context, **refuses by name** what it does not allow (it never drops a field silently, which would
//! make another cluster of it), and builds the result from the few fields it allows. Entries that the current
//! context doesn't select are never looked at.
//!
//! Nothing here opens a file, resolves a name or starts a program.

mod address;
mod error;
mod parts;
mod raw;
mod refuse;
#[cfg(test)]
mod tests;

use std::fmt;

use http::Uri;
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) use address::forbidden;
use error::shortened;
pub use error::{KubeconfigError, Reason, Shown};

/// What a stranger's kubeconfig may ask for beyond the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Server addresses on this machine (127.0.0.0/8, `::1`, `localhost`) are accepted: for the quickstart and
    /// for labs, where members run beside the hub.
    pub allow_loopback: bool,
}

/// Bytes that claim to be a kubeconfig. Nothing can be done with them but [`trust`](Self::trust).
#[derive(Clone, Copy)]
pub struct UntrustedKubeconfig<'a>(&'a [u8]);

impl<'a> UntrustedKubeconfig<'a> {
    /// Wraps the content of a Secret's key.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The configuration, if every field that the current context selects is allowed.
    ///
    /// # Errors
    ///
    /// The first field that is refused or can't be used.
    pub fn trust(&self, policy: &TrustPolicy) -> Result<TrustedConfig, KubeconfigError> {
        let file = raw::Kubeconfig::read(self.0)?;
        if let Some(kind) = file.kind.as_deref().filter(|kind| *kind != "Config") {
            return Err(malformed(
                "kind",
                Shown::value(kind),
                "it is no kubeconfig",
                "store a kubeconfig here",
            ));
        }

        let Some(context_name) = filled(file.current_context.as_ref()) else {
            return Err(missing("current-context", "name the context to use"));
        };
        let Some(context) = file.context(context_name)? else {
            return Err(nowhere("current-context", context_name, "add the context, or name one that exists"));
        };
        let context_field = format!("contexts[{}].context", shortened(context_name));

        let Some(cluster_name) = filled(context.cluster.as_ref()) else {
            return Err(missing(&format!("{context_field}.cluster"), "name the cluster to use"));
        };
        let Some(cluster) = file.cluster(cluster_name)? else {
            let field = format!("{context_field}.cluster");
            return Err(nowhere(&field, cluster_name, "add the cluster, or name one that exists"));
        };

        let Some(user_name) = filled(context.user.as_ref()) else {
            return Err(missing(&format!("{context_field}.user"), "name the user to use"));
        };
        let Some(user) = file.user(user_name)? else {
            let field = format!("{context_field}.user");
            return Err(nowhere(&field, user_name, "add the user, or name one that exists"));
        };

        // What is refused comes first: it is the more important thing to hear.
        let cluster_field = format!("clusters[{}].cluster", shortened(cluster_name));
        let user_field = format!("users[{}].user", shortened(user_name));
        refuse::in_user(&user_field, user)?;
        refuse::in_cluster(&cluster_field, cluster)?;

        let url = parts::server(&cluster_field, cluster, *policy)?;
        let root_certs = parts::authority(&cluster_field, cluster)?;
        let tls_server_name = parts::server_name(&cluster_field, cluster)?;
        let auth = parts::credentials(&user_field, user)?;
        let namespace = filled(context.namespace.as_ref()).unwrap_or("default").to_owned();
        Ok(TrustedConfig::new(url, *policy, root_certs, tls_server_name, auth, namespace))
    }
}

impl fmt::Debug for UntrustedKubeconfig<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UntrustedKubeconfig({} bytes)", self.0.len())
    }
}

/// A server and inline credentials for it; the only thing that [`connect`](fn@crate::connect::connect) takes.
#[derive(Clone)]
pub struct TrustedConfig {
    url: Uri,
    server: String,
    policy: TrustPolicy,
    /// DER. `None` means the machine's own trust store.
    root_certs: Option<Vec<Vec<u8>>>,
    tls_server_name: Option<String>,
    auth: AuthInfo,
    namespace: String,
    fingerprint: String,
}

impl TrustedConfig {
    fn new(
        url: Uri,
        policy: TrustPolicy,
        root_certs: Option<Vec<Vec<u8>>>,
        tls_server_name: Option<String>,
        auth: AuthInfo,
        namespace: String,
    ) -> Self {
        let server = url.to_string();
        let mut hash = Sha256::new();
        // Each part with its length: otherwise the end of one could pass for the start of the next.
        let mut add = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(server.as_bytes());
        add(tls_server_name.as_deref().unwrap_or_default().as_bytes());
        add(namespace.as_bytes());
        add(&[u8::from(policy.allow_loopback), u8::from(root_certs.is_some())]);
        add(auth.token.as_ref().map_or("", |token| token.expose_secret()).as_bytes());
        add(auth.client_certificate_data.as_deref().unwrap_or_default().as_bytes());
        add(auth.client_key_data.as_ref().map_or("", |key| key.expose_secret()).as_bytes());
        root_certs.iter().flatten().for_each(|cert| add(cert));
        let fingerprint = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { url, server, policy, root_certs, tls_server_name, auth, namespace, fingerprint }
    }

    /// The server's URL, without credentials: it may be shown.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Changes whenever a client made earlier has to be replaced: another server, CA, credential or policy.
    /// 64 hexadecimal digits of a SHA-256; does not change with comments or order in the file.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The addresses that may be connected to.
    pub(crate) fn policy(&self) -> TrustPolicy {
        self.policy
    }

    /// In the client library's form. Has no field that names a file, a program or a proxy.
    pub(crate) fn to_kube(&self) -> kube::Config {
        let mut config = kube::Config::new(self.url.clone());
        config.root_cert.clone_from(&self.root_certs);
        config.tls_server_name.clone_from(&self.tls_server_name);
        config.auth_info = self.auth.clone();
        config.default_namespace.clone_from(&self.namespace);
        config
    }
}

impl fmt::Debug for TrustedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedConfig")
            .field("server", &self.server)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// An empty string means the same as no field, as for every other client.
fn filled(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

/// The same for values of any type.
fn given(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) | Value::Bool(_) | Value::Number(_) => true,
    })
}

fn refused(at: &str, name: &str, value: Shown, why: &str, remedy: &'static str) -> KubeconfigError {
    KubeconfigError::Refused { field: format!("{at}.{name}"), value, why: why.to_owned(), remedy }
}

fn malformed(field: &str, value: Shown, why: &str, remedy: &'static str) -> KubeconfigError {
    KubeconfigError::Malformed { field: field.to_owned(), value, why: why.to_owned(), remedy }
}

fn missing(field: &str, remedy: &'static str) -> KubeconfigError {
    malformed(field, Shown::hidden(), "it is missing or empty", remedy)
}

fn nowhere(field: &str, name: &str, remedy: &'static str) -> KubeconfigError {
    malformed(field, Shown::value(name), "there is no such entry", remedy)
}
