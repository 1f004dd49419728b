//! JSON patches (RFC 6902) with two habits of Velero's: negative indices count from the end of a list, and a test of
//! what is absent against `null` holds.

use serde_json::Value;

/// How much all copies of one patch may add to an object, in bytes of JSON: more than an API server takes.
const MAX_COPIED: usize = 4 << 20;
/// How deep a patched object may be: deeper ones would exhaust the stack of what walks them.
const MAX_DEPTH: usize = 256;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    Add(Pointer, Value),
    Remove(Pointer),
    Replace(Pointer, Value),
    Move { from: Pointer, to: Pointer },
    Copy { from: Pointer, to: Pointer },
    Test(Pointer, Value),
}

/// A path in an object (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointer {
    text: String,
    keys: Vec<String>,
}

/// Why a patch does not fit an object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// A test does not hold.
    #[error("testing value failed")]
    TestFailed,
    /// As Velero says it.
    #[error("{operation} operation does not apply: doc is missing path: {path:?}")]
    Missing { operation: &'static str, path: String },
    /// A value moved into itself.
    #[error("move operation does not apply: path {path:?} is in the value that is moved")]
    IntoItself { path: String },
    /// Lists in lists in lists.
    #[error("{operation} operation does not apply: {path:?} would be deeper than {MAX_DEPTH} levels")]
    TooDeep { operation: &'static str, path: String },
    /// Copies of copies.
    #[error("copy operation does not apply: all copies together are larger than {} MiB", MAX_COPIED >> 20)]
    TooLarge,
}

impl Pointer {
    /// Reads a path; none if it doesn't begin with `/`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let keys = match text {
            "" => Vec::new(),
            path => path
                .strip_prefix('/')?
                .split('/')
                .map(|key| key.replace("~1", "/").replace("~0", "~"))
                .collect(),
        };
        Some(Self { text: text.to_owned(), keys })
    }

    fn get<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.keys.iter().try_fold(document, |value, key| match value {
            Value::Array(list) => list.get(index(key, list.len())?),
            other => other.get(key),
        })
    }

    /// What holds the last key, and that key; none for the whole document.
    fn parent<'a, 'd>(&'a self, document: &'d mut Value) -> Option<(&'d mut Value, &'a str)> {
        let (last, parents) = self.keys.split_last()?;
        let parent = parents.iter().try_fold(document, |value, key| match value {
            Value::Array(list) => {
                let index = index(key, list.len())?;
                list.get_mut(index)
            }
            other => other.get_mut(key),
        })?;
        Some((parent, last))
    }

    fn missing(&self, operation: &'static str) -> PatchError {
        PatchError::Missing { operation, path: self.text.clone() }
    }
}

/// An index into a list of this length; a negative one counts from its end.
fn index(key: &str, length: usize) -> Option<usize> {
    let index: i64 = key.parse().ok()?;
    usize::try_from(if index < 0 { index + i64::try_from(length).ok()? } else { index }).ok()
}

impl Operation {
    /// Whether this is a test that holds.
    pub(crate) fn holds(&self, document: &Value) -> bool {
        match self {
            Self::Test(path, value) => path.get(document).unwrap_or(&Value::Null) == value,
            _ => false,
        }
    }

    fn run(&self, document: &mut Value, copied: &mut usize) -> Result<(), PatchError> {
        match self {
            Self::Add(path, value) => add(document, path, value.clone(), "add"),
            Self::Remove(path) => remove(document, path, "remove").map(|_| ()),
            Self::Replace(path, value) => {
                checked(path, value, "replace")?;
                let there = match path.keys.is_empty() {
                    true => Some(document),
                    false => path.parent(document).and_then(|(parent, last)| child(parent, last)),
                };
                *there.ok_or_else(|| path.missing("replace"))? = value.clone();
                Ok(())
            }
            Self::Move { from, to } => {
                if to.keys.len() > from.keys.len() && to.keys.starts_with(&from.keys) {
                    return Err(PatchError::IntoItself { path: to.text.clone() });
                }
                let value = remove(document, from, "move")?;
                add(document, to, value, "move")
            }
            Self::Copy { from, to } => {
                let value = from.get(document).ok_or_else(|| from.missing("copy"))?.clone();
                *copied = copied.saturating_add(value.to_string().len());
                if *copied > MAX_COPIED {
                    return Err(PatchError::TooLarge);
                }
                add(document, to, value, "copy")
            }
            Self::Test(..) if self.holds(document) => Ok(()),
            Self::Test(..) => Err(PatchError::TestFailed),
        }
    }
}

/// Applies operations one after the other; after an error the document is in an unknown state.
pub(crate) fn apply(operations: &[Operation], document: &mut Value) -> Result<(), PatchError> {
    let mut copied = 0;
    operations.iter().try_for_each(|operation| operation.run(document, &mut copied))
}

/// Refuses a value that would be too deep at this path.
fn checked(path: &Pointer, value: &Value, operation: &'static str) -> Result<(), PatchError> {
    let fits = path.keys.len() + depth(value) <= MAX_DEPTH;
    if fits { Ok(()) } else { Err(PatchError::TooDeep { operation, path: path.text.clone() }) }
}

/// How many levels a value has.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or_default(),
        _ => 1,
    }
}

fn child<'a>(parent: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match parent {
        Value::Array(list) => {
            let index = index(key, list.len())?;
            list.get_mut(index)
        }
        other => other.get_mut(key),
    }
}

fn add(
    document: &mut Value,
    path: &Pointer,
    value: Value,
    operation: &'static str,
) -> Result<(), PatchError> {
    checked(path, &value, operation)?;
    if path.keys.is_empty() {
        *document = value;
        return Ok(());
    }
    let missing = || path.missing(operation);
    match path.parent(document).ok_or_else(missing)? {
        (Value::Object(map), key) => {
            map.insert(key.to_owned(), value);
        }
        (Value::Array(list), "-") => list.push(value),
        (Value::Array(list), key) => {
            // From the end, -1 is the place behind the last element.
            let length = if key.starts_with('-') { list.len() + 1 } else { list.len() };
            let place = index(key, length).filter(|place| *place <= list.len()).ok_or_else(missing)?;
            list.insert(place, value);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &Pointer, operation: &'static str) -> Result<Value, PatchError> {
    let gone = match path.parent(document) {
        Some((Value::Object(map), key)) => map.remove(key),
        Some((Value::Array(list), key)) => {
            index(key, list.len()).filter(|place| *place < list.len()).map(|place| list.remove(place))
        }
        _ => None,
    };
    gone.ok_or_else(|| path.missing(operation))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::super::testing::any_json;
    use super::*;

    fn at(path: &str) -> Pointer {
        Pointer::parse(path).unwrap()
    }

    fn patched(operations: &[Operation]) -> Result<Value, String> {
        let mut document = json!({"a": {"b": 1, "c/d": 2}, "l": [1, 2]});
        apply(operations, &mut document).map_err(|why| why.to_string())?;
        Ok(document)
    }

    #[test]
    fn each_operation_changes_what_it_names() {
        // RFC 6902, and evanphx/json-patch 5.9 for negative indices.
        for (operation, result) in [
            (Operation::Add(at("/a/n"), json!(9)), json!({"a": {"b": 1, "c/d": 2, "n": 9}, "l": [1, 2]})),
            (Operation::Add(at("/l/-"), json!(3)), json!({"a": {"b": 1, "c/d": 2}, "l": [1, 2, 3]})),
            (Operation::Add(at("/l/0"), json!(0)), json!({"a": {"b": 1, "c/d": 2}, "l": [0, 1, 2]})),
            (Operation::Add(at("/l/-1"), json!(3)), json!({"a": {"b": 1, "c/d": 2}, "l": [1, 2, 3]})),
            (Operation::Add(at("/l/-2"), json!(3)), json!({"a": {"b": 1, "c/d": 2}, "l": [1, 3, 2]})),
            (Operation::Remove(at("/a/c~1d")), json!({"a": {"b": 1}, "l": [1, 2]})),
            (Operation::Remove(at("/l/-1")), json!({"a": {"b": 1, "c/d": 2}, "l": [1]})),
            (Operation::Replace(at("/a/b"), json!(7)), json!({"a": {"b": 7, "c/d": 2}, "l": [1, 2]})),
            (Operation::Replace(at("/l/1"), json!(7)), json!({"a": {"b": 1, "c/d": 2}, "l": [1, 7]})),
            (Operation::Replace(at(""), json!({})), json!({})),
            (
                Operation::Move { from: at("/a/b"), to: at("/m") },
                json!({"a": {"c/d": 2}, "l": [1, 2], "m": 1}),
            ),
            (
                Operation::Copy { from: at("/l"), to: at("/a/b") },
                json!({"a": {"b": [1, 2], "c/d": 2}, "l": [1, 2]}),
            ),
        ] {
            assert_eq!(patched(std::slice::from_ref(&operation)).unwrap(), result, "{operation:?}");
        }
    }

    #[test]
    fn a_test_holds_for_an_equal_value_and_null_for_an_absent_one() {
        for (path, value, holds) in [
            ("/a/b", json!(1), true),
            ("/a/b", json!("1"), false),
            ("/a/x", json!(null), true),
            ("/x/y", json!("z"), false),
            ("/l/-1", json!(2), true),
            ("/l/7", json!(2), false),
        ] {
            let test = Operation::Test(at(path), value);
            assert_eq!(patched(std::slice::from_ref(&test)).is_ok(), holds, "{test:?}");
        }
    }

    #[test]
    fn an_operation_that_does_not_fit_says_where() {
        for (operation, sentence) in [
            (
                Operation::Add(at("/x/y"), json!(1)),
                "add operation does not apply: doc is missing path: \"/x/y\"",
            ),
            (
                Operation::Add(at("/l/9"), json!(1)),
                "add operation does not apply: doc is missing path: \"/l/9\"",
            ),
            (Operation::Remove(at("/x")), "remove operation does not apply: doc is missing path: \"/x\""),
            (Operation::Remove(at("/l/2")), "remove operation does not apply: doc is missing path: \"/l/2\""),
            (
                Operation::Replace(at("/x"), json!(1)),
                "replace operation does not apply: doc is missing path: \"/x\"",
            ),
            (
                Operation::Move { from: at("/a"), to: at("/a/b/c") },
                "move operation does not apply: path \"/a/b/c\" is in the value that is moved",
            ),
            (Operation::Test(at("/a/b"), json!(2)), "testing value failed"),
        ] {
            assert_eq!(patched(std::slice::from_ref(&operation)).unwrap_err(), sentence);
        }
    }

    #[test]
    fn copies_of_copies_end_before_memory_does() {
        let double = |key: &str| Operation::Copy { from: at(""), to: at(&format!("/{key}")) };
        let all: Vec<Operation> = (0..64).map(|number| double(&number.to_string())).collect();
        assert_eq!(
            patched(&all).unwrap_err(),
            "copy operation does not apply: all copies together are larger than 4 MiB"
        );
    }

    #[test]
    fn a_document_gets_no_deeper_than_its_readers_can_walk() {
        let deeper = |levels: usize| Operation::Add(at(&"/a".repeat(levels)), json!({}));
        let all: Vec<Operation> = (1..400).map(deeper).collect();
        let error = apply(&all, &mut json!({})).unwrap_err().to_string();
        assert!(error.ends_with("would be deeper than 256 levels"), "{error}");
    }

    proptest! {
        #[test]
        fn any_operation_on_any_document_ends(
            document in any_json(),
            value in any_json(),
            path in "(/(a|name|-|-1|0|1|~1)){0,3}",
            from in "(/(a|name|-|-1|0|1|~1)){0,3}",
        ) {
            let (path, from) = (at(&path), at(&from));
            for operation in [
                Operation::Add(path.clone(), value.clone()),
                Operation::Remove(path.clone()),
                Operation::Replace(path.clone(), value.clone()),
                Operation::Move { from: from.clone(), to: path.clone() },
                Operation::Copy { from: from.clone(), to: path.clone() },
                Operation::Test(path.clone(), value.clone()),
            ] {
                let _ = apply(&[operation], &mut document.clone());
            }
        }
    }
}
