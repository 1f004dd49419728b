//! The document of OpenAPI v2, which has no kinds: those are in the documents of v3.
//!
//! `kubectl` asks for it before it applies a `List`, to check the items itself, and lets pass what it does not find in it.
//! This server checks each item when it comes.

use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::{TITLE, VERSION};

/// The type of the binary form, in answers.
pub(crate) const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// Whether the client wants the binary form.
pub(crate) fn is_binary(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').next().is_some_and(|first| first.contains("proto-openapi.spec.v2"))
}

/// The document.
pub(crate) fn document() -> Value {
    json!({"swagger": "2.0", "info": {"title": TITLE, "version": VERSION}, "paths": {}})
}

/// The document in binary form.
pub(crate) fn binary() -> Vec<u8> {
    let info = [field(1, TITLE.as_bytes()), field(2, VERSION.as_bytes())].concat();
    [field(1, b"2.0"), field(2, &info), field(8, &[])].concat()
}

/// A field of a message: a number, a length and so many bytes, which are fewer than 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    const BYTES: u8 = 2;
    let length = u8::try_from(bytes.len()).unwrap_or_default();
    [&[number << 3 | BYTES, length], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_document_says_what_the_readable_one_says() {
        let expected = b"\n\x032.0\x12\x15\n\nKubernetes\x12\x07v1.36.3B\0";
        assert_eq!(binary(), expected);
    }
}
