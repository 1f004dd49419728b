//! What can be done with objects: the rules of the API, without HTTP.

mod decode;
mod delete;
mod list;
mod patch;
mod prepare;
mod scale;
mod strategic;
mod validate;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

pub(crate) use delete::{DeleteOptions, delete, delete_collection};
pub(crate) use list::{get, list};
pub(crate) use patch::{Patch, check_options};
pub(crate) use write::{Want, write};

use crate::{
    cluster::State,
    error::{ApiError, Result},
    http::Params,
    registry::{Resource, Version},
    store::{Key, Object},
};

/// A request about objects, with its words resolved.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) resource: Arc<Resource>,
    pub(crate) version: usize,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) part: Part,
    pub(crate) params: Params,
    /// Who writes, for `managedFields`.
    pub(crate) manager: String,
}

/// Which part of an object a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Status,
    /// Shown and changed as a kind of its own.
    Scale,
}

impl Part {
    /// The name of the subresource; of the whole, none.
    pub(crate) fn subresource(self) -> &'static str {
        match self {
            Self::Whole => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

impl Call {
    pub(crate) fn version(&self) -> &Version {
        &self.resource.versions[self.version]
    }

    pub(crate) fn api_version(&self) -> String {
        self.resource.api_version(self.version())
    }

    /// The object's name; the empty name names nothing.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> Key {
        self.key_of(self.name())
    }

    pub(crate) fn key_of(&self, name: &str) -> Key {
        Key::new(&self.resource.kept, self.resource.path(self.namespace.as_deref(), name))
    }

    /// What the paths of all objects of a list start with.
    pub(crate) fn prefix(&self) -> String {
        self.namespace.as_ref().map_or_else(String::new, |namespace| format!("{namespace}/"))
    }

    /// The object as it is now.
    pub(crate) fn current(&self, state: &State) -> Result<Arc<Object>> {
        let object = state.store.get(&self.key());
        object.cloned().ok_or_else(|| ApiError::not_found(&self.resource, self.name()))
    }

    /// The answer about an object.
    pub(crate) fn render(&self, object: &Object) -> Bytes {
        if self.part == Part::Scale {
            return self.render_parsed(&self.parse(object));
        }
        let mut text = Vec::new();
        self.write(object, Some((&self.resource.kind, &self.api_version())), &mut text);
        text.into()
    }

    /// Adds the text of an object to others; with kind and version, if they are given.
    pub(crate) fn write(&self, object: &Object, kind: Option<(&str, &str)>, out: &mut Vec<u8>) {
        if self.resource.guise.is_none() {
            return object.write(kind, out);
        }
        let shown = match kind {
            Some(_) => self.parse(object),
            None => self.shown(object),
        };
        out.extend_from_slice(shown.to_string().as_bytes());
    }

    /// The object in parsed form, without kind and version.
    pub(crate) fn shown(&self, object: &Object) -> Value {
        let mut object = object.parse();
        self.resource.guise.show(&mut object);
        object
    }

    /// The object in parsed form, with its kind and version.
    pub(crate) fn parse(&self, object: &Object) -> Value {
        let mut object = self.shown(object);
        object["kind"] = (*self.resource.kind).into();
        object["apiVersion"] = self.api_version().into();
        object
    }

    /// The answer about an object in parsed form, which has its kind and version.
    pub(crate) fn render_parsed(&self, object: &Value) -> Bytes {
        match self.version().scale.as_ref().filter(|_| self.part == Part::Scale) {
            Some(scale) => scale::show(scale, object).to_string().into(),
            None => object.to_string().into(),
        }
    }

    /// An object as it is kept.
    pub(crate) fn kept(&self, mut object: Value) -> Value {
        self.resource.guise.keep(&mut object);
        object
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Body,
    /// For the header `Warning`.
    pub(crate) warnings: Vec<String>,
}

/// What an answer says.
#[derive(Debug)]
pub(crate) enum Body {
    /// JSON text of one object of the call's kind.
    Object(Bytes),
    /// JSON text of a list of the call's kind.
    List(Bytes),
    /// Anything else.
    Value(Value),
}

impl Reply {
    pub(crate) fn ok(body: Body) -> Self {
        Self { code: 200, body, warnings: Vec::new() }
    }
}
