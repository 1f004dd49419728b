//! The shape of a resource's objects: read from OpenAPI, shared by pruning, defaulting, validation and patches.
//!
//! Core kinds and custom ones have the same form here. References are resolved when a schema is read, so a schema is
//! a graph without names.

mod cel;
mod cost;
mod decode;
mod default;
mod parse;
mod prune;
mod validate;

use std::{collections::BTreeMap, sync::Arc};

use regex::Regex;
use serde_json::Value;

pub(crate) use cel::Rules;
pub(crate) use parse::{Definitions, parse};

/// The shape of a value.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Value>,
    /// Unknown fields are kept.
    pub(crate) preserve: bool,
    /// A whole object with `apiVersion`, `kind` and `metadata`.
    pub(crate) embedded: bool,
    pub(crate) checks: Option<Box<Checks>>,
}

/// The type of a value.
#[derive(Debug, Default)]
pub(crate) enum Kind {
    /// Anything.
    #[default]
    Any,
    Boolean,
    Integer,
    Number,
    String,
    IntOrString,
    Object(Fields),
    Array(Elements),
}

/// What an object has.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) known: BTreeMap<Box<str>, Arc<Schema>>,
    /// The shape of all other fields: it is a map.
    pub(crate) rest: Option<Arc<Schema>>,
    /// Owned and replaced as a whole.
    pub(crate) atomic: bool,
    pub(crate) strategy: Strategy,
}

impl Fields {
    /// The shape of a field.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Schema>> {
        self.known.get(name).or(self.rest.as_ref())
    }
}

/// What an array has.
#[derive(Debug, Default)]
pub(crate) struct Elements {
    pub(crate) item: Arc<Schema>,
    pub(crate) list: List,
    /// The field by which a strategic merge patch finds an element.
    pub(crate) merge_key: Option<Box<str>>,
    pub(crate) strategy: Strategy,
}

/// How the elements of an array are told apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum List {
    /// Not at all: the array is one value.
    #[default]
    Atomic,
    /// By what they are.
    Set,
    /// By these fields.
    Map(Vec<Box<str>>),
}

/// What a strategic merge patch does with a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strategy {
    pub(crate) merge: bool,
    pub(crate) replace: bool,
    pub(crate) retain_keys: bool,
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    pub(crate) required: Vec<Box<str>>,
    pub(crate) one_of_values: Vec<Value>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) format: Option<Box<str>>,
    pub(crate) length: Range<u64>,
    pub(crate) items: Range<u64>,
    pub(crate) properties: Range<u64>,
    pub(crate) unique: bool,
    pub(crate) bounds: Range<f64>,
    pub(crate) exclusive: (bool, bool),
    pub(crate) multiple_of: Option<f64>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Schema>,
}

/// A lower and an upper limit, both allowed values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range<T> {
    pub(crate) min: Option<T>,
    pub(crate) max: Option<T>,
}

/// The path of a value inside an object, as messages show it: `spec.list[0].name`.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Path::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}
