//! What many clusters of one process have in common, kept once: the types of equal definitions, and long texts.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

use sha2::{Digest, Sha256};

use crate::registry::Resource;

/// Shorter texts are cheaper to repeat than to look up.
const LONG: usize = 2048;

/// Values by what they were made of, as long as somebody has them.
struct Shared<T: ?Sized> {
    known: Mutex<Known<T>>,
}

struct Known<T: ?Sized> {
    values: HashMap<[u8; 32], Weak<T>>,
    /// The next number of values at which those that nobody has are forgotten.
    sweep_at: usize,
}

impl<T: ?Sized> Shared<T> {
    fn new() -> Self {
        Self { known: Mutex::new(Known { values: HashMap::new(), sweep_at: 64 }) }
    }

    /// The value made of this source: the one that somebody has, or a new one.
    fn get(&self, source: &[u8], make: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let digest: [u8; 32] = Sha256::digest(source).into();
        if let Some(value) = self.with(|known| known.values.get(&digest).and_then(Weak::upgrade)) {
            return value;
        }
        // Made without the lock: what two threads make at once is equal.
        let value = make();
        self.with(|known| {
            if known.values.len() >= known.sweep_at {
                known.values.retain(|_, value| value.strong_count() > 0);
                known.sweep_at = 64.max(known.values.len() * 2);
            }
            known.values.insert(digest, Arc::downgrade(&value));
        });
        value
    }

    fn with<R>(&self, look: impl FnOnce(&mut Known<T>) -> R) -> R {
        look(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

static RESOURCES: LazyLock<Shared<Resource>> = LazyLock::new(Shared::new);

/// A text, kept once if it is long.
pub(crate) fn text(text: String) -> Arc<str> {
    static TEXTS: LazyLock<Shared<str>> = LazyLock::new(Shared::new);
    if text.len() < LONG {
        return text.into();
    }
    TEXTS.get(text.as_bytes(), || Arc::from(text.as_str()))
}

/// Whether some cluster has the type of a definition of this text.
pub(crate) fn has_resource(spec: &str) -> bool {
    let digest: [u8; 32] = Sha256::digest(spec.as_bytes()).into();
    RESOURCES.with(|known| known.values.get(&digest).is_some_and(|value| value.strong_count() > 0))
}

/// The type that a definition of this text brings.
pub(crate) fn resource(spec: &str, make: impl FnOnce() -> Resource) -> Arc<Resource> {
    RESOURCES.get(spec.as_bytes(), || Arc::new(make()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_kept_once_and_short_ones_are_not() {
        let kept = text("y".repeat(LONG));
        assert!(Arc::ptr_eq(&kept, &text("y".repeat(LONG))));
        assert!(!Arc::ptr_eq(&text("z".to_owned()), &text("z".to_owned())));
    }

    #[test]
    fn what_nobody_has_is_forgotten() {
        let shared = Shared::<str>::new();
        for n in 0..200 {
            drop(shared.get(format!("{n}").as_bytes(), || "value".into()));
        }
        assert!(shared.with(|known| known.values.len()) <= 64);
    }
}
