//! The status of an object that was restored.

use http::StatusCode;
use serde_json::Value;

use crate::call::{CallError, Caller};

/// How often a status is written, at most, as by Velero 1.18 (`retry.DefaultRetry`).
const ATTEMPTS: u32 = 5;

/// Writes the status of the object at `path`, which was `created` like this. Its controllers may change it meanwhile:
/// then it is read again.
///
/// # Errors
/// [`CallError`]
pub(super) async fn write(
    caller: &Caller,
    path: &str,
    created: &[u8],
    status: &Value,
) -> Result<(), CallError> {
    let unusable = |error: serde_json::Error| CallError::Unusable(error.to_string());
    let mut object: Value = serde_json::from_slice(created).map_err(unusable)?;
    object["status"] = status.clone();
    for _ in 1..ATTEMPTS {
        match replace(caller, path, &object).await {
            Err(error) if error.is(StatusCode::CONFLICT) => {
                let Some(found) = caller.get(path).await? else { return Err(error) };
                let found: Value = serde_json::from_slice(&found).map_err(unusable)?;
                if found["metadata"]["uid"] != object["metadata"]["uid"] {
                    return Err(error);
                }
                object = found;
                object["status"] = status.clone();
            }
            written => return written,
        }
    }
    replace(caller, path, &object).await
}

async fn replace(caller: &Caller, path: &str, object: &Value) -> Result<(), CallError> {
    let body = serde_json::to_vec(object).map_err(|error| CallError::Unusable(error.to_string()))?;
    match caller.replace(&format!("{path}/status"), body.clone().into()).await {
        // A type without the subresource takes the status like any other field.
        Err(error) if error.is(StatusCode::NOT_FOUND) => caller.replace(path, body.into()).await.map(drop),
        written => written.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ok, server, status as refused};

    const PATH: &str = "/apis/batch/v1/namespaces/a/jobs/j";
    const CREATED: &[u8] = br#"{"metadata": {"resourceVersion": "1"}}"#;

    #[tokio::test(start_paused = true)]
    async fn a_status_that_came_too_late_is_written_again_to_the_object_as_it_is_then() {
        let (caller, log) = server(|n, _| match n {
            0 => refused(409, "Conflict", "the object has been modified"),
            _ => ok(r#"{"metadata": {"resourceVersion": "2"}}"#),
        });
        write(&caller, PATH, CREATED, &json!({"active": 1})).await.unwrap();
        assert_eq!(log.paths(), [format!("{PATH}/status"), PATH.to_owned(), format!("{PATH}/status")]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_somebody_made_in_its_place_keeps_its_own_status() {
        let (caller, log) = server(|_, path| match path {
            PATH => ok(r#"{"metadata": {"resourceVersion": "2", "uid": "another"}}"#),
            _ => refused(409, "Conflict", "the object has been modified"),
        });
        let failed = write(&caller, PATH, CREATED, &json!({})).await.unwrap_err();
        assert!(failed.is(StatusCode::CONFLICT), "{failed}");
        assert_eq!(log.paths().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_changes_all_the_time_is_given_up_in_the_servers_words() {
        let (caller, log) = server(|_, path| match path {
            PATH => ok(CREATED),
            _ => refused(409, "Conflict", "the object has been modified"),
        });
        let failed = write(&caller, PATH, CREATED, &json!({})).await.unwrap_err();
        assert_eq!(failed.to_string(), "the object has been modified");
        assert_eq!(log.paths().iter().filter(|path| *path != PATH).count(), ATTEMPTS as usize);
    }
}
