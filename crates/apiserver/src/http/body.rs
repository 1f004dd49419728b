//! The bodies of requests: JSON or YAML of a bounded size, and for some kinds the form of typed clients.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::{protobuf, yaml};
use crate::{
    error::{ApiError, Result},
    verbs::{Call, Patch},
};

/// Largest body, in bytes, as kube-apiserver takes them.
pub(super) const LIMIT: usize = 3 << 20;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What kube-apiserver says it takes; the last is read here for some kinds, and who sends another in it is told so.
const ACCEPTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Reads JSON, or says why it is none.
fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Reads YAML, which JSON is too, or says why it is none.
fn parse_yaml(bytes: &[u8]) -> Result<Value, String> {
    parse(bytes).or_else(|_| yaml::parse(bytes))
}

fn no_json(why: &str) -> String {
    format!("couldn't get version/kind; json parse error: {why}")
}

fn no_yaml(why: &str) -> String {
    format!("yaml: {why}")
}

/// An object that is to be kept.
pub(super) async fn object(kind: &str, headers: &HeaderMap, content: Body) -> Result<Value> {
    let unrecognized = |why: String| {
        ApiError::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {why}"))
    };
    let sent = media_type(headers);
    // A null is an object of which nothing is said.
    let said = |object: Value| if object.is_null() { Value::Object(Map::new()) } else { object };
    match sent {
        "" | JSON => {
            let object = parse(&read(content).await?).map(said);
            object.map_err(|why| unrecognized(no_json(&why)))
        }
        YAML => {
            let object = parse_yaml(&read(content).await?).map(said);
            object.map_err(|why| unrecognized(no_yaml(&why)))
        }
        PROTOBUF => match protobuf::read(&read(content).await?).map_err(unrecognized)? {
            Some(object) => Ok(object),
            None => Err(ApiError::unread_media_type(sent)),
        },
        _ => Err(ApiError::unsupported_media_type(sent, ACCEPTED)),
    }
}

/// A question whose answer does not depend on what is asked: clients may ask it in a form that is not read here.
pub(super) async fn question(content: Body) -> Result<Value> {
    let bytes = read(content).await?;
    Ok(parse(&bytes).ok().filter(Value::is_object).unwrap_or_else(|| Value::Object(Map::new())))
}

/// What a deletion is told; nothing is allowed.
pub(super) async fn options(headers: &HeaderMap, content: Body) -> Result<Value> {
    let bytes = read(content).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    match media_type(headers) {
        "" | JSON => parse(&bytes).map_err(|why| ApiError::bad_request(no_json(&why))),
        YAML => parse_yaml(&bytes).map_err(|why| ApiError::bad_request(no_yaml(&why))),
        PROTOBUF => protobuf::read(&bytes).map(Option::unwrap_or_default).map_err(ApiError::bad_request),
        sent => Err(ApiError::unsupported_media_type(sent, ACCEPTED)),
    }
}

/// A change, in the language that its type names.
pub(super) async fn patch(call: &Call, headers: &HeaderMap, content: Body) -> Result<Patch> {
    let undecodable = |why: String| ApiError::bad_request(format!("error decoding patch: {why}"));
    let bytes = read(content).await?;
    match media_type(headers) {
        JSON_PATCH => {
            let operations: Vec<Value> = parse(&bytes).map_err(undecodable)?;
            let operations =
                serde_json::from_value(Value::Array(operations)).map_err(|_| ApiError::unprocessable())?;
            Ok(Patch::Json(operations))
        }
        MERGE_PATCH => parse(&bytes).map_err(undecodable).map(Patch::Merge),
        STRATEGIC_PATCH if call.resource.habits.core => {
            parse(&bytes).map_err(undecodable).map(Patch::Strategic)
        }
        APPLY_PATCH => {
            let object = parse_yaml(&bytes).map(Patch::Apply);
            object.map_err(|why| ApiError::bad_request(format!("error decoding YAML: {why}")))
        }
        _ => Err(ApiError::not_a_patch()),
    }
}

fn media_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}

async fn read(content: Body) -> Result<Bytes> {
    match Limited::new(content, LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(LIMIT)),
        Err(error) => {
            Err(ApiError::bad_request(format!("the body of the request could not be read: {error}")))
        }
    }
}
