//! Label selectors as kubectl and velero take them in a flag: `app=shop,tier in (front,back),!old`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kurator_api::selector::problems;

/// Reads a selector.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &str) -> Result<LabelSelector, String> {
    let mut selector = LabelSelector::default();
    for term in terms(text) {
        let term = term.trim();
        if let Some(key) = term.strip_prefix('!') {
            demand(&mut selector, key, "DoesNotExist", None);
        } else if let Some((key, value)) = term.split_once("!=") {
            demand(&mut selector, key, "NotIn", Some(value));
        } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
            let labels = selector.match_labels.get_or_insert_default();
            if labels.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
                return Err(format!("`{}` is named twice", key.trim()));
            }
        } else if let Some((key, values)) = term.strip_suffix(')').and_then(|term| term.split_once('(')) {
            let (key, is_in) = match key.trim().rsplit_once(char::is_whitespace) {
                Some((key, "in")) => (key, "In"),
                Some((key, "notin")) => (key, "NotIn"),
                _ => return Err(format!("`{term}`: write KEY in (A,B) or KEY notin (A,B)")),
            };
            demand(&mut selector, key, is_in, Some(values));
        } else {
            demand(&mut selector, term, "Exists", None);
        }
    }
    match problems(&selector).as_slice() {
        [] => Ok(selector),
        problems => Err(problems.join("; ")),
    }
}

fn demand(selector: &mut LabelSelector, key: &str, operator: &str, values: Option<&str>) {
    selector.match_expressions.get_or_insert_default().push(LabelSelectorRequirement {
        key: key.trim().to_owned(),
        operator: operator.to_owned(),
        values: values.map(|values| values.split(',').map(|value| value.trim().to_owned()).collect()),
    });
}

/// The terms between those commas that are not in parentheses.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_of_a_term_is_read() {
        let cases = [
            ("app=shop", json!({"matchLabels": {"app": "shop"}})),
            ("app == shop, tier=", json!({"matchLabels": {"app": "shop", "tier": ""}})),
            ("a!=b", json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]})),
            (
                "a in (b, c),!d,e",
                json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]},
                    {"key": "d", "operator": "DoesNotExist"}, {"key": "e", "operator": "Exists"}]}),
            ),
            (
                "a notin (b)",
                json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}),
            ),
        ];
        for (text, selector) in cases {
            assert_eq!(serde_json::to_value(parse(text).unwrap()).unwrap(), selector, "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_told() {
        assert!(parse("").unwrap_err().contains("`` is no key of a label"));
        assert_eq!(parse("a=b,a=c").unwrap_err(), "`a` is named twice");
        assert!(parse("a=b c").unwrap_err().contains("`b c` is no value of a label"));
        assert_eq!(
            parse("a within (b)").unwrap_err(),
            "`a within (b)`: write KEY in (A,B) or KEY notin (A,B)"
        );
    }
}
