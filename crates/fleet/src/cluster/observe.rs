//! Reads the kubeconfig Secret. Nothing of it is kept.

use kurator_api::cluster::{ClusterKey, SecretKeyRef};

use crate::ctx::Ctx;
use crate::error::Error;

/// What was found where the kubeconfig should be.
pub(super) enum Seen {
    /// `spec.kubeconfig` is not set.
    NoReference,
    NoSecret {
        secret: String,
    },
    NoKey {
        secret: String,
        key: String,
        present: Vec<String>,
    },
    Kubeconfig {
        secret: String,
        key: String,
        content: Vec<u8>,
    },
}

pub(super) async fn observe(
    ctx: &Ctx,
    cluster: &ClusterKey,
    credential: Option<SecretKeyRef>,
) -> Result<Seen, Error> {
    let Some(SecretKeyRef { name: secret, key }) = credential else { return Ok(Seen::NoReference) };
    let Some(found) = ctx.hub.secret(&cluster.namespace, &secret).await? else {
        return Ok(Seen::NoSecret { secret });
    };
    let mut data = found.data.unwrap_or_default();
    Ok(match data.remove(&key) {
        Some(content) => Seen::Kubeconfig { secret, key, content: content.0 },
        None => Seen::NoKey { secret, key, present: data.into_keys().collect() },
    })
}
