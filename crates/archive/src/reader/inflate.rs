//! The tar stream inside the gzip members, counted.

use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

use crate::reader::error::{Limit, ReadError};
use crate::reader::limits::Limits;

/// How much is decompressed at once, in bytes.
const AHEAD: usize = 64 << 10;
/// Up to here no archive counts as a bomb: a small one of one repeated object is not.
const UNMEASURED: u64 = 1 << 20;

/// A decompressed stream that stops at its limits.
pub(crate) struct Inflate<R> {
    stream: BufReader<MultiGzDecoder<Source<R>>>,
    inflated: u64,
    limits: Limits,
}

impl<R: Read> Inflate<R> {
    pub(crate) fn new(source: R, limits: Limits) -> Self {
        let source = Source { inner: source, read: 0, failed: false };
        Self { stream: BufReader::with_capacity(AHEAD, MultiGzDecoder::new(source)), inflated: 0, limits }
    }

    /// Bytes that have been handed out.
    pub(crate) fn inflated(&self) -> u64 {
        self.inflated
    }

    /// Fills `buffer`.
    pub(crate) fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ReadError> {
        self.announce(buffer.len() as u64)?;
        self.stream.read_exact(buffer).map_err(|error| self.explain(error))?;
        self.count(buffer.len())
    }

    /// Passes over `count` bytes.
    pub(crate) fn skip(&mut self, mut count: u64) -> Result<(), ReadError> {
        self.announce(count)?;
        while count > 0 {
            let ready = self.fill()?;
            if ready == 0 {
                return Err(ReadError::Truncated { inflated: self.inflated });
            }
            let step = ready.min(usize::try_from(count).unwrap_or(usize::MAX));
            self.stream.consume(step);
            self.count(step)?;
            count -= step as u64;
        }
        Ok(())
    }

    /// Reads to the very end, where only zeros may be. What the gzip members say of themselves has then been checked.
    pub(crate) fn expect_zeros(&mut self) -> Result<(), ReadError> {
        loop {
            let ready = self.fill()?;
            if ready == 0 {
                return Ok(());
            }
            if self.stream.buffer().iter().any(|b| *b != 0) {
                return Err(ReadError::Trailing);
            }
            self.stream.consume(ready);
            self.count(ready)?;
        }
    }

    fn fill(&mut self) -> Result<usize, ReadError> {
        loop {
            match self.stream.fill_buf() {
                Ok(ready) => return Ok(ready.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.explain(error)),
            }
        }
    }

    /// Refuses early what is going to be too much.
    fn announce(&self, count: u64) -> Result<(), ReadError> {
        let most = self.limits.inflated;
        if self.inflated.saturating_add(count) > most {
            return Err(ReadError::Limit { what: Limit::Inflated, most, entry: String::new() });
        }
        Ok(())
    }

    fn count(&mut self, count: usize) -> Result<(), ReadError> {
        self.inflated += count as u64;
        self.announce(0)?;
        let stored = self.stream.get_ref().get_ref().read;
        let most = self.limits.ratio;
        if self.inflated > stored.saturating_mul(most).saturating_add(UNMEASURED) {
            return Err(ReadError::Limit { what: Limit::Ratio, most, entry: String::new() });
        }
        Ok(())
    }

    /// Whose error it is: the source's, or that of what it holds.
    fn explain(&self, error: io::Error) -> ReadError {
        if self.stream.get_ref().get_ref().failed {
            return ReadError::Source(error);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Truncated { inflated: self.inflated },
            _ => ReadError::Gzip { inflated: self.inflated, source: error },
        }
    }
}

/// The caller's source, counted, and watched for errors of its own.
struct Source<R> {
    inner: R,
    read: u64,
    failed: bool,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(count) => {
                self.read += count as u64;
                Ok(count)
            }
            Err(error) => {
                self.failed = error.kind() != io::ErrorKind::Interrupted;
                Err(error)
            }
        }
    }
}
