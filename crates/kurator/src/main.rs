//! The `kurator` binary.
fn main() {}
