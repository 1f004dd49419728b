//! Label selectors as kubectl and velero take them in a flag: `app=shop,tier in (front,back),!old`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kurator_api::selector::{key_problem, value_problem};

/// Every form of a term, for whoever has written none of them.
const FORMS: &str = "write KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY";

/// Reads a selector.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn parse(text: &str) -> Result<LabelSelector, String> {
    let mut selector = LabelSelector::default();
    let terms = terms(text);
    for (before, term) in terms.iter().enumerate() {
        let term = term.trim();
        add(&mut selector, term).map_err(|why| match terms.as_slice() {
            [_] => why,
            _ if term.is_empty() => format!("term {}: {why}", before + 1),
            _ => format!("term {}, `{term}`: {why}", before + 1),
        })?;
    }
    Ok(selector)
}

/// A selector as it was typed, for a server that reads it itself; an empty one matches everything.
///
/// # Errors
/// As [`parse`].
pub(crate) fn checked(text: &str) -> Result<String, String> {
    if !text.trim().is_empty() {
        parse(text)?;
    }
    Ok(text.to_owned())
}

/// A selector as it could have been typed.
pub(crate) fn written(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let demands = selector.match_expressions.iter().flatten().map(|demand| {
        let (key, values) = (&demand.key, demand.values.clone().unwrap_or_default().join(","));
        match demand.operator.as_str() {
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            operator => format!("{key} {} ({values})", operator.to_lowercase()),
        }
    });
    labels.chain(demands).collect::<Vec<_>>().join(",")
}

fn add(selector: &mut LabelSelector, term: &str) -> Result<(), String> {
    if let Some(key) = term.strip_prefix('!') {
        demand(selector, key, "DoesNotExist", None)
    } else if let Some((key, value)) = term.split_once("!=") {
        demand(selector, key, "NotIn", Some(value))
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        let (key, value) = (key.trim(), value.trim());
        key_problem(key).or_else(|| value_problem(value)).map_or(Ok(()), Err)?;
        match selector.match_labels.get_or_insert_default().insert(key.to_owned(), value.to_owned()) {
            Some(_) => Err(format!("`{key}` is named twice")),
            None => Ok(()),
        }
    } else if let Some((key, values)) = term.split_once('(') {
        let key = key.trim().rsplit_once(char::is_whitespace);
        match (key, values.strip_suffix(')')) {
            (Some((key, "in")), Some(values)) => demand(selector, key, "In", Some(values)),
            (Some((key, "notin")), Some(values)) => demand(selector, key, "NotIn", Some(values)),
            _ => Err(format!("`{term}` is no choice of values; write KEY in (A,B) or KEY notin (A,B)")),
        }
    } else if term.is_empty() {
        Err(format!("it is empty; {FORMS}"))
    } else {
        demand(selector, term, "Exists", None)
    }
}

fn demand(
    selector: &mut LabelSelector,
    key: &str,
    operator: &str,
    values: Option<&str>,
) -> Result<(), String> {
    let key = key.trim();
    let values: Option<Vec<_>> =
        values.map(|values| values.split(',').map(|value| value.trim().to_owned()).collect());
    let wrong = key_problem(key).or_else(|| values.iter().flatten().find_map(|value| value_problem(value)));
    wrong.map_or(Ok(()), Err)?;
    let requirement = LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values };
    selector.match_expressions.get_or_insert_default().push(requirement);
    Ok(())
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
    fn a_selector_is_written_as_it_is_read() {
        let text = "a=b,c in (d,e),f notin (g),h,!i";
        assert_eq!(written(&parse(text).unwrap()), text);
    }

    #[test]
    fn what_is_no_selector_is_told_with_its_place() {
        let refused = [
            ("", "it is empty; write KEY=VALUE, KEY!=VALUE, "),
            ("a=b,", "term 2: it is empty; write KEY=VALUE, "),
            ("a=b,=c", "term 2, `=c`: a key is missing; use up to 63 letters"),
            ("a=b,a=c", "term 2, `a=c`: `a` is named twice"),
            ("a=b c", "`b c` is no value of a label"),
            ("a,b c!=d,e", "term 2, `b c!=d`: `b c` is no key of a label"),
            ("a in (b,c d)", "`c d` is no value of a label"),
            ("a within (b)", "`a within (b)` is no choice of values; write KEY in (A,B) or KEY notin (A,B)"),
            ("a in (b", "`a in (b` is no choice of values; write KEY in (A,B) or KEY notin (A,B)"),
        ];
        for (text, why) in refused {
            let said = parse(text).unwrap_err();
            assert!(said.starts_with(why), "{text}: {said}");
        }
    }

    #[test]
    fn an_empty_selector_chooses_everything_where_a_server_reads_it() {
        assert_eq!(checked("").as_deref(), Ok(""));
        assert_eq!(checked("a in (b), c").as_deref(), Ok("a in (b), c"));
        assert!(checked("a b").is_err());
    }
}
