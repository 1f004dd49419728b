//! Tells the story of one seed, in a process in which nothing is accidental: `kurator-story SEED`.
//!
//! It writes one JSON object: `broken` (what was not kept, or null), `counts`, `digest`, and where something was not kept,
//! or with `--history`, all that happened.

mod system;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use kurator_sim::story::{Broken, Told, tell};
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What panicked, in whichever task: a runtime keeps that to itself.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> io::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().and_then(|seed| seed.parse().ok());
    let Some(seed) = seed else {
        writeln!(io::stderr(), "which story? kurator-story SEED [--history]")?;
        return Ok(ExitCode::from(2));
    };
    let with_history = arguments.next().is_some_and(|argument| argument == "--history");
    system::follow(seed);
    std::panic::set_hook(Box::new(|panic| {
        PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
    }));

    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build()?;
    let Told { outcome, history, counts, digest } = runtime.block_on(tell(seed))?;
    // Tasks that still are there may have something to say as they end.
    drop(runtime);

    let mut broken: Vec<_> = outcome.err().map(|Broken(why)| why).into_iter().collect();
    broken.append(&mut PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    let broken = (!broken.is_empty()).then(|| broken.join("; "));
    let history = (with_history || broken.is_some()).then_some(history);
    let told = json!({
        "broken": broken, "counts": counts, "digest": format!("{digest:016x}"), "history": history,
    });
    writeln!(io::stdout(), "{told}")?;
    Ok(ExitCode::SUCCESS)
}
