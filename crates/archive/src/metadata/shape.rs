//! What Go's JSON does that serde does not by itself.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads `null` as empty.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Writes what is empty as `null`, as Go writes lists and maps that nobody made.
pub(crate) fn empty_is_null<S, T>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
    for<'a> &'a T: IntoIterator,
{
    if value.into_iter().next().is_none() { serializer.serialize_none() } else { value.serialize(serializer) }
}

/// Whether Go leaves a number out.
pub(crate) fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Times in whole seconds, as Kubernetes writes them; `null` is none.
pub(crate) mod time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        text.serialize(serializer)
    }
}
