//! Secrets and ServiceAccounts: tokens belong to the cluster that made them.

use super::super::object;
use super::{ActionError, Work};

const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// Whether a Secret is a token that Kubernetes up to 1.23 made for a ServiceAccount by itself.
///
/// Velero looks for a ServiceAccount whose name the Secret's begins with, in the cluster and in the namespace of
/// the backup. The Secret's own annotation tells the same without the cluster, and in a mapped namespace too.
pub(crate) fn is_account_token(secret: &serde_json::Value) -> bool {
    let account = object::annotation(secret, "kubernetes.io/service-account.name").unwrap_or_default();
    object::text(secret, &["type"]) == Some(TOKEN_TYPE)
        && !account.is_empty()
        && object::name(secret).starts_with(&format!("{account}-token-"))
}

/// `velero.io/secret`: a token that somebody asked for is asked for again, without the old one.
pub(super) fn reset(work: &mut Work<'_>) -> Result<(), ActionError> {
    let secret = &mut work.made.object;
    if object::text(secret, &["type"]) == Some(TOKEN_TYPE) {
        object::remove_annotations(secret, &["kubernetes.io/service-account.uid"]);
        object::remove(secret, &["data", "token"]);
        object::remove(secret, &["data", "ca.crt"]);
    }
    Ok(())
}

/// `velero.io/service-account`: the reference to the last token that Kubernetes made is dropped.
pub(super) fn forget_token(work: &mut Work<'_>) -> Result<(), ActionError> {
    let account = &mut work.made.object;
    let prefix = format!("{}-token-", object::name(account));
    if let Some(secrets) = object::list_mut(account, &["secrets"]) {
        let is_token = |secret: &serde_json::Value| {
            object::text(secret, &["name"]).is_some_and(|name| name.starts_with(&prefix))
        };
        if let Some(last) = secrets.iter().rposition(is_token) {
            secrets.remove(last);
        }
        if secrets.is_empty() {
            object::remove(account, &["secrets"]);
        }
    }
    Ok(())
}
