//! Writes into velero.io objects: their CRDs have no status subresource, a status is a field like any other.

use std::time::Duration;

use http::StatusCode;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::call::{CallError, Caller, Content};

/// Pause before a write that has to be made is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// Path of a velero.io object.
pub(super) fn path<K: Resource<DynamicType = ()>>(namespace: &str, name: &str) -> String {
    format!("/apis/velero.io/v1/namespaces/{namespace}/{}/{name}", K::plural(&()))
}

/// The object as it is now, which is not what a watch last showed; none if it is gone and another has its name.
/// Asks for as long as it takes.
pub(super) async fn fresh<K>(caller: &Caller, namespace: &str, known: &K) -> Option<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let path = path::<K>(namespace, &known.name_any());
    loop {
        let read = caller.get(&path).await.and_then(|found| match found {
            None => Ok(None),
            Some(json) => serde_json::from_slice::<K>(&json)
                .map(Some)
                .map_err(|error| CallError::Unusable(error.to_string())),
        });
        match read {
            Ok(found) => return found.filter(|found| found.uid() == known.uid()),
            Err(error) => tracing::warn!(path, error = %error, "cannot read"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Merges `patch` into what is at `path`.
pub(super) async fn merge(caller: &Caller, path: &str, patch: &Value) -> Result<(), CallError> {
    let body = patch.to_string().into_bytes();
    caller.patch(path, Content { kind: "application/merge-patch+json", body: body.into() }).await.map(drop)
}

/// Merges `patch` into what is at `path` for as long as it takes; ends early only when the object is gone or the server
/// refuses the patch itself.
pub(super) async fn merge_at_last(caller: &Caller, path: &str, patch: &Value) {
    while let Err(error) = merge(caller, path, patch).await {
        if error.is(StatusCode::NOT_FOUND) {
            return;
        }
        tracing::warn!(path, error = %error, "cannot write");
        if error.is(StatusCode::UNPROCESSABLE_ENTITY) || error.is(StatusCode::BAD_REQUEST) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}
