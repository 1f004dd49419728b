//! What is there already because this Restore made it: in a run that was broken off, or by a request without an answer.

use kurator_api::velero::Restore;

use crate::call::CallError;

/// What tells that from what others made.
pub(super) struct Earlier {
    /// Whether the run takes up one that was broken off.
    resumed: bool,
    /// When the Restore was created, by the API server's clock, as JSON has it.
    since: String,
}

impl Earlier {
    pub(super) fn of(restore: &Restore, resumed: bool) -> Self {
        let since = restore.metadata.creation_timestamp.as_ref().map(|at| at.0.to_string());
        Self { resumed, since: since.unwrap_or_default() }
    }

    /// Whether what `refusal` says is there already, `created` at this time, may be its work: what is older than the
    /// Restore is not.
    pub(super) fn may_have_made(&self, refusal: &CallError, created: Option<&str>) -> bool {
        (self.resumed || matches!(refusal, CallError::PerhapsCreated(_)))
            && created.is_some_and(|created| created >= self.since.as_str())
    }
}
