//! The verbs that people use on a hub: they read and write its objects, and nothing else.
//!
//! What was asked for goes to stdout, everything else to stderr.

pub(crate) mod create;
pub(crate) mod describe;
pub(crate) mod get;
pub(crate) mod hub;
mod kinds;
mod near;
mod outage;
pub(crate) mod output;
pub(crate) mod run;
mod selector;
mod spec;
mod table;
pub(crate) mod wait;
mod what;
mod words;

use std::io::Write as _;

/// A line for people. What comes from clusters must not steer a terminal.
pub(crate) fn note(line: &str) {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    // Nothing can be done about a closed stderr.
    let _closed = writeln!(std::io::stderr(), "{line}");
}
