//! The forms that an answer can have: whole objects, their metadata alone, or a table for people.

use bytes::Bytes;
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    error::{ApiError, Result},
    table,
    verbs::Call,
};

const META: &str = "meta.k8s.io/v1";

/// What a client accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum As {
    Object,
    Metadata,
    Table,
}

impl As {
    /// The first of the accepted forms that this server can give.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self> {
        let accepted: Vec<&str> =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut asked = accepted.iter().flat_map(|value| value.split(',')).peekable();
        if asked.peek().is_none() {
            return Ok(Self::Object);
        }
        asked.find_map(Self::parse).ok_or_else(|| {
            ApiError::not_acceptable(
                "application/json, application/yaml, application/vnd.kubernetes.protobuf",
            )
        })
    }

    fn parse(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        if !matches!(parts.next()?, "application/json" | "*/*" | "application/*") {
            return None;
        }
        let parameters: Vec<&str> = parts.collect();
        let parameter = |name: &str| {
            parameters
                .iter()
                .find_map(|one| one.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
        };
        match (parameter("as"), parameter("v").unwrap_or("v1")) {
            (None, _) => Some(Self::Object),
            (Some("Table"), "v1") => Some(Self::Table),
            (Some("PartialObjectMetadata" | "PartialObjectMetadataList"), "v1") => Some(Self::Metadata),
            _ => None,
        }
    }

    /// One object in this form.
    pub(crate) fn object(self, call: &Call, text: &Bytes, now: Timestamp) -> Bytes {
        match self {
            Self::Object => text.clone(),
            Self::Metadata => metadata(&parse(text)).to_string().into(),
            Self::Table => table::of(call, &[parse(text)], &Value::Null, now).to_string().into(),
        }
    }

    /// A list in this form.
    pub(crate) fn list(self, call: &Call, text: &Bytes, now: Timestamp) -> Bytes {
        if self == Self::Object {
            return text.clone();
        }
        let list = parse(text);
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        let list = match self {
            Self::Table => table::of(call, items, &list["metadata"], now),
            Self::Metadata | Self::Object => json!({
                "kind": "PartialObjectMetadataList",
                "apiVersion": META,
                "metadata": list["metadata"],
                "items": items.iter().map(metadata).collect::<Vec<_>>(),
            }),
        };
        list.to_string().into()
    }
}

fn parse(text: &[u8]) -> Value {
    // This server wrote the text itself.
    serde_json::from_slice(text).unwrap_or_default()
}

/// What is left of an object for those who want to know only that it is there.
pub(crate) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": object["metadata"]})
}
