//! `--wait`: follows a run to its end, and says how far it is.

use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, watch_object};
use kurator_api::backup::Backup;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;

use super::hub::Hub;
use super::note;
use super::run::{Ending, Run};
use crate::failure::Failure;
use crate::terminal::rows::{self, rows};
use crate::terminal::style::Style;
use crate::terminal::{Stream, Terminal};

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
    timeout: Option<Duration>,
) -> Result<(), Failure> {
    let describe = format!("`kurator describe {} {name} --namespace {}` says more", K::NOUN, hub.namespace);
    let ended = async {
        let api = Api::<K>::namespaced(hub.client.clone(), &hub.namespace);
        let mut seen = watch_object(api, name).default_backoff().boxed();
        let mut telling = Telling::new();
        while let Some(seen) = seen.next().await {
            let seen = match seen {
                Ok(seen) => seen,
                Err(watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error))
                    if is_refused(&error) =>
                {
                    return Err(hub.failure(&format!("watching {} `{name}`", K::NOUN), error));
                }
                // The watch tries again by itself.
                Err(_) => continue,
            };
            let object = seen.filter(|object| object.meta().uid.as_deref() == uid);
            let Some(object) = object else {
                return Err(anyhow::anyhow!("{} `{name}` was deleted before it had ended", K::NOUN).into());
            };
            let run = object.run();
            telling.tell(&run);
            match run.ended {
                Some(Ending::Completed) => return Ok(()),
                Some(ending) => {
                    let why = anyhow::anyhow!("{} `{name}` ended {}: {}", K::NOUN, run.phase, run.message());
                    let code = if ending == Ending::PartiallyFailed { PARTIAL } else { FAILED };
                    return Err(Failure::with_hint(why, describe.clone()).and_exit_code(code));
                }
                None if run.is_stalled() => {
                    let why = anyhow::anyhow!("{} `{name}` does not go on: {}", K::NOUN, run.message());
                    return Err(Failure::with_hint(why, describe.clone()).and_exit_code(FAILED));
                }
                None => {}
            }
        }
        Err(anyhow::anyhow!("the watch of {} `{name}` has ended", K::NOUN).into())
    };
    let Some(timeout) = timeout else { return ended.await };
    tokio::time::timeout(timeout, ended).await.unwrap_or_else(|_| {
        let why = anyhow::anyhow!("{} `{name}` has not ended after {timeout:?}; it goes on", K::NOUN);
        Err(Failure::with_hint(why, describe.clone()).and_exit_code(LATE))
    })
}

/// What people are told on stderr while they wait: on a terminal all clusters, drawn again when they change; elsewhere a
/// line for each change.
struct Telling {
    terminal: Terminal,
    told: Vec<String>,
}

impl Telling {
    fn new() -> Self {
        Self { terminal: Terminal::of(Stream::Err), told: Vec::new() }
    }

    fn tell(&mut self, run: &Run) {
        let is_live = self.terminal.is_live();
        let lines = if is_live { drawing(self.terminal.style(), run) } else { vec![line(run)] };
        if lines == self.told {
            return;
        }
        if is_live {
            self.terminal.draw(&lines);
        } else {
            lines.iter().for_each(|line| note(line));
        }
        self.told = lines;
    }
}

/// A run, and a line with a bar for each of its clusters.
fn drawing(style: Style, run: &Run) -> Vec<String> {
    let clusters: Vec<_> = run.rows.iter().map(rows::Row::from).collect();
    [style.cut(&line(run))].into_iter().chain(rows(style, &clusters)).collect()
}

fn is_refused(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

/// Exit code for a run that ended PartiallyFailed.
pub(crate) const PARTIAL: u8 = 3;
/// Exit code for a run that has not ended in the time that was given.
pub(crate) const LATE: u8 = 5;
/// Exit code for a run that failed, was refused, or does not go on by itself.
pub(crate) const FAILED: u8 = 4;

/// A run in one line.
fn line(run: &Run) -> String {
    let mut parts = vec![run.phase.clone()];
    if !run.clusters.is_empty() {
        parts.push(format!("{} clusters", run.clusters));
    }
    if let Some((done, all)) = run.objects() {
        parts.push(format!("{done}/{all} objects"));
    }
    if !run.message().is_empty() {
        parts.push(run.message().to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn run() -> Run {
        let restore: Restore = serde_json::from_value(json!({
            "metadata": {"name": "r"}, "spec": {"backupName": "b"},
            "status": {"phase": "InProgress", "summary": {"status": "0/2"},
                "conditions": [{"type": "Ready", "status": "False", "message": "a: running", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "restoreDetails": [
                    {"clusterName": "a", "restoreStatusInCluster": {"phase": "InProgress", "progress": {"itemsRestored": 2, "totalItems": 5}}},
                    {"clusterName": "edge", "restoreStatusInCluster": {"phase": "InProgress", "progress": {"totalItems": 4}}},
                ]},
        }))
        .unwrap();
        restore.run()
    }

    #[test]
    fn a_line_tells_phase_clusters_objects_and_what_is_waited_for() {
        assert_eq!(line(&run()), "InProgress, 0/2 clusters, 2/9 objects, a: running");
    }

    #[test]
    fn on_a_terminal_each_cluster_has_a_bar() {
        let expected = [
            "InProgress, 0/2 clusters, 2/9 objects, a: running",
            "  a     ██████░░░░░░░░░░ InProgress  2/5 objects",
            "  edge  ░░░░░░░░░░░░░░░░ InProgress  0/4 objects",
        ];
        assert_eq!(drawing(Style { colour: false, bars: true, width: 80 }, &run()), expected);
        let coloured = drawing(Style { colour: true, bars: true, width: 80 }, &run());
        assert_eq!(coloured[1], "  a     \x1b[36m██████░░░░░░░░░░\x1b[0m InProgress  2/5 objects");
    }

    #[test]
    fn a_narrow_terminal_gets_lines_that_do_not_break() {
        let lines = drawing(Style { colour: true, bars: true, width: 40 }, &run());
        let expected = [
            "InProgress, 0/2 clusters, 2/9 objects, …",
            "  a     InProgress  2/5 objects",
            "  edge  InProgress  0/4 objects",
        ];
        assert_eq!(lines, expected);
    }
}
