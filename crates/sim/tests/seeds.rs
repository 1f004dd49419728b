//! Stories under faults, one for each seed, each in a process of its own.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, PoisonError};

use serde_json::Value;

/// How many stories are told.
const SEEDS: u64 = 1000;

/// What came of one story.
struct Told {
    /// What was not kept.
    broken: Option<String>,
    counts: BTreeMap<String, u64>,
    digest: String,
    history: Vec<String>,
}

fn tell(seed: u64) -> Told {
    let mut story = Command::new(env!("CARGO_BIN_EXE_kurator-story"));
    let output = story.arg(seed.to_string()).env_clear().output().unwrap();
    let Ok(told) = serde_json::from_slice::<Value>(&output.stdout) else {
        let broken = format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        return Told {
            broken: Some(broken),
            counts: BTreeMap::new(),
            digest: String::new(),
            history: Vec::new(),
        };
    };
    let counts = told["counts"].as_object().unwrap();
    let lines = told["history"].as_array().into_iter().flatten();
    Told {
        broken: told["broken"].as_str().map(str::to_owned),
        counts: counts.iter().map(|(what, count)| (what.clone(), count.as_u64().unwrap())).collect(),
        digest: told["digest"].as_str().unwrap().to_owned(),
        history: lines.map(|line| line.as_str().unwrap().to_owned()).collect(),
    }
}

/// The stories of all seeds, told on all cores.
static ALL: LazyLock<BTreeMap<u64, Told>> = LazyLock::new(|| {
    let (next, told) = (AtomicU64::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return;
            }
            let story = tell(seed);
            told.lock().unwrap().insert(seed, story);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    told.into_inner().unwrap_or_else(PoisonError::into_inner)
});

/// `KURATOR_SEED=N` tells one story alone, and shows all of it where something was not kept.
fn alone() -> Option<u64> {
    std::env::var("KURATOR_SEED").ok().map(|seed| seed.parse().expect("KURATOR_SEED is a number"))
}

#[test]
fn whatever_happens_every_promise_is_kept() {
    if let Some(seed) = alone() {
        let Told { broken, history, .. } = tell(seed);
        assert!(broken.is_none(), "{}\n{broken:?}", history.join("\n"));
        return;
    }
    let broken = ALL
        .iter()
        .filter_map(|(seed, told)| told.broken.as_ref().map(|why| format!("KURATOR_SEED={seed}: {why}")));
    let broken: Vec<_> = broken.collect();
    assert!(broken.is_empty(), "{} of {SEEDS} broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_story_that_is_told_again_is_the_same_in_every_byte() {
    if alone().is_some() {
        return;
    }
    for seed in (0..SEEDS).step_by(50) {
        assert_eq!(tell(seed).digest, ALL[&seed].digest, "KURATOR_SEED={seed}");
    }
}
