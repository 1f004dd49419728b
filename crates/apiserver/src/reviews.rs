//! Questions about rights, which are asked by making an object that nobody keeps. Nobody is refused anything here.

use serde_json::{Value, json};

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
pub(crate) fn answer(group: &str, kind: &str, mut question: Value) -> Value {
    question["kind"] = kind.into();
    question["apiVersion"] = format!("{group}/v1").into();
    question["status"] = match kind {
        "SelfSubjectAccessReview" => json!({"allowed": true}),
        "SelfSubjectRulesReview" => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        _ => json!({"userInfo": {"username": "admin", "groups": ["system:masters", "system:authenticated"]}}),
    };
    question
}
