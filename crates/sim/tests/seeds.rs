//! Stories under faults, one for each seed, each in a process of its own.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;

/// How many stories are told.
const SEEDS: u64 = 1000;
/// Processor time that one may take, in seconds: one that goes round in circles takes it all.
const LONGEST: u64 = 60;
/// How often each kind of fault is met at least.
const FAULTS: u64 = 2000;
/// How often a write is on its way at least for some process to die before it, and some after it.
const COMMON: u64 = 500;

/// What came of one story.
#[derive(Default)]
struct Told {
    /// What was not kept.
    broken: Option<String>,
    counts: BTreeMap<String, u64>,
    digest: String,
    history: Vec<String>,
}

fn tell(seed: u64) -> Told {
    listen(seed).unwrap_or_else(|error| Told { broken: Some(error.to_string()), ..Told::default() })
}

fn listen(seed: u64) -> io::Result<Told> {
    let mut story = Command::new(env!("CARGO_BIN_EXE_kurator-story"));
    story.arg(seed.to_string()).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    let story = story.spawn()?;
    let longest = Rlimit { current: Some(LONGEST), maximum: Some(LONGEST + 1) };
    prlimit(Some(Pid::from_child(&story)), Resource::Cpu, longest)?;
    let output = story.wait_with_output()?;
    let Ok(told) = serde_json::from_slice::<Value>(&output.stdout) else {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{} {said}", output.status)));
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let counts = told["counts"].as_object().into_iter().flatten();
    Ok(Told {
        broken: text(&told["broken"]),
        counts: counts.filter_map(|(what, count)| Some((what.clone(), count.as_u64()?))).collect(),
        digest: text(&told["digest"]).unwrap_or_default(),
        history: told["history"].as_array().into_iter().flatten().filter_map(text).collect(),
    })
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
            told.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, story);
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
fn alone() -> Option<String> {
    std::env::var("KURATOR_SEED").ok()
}

#[test]
fn whatever_happens_every_promise_is_kept() {
    if let Some(seed) = alone() {
        let Told { broken, history, .. } = tell(seed.parse().expect("KURATOR_SEED is a number"));
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
    let all = &*ALL;
    for seed in (0..SEEDS).step_by(50) {
        assert_eq!(tell(seed).digest, all[&seed].digest, "KURATOR_SEED={seed}");
    }
}

#[test]
fn every_fault_is_met_and_processes_die_before_and_after_every_common_write() {
    if alone().is_some() {
        return;
    }
    let mut all = BTreeMap::<&str, u64>::new();
    for (what, count) in ALL.values().flat_map(|told| &told.counts) {
        *all.entry(what).or_default() += count;
    }
    let count = |what: &str| all.get(what).copied().unwrap_or_default();
    let faults = ["late", "out of reach", "refused", "lost", "409", "410", "429", "500", "cut"];
    let mut rare: Vec<_> = faults.map(|fault| (format!("fault: {fault}"), FAULTS)).into();
    rare.push(("take-over".to_owned(), SEEDS / 10));
    for step in
        all.iter().filter(|(_, count)| **count >= COMMON).filter_map(|(what, _)| what.strip_prefix("step: "))
    {
        rare.extend(["before", "after"].map(|when| (format!("death {when}: {step}"), 1)));
    }
    rare.retain(|(what, least)| count(what) < *least);
    let rare: Vec<_> =
        rare.into_iter().map(|(what, least)| format!("{what}: {} of {least}", count(&what))).collect();
    assert!(rare.is_empty(), "too rare:\n{}\nof all:\n{all:#?}", rare.join("\n"));
}
