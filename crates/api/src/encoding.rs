//! How values look in JSON where serde's own way differs from Kubernetes'.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// For lists, maps and texts: `null` reads as empty, because Kurator's schemas allow it.
pub(crate) fn null_as_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// For counters that Kurator leaves out when they are 0.
pub(crate) fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Times as metav1.Time writes them: RFC 3339, UTC, whole seconds.
pub(crate) mod seconds {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        let text =
            jiff::fmt::strtime::format("%Y-%m-%dT%H:%M:%SZ", *time).map_err(serde::ser::Error::custom)?;
        text.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::deserialize(deserializer)
    }
}

/// The same for a time that may be absent.
pub(crate) mod seconds_option {
    use super::{Deserialize, Deserializer, Serializer, Timestamp};

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::seconds::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Option::deserialize(deserializer)
    }
}
