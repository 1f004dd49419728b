//! YAML from strangers: no deeper than an object may be, and no larger than it looks.

use serde_json::Value;

use crate::meta;

/// As many nodes as the largest body can have: one for each two bytes of it.
const MOST: usize = super::body::LIMIT / 2;
/// What aliases may add.
const REPEATED: usize = 10_000;

/// Reads the first document, or says why it is none; without one it is null. Of keys that stand there twice the last one
/// counts.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(super::body::LIMIT),
            // What follows the first is not looked at, but that it begins is seen.
            max_documents: 2,
            max_depth: meta::DEEPEST,
            flow_nesting_limit: meta::DEEPEST,
            max_events: 2 * MOST,
            max_nodes: MOST,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
            max_recorded_anchor_events: REPEATED,
            max_recorded_anchor_bytes: super::body::LIMIT,
            max_total_scalar_bytes: super::body::LIMIT,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: REPEATED,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 1_000,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let first = serde_saphyr::read_with_options(&mut bytes, options).next();
    first.transpose().map(Option::unwrap_or_default).map_err(|error| error.to_string())
}
