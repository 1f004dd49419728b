//! The velero.io objects that are worked on, as they are now.

use std::time::Duration;

use kube::core::ObjectMeta;
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::call::{CallError, Caller};

/// Longest time to ask for an object as it is now.
const FRESH_WITHIN: Duration = Duration::from_secs(20);

/// Path of a velero.io object.
pub(crate) fn path<K: Resource<DynamicType = ()>>(namespace: &str, name: &str) -> String {
    format!("/apis/velero.io/v1/namespaces/{namespace}/{}/{name}", K::plural(&()))
}

/// The object as it is now, which is not what a watch last showed; none if it is gone and another has its name.
///
/// # Errors
/// The member does not say so in [`FRESH_WITHIN`].
pub(crate) async fn fresh<K>(caller: &Caller, namespace: &str, known: &K) -> Result<Option<K>, CallError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let found: Option<K> = read(caller, &path::<K>(namespace, &known.name_any())).await?;
    Ok(found.filter(|found| found.uid() == known.uid()))
}

/// Metadata of what is at `path` now; none if nothing is.
///
/// # Errors
/// The member does not say so in [`FRESH_WITHIN`].
pub(crate) async fn metadata_at(caller: &Caller, path: &str) -> Result<Option<ObjectMeta>, CallError> {
    #[derive(serde::Deserialize)]
    struct Found {
        metadata: ObjectMeta,
    }
    let found: Option<Found> = read(caller, path).await?;
    Ok(found.map(|found| found.metadata))
}

async fn read<T: DeserializeOwned>(caller: &Caller, path: &str) -> Result<Option<T>, CallError> {
    let read = tokio::time::timeout(FRESH_WITHIN, caller.get(path));
    let late = |_| CallError::Unreachable(format!("nothing within {} s", FRESH_WITHIN.as_secs()));
    let Some(json) = read.await.map_err(late)?? else { return Ok(None) };
    serde_json::from_slice(&json).map(Some).map_err(|error| CallError::Unusable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_the_member_does_not_say_is_not_waited_for_without_end() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let caller = Caller::new(kube::Client::new(silent, "default"));
        let began = tokio::time::Instant::now();
        let backup = kurator_api::velero::Backup::new("b", Default::default());
        assert!(fresh(&caller, "velero", &backup).await.is_err());
        assert_eq!(began.elapsed(), FRESH_WITHIN);
    }
}
