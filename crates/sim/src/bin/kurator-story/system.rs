//! What a process asks its system for and gets another answer to each time: here it follows from the seed.
//!
//! The keys of hash maps, the order in which `tokio::select!` asks, UUIDs and names of temporary files all come from
//! `getrandom`; the time of day comes from `clock_gettime`. Both are defined here, which the linker prefers to libc's.
//! Counters that a runtime keeps for its process are the same in each process that tells one story.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ahash::random_state::RandomSource;

/// What was asked for so far, and the seed.
static STATE: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds since 1970-01-01 on a clock that is asked for the time and shows one microsecond more each time.
///
/// Stories have a clock of their own. This one is for dependencies that read the system's, and begins on the same day.
static TIME: AtomicU64 = AtomicU64::new(20_454 * 86_400 * 1_000_000_000);

/// From here on all follows from `seed`.
pub(crate) fn follow(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
    // Otherwise it would count addresses in, which the system shifts. Nobody has asked it before.
    let _first = ahash::random_state::set_random_source(Counter(AtomicUsize::new(0)));
}

/// Tells the hash maps of `ahash` apart.
struct Counter(AtomicUsize);

impl RandomSource for Counter {
    fn gen_hasher_seed(&self) -> usize {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// The next 64 bits, as SplitMix64 has them.
fn next() -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let state = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// As getrandom(2).
#[expect(unsafe_code, reason = "takes the place of a function of libc")]
#[unsafe(no_mangle)]
extern "C" fn getrandom(buffer: *mut MaybeUninit<u8>, length: usize, _flags: u32) -> isize {
    // SAFETY: by the contract of getrandom(2) the caller lends `length` bytes at `buffer`.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, length) };
    for piece in buffer.chunks_mut(8) {
        for (byte, random) in piece.iter_mut().zip(next().to_le_bytes()) {
            byte.write(random);
        }
    }
    length.cast_signed()
}

/// As `struct timespec` of 64-bit Linux.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// As clock_gettime(2), for each of its clocks.
#[expect(unsafe_code, reason = "takes the place of a function of libc")]
#[unsafe(no_mangle)]
extern "C" fn clock_gettime(_clock: i32, time: *mut MaybeUninit<Timespec>) -> i32 {
    const SECOND: u64 = 1_000_000_000;
    let now = TIME.fetch_add(1_000, Ordering::Relaxed);
    let now = Timespec { seconds: (now / SECOND).cast_signed(), nanoseconds: (now % SECOND).cast_signed() };
    // SAFETY: by the contract of clock_gettime(2) the caller lends a `struct timespec` at `time`.
    unsafe { &mut *time }.write(now);
    0
}
