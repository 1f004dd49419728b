//! Questions about rights, which are asked by making an object that nobody keeps. Nobody is refused anything here.

use serde_json::{Value, json};

use crate::error::{ApiError, Result};

const GROUP: &str = "authorization.k8s.io";

/// The kind of question that is asked at this place, if it is one.
pub(crate) fn kind(group: &str, version: &str, plural: &str) -> Option<&'static str> {
    match (group, version, plural) {
        (GROUP, "v1", "selfsubjectaccessreviews") => Some("SelfSubjectAccessReview"),
        (GROUP, "v1", "selfsubjectrulesreviews") => Some("SelfSubjectRulesReview"),
        ("authentication.k8s.io", "v1", "selfsubjectreviews") => Some("SelfSubjectReview"),
        _ => None,
    }
}

/// The question with its answer.
///
/// # Errors
/// It asks nothing.
pub(crate) fn answer(group: &str, kind: &str, mut question: Value) -> Result<Value> {
    let Value::Object(fields) = &mut question else {
        return Err(ApiError::bad_request(format!("a {kind} is a JSON object")));
    };
    fields.insert("kind".to_owned(), kind.into());
    fields.insert("apiVersion".to_owned(), format!("{group}/v1").into());
    let status = match kind {
        "SelfSubjectAccessReview" => json!({"allowed": true}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]}}),
    };
    fields.insert("status".to_owned(), status);
    Ok(question)
}
