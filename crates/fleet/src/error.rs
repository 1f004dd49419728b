//! Errors of a reconcile, and the one place that prints a chain of sources.

/// Why a pass over an object could not be finished. All of these are worth another try: what a user
/// must mend is a condition in the status, not an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A request to the hub's API server failed.
    #[error("cannot {action} {object} on the hub")]
    Hub {
        /// What was attempted, e.g. `write the status of`.
        action: &'static str,
        /// Kind, namespace and name.
        object: String,
        /// The server's answer.
        #[source]
        source: Box<kube::Error>,
    },
}

impl Error {
    /// The object changed under us: the watch will bring the new state, nothing is wrong.
    pub(crate) fn is_conflict(&self) -> bool {
        let Self::Hub { source, .. } = self;
        matches!(&**source, kube::Error::Api(status) if status.is_conflict())
    }
}
