//! `--wait`: follows a run to its end, and says how far it is.

mod telling;

use futures::StreamExt as _;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use kurator_api::backup::Backup;
use kurator_api::duration::GoDuration;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use tokio::signal::unix::{SignalKind, signal};

use super::hub::{Hub, is_refused};
use super::outage::{Outage, observed};
use super::run::{Ending, Run};
use crate::failure::Failure;
use crate::process::INTERRUPTED;
use telling::Telling;

/// A kind whose objects run to an end.
pub(crate) trait Runs:
    kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + serde::de::DeserializeOwned
    + serde::Serialize
    + Send
    + 'static
{
    /// One of them, for people and for commands.
    const NOUN: &'static str;

    /// How it stands.
    fn run(&self) -> Run;
}

impl Runs for Backup {
    const NOUN: &'static str = "backup";

    fn run(&self) -> Run {
        Run::from(self)
    }
}

impl Runs for Restore {
    const NOUN: &'static str = "restore";

    fn run(&self) -> Run {
        Run::from(self)
    }
}

impl Runs for Migrate {
    const NOUN: &'static str = "migrate";

    fn run(&self) -> Run {
        Run::from(self)
    }
}

/// Follows the run `name` with this uid until it has ended, telling each change on stderr.
pub(crate) async fn wait<K: Runs>(
    hub: &Hub,
    name: &str,
    uid: Option<&str>,
    timeout: Option<GoDuration>,
) -> Result<(), Failure> {
    let what = format!("{} `{name}`", K::NOUN);
    let hint = format!("`kurator describe {} {name} --namespace {}` says more", K::NOUN, hub.namespace);
    let failure = |why, code| Failure::with_hint(anyhow::Error::msg(why), hint.clone()).and_exit_code(code);
    // From the first thing that is told on.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let (client, mut outage) = observed(&hub.client);
    let mut telling = Telling::new();
    let run = Api::<K>::namespaced(client, &hub.namespace);
    let (why, code) = tokio::select! {
        ended = follow(hub, run, name, uid, &mut outage, &mut telling) => match ended? {
            Ok(()) => return Ok(()),
            Err((why, code)) => return Err(failure(format!("{what} {why}"), code)),
        },
        after = late(timeout) => (format!("{what} has not ended after {after}"), LATE),
        _ = interrupts.recv() => (format!("nobody waits for {what} any more"), INTERRUPTED),
    };
    // Of what cannot be seen nobody knows whether it goes on.
    let becomes = match outage.why() {
        Some(silence) => format!("the hub at {} does not answer: {silence}", hub.server()),
        None => match telling.message() {
            "" => "it goes on".to_owned(),
            message => format!("it goes on; it says: {message}"),
        },
    };
    Err(failure(format!("{why}; {becomes}"), code))
}

/// How a run ended: well, or otherwise, with the exit code for that.
type Ended = Result<(), (String, u8)>;

async fn follow<K: Runs>(
    hub: &Hub,
    runs: Api<K>,
    name: &str,
    uid: Option<&str>,
    outage: &mut Outage,
    telling: &mut Telling,
) -> Result<Ended, Failure> {
    let mut all_seen = watch_object(runs, name).default_backoff().boxed();
    loop {
        let seen = tokio::select! {
            seen = all_seen.next() => seen,
            news = outage.news(hub) => {
                telling.say(&news?);
                continue;
            }
        };
        match seen {
            Some(Ok(Some(object))) if object.meta().uid.as_deref() == uid => {
                let run = object.run();
                telling.tell(&run);
                if let Some(ended) = ended(&run) {
                    // A failure is told with the error.
                    if ended.is_ok() {
                        telling.end(&run);
                    }
                    return Ok(ended);
                }
            }
            Some(Ok(_)) => {
                return Err(anyhow::anyhow!("{} `{name}` was deleted before it had ended", K::NOUN).into());
            }
            Some(Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error)))
                if is_refused(&error) =>
            {
                return Err(hub.failure(&format!("watching {} `{name}`", K::NOUN), error));
            }
            // The watch tries again by itself.
            Some(Err(_)) => {}
            None => return Err(anyhow::anyhow!("the watch of {} `{name}` has ended", K::NOUN).into()),
        }
    }
}

/// How the run ended, if it has, or does not go on by itself.
fn ended(run: &Run) -> Option<Ended> {
    match run.ended {
        Some(Ending::Completed) => Some(Ok(())),
        Some(ending) => {
            let code = if ending == Ending::PartiallyFailed { PARTIAL } else { FAILED };
            Some(Err((format!("ended {}: {}", run.phase, run.message()), code)))
        }
        None => {
            let stalled = run.is_stalled().then(|| run.message().to_owned());
            let why = stalled.or_else(|| run.held_up())?;
            Some(Err((format!("does not go on: {why}"), FAILED)))
        }
    }
}

/// Comes after this time; never if there is none.
async fn late(timeout: Option<GoDuration>) -> GoDuration {
    let Some(timeout) = timeout else { return std::future::pending().await };
    tokio::time::sleep(timeout.into()).await;
    timeout
}

/// Exit code for a run that ended PartiallyFailed.
pub(crate) const PARTIAL: u8 = 3;
/// Exit code for a run that has not ended in the time that was given.
pub(crate) const LATE: u8 = 5;
/// Exit code for a run that failed, was refused, or does not go on by itself.
pub(crate) const FAILED: u8 = 4;
