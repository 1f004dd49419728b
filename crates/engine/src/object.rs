//! What decisions need of an object, borrowed from its bytes, and its bytes as they are stored.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::types::ApiType;

/// The head of an object of any type.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Head<'a> {
    /// Present where the list was one of custom resources.
    #[serde(borrow)]
    pub api_version: Option<Cow<'a, str>>,
    /// Present where the list was one of custom resources.
    #[serde(borrow)]
    pub kind: Option<Cow<'a, str>>,
    /// Its metadata.
    #[serde(borrow)]
    pub metadata: HeadMeta<'a>,
}

/// The part of an object's metadata that decides.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeadMeta<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its namespace.
    #[serde(borrow)]
    pub namespace: Option<Cow<'a, str>>,
    /// Its labels.
    #[serde(borrow)]
    pub labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    /// When it was deleted; it is there only because of its finalizers then.
    #[serde(borrow)]
    pub deletion_timestamp: Option<Cow<'a, str>>,
}

/// An object of a list with its type: API servers leave it out in lists of their own types.
#[must_use]
pub fn with_type(json: Vec<u8>, head: TypeOf, of: &ApiType) -> Vec<u8> {
    let mut prefix = String::from("{");
    if !head.has_version {
        prefix.push_str("\"apiVersion\":\"");
        prefix.push_str(&of.api_version());
        prefix.push_str("\",");
    }
    if !head.has_kind {
        prefix.push_str("\"kind\":\"");
        prefix.push_str(&of.kind);
        prefix.push_str("\",");
    }
    if prefix.len() == 1 {
        return json;
    }
    let inner = json.iter().position(|byte| *byte == b'{').map_or(&json[..], |at| &json[at + 1..]);
    let mut typed = Vec::with_capacity(prefix.len() + inner.len());
    typed.extend_from_slice(prefix.as_bytes());
    // An object without any field would end in a comma.
    if inner.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}') {
        typed.pop();
    }
    typed.extend_from_slice(inner);
    typed
}

/// Which parts of its type an object names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeOf {
    /// `apiVersion`
    pub has_version: bool,
    /// `kind`
    pub has_kind: bool,
}

impl From<&Head<'_>> for TypeOf {
    fn from(head: &Head<'_>) -> Self {
        Self { has_version: head.api_version.is_some(), has_kind: head.kind.is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_stored_with_its_type_and_otherwise_as_it_came() {
        let deployments = ApiType {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            ..ApiType::default()
        };
        let cases = [
            (
                r#"{"metadata":{"name":"a"}}"#,
                r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"}}"#,
            ),
            (r#"{"kind":"X","apiVersion":"y/v1"}"#, r#"{"kind":"X","apiVersion":"y/v1"}"#),
            (r#"{"kind":"X"}"#, r#"{"apiVersion":"apps/v1","kind":"X"}"#),
            ("{}", r#"{"apiVersion":"apps/v1","kind":"Deployment"}"#),
        ];
        for (came, stored) in cases {
            let head: Head<'_> = serde_json::from_str(came).unwrap();
            let typed = with_type(came.as_bytes().to_vec(), TypeOf::from(&head), &deployments);
            assert_eq!(String::from_utf8(typed).unwrap(), stored);
        }
    }

    #[test]
    fn names_with_escapes_are_read() {
        let head: Head<'_> =
            serde_json::from_str(r#"{"metadata":{"name":"a\u0041","labels":{"x\/y":"z"}}}"#).unwrap();
        assert_eq!(head.metadata.name, "aA");
        assert_eq!(head.metadata.labels.unwrap()["x/y"], "z");
    }
}
