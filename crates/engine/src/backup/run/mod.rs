//! One backup from the first list to the last file.

mod pack;

pub use pack::{PackError, Packed, Packer};
