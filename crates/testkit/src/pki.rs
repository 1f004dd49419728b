//! Certificates and keys of one cluster, made before its first process starts.

use std::{fs, io, net::Ipv4Addr, path::Path};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// First address of the service range: the API server as pods see it.
const KUBERNETES_SERVICE: &str = "10.96.0.1";

/// Everything in PEM.
pub(crate) struct Pki {
    /// Certificate of the cluster's own authority.
    pub(crate) ca: String,
    pub(crate) server: String,
    pub(crate) server_key: String,
    tokens_key: String,
    tokens_public: String,
}

impl Pki {
    pub(crate) fn make(cluster: &str, address: Ipv4Addr) -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, format!("authority of {cluster}"));
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority_key = KeyPair::generate()?;
        let ca = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let address = address.to_string();
        let names =
            [address.as_str(), KUBERNETES_SERVICE, "127.0.0.1", "localhost", "kubernetes.default.svc"];
        let mut server = CertificateParams::new(names.map(str::to_owned))?;
        server.distinguished_name.push(DnType::CommonName, cluster);
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server = server.signed_by(&server_key, &issuer)?.pem();

        let tokens = KeyPair::generate()?;
        Ok(Self {
            ca,
            server,
            server_key: server_key.serialize_pem(),
            tokens_key: tokens.serialize_pem(),
            tokens_public: tokens.public_key_pem(),
        })
    }

    /// Writes the files that the cluster's processes are pointed at.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        for (name, text) in [
            ("ca.crt", &self.ca),
            ("server.crt", &self.server),
            ("server.key", &self.server_key),
            ("tokens.key", &self.tokens_key),
            ("tokens.pub", &self.tokens_public),
        ] {
            fs::write(folder.join(name), text)?;
        }
        Ok(())
    }
}
