//! Selectors of labels.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use serde_json::{Map, Value};

/// A selector that was understood: all requirements together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A selector that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectorError {
    /// As Kubernetes says it.
    #[error("{operator:?} is not a valid label selector operator; use In, NotIn, Exists or DoesNotExist")]
    Operator {
        /// What it says.
        operator: String,
    },
    /// `In` or `NotIn` of nothing.
    #[error("the requirement of label `{key}` has operator {operator} and no values; name at least one")]
    NoValues {
        /// The label.
        key: String,
        /// `In` or `NotIn`.
        operator: String,
    },
}

impl Selector {
    /// Understands a selector; an empty one selects everything.
    pub(crate) fn new(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let exact = selector.match_labels.iter().flatten();
        let exact = exact.map(|(key, value)| Ok(Requirement::In(key.clone(), vec![value.clone()])));
        let rules = selector.match_expressions.iter().flatten().map(requirement);
        exact.chain(rules).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an object with these labels is selected.
    pub(crate) fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let among =
            |key: &str, values: &[String]| value(key).is_some_and(|own| values.iter().any(|v| v == own));
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => among(key, values),
            Requirement::NotIn(key, values) => !among(key, values),
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
        })
    }
}

fn requirement(rule: &LabelSelectorRequirement) -> Result<Requirement, SelectorError> {
    let key = rule.key.clone();
    let values = || match rule.values.as_deref() {
        None | Some([]) => Err(SelectorError::NoValues { key: key.clone(), operator: rule.operator.clone() }),
        Some(values) => Ok(values.to_vec()),
    };
    match rule.operator.as_str() {
        "In" => Ok(Requirement::In(key.clone(), values()?)),
        "NotIn" => Ok(Requirement::NotIn(key.clone(), values()?)),
        "Exists" => Ok(Requirement::Exists(key)),
        "DoesNotExist" => Ok(Requirement::Absent(key)),
        other => Err(SelectorError::Operator { operator: other.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selector(json: Value) -> Result<Selector, SelectorError> {
        Selector::new(&serde_json::from_value(json).unwrap())
    }

    fn rule(operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]})
    }

    #[test]
    fn each_requirement_selects_as_the_api_server_does() {
        for (json, with_web, with_db, without) in [
            (json!({}), true, true, true),
            (json!({"matchLabels": {"tier": "web"}}), true, false, false),
            (rule("In", &["web", "db"]), true, true, false),
            (rule("NotIn", &["web"]), false, true, true),
            (rule("Exists", &[]), true, true, false),
            (rule("DoesNotExist", &[]), false, false, true),
        ] {
            let selector = selector(json.clone()).unwrap();
            let labels = |value: &str| json!({"tier": value}).as_object().cloned();
            assert_eq!(selector.matches(labels("web").as_ref()), with_web, "{json}");
            assert_eq!(selector.matches(labels("db").as_ref()), with_db, "{json}");
            assert_eq!(selector.matches(None), without, "{json}");
        }
    }

    #[test]
    fn a_selector_that_cannot_be_understood_says_why() {
        assert_eq!(
            selector(rule("Like", &["a"])).unwrap_err().to_string(),
            "\"Like\" is not a valid label selector operator; use In, NotIn, Exists or DoesNotExist"
        );
        assert_eq!(
            selector(rule("In", &[])).unwrap_err().to_string(),
            "the requirement of label `tier` has operator In and no values; name at least one"
        );
    }
}
