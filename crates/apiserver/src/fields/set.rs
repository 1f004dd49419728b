//! A set of paths, as `fieldsV1` writes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Paths inside an object. A path can be a member itself, and have members below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) member: bool,
    pub(super) below: BTreeMap<String, Set>,
}

impl Set {
    pub(super) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    /// Adds what is not empty.
    pub(super) fn put(&mut self, name: String, set: Self) {
        if !set.is_empty() {
            self.below.insert(name, set);
        }
    }

    pub(super) fn union(&mut self, other: &Self) {
        self.member |= other.member;
        for (name, set) in &other.below {
            self.below.entry(name.clone()).or_default().union(set);
        }
    }

    #[must_use]
    pub(super) fn without(&self, other: &Self) -> Self {
        let nothing = Self::default();
        let mut left = Self { member: self.member && !other.member, below: BTreeMap::new() };
        for (name, set) in &self.below {
            left.put(name.clone(), set.without(other.below.get(name).unwrap_or(&nothing)));
        }
        left
    }

    #[must_use]
    pub(super) fn common(&self, other: &Self) -> Self {
        let mut common = Self { member: self.member && other.member, below: BTreeMap::new() };
        for (name, set) in &self.below {
            if let Some(other) = other.below.get(name) {
                common.put(name.clone(), set.common(other));
            }
        }
        common
    }

    /// Takes away paths and all below them.
    pub(super) fn cut(&mut self, path: &[&str]) {
        match path {
            [] => *self = Self::default(),
            [last] => drop(self.below.remove(*last)),
            [first, rest @ ..] => {
                if let Some(set) = self.below.get_mut(*first) {
                    set.cut(rest);
                    if set.is_empty() {
                        self.below.remove(*first);
                    }
                }
            }
        }
    }

    /// Reads `fieldsV1`. What is not a map of maps names nothing.
    pub(super) fn read(value: &Value) -> Self {
        let mut set = Self::default();
        for (name, value) in value.as_object().into_iter().flatten() {
            if name == "." {
                set.member = true;
            } else {
                let mut below = Self::read(value);
                below.member |= below.below.is_empty();
                set.below.insert(name.clone(), below);
            }
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(super) fn write(&self) -> Value {
        let mut fields: Map<String, Value> =
            self.below.iter().map(|(name, set)| (name.clone(), set.write())).collect();
        if self.member && !fields.is_empty() {
            fields.insert(".".to_owned(), json!({}));
        }
        Value::Object(fields)
    }

    /// The members as people read them: `.spec.list[name="x"]`.
    pub(super) fn shown(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.show("", &mut paths);
        paths
    }

    fn show(&self, at: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(at.to_owned());
        }
        for (name, set) in &self.below {
            let step = match name.split_once(':') {
                Some(("f", field)) => format!(".{field}"),
                Some(("k", keys)) => {
                    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                    let keys: Vec<String> =
                        keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    format!("[{}]", keys.join(","))
                }
                Some(("v", value)) => format!("[={value}]"),
                _ => format!("[{name}]"),
            };
            set.show(&format!("{at}{step}"), paths);
        }
    }
}
