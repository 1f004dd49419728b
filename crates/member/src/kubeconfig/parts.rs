//! The fields that are taken, each checked as far as it can be without a network.

use std::net::IpAddr;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Uri;
use kube::config::AuthInfo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use secrecy::SecretString;

use super::{
    KubeconfigError, Shown, TrustPolicy, address, filled, forbidden, malformed, missing, raw,
    refuse::INLINE_CREDENTIALS, refused,
};

pub(super) fn server(at: &str, cluster: &raw::Cluster, policy: TrustPolicy) -> Result<Uri, KubeconfigError> {
    let field = format!("{at}.server");
    let Some(text) = filled(cluster.server.as_ref()) else {
        return Err(missing(&field, "write the server's URL, as in https://api.example.com:6443"));
    };
    // A password may hide before an `@`, whether or not the rest can be parsed.
    let shown = if text.contains('@') { Shown::hidden() } else { Shown::value(text) };
    let url_form = "write it as https://HOST:PORT, with a path if need be";
    let Ok(url) = text.parse::<Uri>() else {
        return Err(malformed(&field, shown, "it is not a URL", url_form));
    };
    let (Some(scheme), Some(authority), Some(host)) = (url.scheme_str(), url.authority(), url.host()) else {
        return Err(malformed(&field, shown, "it is not a complete URL", url_form));
    };
    if scheme != "https" {
        let why = "credentials would travel unprotected";
        return Err(refused(at, "server", shown, why, "use the server's https address"));
    }
    if authority.as_str().contains('@') {
        let why = "it carries a user name or password";
        return Err(refused(at, "server", shown, why, INLINE_CREDENTIALS));
    }
    if url.query().is_some() || text.contains('#') {
        return Err(malformed(&field, shown, "it has a query or a fragment", url_form));
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let unreachable = match bare.parse::<IpAddr>() {
        Ok(address) => forbidden(address, policy),
        Err(_) if bare.contains('%') => Some("it names a network interface"),
        Err(_) if address::is_loopback_name(bare) && !policy.allow_loopback => {
            Some("it is a loopback address")
        }
        Err(_) => None,
    };
    match unreachable {
        Some(why) => Err(refused(
            at,
            "server",
            shown,
            why,
            "use the address under which other machines reach the server",
        )),
        None => Ok(url),
    }
}

pub(super) fn authority(at: &str, cluster: &raw::Cluster) -> Result<Option<Vec<Vec<u8>>>, KubeconfigError> {
    let Some(text) = filled(cluster.certificate_authority_data.as_ref()) else { return Ok(None) };
    let field = format!("{at}.certificate-authority-data");
    let certs = certificates(&field, text)?;
    let mut store = rustls::RootCertStore::empty();
    for cert in &certs {
        if store.add(CertificateDer::from(cert.as_slice())).is_err() {
            return Err(malformed(&field, Shown::hidden(), "one of its certificates is broken", PEM_FORM));
        }
    }
    Ok(Some(certs))
}

pub(super) fn server_name(at: &str, cluster: &raw::Cluster) -> Result<Option<String>, KubeconfigError> {
    let Some(name) = filled(cluster.tls_server_name.as_ref()) else { return Ok(None) };
    if ServerName::try_from(name).is_err() {
        let field = format!("{at}.tls-server-name");
        return Err(malformed(
            &field,
            Shown::value(name),
            "it is neither a host name nor an address",
            "write the name in the server's certificate",
        ));
    }
    Ok(Some(name.to_owned()))
}

pub(super) fn credentials(at: &str, user: &raw::User) -> Result<AuthInfo, KubeconfigError> {
    let mut auth = AuthInfo::default();
    if let Some(token) = filled(user.token.as_ref()) {
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let why = "it contains a space, a line break or another character that no token has";
            return Err(malformed(
                &format!("{at}.token"),
                Shown::hidden(),
                why,
                "copy it again without what surrounds it",
            ));
        }
        auth.token = Some(SecretString::from(token));
    }
    match (filled(user.client_certificate_data.as_ref()), filled(user.client_key_data.as_ref())) {
        (Some(cert), Some(key)) => {
            certificates(&format!("{at}.client-certificate-data"), cert)?;
            let field = format!("{at}.client-key-data");
            let pem = decode(&field, key)?;
            if PrivateKeyDer::from_pem_slice(&pem).is_err() {
                return Err(malformed(&field, Shown::hidden(), "it holds no private key", PEM_FORM));
            }
            auth.client_certificate_data = Some(without_space(cert));
            auth.client_key_data = Some(SecretString::from(without_space(key)));
        }
        (Some(_), None) => {
            return Err(missing(&format!("{at}.client-key-data"), "add the key of the client certificate"));
        }
        (None, Some(_)) => {
            return Err(missing(
                &format!("{at}.client-certificate-data"),
                "add the certificate of the client key",
            ));
        }
        (None, None) if auth.token.is_none() => {
            return Err(malformed(at, Shown::hidden(), "it holds no credentials", INLINE_CREDENTIALS));
        }
        (None, None) => {}
    }
    Ok(auth)
}

const PEM_FORM: &str = "write PEM, encoded as base64 once";

fn certificates(field: &str, text: &str) -> Result<Vec<Vec<u8>>, KubeconfigError> {
    let pem = decode(field, text)?;
    let certs: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&pem).map(|cert| cert.map(|der| der.to_vec())).collect();
    match certs {
        Ok(certs) if !certs.is_empty() => Ok(certs),
        Ok(_) => Err(malformed(field, Shown::hidden(), "it holds no certificate", PEM_FORM)),
        Err(_) => Err(malformed(field, Shown::hidden(), "it is not PEM", PEM_FORM)),
    }
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, KubeconfigError> {
    BASE64_STANDARD
        .decode(without_space(text))
        .map_err(|_| malformed(field, Shown::hidden(), "it is not base64", PEM_FORM))
}

/// Base64 may be wrapped into lines.
fn without_space(text: &str) -> String {
    text.split_ascii_whitespace().collect()
}
