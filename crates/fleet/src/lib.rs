//! The hub's controllers.
