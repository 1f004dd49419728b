//! The verbs that people use on a hub: they read and write its objects, and nothing else.
//!
//! What was asked for goes to stdout, everything else to stderr.

pub(crate) mod create;
pub(crate) mod describe;
pub(crate) mod get;
mod hub;
mod kinds;
mod output;
mod run;
mod selector;
mod spec;
mod table;
mod wait;

use std::io::Write as _;

/// A line for people.
fn note(line: &str) {
    // Nothing can be done about a closed stderr.
    let _closed = writeln!(std::io::stderr(), "{line}");
}
