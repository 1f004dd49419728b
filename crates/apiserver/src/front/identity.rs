//! What clients know the front by, and the front its clients: certificates and tokens.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rand::{TryRng as _, rngs::SysRng};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use sha2::{Digest as _, Sha256};

use super::FrontError;

/// A server certificate, and the authority that vouches for it.
pub(super) struct Identity {
    /// Certificate of the authority, in PEM; its key is gone.
    pub(super) authority: String,
    pub(super) config: ServerConfig,
}

impl Identity {
    pub(super) fn new(address: IpAddr) -> Result<Self, FrontError> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "embedded clusters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate()?;
        let certificate = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let mut server = CertificateParams::new(["localhost".to_owned()])?;
        server.subject_alt_names.push(SanType::IpAddress(address));
        server.distinguished_name.push(DnType::CommonName, "embedded clusters' API");
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let chain = vec![server.signed_by(&key, &issuer)?.der().clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));

        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { authority: certificate, config })
    }
}

/// What opens one cluster.
pub(super) struct Token(String);

/// What is kept of a token to compare others with: comparing fingerprints tells nothing of the token itself by the time
/// that it takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Token {
    /// 256 bits that nobody can guess.
    pub(super) fn new() -> Result<Self, FrontError> {
        let mut bits = [0; 32];
        SysRng.try_fill_bytes(&mut bits).map_err(|error| FrontError::Randomness(error.to_string()))?;
        Ok(Self(bits.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// As it is sent.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.0)
    }
}

impl Fingerprint {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// A kubeconfig; `name` is a DNS label, and so is plain in YAML and in a URL.
pub(super) fn kubeconfig(name: &str, address: SocketAddr, authority: &str, token: &Token) -> String {
    let authority = BASE64_STANDARD.encode(authority);
    let token = token.text();
    format!(
        "\
apiVersion: v1
kind: Config
current-context: \"{name}\"
contexts:
  - name: \"{name}\"
    context:
      cluster: \"{name}\"
      user: \"{name}\"
clusters:
  - name: \"{name}\"
    cluster:
      server: https://{address}/clusters/{name}
      certificate-authority-data: {authority}
users:
  - name: \"{name}\"
    user:
      token: \"{token}\"
"
    )
}
