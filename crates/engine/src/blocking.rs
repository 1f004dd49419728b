//! Work that reads and writes files or computes for long, kept off the threads that serve everything else.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinError;

/// Whether there is no second thread to keep free: then work is done where it is asked for, in an order that is the
/// same each time.
pub(crate) fn is_alone() -> bool {
    Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread
}

/// Does what may block.
///
/// # Errors
/// The thread has died.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if is_alone() { Ok(work()) } else { tokio::task::spawn_blocking(work).await }
}
