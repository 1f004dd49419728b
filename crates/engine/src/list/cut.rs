//! Cuts the answer to a list request into its items while it arrives.
//!
//! A page of 500 Secrets may be 500 MiB; so neither a page nor a list is ever held, only the item that is being
//! cut and a piece of the network's making. Items come out as the server wrote them.

use std::borrow::Cow;

use serde::Deserialize;

/// Longest item, in bytes. A stock API server accepts requests of 3 MiB and stores 1.5 MiB.
pub const LONGEST_ITEM: usize = 8 << 20;
/// Longest value beside the items, in bytes: the list's metadata.
const LONGEST_VALUE: usize = 64 << 10;
/// Deepest nesting of an item; the JSON parser of this crate takes 128.
const DEEPEST: usize = 120;

/// What a list says beside its items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListMeta {
    /// Where the next page begins; empty at the end.
    #[serde(rename = "continue")]
    pub next: String,
    /// How many items are left, as an estimate.
    pub remaining_item_count: Option<u64>,
}

/// Why an answer is not a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// Not JSON, or not an object with a list `items`.
    #[error("the answer to a list request is not a list: {0}")]
    NotAList(&'static str),
    /// Larger than anything an API server stores.
    #[error("an item of a list is longer than {} MiB", LONGEST_ITEM >> 20)]
    TooLong,
    /// Nested deeper than the JSON parser goes.
    #[error("an item of a list is nested deeper than {DEEPEST} levels")]
    TooDeep,
    /// The connection ended early.
    #[error("the answer to a list request ends in the middle")]
    Truncated,
}

/// A state machine over the bytes of one answer.
#[derive(Debug, Default)]
pub struct Cutter {
    place: Place,
    /// Open brackets.
    depth: usize,
    text: Text,
    /// The key, value or item that is being read.
    buffer: Vec<u8>,
    key: Vec<u8>,
    meta: ListMeta,
    items_seen: bool,
}

/// Where in the answer the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before the opening bracket of the answer.
    #[default]
    Start,
    /// Before a key, or the end of the answer.
    Key,
    /// In a key.
    InKey,
    /// Between a key and its value.
    Colon,
    /// In a value that is not the items.
    Value,
    /// Between two items.
    Items,
    /// In an item.
    Item,
    /// Behind the closing bracket of the answer.
    End,
}

/// Whether the next byte stands in a string.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Text {
    #[default]
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl Cutter {
    /// Reads on; `emit` gets each item that is complete, as one JSON object.
    ///
    /// # Errors
    /// [`CutError`]; and what `emit` returns ends the reading.
    pub fn feed<E: From<CutError>>(
        &mut self,
        mut piece: &[u8],
        mut emit: impl FnMut(Cow<'_, [u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !piece.is_empty() {
            let read = match self.place {
                Place::Value | Place::Item => self.value(piece, &mut emit)?,
                Place::InKey => self.key(piece)?,
                _ => {
                    self.between(piece[0])?;
                    // An opening bracket or a bare value belongs to what it begins.
                    usize::from(!matches!(self.place, Place::Value | Place::Item))
                }
            };
            piece = &piece[read..];
        }
        Ok(())
    }

    /// How much of the item that is being cut is in memory, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len()
    }

    /// What the list said of itself.
    ///
    /// # Errors
    /// [`CutError::Truncated`] if the answer is not complete.
    pub fn finish(self) -> Result<ListMeta, CutError> {
        if self.place != Place::End {
            return Err(CutError::Truncated);
        }
        if !self.items_seen {
            return Err(CutError::NotAList("it has no items"));
        }
        Ok(self.meta)
    }

    /// A byte between values.
    fn between(&mut self, byte: u8) -> Result<(), CutError> {
        if byte.is_ascii_whitespace() {
            return Ok(());
        }
        self.place = match (self.place, byte) {
            (Place::Start, b'{') | (Place::Key, b',') => Place::Key,
            (Place::Key, b'"') => {
                self.key.clear();
                Place::InKey
            }
            (Place::Key, b'}') => Place::End,
            (Place::Colon, b':') => Place::Colon,
            (Place::Colon, b'[') if self.key == b"items" => {
                self.items_seen = true;
                Place::Items
            }
            (Place::Colon, _) => {
                // An empty list of a typed client is null.
                self.items_seen |= self.key == b"items" && byte == b'n';
                self.buffer.clear();
                Place::Value
            }
            (Place::Items, b',') => Place::Items,
            (Place::Items, b']') => Place::Key,
            (Place::Items, b'{') => {
                self.buffer.clear();
                Place::Item
            }
            (Place::Start, _) => return Err(CutError::NotAList("it is no object")),
            (Place::Items, _) => return Err(CutError::NotAList("an item is no object")),
            (Place::End, _) => return Err(CutError::NotAList("something follows it")),
            _ => return Err(CutError::NotAList("it is not JSON")),
        };
        Ok(())
    }

    fn key(&mut self, piece: &[u8]) -> Result<usize, CutError> {
        let end = piece.iter().position(|byte| *byte == b'"');
        self.key.extend_from_slice(&piece[..end.unwrap_or(piece.len())]);
        if self.key.len() > LONGEST_VALUE {
            return Err(CutError::NotAList("it is not JSON"));
        }
        if end.is_some() {
            self.place = Place::Colon;
        }
        Ok(end.map_or(piece.len(), |end| end + 1))
    }

    /// Bytes of a value or an item: up to its end, or all.
    fn value<E: From<CutError>>(
        &mut self,
        piece: &[u8],
        emit: &mut impl FnMut(Cow<'_, [u8]>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let (read, ended) = self.scan(piece)?;
        let longest = if self.place == Place::Item { LONGEST_ITEM } else { LONGEST_VALUE };
        // An item within one piece is not copied.
        let whole = ended && self.buffer.is_empty() && self.place == Place::Item;
        if !whole {
            self.buffer.extend_from_slice(&piece[..read]);
        }
        if self.buffer.len() > longest {
            return Err(E::from(match self.place {
                Place::Item => CutError::TooLong,
                _ => CutError::NotAList("what it says of itself is too long"),
            }));
        }
        if ended {
            if self.place == Place::Item {
                let item = if whole {
                    Cow::Borrowed(&piece[..read])
                } else {
                    Cow::Owned(std::mem::take(&mut self.buffer))
                };
                emit(item)?;
                self.place = Place::Items;
            } else {
                if self.key == b"metadata" {
                    self.meta = serde_json::from_slice(&self.buffer)
                        .map_err(|_| CutError::NotAList("its metadata is not that of a list"))?;
                }
                self.place = Place::Key;
            }
        }
        Ok(read)
    }

    /// How many of the bytes belong to the value, and whether it ends there.
    fn scan(&mut self, piece: &[u8]) -> Result<(usize, bool), CutError> {
        for (at, byte) in piece.iter().enumerate() {
            match (self.text, byte) {
                (Text::Escaped, _) => self.text = Text::Inside,
                (Text::Inside, b'\\') => self.text = Text::Escaped,
                (Text::Inside, b'"') => {
                    self.text = Text::Outside;
                    if self.depth == 0 {
                        return Ok((at + 1, true));
                    }
                }
                (Text::Inside, _) => {}
                (Text::Outside, b'"') => self.text = Text::Inside,
                (Text::Outside, b'{' | b'[') => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err(CutError::TooDeep);
                    }
                }
                // The end of a number or a word is what follows it.
                (Text::Outside, b'}' | b',') if self.depth == 0 => return Ok((at, true)),
                (Text::Outside, b'}' | b']') => {
                    self.depth = self.depth.checked_sub(1).ok_or(CutError::NotAList("it is not JSON"))?;
                    if self.depth == 0 {
                        return Ok((at + 1, true));
                    }
                }
                (Text::Outside, _) => {}
            }
        }
        Ok((piece.len(), false))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cut(answer: &[u8], piece: usize) -> Result<(Vec<String>, ListMeta), CutError> {
        let mut cutter = Cutter::default();
        let mut items = Vec::new();
        for piece in answer.chunks(piece) {
            cutter.feed(piece, |item| {
                items.push(String::from_utf8_lossy(&item).into_owned());
                Ok::<_, CutError>(())
            })?;
        }
        Ok((items, cutter.finish()?))
    }

    #[test]
    fn items_come_out_as_they_were_written_wherever_the_pieces_end() {
        let answer = br#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":3},
            "items":[ {"a":"}]\"{","b":[1,{"c":null}]} ,{"d":"\\"}]}
"#;
        for piece in 1..=answer.len() {
            let (items, meta) = cut(answer, piece).unwrap();
            assert_eq!(items, [r#"{"a":"}]\"{","b":[1,{"c":null}]}"#, r#"{"d":"\\"}"#], "pieces of {piece}");
            assert_eq!(meta, ListMeta { next: "abc".into(), remaining_item_count: Some(3) });
        }
    }

    #[test]
    fn the_metadata_of_custom_resources_comes_behind_their_items() {
        let (items, meta) =
            cut(br#"{"apiVersion":"a/v1","items":[{}],"kind":"AList","metadata":{"continue":"x"}}"#, 5)
                .unwrap();
        assert_eq!((items.len(), meta.next.as_str()), (1, "x"));
    }

    #[test]
    fn an_empty_list_is_empty_or_null() {
        for items in ["[]", "null", "[ ]"] {
            let answer = format!(r#"{{"metadata":{{}},"items":{items}}}"#);
            assert_eq!(cut(answer.as_bytes(), 3), Ok((Vec::new(), ListMeta::default())), "{items}");
        }
    }

    #[test]
    fn an_answer_that_ends_in_the_middle_is_no_list() {
        let answer = br#"{"metadata":{},"items":[{"a":1},{"b":2}]}"#;
        for end in 0..answer.len() {
            assert_eq!(cut(&answer[..end], 7), Err(CutError::Truncated), "{end}");
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        let cases = [
            ("[]", "it is no object"),
            (r#"{"items":[1]}"#, "an item is no object"),
            (r#"{"kind":"Status"}"#, "it has no items"),
            (r#"{"items":[]} x"#, "something follows it"),
            (r#"{"metadata":7,"items":[]}"#, "its metadata is not that of a list"),
            (r#"{7}"#, "it is not JSON"),
        ];
        for (answer, why) in cases {
            assert_eq!(cut(answer.as_bytes(), 4), Err(CutError::NotAList(why)), "{answer}");
        }
    }

    #[test]
    fn an_item_that_no_server_stores_is_refused_before_it_is_held() {
        let mut cutter = Cutter::default();
        let mut fed = cutter.feed(br#"{"items":[{"a":""#, |_| Ok::<_, CutError>(()));
        for _ in 0..17 {
            fed = fed.and_then(|()| cutter.feed(&[b'x'; 1 << 20], |_| Ok(())));
        }
        assert_eq!(fed, Err(CutError::TooLong));
        let nested = format!(r#"{{"items":[{{"a":{}"#, "[".repeat(1000));
        assert_eq!(cut(nested.as_bytes(), 64), Err(CutError::TooDeep));
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|b| json!(b)),
            any::<i64>().prop_map(|n| json!(n)),
            ".*".prop_map(|s| json!(s)),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|list| json!(list)),
                prop::collection::btree_map(".*", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_items_come_out_equal(values in prop::collection::vec(json(), 0..5), piece in 1_usize..64) {
            let items: Vec<_> = values.into_iter().map(|value| json!({ "x": value })).collect();
            let answer = serde_json::to_vec(&json!({ "items": items, "kind": "L", "metadata": {} })).unwrap();
            let (cut, _) = cut(&answer, piece).unwrap();
            let cut: Vec<serde_json::Value> = cut.iter().map(|item| serde_json::from_str(item).unwrap()).collect();
            prop_assert_eq!(cut, items);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..16) {
            let _ = cut(&bytes, piece);
        }
    }
}
