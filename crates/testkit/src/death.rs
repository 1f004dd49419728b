//! The death of a process, before a write of the test's choice, played inside the test's own.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::watch;

/// Lets so many writes pass and none after them, as if who makes them had been killed. Clones share the count.
#[derive(Clone, Debug)]
pub struct Death {
    left: Arc<AtomicUsize>,
    came: watch::Sender<bool>,
}

impl Death {
    /// It comes with the first write after `writes` others.
    #[must_use]
    pub fn after(writes: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(writes)), came: watch::Sender::new(false) }
    }

    /// It does not come, unless it is told to.
    #[must_use]
    pub fn never() -> Self {
        Self::after(usize::MAX)
    }

    /// From now on it comes with the first write after `writes` others.
    pub fn comes_after(&self, writes: usize) {
        self.left.store(writes, Relaxed);
    }

    /// Asked before each write.
    ///
    /// # Errors
    /// The process is dead: nothing may be written.
    pub fn write(&self) -> Result<(), String> {
        if self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(());
        }
        self.came.send_replace(true);
        Err("this process is dead".to_owned())
    }

    /// Whether it has come.
    #[must_use]
    pub fn has_come(&self) -> bool {
        *self.came.borrow()
    }

    /// Waits for it, or for the end of `work`; what came of that, if it ended first.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut came = self.came.subscribe();
        tokio::select! {
            _ = came.wait_for(|came| *came) => None,
            done = work => Some(done),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_comes_with_the_write_after_the_last_that_is_allowed_and_none_passes_any_more() {
        let death = Death::after(2);
        assert!(death.write().is_ok() && death.write().is_ok());
        assert_eq!(death.or(async { "still alive" }).await, Some("still alive"));
        assert!(!death.has_come());
        assert!(death.clone().write().is_err());
        assert_eq!(death.or(std::future::pending::<()>()).await, None);
        assert!(death.has_come() && death.write().is_err());
    }

    #[test]
    fn one_that_is_told_to_come_later_does_so() {
        let death = Death::never();
        assert!(death.write().is_ok());
        death.comes_after(1);
        assert!(death.write().is_ok() && !death.has_come());
        assert!(death.write().is_err() && death.has_come());
    }
}
