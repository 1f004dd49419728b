//! Which label selectors can match at all.

use std::collections::HashSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::names::{MAX_LABEL, is_dns_subdomain};

/// As much of a wrong text as a message shows.
const SHOWN: usize = 40;

/// What no label can be, a sentence each.
#[must_use]
pub fn problems(selector: &LabelSelector) -> Vec<String> {
    let mut problems = Vec::new();
    for (key, value) in selector.match_labels.iter().flatten() {
        problems.extend(key_problem(key));
        problems.extend(value_problem(value));
    }
    for requirement in selector.match_expressions.iter().flatten() {
        problems.extend(key_problem(&requirement.key));
        problems.extend(requirement.values.iter().flatten().filter_map(|value| value_problem(value)));
        let has_values = requirement.values.as_ref().is_some_and(|values| !values.is_empty());
        let problem = match requirement.operator.as_str() {
            "In" | "NotIn" if !has_values => "needs values; name at least one",
            "Exists" | "DoesNotExist" if has_values => "takes no values; leave them out",
            "In" | "NotIn" | "Exists" | "DoesNotExist" => continue,
            _ => "is no operator; use In, NotIn, Exists or DoesNotExist",
        };
        problems.push(match requirement.operator.as_str() {
            "" => "an operator is missing; use In, NotIn, Exists or DoesNotExist".to_owned(),
            operator => format!("`{}` {problem}", shown(operator)),
        });
    }
    // As often as it is made, a mistake is one sentence.
    let mut said = HashSet::new();
    problems.retain(|problem| said.insert(problem.clone()));
    problems
}

/// Why nothing can have a label, or an annotation, of this key.
#[must_use]
pub fn key_problem(key: &str) -> Option<String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let is_right = !name.is_empty() && is_word(name) && prefix.is_none_or(is_dns_subdomain);
    (!is_right).then(|| {
        let what = if key.is_empty() {
            "a key is missing".to_owned()
        } else {
            format!("`{}` is no key of a label", shown(key))
        };
        format!("{what}; use up to {MAX_LABEL} letters, digits, `-`, `_` and `.`, after an optional domain and `/`")
    })
}

/// Why no label can have this value.
#[must_use]
pub fn value_problem(value: &str) -> Option<String> {
    (!is_word(value)).then(|| {
        format!(
            "`{}` is no value of a label; use up to {MAX_LABEL} letters, digits, `-`, `_` and `.`",
            shown(value)
        )
    })
}

/// Empty, or of letters, digits and separators, which stand neither first nor last.
fn is_word(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_alphanumeric();
    text.len() <= MAX_LABEL
        && text.chars().all(|c| is_end(c) || matches!(c, '-' | '_' | '.'))
        && (text.is_empty() || (text.starts_with(is_end) && text.ends_with(is_end)))
}

/// A text that may hold anything, in one line and short.
pub(crate) fn shown(text: &str) -> String {
    let escaped = text.escape_debug();
    let short: String = escaped.clone().take(SHOWN).collect();
    if escaped.count() > SHOWN { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(selector: serde_json::Value) -> Vec<String> {
        problems(&serde_json::from_value(selector).unwrap())
    }

    #[test]
    fn what_labels_can_be_is_let_pass() {
        for selector in [
            json!({}),
            json!({"matchLabels": {"app": "", "kurator.dev/x_Y.z": "A_b-c.1"}}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b", ""]}]}),
        ] {
            assert_eq!(of(selector.clone()), Vec::<String>::new(), "{selector}");
        }
    }

    #[test]
    fn a_mistake_that_is_made_twice_is_named_once() {
        let empty = json!({"key": "", "operator": "Exists"});
        assert_eq!(of(json!({"matchExpressions": [empty, empty]})).len(), 1);
    }

    #[test]
    fn what_no_label_can_be_is_named() {
        let long = "x".repeat(64);
        let table = [
            (json!({"matchLabels": {"a b": "c d\n"}}), vec!["`a b` is no key", "`c d\\n` is no value"]),
            (
                json!({"matchLabels": {"": "x", "A.b/c": "x", "a/b/c": "x"}}),
                vec!["a key is missing; use ", "`A.b/c`", "`a/b/c`"],
            ),
            (json!({"matchLabels": {"a": long}}), vec!["x…` is no value"]),
            (json!({"matchExpressions": [{"key": "a", "operator": "In"}]}), vec!["`In` needs values"]),
            (json!({"matchExpressions": [{"key": "a", "operator": "is"}]}), vec!["`is` is no operator"]),
        ];
        for (selector, expected) in table {
            let problems = of(selector.clone());
            assert_eq!(problems.len(), expected.len(), "{selector}: {problems:?}");
            for (problem, part) in problems.iter().zip(expected) {
                assert!(problem.contains(part), "{problem}");
            }
        }
    }
}
