//! Restore: what becomes of each object of a backup, and in which order.
