//! Label selectors: as the API server reads them, and as they match labels.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The labels of an object.
pub trait Labels {
    /// The value of the label `key`.
    fn value(&self, key: &str) -> Option<&str>;
}

impl<K: Borrow<str> + Ord, V: AsRef<str>> Labels for BTreeMap<K, V> {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(AsRef::as_ref)
    }
}

impl<L: Labels> Labels for Option<L> {
    fn value(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.value(key))
    }
}

/// A selector that an API server would accept. It is displayed as one reads it in a query; what selects everything is
/// displayed as nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// All have to hold. Sorted by key, as Velero sends them.
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Equals(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
}

/// What is wrong with a selector. The path is relative to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Not the key of a label.
    #[error("{path} `{key}` is not the key of a label: {why}")]
    Key {
        /// Where it stands.
        path: String,
        /// The key.
        key: String,
        /// What a key looks like.
        why: &'static str,
    },
    /// Not the value of a label.
    #[error(
        "{path} `{value}` is not the value of a label: take up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends"
    )]
    Value {
        /// Where it stands.
        path: String,
        /// The value.
        value: String,
    },
    /// Not an operator.
    #[error("{path} `{operator}` is none of `In`, `NotIn`, `Exists` and `DoesNotExist`")]
    Operator {
        /// Where it stands.
        path: String,
        /// The operator.
        operator: String,
    },
    /// `In` without values.
    #[error("{path} is empty, which `{operator}` doesn't allow: name at least one value")]
    NoValues {
        /// Where they should stand.
        path: String,
        /// The operator.
        operator: String,
    },
    /// `Exists` with values.
    #[error("{path} has values, which `{operator}` doesn't allow: leave them out")]
    Values {
        /// Where they stand.
        path: String,
        /// The operator.
        operator: String,
    },
}

impl Selector {
    /// Reads a selector; an empty one selects everything.
    ///
    /// # Errors
    /// [`SelectorError`], by the rules of the API server.
    pub fn parse(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            check_key(|| "matchLabels".to_owned(), key)?;
            check_value(|| format!("matchLabels.{key}"), value)?;
            requirements.push(Requirement { key: key.clone(), test: Test::Equals(value.clone()) });
        }
        for (at, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let path = |field: &str| format!("matchExpressions[{at}].{field}");
            check_key(|| path("key"), &expression.key)?;
            let mut values = expression.values.clone().unwrap_or_default();
            for value in &values {
                check_value(|| path("values"), value)?;
            }
            values.sort_unstable();
            values.dedup();
            let operator = expression.operator.clone();
            let test = match (operator.as_str(), values.is_empty()) {
                ("In", false) => Test::In(values),
                ("NotIn", false) => Test::NotIn(values),
                ("In" | "NotIn", true) => {
                    return Err(SelectorError::NoValues { path: path("values"), operator });
                }
                ("Exists", true) => Test::Exists,
                ("DoesNotExist", true) => Test::Absent,
                ("Exists" | "DoesNotExist", false) => {
                    return Err(SelectorError::Values { path: path("values"), operator });
                }
                _ => return Err(SelectorError::Operator { path: path("operator"), operator }),
            };
            requirements.push(Requirement { key: expression.key.clone(), test });
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    /// Whether it selects everything.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        self.requirements.iter().all(|Requirement { key, test }| {
            let value = labels.value(key);
            match test {
                Test::Equals(wanted) => value == Some(wanted),
                Test::In(wanted) => value.is_some_and(|value| wanted.iter().any(|one| one == value)),
                // As in Kubernetes: what lacks the label is selected.
                Test::NotIn(not) => value.is_none_or(|value| not.iter().all(|one| one != value)),
                Test::Exists => value.is_some(),
                Test::Absent => value.is_none(),
            }
        })
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Requirement { key, test }) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::Equals(value) => write!(f, "{key}={value}"),
                Test::In(values) => write!(f, "{key} in ({})", values.join(",")),
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
                Test::Exists => f.write_str(key),
                Test::Absent => write!(f, "!{key}"),
            }?;
        }
        Ok(())
    }
}

fn check_key(path: impl Fn() -> String, key: &str) -> Result<(), SelectorError> {
    let refuse = |why| Err(SelectorError::Key { path: path(), key: key.to_owned(), why });
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !is_subdomain(prefix)) {
        return refuse("before its `/` stands a domain, such as `example.com`");
    }
    if name.is_empty() || !is_value(name) {
        return refuse(
            "take up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, and before it a domain and one `/` where one is needed",
        );
    }
    Ok(())
}

fn check_value(path: impl Fn() -> String, value: &str) -> Result<(), SelectorError> {
    if is_value(value) { Ok(()) } else { Err(SelectorError::Value { path: path(), value: value.to_owned() }) }
}

fn is_value(value: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    value.is_empty()
        || value.len() <= 63
            && value.starts_with(is_end)
            && value.ends_with(is_end)
            && value.chars().all(|c| is_end(c) || matches!(c, '-' | '_' | '.'))
}

fn is_subdomain(name: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253
        && name.split('.').all(|part| {
            part.starts_with(is_end) && part.ends_with(is_end) && part.chars().all(|c| is_end(c) || c == '-')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(selector: Value) -> Result<Selector, SelectorError> {
        Selector::parse(&serde_json::from_value(selector).unwrap())
    }

    fn labels(of: &[(&'static str, &'static str)]) -> BTreeMap<&'static str, &'static str> {
        of.iter().copied().collect()
    }

    #[test]
    fn a_selector_reads_as_a_query_and_matches_alike() {
        let a = labels(&[("app", "web"), ("tier", "front")]);
        let none = labels(&[]);
        let cases = [
            (json!({}), "", true, true),
            (json!({ "matchLabels": { "tier": "front", "app": "web" } }), "app=web,tier=front", true, false),
            (json!({ "matchLabels": { "app": "" } }), "app=", false, false),
            (expression("app", "In", &["web", "api", "web"]), "app in (api,web)", true, false),
            (expression("app", "NotIn", &["web"]), "app notin (web)", false, true),
            (expression("example.com/app", "NotIn", &["web"]), "example.com/app notin (web)", true, true),
            (expression("app", "Exists", &[]), "app", true, false),
            (expression("app", "DoesNotExist", &[]), "!app", false, true),
        ];
        for (selector, query, with, without) in cases {
            let selector = read(selector).unwrap();
            assert_eq!(selector.to_string(), query);
            assert_eq!(selector.is_everything(), query.is_empty());
            assert_eq!(selector.matches(&a), with, "{query}");
            assert_eq!(selector.matches(&none), without, "{query}");
            assert_eq!(selector.matches(&None::<BTreeMap<String, String>>), without, "{query}");
        }
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] })
    }

    #[test]
    fn what_the_api_server_would_refuse_is_told() {
        let long = "a".repeat(64);
        let cases = [
            (expression("a", "Gt", &["1"]), "matchExpressions[0].operator `Gt` is none of `In`, `NotIn`, `Exists` and `DoesNotExist`".to_owned()),
            (expression("a", "In", &[]), "matchExpressions[0].values is empty, which `In` doesn't allow: name at least one value".to_owned()),
            (expression("a", "Exists", &["b"]), "matchExpressions[0].values has values, which `Exists` doesn't allow: leave them out".to_owned()),
            (expression("a/b/c", "Exists", &[]), "matchExpressions[0].key `a/b/c` is not the key of a label: take up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, and before it a domain and one `/` where one is needed".to_owned()),
            (expression("A_b/c", "Exists", &[]), "matchExpressions[0].key `A_b/c` is not the key of a label: before its `/` stands a domain, such as `example.com`".to_owned()),
            (json!({ "matchLabels": { "a": "b c" } }), "matchLabels.a `b c` is not the value of a label: take up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends".to_owned()),
            (json!({ "matchLabels": { "a": long } }), format!("matchLabels.a `{long}` is not the value of a label: take up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends")),
        ];
        for (selector, told) in cases {
            assert_eq!(read(selector).unwrap_err().to_string(), told);
        }
    }

    proptest! {
        #[test]
        fn in_and_not_in_exclude_each_other(key in "[ab]", values in prop::collection::vec("[xyz]", 1..3), has in prop::collection::btree_map("[ab]", "[xyz]", 0..2)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let within = read(expression(&key, "In", &values)).unwrap();
            let without = read(expression(&key, "NotIn", &values)).unwrap();
            prop_assert_ne!(within.matches(&has), without.matches(&has));
        }

        #[test]
        fn no_selector_makes_it_panic(key in ".{0,6}", operator in "In|Exists|.{0,3}", values in prop::collection::vec(".{0,4}", 0..3)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            if let Ok(selector) = read(expression(&key, &operator, &values)) {
                let _ = selector.matches(&labels(&[]));
            }
        }
    }
}
