//! YAML that people write into ConfigMaps.

use serde::de::DeserializeOwned;

/// What an API server stores in a ConfigMap, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// Reads one document within bounds that are far above any real one, and far below what would take noticeable time or stack.
///
/// # Errors
/// Where it is not what it should be, in one sentence, without the text around it.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, serde_saphyr::Error> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 2,
            max_depth: 64,
            flow_nesting_limit: 64,
            max_events: 200_000,
            max_nodes: 200_000,
            max_aliases: 100,
            max_anchors: 100,
            max_merge_keys: 100,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: LONGEST,
            max_total_scalar_bytes: 2 * LONGEST,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options)
}
