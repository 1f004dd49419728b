//! Stores against real servers of two makes, MinIO and versitygw.

mod addressing;
mod faults;
mod labs;
mod promises;
mod proxy;

use std::error::Error;

use bytes::Bytes;
use kurator_store::{Fault, StoreError};

type Outcome = Result<(), Box<dyn Error>>;

/// All that an error says, sources included.
fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source()).map(|error| format!("{error}\n")).collect()
}

/// What went wrong with a request that should have failed.
fn fault<T>(outcome: Result<T, StoreError>) -> Result<Fault, Box<dyn Error>> {
    match outcome {
        Ok(_) => Err("it succeeded".into()),
        Err(StoreError::Request { fault, .. }) => Ok(fault),
        Err(error) => Err(error.into()),
    }
}

/// Bytes that differ from one another.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
