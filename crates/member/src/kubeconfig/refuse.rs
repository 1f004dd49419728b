//! What is refused by name, whatever else the file says.

use serde_json::Value;

use super::{KubeconfigError, Shown, filled, given, raw, refused};

/// The remedy for everything that stands in the place of credentials.
pub(super) const INLINE_CREDENTIALS: &str =
    "use `token`, or `client-certificate-data` with `client-key-data`";

pub(super) fn in_user(at: &str, user: &raw::User) -> Result<(), KubeconfigError> {
    let command = |plugin: &Value| {
        plugin.get("command").or_else(|| plugin.get("name")).and_then(Value::as_str).map(str::to_owned)
    };
    if let Some(plugin) = given(user.exec.as_ref()) {
        let shown = command(plugin).map_or_else(Shown::hidden, |name| Shown::value(&name));
        return Err(refused(at, "exec", shown, "it runs a program in the manager", INLINE_CREDENTIALS));
    }
    if let Some(plugin) = given(user.auth_provider.as_ref()) {
        let shown = command(plugin).map_or_else(Shown::hidden, |name| Shown::value(&name));
        return Err(refused(
            at,
            "auth-provider",
            shown,
            "it runs code that the file chooses",
            INLINE_CREDENTIALS,
        ));
    }
    for (name, path, instead) in [
        ("tokenFile", &user.token_file, "put the token itself into `token`"),
        (
            "client-certificate",
            &user.client_certificate,
            "put the certificate itself into `client-certificate-data`",
        ),
        ("client-key", &user.client_key, "put the key itself into `client-key-data`"),
    ] {
        if let Some(path) = filled(path.as_ref()) {
            return Err(refused(at, name, Shown::value(path), "it reads a file of the manager", instead));
        }
    }
    for (name, value) in [
        ("as", &user.impersonate),
        ("as-uid", &user.impersonate_uid),
        ("as-groups", &user.impersonate_groups),
        ("as-user-extra", &user.impersonate_extra),
    ] {
        if let Some(value) = given(value.as_ref()) {
            let shown = value.as_str().map_or_else(Shown::hidden, Shown::value);
            return Err(refused(
                at,
                name,
                shown,
                "it acts in another's name",
                "give the identity credentials of its own",
            ));
        }
    }
    if let Some(name) = filled(user.username.as_ref()) {
        let why = "Kubernetes knows no passwords since 1.19";
        return Err(refused(at, "username", Shown::value(name), why, INLINE_CREDENTIALS));
    }
    if filled(user.password.as_ref()).is_some() {
        let why = "Kubernetes knows no passwords since 1.19";
        return Err(refused(at, "password", Shown::hidden(), why, INLINE_CREDENTIALS));
    }
    Ok(())
}

pub(super) fn in_cluster(at: &str, cluster: &raw::Cluster) -> Result<(), KubeconfigError> {
    if let Some(path) = filled(cluster.certificate_authority.as_ref()) {
        let instead = "put the certificate itself into `certificate-authority-data`";
        return Err(refused(
            at,
            "certificate-authority",
            Shown::value(path),
            "it reads a file of the manager",
            instead,
        ));
    }
    if cluster.insecure_skip_tls_verify == Some(true) {
        let why = "anybody on the way could read the credentials";
        let instead = "put the server's CA into `certificate-authority-data`";
        return Err(refused(at, "insecure-skip-tls-verify", Shown::value("true"), why, instead));
    }
    if filled(cluster.proxy_url.as_ref()).is_some() {
        // A proxy's URL may carry a password.
        let why = "it leads all requests to a place of the file's choice";
        return Err(refused(
            at,
            "proxy-url",
            Shown::hidden(),
            why,
            "give an address that the manager reaches directly",
        ));
    }
    Ok(())
}
