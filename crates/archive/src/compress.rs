//! Gzip on several threads: each block of the stream becomes a gzip member of its own, in order.
//!
//! Every reader of gzip takes members one after the other as one stream. Where the blocks end depends on the stream
//! alone, so the bytes are the same for any number of threads.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::writer::WriteError;

/// The level that neither bounds a backup nor wastes its place. Of 20,000 objects, 20 MB of tar, one core makes 2.3 MB
/// in 53 ms at level 1, 1.5 MB in 74 ms at level 2, 1.4 MB in 192 ms at level 6.
const LEVEL: Compression = Compression::new(2);

type Member = io::Result<Vec<u8>>;

/// A sink that compresses on the way to `W`. The sink is only ever touched by the thread that writes.
pub(crate) struct Compressor<W> {
    sink: W,
    stored: u64,
    block: Vec<u8>,
    block_size: usize,
    /// Blocks that have been handed out, oldest first.
    pending: VecDeque<Receiver<Member>>,
    pool: Pool,
}

impl<W: Write> Compressor<W> {
    /// Starts `threads` threads that make a member of each `block_size` bytes.
    pub(crate) fn start(sink: W, threads: NonZeroUsize, block_size: usize) -> Result<Self, WriteError> {
        let pool = Pool::start(threads).map_err(WriteError::Thread)?;
        Ok(Self { sink, stored: 0, block: Vec::new(), block_size, pending: VecDeque::new(), pool })
    }

    /// Takes the next bytes of the stream; waits while all threads are busy.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let room = self.block_size - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == self.block_size {
                self.hand_out()?;
            }
        }
        Ok(())
    }

    /// Compresses and writes the rest. Returns the sink and how many bytes it got.
    pub(crate) fn finish(mut self) -> Result<(W, u64), WriteError> {
        if !self.block.is_empty() {
            self.hand_out()?;
        }
        while let Some(oldest) = self.pending.pop_front() {
            self.store(oldest.recv().unwrap_or_else(|_| Err(lost())))?;
        }
        self.sink.flush().map_err(WriteError::Sink)?;
        Ok((self.sink, self.stored))
    }

    /// Blocks that have been handed out and not yet stored.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }

    fn hand_out(&mut self) -> Result<(), WriteError> {
        let next = Vec::with_capacity(self.block_size);
        let block = std::mem::replace(&mut self.block, next);
        // One block more than threads, so that none waits for this one.
        while self.pending.len() > self.pool.threads.len() {
            let Some(oldest) = self.pending.pop_front() else { break };
            self.store(oldest.recv().unwrap_or_else(|_| Err(lost())))?;
        }
        self.pending.push_back(self.pool.compress(block));
        // What is ready need not stay in memory.
        while let Some(oldest) = self.pending.front() {
            let member = match oldest.try_recv() {
                Ok(member) => member,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => Err(lost()),
            };
            self.pending.pop_front();
            self.store(member)?;
        }
        Ok(())
    }

    fn store(&mut self, member: Member) -> Result<(), WriteError> {
        let member = member.map_err(WriteError::Thread)?;
        self.sink.write_all(&member).map_err(WriteError::Sink)?;
        self.stored += member.len() as u64;
        Ok(())
    }
}

/// The threads. They end when this is dropped, after the block that each is at.
struct Pool {
    /// `None` only while being dropped: that is what ends the threads.
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Job {
    block: Vec<u8>,
    done: Sender<Member>,
}

impl Pool {
    fn start(threads: NonZeroUsize) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut pool = Self { jobs: Some(jobs), threads: Vec::new() };
        for _ in 0..threads.get() {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name("gzip".to_owned());
            pool.threads.push(thread.spawn(move || work(&queue))?);
        }
        Ok(pool)
    }

    /// Hands a block to the next free thread; the member arrives at the receiver.
    fn compress(&self, block: Vec<u8>) -> Receiver<Member> {
        let (done, member) = channel();
        if let Some(jobs) = &self.jobs {
            // Without a thread left the job goes, and with it `done`: the receiver tells.
            let _ = jobs.send(Job { block, done });
        }
        member
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has already been told of by its missing member.
            let _ = thread.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { block, done }) = job else { return };
        // Nobody waits for it if the writing has failed meanwhile.
        let _ = done.send(gzip(&block));
    }
}

/// One member, without time or host: the same for the same bytes.
fn gzip(block: &[u8]) -> Member {
    let mut encoder = GzEncoder::new(Vec::with_capacity(block.len() / 4), LEVEL);
    encoder.write_all(block)?;
    encoder.finish()
}

fn lost() -> io::Error {
    io::Error::other("a compressing thread is gone")
}
