//! Memory that is lent out, so that bytes on their way never add up to more than was granted.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit stands for, in bytes.
const UNIT: usize = 1 << 10;

/// A number of bytes that may be held at once.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    all: u32,
}

/// Bytes that are held; they go back when this is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "held for its end")] Option<OwnedSemaphorePermit>);

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Waits until `bytes` are free. More than there are at all counts as all of them, so that one large object
    /// passes alone.
    pub async fn hold(&self, bytes: usize) -> Held {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all);
        // The semaphore is never closed.
        Held(Arc::clone(&self.units).acquire_many_owned(units).await.ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_lent_until_they_come_back() {
        let budget = Budget::new(4 * UNIT);
        let held = budget.hold(3 * UNIT).await;
        let mut waiting = std::pin::pin!(budget.hold(2 * UNIT));
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(held);
        waiting.await;
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_passes_alone() {
        let budget = Budget::new(4 * UNIT);
        let held = budget.hold(100 * UNIT).await;
        assert_eq!(budget.units.available_permits(), 0);
        drop(held);
        assert_eq!(budget.units.available_permits(), 4);
    }
}
