//! Stories under faults: each seed is one, and is the same each time.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use kurator_sim::story::{Told, tell};

/// How many stories are told.
const SEEDS: u64 = 1000;

fn told(seed: u64) -> Told {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(tell(seed)).unwrap()
}

/// `KURATOR_SEED=N` tells one story again, in full.
#[test]
fn whatever_happens_every_promise_is_kept() {
    if let Some(seed) = std::env::var("KURATOR_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let Told { outcome, history } = told(seed);
        println!("{}", history.join("\n"));
        assert_eq!(outcome, Ok(()));
        return;
    }
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let work = || {
        let mut broken = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return broken;
            }
            if let Err(why) = told(seed).outcome {
                broken.push(format!("KURATOR_SEED={seed}: {}", why.0));
            }
        }
    };
    let broken: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(broken.is_empty(), "{} of {SEEDS} broken:\n{}", broken.len(), broken.join("\n"));
}
