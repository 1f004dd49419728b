//! How much memory an object takes once it is parsed, told from its JSON without parsing it.

/// What a map takes, in bytes: a node of the tree that `serde_json` keeps it in.
const NODE: usize = 640;
/// Entries of a node; where there are several nodes they may be half empty.
const ENTRIES: usize = 11;
/// What an element of a list takes, in bytes.
const ELEMENT: usize = 32;
/// What a text takes beside its bytes.
const TEXT: usize = 16;
/// Deepest nesting that `serde_json` parses.
const DEEPEST: usize = 128;

/// About what the parsed JSON takes, in bytes: a map with one letter takes a hundred times its length, a long text no
/// more than that. What follows a nesting that is not parsed does not count.
pub(crate) fn weight(json: &[u8]) -> usize {
    let mut weight = json.len();
    // Of each open bracket, its commas.
    let mut open: Vec<usize> = Vec::new();
    let mut bytes = json.iter();
    // What is empty takes nothing.
    let mut last = b' ';
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                weight += TEXT;
                skip_text(&mut bytes);
            }
            b'{' | b'[' if open.len() == DEEPEST => break,
            b'{' | b'[' => open.push(0),
            b',' => open.last_mut().into_iter().for_each(|commas| *commas += 1),
            b'}' | b']' => {
                let entries = open.pop().unwrap_or_default() + 1;
                match (last, byte) {
                    (b'{', b'}') | (b'[', b']') => {}
                    (_, b'}') => weight += map(entries),
                    _ => weight += list(entries),
                }
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            last = *byte;
        }
    }
    // What was not closed was held all the same.
    weight + open.into_iter().map(|commas| map(commas + 1)).sum::<usize>()
}

fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

fn map(entries: usize) -> usize {
    if entries <= ENTRIES { NODE } else { entries.div_ceil(ENTRIES / 2) * NODE }
}

/// Lists grow by doubling.
fn list(elements: usize) -> usize {
    elements.next_power_of_two().max(4) * ELEMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_weighs_what_it_takes() {
        let many = |one: &str, count: usize| vec![one; count].join(",");
        for (json, about) in [
            (format!(r#"{{"a":"{}"}}"#, "x{[,".repeat(1000)), 4000 + NODE),
            (format!("[{}]", many(r#"{"a":0}"#, 1024)), 1024 * (NODE + ELEMENT)),
            (format!("[{}]", many("0", 1024)), 1024 * ELEMENT),
            (format!("{{{}}}", many(r#""a":0"#, 11)), NODE),
            (format!("[{}]", many("{}", 1024)), 1024 * ELEMENT),
            (format!("[{}]", many("[ ]", 1024)), 1024 * ELEMENT),
            (format!("{{{}}}", many(r#""a":0"#, 1000)), 200 * NODE),
        ] {
            let found = weight(json.as_bytes());
            assert!((about..about + about / 4 + 500).contains(&found), "{about} {found} {}", &json[..10]);
        }
    }

    #[test]
    fn what_is_no_json_has_a_weight_too() {
        for json in [&br#"{"a":"\"#[..], b"]]}", b"{{", &[b'['; 1 << 20]] {
            assert!(weight(json) < (1 << 20) + (DEEPEST + 2) * NODE);
        }
    }
}
