//! Conditions in Cluster API's form, which is what Kurator's schemas have.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encoding;
use crate::reason::Reason;

/// The object is in the state that its spec asks for (kstatus).
pub const READY: &str = "Ready";
/// The object is on its way there (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// The object won't get there without somebody's help (kstatus).
pub const STALLED: &str = "Stalled";
/// The source backup of a Migrate is complete. Lower camel case, as Kurator spells it.
pub const SOURCE_READY: &str = "sourceReady";
/// How many members of a Fleet are ready, and which are not.
pub const MEMBERS_READY: &str = "MembersReady";
/// The newest run of a scheduled Backup was not good everywhere.
pub const DEGRADED: &str = "Degraded";
/// Whether a backup has the data of its volumes; only there where it is known that it has not.
pub const VOLUME_DATA: &str = "VolumeData";
/// Whether backups go when the spec says so; only there where they do not.
pub const RETENTION: &str = "Retention";

/// The longest message, in bytes; longer ones lose their middle. As long as the note of an event may be.
pub const MAX_MESSAGE: usize = 1024;
/// What the messages of all rows of a status may take together, in bytes: with thousands of rows, too, the status must
/// stay within what the API server stores.
const ALL_ROWS: usize = 256 << 10;
/// What the message of a row may take in any case, in bytes.
const ANY_ROW: usize = 256;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// Nobody can tell at the moment.
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One aspect of an object's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which aspect; at most one condition of a type stands in a list.
    #[serde(rename = "type")]
    pub type_: String,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// When `status` last changed.
    #[serde(with = "encoding::seconds")]
    #[schemars(extend("format" = "date-time"), with = "String")]
    pub last_transition_time: Timestamp,
    /// Cluster API's classification of a condition that does not hold. Read, never written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Why, as one word of a closed set; see `docs/reasons.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, for people. At most 1,024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Condition {
    /// A condition that began to hold, or not, at `now`. An empty message is left out, a long one cut.
    #[must_use]
    pub fn new(
        type_: &str,
        status: impl Into<ConditionStatus>,
        reason: Reason,
        message: impl AsRef<str>,
        now: Timestamp,
    ) -> Self {
        let message = message.as_ref();
        Self {
            type_: type_.to_owned(),
            status: status.into(),
            last_transition_time: whole_seconds(now),
            severity: None,
            reason: Some(reason.as_str().to_owned()),
            message: (!message.is_empty()).then(|| shorten(message, MAX_MESSAGE)),
        }
    }

    /// Whether it holds for this reason.
    #[must_use]
    pub fn is_because(&self, reason: Reason) -> bool {
        self.reason.as_deref() == Some(reason.as_str())
    }
}

/// Puts a condition into a list in place of the one of its type. The time of the last transition stays
/// unless `status` changes. Tells whether the list changed.
pub fn set(conditions: &mut Vec<Condition>, mut condition: Condition) -> bool {
    let Some(present) = conditions.iter_mut().find(|present| present.type_ == condition.type_) else {
        conditions.push(condition);
        return true;
    };
    if present.status == condition.status {
        condition.last_transition_time = present.last_transition_time;
    }
    let changed = *present != condition;
    *present = condition;
    changed
}

/// The condition of a type.
#[must_use]
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The longest message of a row of a status that has so many, in bytes.
#[must_use]
pub fn room(rows: usize) -> usize {
    (ALL_ROWS / rows.max(1)).clamp(ANY_ROW, MAX_MESSAGE)
}

/// A message of at most so many bytes. What is cut is the middle of a longer one: it begins with what happened, and
/// ends with the cause or the remedy.
#[must_use]
pub fn shorten(message: &str, most: usize) -> String {
    const CUT: &str = "…";
    if message.len() <= most {
        return message.to_owned();
    }
    let kept = most.saturating_sub(CUT.len());
    let front = message.floor_char_boundary(kept.div_ceil(2));
    let back = message.ceil_char_boundary(message.len() - kept / 2);
    [&message[..front], CUT, &message[back..]].concat()
}

/// What is stored are whole seconds: without this a condition would differ from its own stored form.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn ready(holds: bool, reason: Reason, time: &str) -> Condition {
        Condition::new(READY, holds, reason, "", at(time))
    }

    #[test]
    fn a_condition_is_written_as_cluster_api_does() {
        let condition = ready(true, Reason::AsExpected, "2026-11-01T00:00:00.75Z");
        assert_eq!(
            serde_json::to_value(&condition).unwrap(),
            serde_json::json!({"type": "Ready", "status": "True", "reason": "AsExpected",
                "lastTransitionTime": "2026-11-01T00:00:00Z"})
        );
        assert_eq!(
            serde_json::from_value::<Condition>(serde_json::to_value(&condition).unwrap()).unwrap(),
            condition
        );
    }

    #[test]
    fn a_new_reason_does_not_move_the_transition_time() {
        let mut list = vec![ready(false, Reason::Waiting, "2026-11-01T00:00:00Z")];
        assert!(set(&mut list, ready(false, Reason::InProgress, "2026-11-01T00:05:00Z")));
        assert_eq!(list[0].last_transition_time, at("2026-11-01T00:00:00Z"));
        assert!(list[0].is_because(Reason::InProgress));
    }

    #[test]
    fn a_new_status_moves_the_transition_time() {
        let mut list = vec![ready(false, Reason::Waiting, "2026-11-01T00:00:00Z")];
        assert!(set(&mut list, ready(true, Reason::Completed, "2026-11-01T00:05:00Z")));
        assert_eq!(list[0].last_transition_time, at("2026-11-01T00:05:00Z"));
        assert_eq!(list.len(), 1);
    }

    #[test]
    fn saying_the_same_again_changes_nothing() {
        let mut list = vec![ready(true, Reason::AsExpected, "2026-11-01T00:00:00Z")];
        assert!(!set(&mut list, ready(true, Reason::AsExpected, "2026-11-01T00:05:00Z")));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let condition =
            Condition::new(STALLED, true, Reason::MemberRefused, "ü".repeat(600), at("2026-11-01T00:00:00Z"));
        let message = condition.message.unwrap();
        assert!((MAX_MESSAGE - 3..=MAX_MESSAGE).contains(&message.len()), "{}", message.len());
        assert!(message.contains("ü…ü"));
    }

    #[test]
    fn of_a_long_message_the_beginning_and_the_end_stay() {
        let message = format!("no such bucket: {}; create it", "x".repeat(100));
        let short = shorten(&message, 40);
        assert_eq!(short, "no such bucket: xxx…xxxxxxx; create it");
        assert_eq!(short.len(), 40);
        assert_eq!(shorten(&short, 40), short);
        assert_eq!(shorten("as it is", 8), "as it is");
    }

    #[test]
    fn the_fewer_the_rows_the_more_each_may_say() {
        for (rows, each) in [(0, 1024), (1, 1024), (256, 1024), (512, 512), (1024, 256), (3000, 256)] {
            assert_eq!(room(rows), each, "{rows}");
        }
    }
}
