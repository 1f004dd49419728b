//! The JSON paths of printer columns: fields, elements, wildcards and filters.

use serde_json::Value;

/// A path as a column has it: `.status.conditions[?(@.type=="Ready")].status`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    /// Counted from the end if negative.
    Index(i64),
    All,
    Filter {
        path: JsonPath,
        test: Option<(Test, Value)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Test {
    Equal,
    Different,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

impl JsonPath {
    /// `None`: not a path that this server can follow.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (step, left) = if let Some(inside) = rest.strip_prefix('[') {
                let end = closing(inside)?;
                (bracketed(inside.get(..end)?.trim())?, inside.get(end + 1..)?)
            } else {
                let (name, left) = name(rest.strip_prefix('.').unwrap_or(rest));
                if name.is_empty() && !left.starts_with('[') {
                    return None;
                }
                if name.is_empty() {
                    rest = left;
                    continue;
                }
                (if name == "*" { Step::All } else { Step::Field(name) }, left)
            };
            steps.push(step);
            rest = left;
        }
        Some(Self(steps))
    }

    /// Everything that the path leads to.
    pub(crate) fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.0
            .iter()
            .fold(vec![value], |found, step| found.into_iter().flat_map(|value| step.follow(value)).collect())
    }
}

impl Step {
    fn follow<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match (self, value) {
            (Self::Field(name), value) => value.get(name).into_iter().collect(),
            (Self::Index(index), Value::Array(elements)) => {
                let place = usize::try_from(*index)
                    .ok()
                    .or_else(|| elements.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?));
                place.and_then(|place| elements.get(place)).into_iter().collect()
            }
            (Self::All, Value::Array(elements)) => elements.iter().collect(),
            (Self::All, Value::Object(fields)) => fields.values().collect(),
            (Self::Filter { path, test }, Value::Array(elements)) => {
                elements.iter().filter(|element| passes(path, test.as_ref(), element)).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn passes(path: &JsonPath, test: Option<&(Test, Value)>, element: &Value) -> bool {
    let found = path.find(element);
    let Some((test, wanted)) = test else { return !found.is_empty() };
    found.first().is_some_and(|value| {
        let order = match (value, wanted) {
            (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
            (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
            _ => (*value == wanted).then_some(std::cmp::Ordering::Equal),
        };
        match test {
            Test::Equal => order.is_some_and(std::cmp::Ordering::is_eq),
            Test::Different => order.is_none_or(std::cmp::Ordering::is_ne),
            Test::Less => order.is_some_and(std::cmp::Ordering::is_lt),
            Test::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
            Test::More => order.is_some_and(std::cmp::Ordering::is_gt),
            Test::MoreOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    })
}

/// The place of the bracket that closes an open one; those inside of quotes don't count.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_usize, None);
    for (place, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(place),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracketed(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::All);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|filter| filter.strip_suffix(')')) {
        return filtered(filter.trim());
    }
    if let Some(name) = quoted(inside) {
        return Some(Step::Field(name));
    }
    inside.parse().ok().map(Step::Index)
}

fn filtered(text: &str) -> Option<Step> {
    const TESTS: [(&str, Test); 6] = [
        ("==", Test::Equal),
        ("!=", Test::Different),
        ("<=", Test::LessOrEqual),
        (">=", Test::MoreOrEqual),
        ("<", Test::Less),
        (">", Test::More),
    ];
    let text = text.strip_prefix('@')?;
    let found = TESTS.iter().find_map(|(sign, test)| Some((text.split_once(sign)?, *test)));
    let Some(((path, value), test)) = found else {
        return Some(Step::Filter { path: JsonPath::parse(text)?, test: None });
    };
    let value = value.trim();
    let value = quoted(value).map(Value::from).or_else(|| serde_json::from_str(value).ok())?;
    Some(Step::Filter { path: JsonPath::parse(path)?, test: Some((test, value)) })
}

fn quoted(text: &str) -> Option<String> {
    let inside = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))?;
    Some(inside.to_owned())
}

/// A name and what stands after it; a backslash keeps a dot in the name.
fn name(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut all = text.char_indices();
    while let Some((place, c)) = all.next() {
        match c {
            '.' | '[' => return (name, &text[place..]),
            '\\' => name.extend(all.next().map(|(_, c)| c)),
            c => name.push(c),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_what_it_names() {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "label"}},
            "spec": {"list": [{"n": "x", "v": 1}, {"n": "y", "v": 2}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Done", "status": "False"}]},
        });
        for (path, expected) in [
            (".spec.list[0].n", json!(["x"])),
            (".spec.list[-1].n", json!(["y"])),
            ("spec.list[*].v", json!([1, 2])),
            (".metadata.labels.a\\.b/c", json!(["label"])),
            (".metadata.labels['a.b/c']", json!(["label"])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type=='Done')].status", json!(["False"])),
            (".spec.list[?(@.v > 1)].n", json!(["y"])),
            (".spec.list[?(@.absent)].n", json!([])),
            (".absent.field", json!([])),
            (".spec.list[7]", json!([])),
            (".metadata.labels[0]", json!([])),
        ] {
            let found = JsonPath::parse(path).map(|parsed| json!(parsed.find(&object)));
            assert_eq!(found, Some(expected), "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for path in ["..", ".a[", ".a[x]", ".a[?(b==1)]"] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }
}
