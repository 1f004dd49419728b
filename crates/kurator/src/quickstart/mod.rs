//! `kurator quickstart`: a hub, members and an object store in this process, and a walk through what can be done.
//!
//! The controllers and the engine are those of `kurator serve`; the clusters hold objects and run nothing.

mod content;
mod folder;
mod held;
mod manifests;
mod render;
mod screen;
mod stage;
mod story;
mod summary;
mod world;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::failure::Failure;
use crate::{process, verbs};
use folder::Folder;
pub(crate) use folder::has_ended;
use screen::Screen;
use world::{Plan, World};

/// Files that are open at the same time, at the most: of a hub and a store, and of each member.
const FILES: u64 = 64;
const FILES_PER_MEMBER: u64 = 16;

/// Options of `quickstart`.
#[derive(clap::Args)]
pub(crate) struct QuickstartFlags {
    /// Exit after the walk: 0 if every step went well
    #[arg(long)]
    once: bool,

    /// Wait for Enter before each step
    #[arg(long)]
    step: bool,

    /// Show the YAML of what is applied
    #[arg(long)]
    show_yaml: bool,

    /// Member clusters, 2 to 100
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=100))]
    members: u16,

    /// Port of the clusters' API on 127.0.0.1; any free one if it is left out
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "PORT")]
    port: u16,

    /// Folder for what is stored, which stays; if it is left out, a temporary one
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

pub(crate) fn quickstart(flags: QuickstartFlags) -> Result<(), Failure> {
    process::block_on(async {
        // Before the folder is made, which no signal is to leave behind.
        let (shutdown, made) = (CancellationToken::new(), Arc::new(OnceLock::<PathBuf>::new()));
        let there = Arc::clone(&made);
        let last = move || there.get().into_iter().for_each(|path| folder::remove(path));
        TaskTracker::new().spawn(process::end_on_signal(shutdown.clone(), last)?);
        let folder = Folder::new(&std::env::temp_dir())
            .map_err(|error| Failure::with_hint(error, "name a folder that can be written with TMPDIR"))?;
        let path = made.get_or_init(|| folder.path().to_owned());
        let log = folder.path().join("kurator.log");
        process::log_into(&log)?;
        folder.sweep();
        let few_files = process::few_files(FILES + FILES_PER_MEMBER * u64::from(flags.members));
        let mut screen = Screen::new(flags.step, flags.show_yaml);
        let mut outcome = run(flags, path, &shutdown, &mut screen).await;
        // Of a signal, and of a stdout that takes no more, the log says nothing.
        if !shutdown.is_cancelled() && screen.written().is_ok() {
            outcome = outcome.map_err(|failure| {
                screen::tail(&log);
                failure.or_hint(few_files)
            });
        }
        let closed = folder.close();
        outcome.and(closed.map_err(Failure::from))
    })
}

async fn run(
    flags: QuickstartFlags,
    folder: &Path,
    shutdown: &CancellationToken,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let plan = Plan { members: flags.members, port: flags.port, store: flags.store, folder };
    let once = flags.once;
    // To its end, also when it is not wanted any more: what it makes in the folder must not come after the folder has gone.
    let (world, mut controllers) = World::start(plan).await?;
    if shutdown.is_cancelled() {
        world.end(controllers).await;
        return cut_short(once);
    }
    screen.up(&world.facts());
    let mut has_walked = false;
    let outcome = tokio::select! {
        outcome = show(&world, screen, once, &mut has_walked) => outcome,
        died = controllers.died() => {
            // There is nothing left to end in order.
            return Err(died);
        }
        () = shutdown.cancelled() => if has_walked { Ok(()) } else { cut_short(once) },
    };
    world.end(controllers).await;
    outcome
}

/// What a signal before the end of the walk means: a failure only if the walk is all that was asked for.
fn cut_short(once: bool) -> Result<(), Failure> {
    let said = "the walk was cut short by a signal";
    if once {
        return Err(anyhow::anyhow!(said).into());
    }
    verbs::note(said);
    Ok(())
}

/// Walks, and shows what there is then; ends only if it is to be done once.
async fn show(world: &World, screen: &mut Screen, once: bool, has_walked: &mut bool) -> Result<(), Failure> {
    story::walk(world, screen).await?;
    *has_walked = true;
    let overview = world.overview().await?;
    screen.summary(&summary::summary(world, overview, once));
    screen.written()?;
    if !once {
        std::future::pending::<()>().await;
    }
    Ok(())
}
