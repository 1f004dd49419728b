//! Commands in pods that were restored, each when its container is up: beside the restore, and awaited before its end.
//!
//! As Velero 1.18: in a pod one command after the other, those of a container together; pods don't wait for each
//! other. Unlike there a failure concerns its own pod only, and a hook whose time to wait is over does not run after
//! all.

mod view;

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use self::view::{Up, View};
use crate::hooks::{Ended, Hook, Runner, Work};
use crate::report::{About, Report};
use crate::restore::ExecHook;

/// How long containers are waited for once all objects are restored, as Velero 1.18's `--resource-timeout`.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// How long a command may take if nothing is said, and at most.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(4 * 60 * 60));

/// A pod that was created, with its hooks.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Not empty.
    pub(super) hooks: Vec<ExecHook>,
}

/// Runs the hooks of all pods that come, until no more come and all are done. `selector` selects them by label.
pub(super) async fn run(
    client: &Client,
    selector: &str,
    runner: &Runner<'_>,
    report: &Report,
    mut pods: mpsc::UnboundedReceiver<Waiting>,
) {
    let Some(first) = pods.recv().await else { return };
    let (until, given_up) = watch::channel(None);
    let mut views = Views::default();
    let mut running = FuturesUnordered::new();
    let begin = |waiting: Waiting, views: &mut Views| {
        runner.attempt(waiting.hooks.len());
        let view = views.of(&waiting.namespace, &waiting.name).subscribe();
        in_pod(runner, waiting, view, given_up.clone())
    };
    running.push(begin(first, &mut views));
    let selected = watcher::Config::default().labels(selector);
    let mut events = pin!(watcher::watcher(Api::<Pod>::all(client.clone()), selected).default_backoff());
    let (mut more, mut is_told) = (true, false);
    while more || !running.is_empty() {
        tokio::select! {
            waiting = pods.recv(), if more => match waiting {
                Some(waiting) => running.push(begin(waiting, &mut views)),
                None => {
                    more = false;
                    until.send_replace(Some(Instant::now() + LONGEST_WAIT));
                }
            },
            Some(event) = events.next() => match event {
                Ok(event) => views.see(event),
                // The watch goes on by itself; who waits in vain is to know why.
                Err(error) if !is_told => {
                    is_told = true;
                    let error = kurator_member::causes::chain(&error);
                    report.warning(About::Run, format!("cannot watch the pods whose hooks wait: {error}"));
                }
                Err(_) => {}
            },
            Some(()) = running.next() => {}
        }
    }
}

/// What is known of the pods of the restore: also of those whose creation has not been heard of yet.
#[derive(Default)]
struct Views {
    of: HashMap<(String, String), watch::Sender<View>>,
    /// Those that a list which is under way has not shown yet.
    unseen: HashSet<(String, String)>,
}

impl Views {
    fn of(&mut self, namespace: &str, name: &str) -> &watch::Sender<View> {
        self.of.entry((namespace.to_owned(), name.to_owned())).or_default()
    }

    fn see(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.unseen = self.of.keys().cloned().collect(),
            Event::Apply(pod) | Event::InitApply(pod) => self.show(&pod, View::from(&pod)),
            Event::Delete(pod) => self.show(&pod, View::Gone),
            Event::InitDone => {
                for key in self.unseen.drain() {
                    if let Some(view) = self.of.get(&key) {
                        view.send_replace(View::Gone);
                    }
                }
            }
        }
    }

    fn show(&mut self, pod: &Pod, view: View) {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        self.of(&namespace, &name).send_replace(view);
        self.unseen.remove(&(namespace, name));
    }
}

/// Runs the hooks of one pod.
async fn in_pod(
    runner: &Runner<'_>,
    waiting: Waiting,
    mut view: watch::Receiver<View>,
    given_up: watch::Receiver<Option<Instant>>,
) {
    let begun = Instant::now();
    let Waiting { namespace, name: pod, mut hooks } = waiting;
    let wait_at_most = longest_wait(&hooks).map(|wait| begun + wait);
    let fail = |hook: &ExecHook, why: &str| {
        runner.fail(Hook { name: &hook.name, namespace: &namespace, pod: &pod }, why);
    };
    let give_up = |hooks: &[ExecHook], why: &str| {
        for hook in hooks {
            fail(hook, &format!("in container {} was not run: {why}", hook.container));
        }
    };
    while !hooks.is_empty() {
        let up = view.borrow_and_update().up(&hooks);
        let container = match up {
            Up::Container(container) => container,
            Up::Never(why) => return give_up(&hooks, &why),
            Up::NotYet => {
                tokio::select! {
                    changed = view.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => return give_up(&hooks, "nobody watches the pod any more"),
                    },
                    () = at(wait_at_most) => {
                        return give_up(&hooks, "its container was not up within the hook's waitTimeout");
                    }
                    () = at_last(given_up.clone()) => {
                        let why = format!("its container was not up {} s after the restore", LONGEST_WAIT.as_secs());
                        return give_up(&hooks, &why);
                    }
                }
            }
        };
        let (own, others): (Vec<_>, Vec<_>) = hooks.into_iter().partition(|hook| hook.container == container);
        hooks = others;
        for (index, hook) in own.iter().enumerate() {
            let succeeded = match hook.wait_timeout.filter(|wait| begun.elapsed() > *wait) {
                Some(wait) => {
                    fail(
                        hook,
                        &format!("in container {container} was not run: its waitTimeout of {wait:?} is over"),
                    );
                    false
                }
                None => {
                    let timeout = hook.exec_timeout.unwrap_or(TIMEOUTS.0).min(TIMEOUTS.1);
                    let work = Work { container: &container, command: &hook.command, timeout };
                    let on = Hook { name: &hook.name, namespace: &namespace, pod: &pod };
                    runner.run(on, work, "").await == Ended::Well
                }
            };
            if !succeeded && hook.fail {
                let rest = own.get(index + 1..).unwrap_or_default();
                let why = format!("the hook {} before it failed", hook.name);
                give_up(rest, &why);
                return give_up(&hooks, &why);
            }
        }
    }
}

/// As Velero: the longest of all, and none if one of them waits without end.
fn longest_wait(hooks: &[ExecHook]) -> Option<Duration> {
    hooks.iter().map(|hook| hook.wait_timeout).collect::<Option<Vec<_>>>()?.into_iter().max()
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The moment that is told some time.
async fn at_last(mut told: watch::Receiver<Option<Instant>>) {
    let moment = told.wait_for(Option::is_some).await.ok().and_then(|moment| *moment);
    at(moment).await;
}

#[cfg(test)]
mod tests;
