//! Stories under faults, one for each seed.

use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use kurator_sim::story::{Broken, Told, tell};

/// How many stories are told.
const SEEDS: u64 = 250;

fn told(seed: u64) -> io::Result<Told> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build()?.block_on(tell(seed))
}

/// Tells the stories on all cores, and returns what was not kept.
fn all_told() -> io::Result<Vec<String>> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut broken = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return io::Result::Ok(broken);
            }
            if let Err(Broken(why)) = told(seed)?.outcome {
                broken.push(format!("KURATOR_SEED={seed}: {why}"));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| io::Error::other("a story panicked"))??);
        }
        Ok(all)
    })
}

/// `KURATOR_SEED=N` tells one story alone, and shows all of it where something was not kept.
#[test]
fn whatever_happens_every_promise_is_kept() -> io::Result<()> {
    if let Some(seed) = std::env::var("KURATOR_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let Told { outcome, history } = told(seed)?;
        assert!(outcome.is_ok(), "{}\n{outcome:?}", history.join("\n"));
        return Ok(());
    }
    let broken = all_told()?;
    assert!(broken.is_empty(), "{} of {SEEDS} broken:\n{}", broken.len(), broken.join("\n"));
    Ok(())
}
