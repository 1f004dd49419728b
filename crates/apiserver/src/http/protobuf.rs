//! Bodies in the binary form that typed clients send for core kinds: those that `kubectl create` makes by name.
//!
//! Only what is listed here is read; other kinds are refused by their media type, as a server does that has not the form.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value};

/// What such a body starts with.
const PREFIX: &[u8] = b"k8s\0";
/// Most levels of messages.
const DEEPEST: usize = 16;

/// A field of a message: its number, its name in JSON, and what it holds.
struct Field(u32, &'static str, Holds);

#[derive(Clone, Copy)]
enum Holds {
    Text,
    Flag,
    Number,
    Texts,
    TextByText,
    BytesByText,
    Message(&'static [Field]),
    Messages(&'static [Field]),
    /// Something that only a server writes.
    Nothing,
}

use Holds::{BytesByText, Flag, Message, Messages, Nothing, Number, Text, TextByText, Texts};

const OWNER: &[Field] = &[
    Field(1, "kind", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(5, "apiVersion", Text),
    Field(6, "controller", Flag),
    Field(7, "blockOwnerDeletion", Flag),
];
const METADATA: &[Field] = &[
    Field(1, "name", Text),
    Field(2, "generateName", Text),
    Field(3, "namespace", Text),
    Field(4, "selfLink", Text),
    Field(5, "uid", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "generation", Nothing),
    Field(8, "creationTimestamp", Nothing),
    Field(9, "deletionTimestamp", Nothing),
    Field(10, "deletionGracePeriodSeconds", Nothing),
    Field(11, "labels", TextByText),
    Field(12, "annotations", TextByText),
    Field(13, "ownerReferences", Messages(OWNER)),
    Field(14, "finalizers", Texts),
    Field(17, "managedFields", Nothing),
];
const NAMESPACE: &[Field] = &[
    Field(1, "metadata", Message(METADATA)),
    Field(2, "spec", Message(&[Field(1, "finalizers", Texts)])),
    Field(3, "status", Nothing),
];
const CONFIG_MAP: &[Field] = &[
    Field(1, "metadata", Message(METADATA)),
    Field(2, "data", TextByText),
    Field(3, "binaryData", BytesByText),
    Field(4, "immutable", Flag),
];
const SECRET: &[Field] = &[
    Field(1, "metadata", Message(METADATA)),
    Field(2, "data", BytesByText),
    Field(3, "type", Text),
    Field(4, "stringData", TextByText),
    Field(5, "immutable", Flag),
];
const REFERENCE: &[Field] = &[
    Field(1, "kind", Text),
    Field(2, "namespace", Text),
    Field(3, "name", Text),
    Field(4, "uid", Text),
    Field(5, "apiVersion", Text),
    Field(6, "resourceVersion", Text),
    Field(7, "fieldPath", Text),
];
const SERVICE_ACCOUNT: &[Field] = &[
    Field(1, "metadata", Message(METADATA)),
    Field(2, "secrets", Messages(REFERENCE)),
    Field(3, "imagePullSecrets", Messages(&[Field(1, "name", Text)])),
    Field(4, "automountServiceAccountToken", Flag),
];
const RULE: &[Field] = &[
    Field(1, "verbs", Texts),
    Field(2, "apiGroups", Texts),
    Field(3, "resources", Texts),
    Field(4, "resourceNames", Texts),
    Field(5, "nonResourceURLs", Texts),
];
const ROLE: &[Field] = &[Field(1, "metadata", Message(METADATA)), Field(2, "rules", Messages(RULE))];
const SUBJECT: &[Field] = &[
    Field(1, "kind", Text),
    Field(2, "apiGroup", Text),
    Field(3, "name", Text),
    Field(4, "namespace", Text),
];
const ROLE_REF: &[Field] = &[Field(1, "apiGroup", Text), Field(2, "kind", Text), Field(3, "name", Text)];
const BINDING: &[Field] = &[
    Field(1, "metadata", Message(METADATA)),
    Field(2, "subjects", Messages(SUBJECT)),
    Field(3, "roleRef", Message(ROLE_REF)),
];
const DELETE_OPTIONS: &[Field] = &[
    Field(1, "gracePeriodSeconds", Number),
    Field(2, "preconditions", Message(&[Field(1, "uid", Text), Field(2, "resourceVersion", Text)])),
    Field(3, "orphanDependents", Flag),
    Field(4, "propagationPolicy", Text),
    Field(5, "dryRun", Texts),
    Field(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Flag),
];
/// The type of an object and its bytes, which every body is.
const ENVELOPE: &[Field] = &[
    Field(1, "type", Message(&[Field(1, "apiVersion", Text), Field(2, "kind", Text)])),
    Field(2, "raw", Nothing),
    Field(3, "contentEncoding", Text),
    Field(4, "contentType", Text),
];

fn fields(kind: &str) -> Option<&'static [Field]> {
    Some(match kind {
        "Namespace" => NAMESPACE,
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "Role" => ROLE,
        "RoleBinding" | "ClusterRoleBinding" => BINDING,
        "DeleteOptions" => DELETE_OPTIONS,
        _ => return None,
    })
}

/// Reads a body; `None`: it is of a kind that is not read in this form.
///
/// # Errors
/// It is cut off, or holds something that its kind has not.
pub(super) fn read(body: &[u8]) -> Result<Option<Value>, String> {
    let body = body.strip_prefix(PREFIX).ok_or("it does not start as such a body does")?;
    let envelope = message(body, ENVELOPE, 0)?;
    let kind = envelope["type"]["kind"].as_str().unwrap_or_default();
    let Some(fields) = fields(kind) else { return Ok(None) };
    let mut rest = body;
    let mut raw: &[u8] = &[];
    while !rest.is_empty() {
        if let (2, Wire::Bytes(bytes)) = next(&mut rest)? {
            raw = bytes;
        }
    }
    let mut object = message(raw, fields, 0)?;
    object["kind"] = envelope["type"]["kind"].clone();
    object["apiVersion"] = envelope["type"]["apiVersion"].clone();
    Ok(Some(object))
}

/// A value as it is on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(rest: &mut &[u8]) -> Result<u64, String> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, left) = rest.split_first().ok_or("it is cut off")?;
        *rest = left;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("a number has more than 64 bits".to_owned())
}

/// The number and the value of the next field.
fn next<'a>(rest: &mut &'a [u8]) -> Result<(u64, Wire<'a>), String> {
    let key = varint(rest)?;
    match key & 7 {
        0 => Ok((key >> 3, Wire::Number(varint(rest)?))),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| "a field is too long")?;
            let (bytes, left) = rest.split_at_checked(length).ok_or("it is cut off")?;
            *rest = left;
            Ok((key >> 3, Wire::Bytes(bytes)))
        }
        other => Err(format!("no field has the wire type {other}")),
    }
}

fn message(mut rest: &[u8], fields: &[Field], depth: usize) -> Result<Value, String> {
    if depth > DEEPEST {
        return Err("it has too many levels".to_owned());
    }
    let mut object = Map::new();
    while !rest.is_empty() {
        let (number, wire) = next(&mut rest)?;
        let Some(Field(_, name, holds)) = fields.iter().find(|field| u64::from(field.0) == number) else {
            return Err(format!("field {number} is not known"));
        };
        put(&mut object, name, *holds, &wire, depth)?;
    }
    Ok(Value::Object(object))
}

/// Adds a field. What is empty is left out: typed clients send it although nobody set it.
fn put(
    object: &mut Map<String, Value>,
    name: &str,
    holds: Holds,
    wire: &Wire<'_>,
    depth: usize,
) -> Result<(), String> {
    let wrong = || Err(format!("{name} has a wrong type"));
    match (holds, wire) {
        (Nothing, _) => {}
        (Flag, Wire::Number(number)) => drop(object.insert(name.to_owned(), (*number != 0).into())),
        (Number, Wire::Number(number)) => {
            object.insert(name.to_owned(), number.cast_signed().into());
        }
        (Text, Wire::Bytes(bytes)) => {
            let text = text(bytes)?;
            if !text.is_empty() {
                object.insert(name.to_owned(), text.into());
            }
        }
        (Texts, Wire::Bytes(bytes)) => push(object, name, text(bytes)?.into()),
        (Message(fields), Wire::Bytes(bytes)) => {
            object.insert(name.to_owned(), message(bytes, fields, depth + 1)?);
        }
        (Messages(fields), Wire::Bytes(bytes)) => push(object, name, message(bytes, fields, depth + 1)?),
        (TextByText | BytesByText, Wire::Bytes(bytes)) => {
            let (key, value) = entry(bytes)?;
            let value = match holds {
                BytesByText => BASE64_STANDARD.encode(value),
                _ => text(value)?.to_owned(),
            };
            if let Value::Object(map) = object.entry(name).or_insert_with(|| Value::Object(Map::new())) {
                map.insert(key.to_owned(), value.into());
            }
        }
        _ => return wrong(),
    }
    Ok(())
}

fn push(object: &mut Map<String, Value>, name: &str, value: Value) {
    if let Value::Array(all) = object.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        all.push(value);
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8".to_owned())
}

/// The key and the value of an element of a map.
fn entry(mut rest: &[u8]) -> Result<(&str, &[u8]), String> {
    let (mut key, mut value): (&str, &[u8]) = ("", &[]);
    while !rest.is_empty() {
        match next(&mut rest)? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return Err("an element of a map has a wrong type".to_owned()),
        }
    }
    Ok((key, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A field of bytes.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn body(kind: &str, object: &[u8]) -> Vec<u8> {
        let kind = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [PREFIX.to_vec(), field(1, &kind), field(2, object), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn a_secret_is_read_without_what_is_empty() {
        let label = [field(1, b"app"), field(2, b"web")].concat();
        let metadata = [field(1, b"a"), field(2, b""), field(8, b""), field(11, &label)].concat();
        let data = [field(1, b"k"), field(2, b"v")].concat();
        let secret = [field(1, &metadata), field(2, &data), vec![5 << 3, 1]].concat();
        let expected = json!({
            "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"app": "web"}},
            "data": {"k": "dg=="}, "immutable": true,
        });
        assert_eq!(read(&body("Secret", &secret)), Ok(Some(expected)));
    }

    #[test]
    fn other_kinds_are_not_read() {
        assert_eq!(read(&body("Pod", &[])), Ok(None));
    }

    #[test]
    fn what_is_cut_off_or_unknown_is_refused() {
        let whole = body("ConfigMap", &field(1, &field(1, b"a")));
        assert!(read(&whole[..whole.len() - 5]).is_err());
        assert!(read(&body("ConfigMap", &field(9, b""))).is_err());
        assert!(read(&body("ConfigMap", &[0xff; 12])).is_err());
        assert!(read(b"{}").is_err());
    }
}
