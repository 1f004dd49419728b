//! Fixtures for this crate's own tests.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

/// A self-signed certificate that serves as server certificate, CA and client certificate alike.
pub(crate) struct Pki {
    pub(crate) cert: rcgen::Certificate,
    pub(crate) key: KeyPair,
}

impl Pki {
    pub(crate) fn new() -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned(), "api.example.com".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        Self { cert, key: signing_key }
    }

    /// The certificate as a kubeconfig holds it.
    pub(crate) fn cert_data(&self) -> String {
        BASE64_STANDARD.encode(self.cert.pem())
    }

    /// The key as a kubeconfig holds it.
    pub(crate) fn key_data(&self) -> String {
        BASE64_STANDARD.encode(self.key.serialize_pem())
    }
}

/// A kubeconfig with these fields of its one cluster and its one user, in YAML's flow style.
pub(crate) fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    )
}
