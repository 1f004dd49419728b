//! Starts all watches and controllers of a hub, and ends them in order.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::PartialObjectMeta;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, DefaultBackoff, Event};
use kube::runtime::{WatchStreamExt, applier, reflector as reflect, watcher as watch};
use kube::{Api, Client, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_member::cache::trim;
use kurator_member::gate::GateClosed;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::assemble::{Caches, Setup, assemble};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::{Guarded, Hub, HubKind};
use crate::metrics::{Kind, Reconcile};
use crate::route::Router;
use crate::wake::WakeSet;
use crate::writes::{conflict_delay, retry_delay};

/// Longest time that running passes and writes are given when the process ends.
const DRAIN: Duration = Duration::from_secs(8);

/// The hub could not be asked who it is.
#[derive(Debug, thiserror::Error)]
#[error("cannot read namespace kube-system of the hub")]
pub struct StartError(#[source] Box<kube::Error>);

/// Runs all controllers until shutdown; calls `ready` once everything on the hub is known.
///
/// # Errors
/// [`StartError`] if the hub does not answer at all.
pub async fn run(setup: Setup, ready: impl FnOnce()) -> Result<(), StartError> {
    let (client, shutdown) = (setup.client.clone(), setup.shutdown.clone());
    let kube_system = Api::<Namespace>::all(client.clone()).get("kube-system").await;
    let uid = kube_system.map_err(|error| StartError(Box::new(error)))?.uid().unwrap_or_default();

    let (ctx, Caches { attached, provisioned, fleets, backups, restores, migrates }) = assemble(setup, uid);
    let watches =
        Watches { client, ctx: Arc::clone(&ctx), tasks: TaskTracker::new(), stop: CancellationToken::new() };
    watches.cluster(ClusterKind::AttachedCluster, attached);
    watches.cluster(ClusterKind::Cluster, provisioned);
    watches.kind::<Fleet>(fleets, |router, namespace, name| router.fleet_changed(namespace, name));
    watches.kind::<Backup>(backups, |router, namespace, name| router.backup_changed(namespace, name));
    watches.kind::<Restore>(restores, |router, namespace, name| router.restore_changed(namespace, name));
    watches.kind::<Migrate>(migrates, |router, namespace, name| router.migrate_changed(namespace, name));
    watches.secrets();

    let controllers = TaskTracker::new();
    tokio::select! {
        // First everything must be known: an object that is not listed yet would be taken for one that is gone.
        true = ctx.hub.known() => {
            Start { ctx: &ctx, tasks: &controllers, shutdown: &shutdown }.all();
            ready();
        }
        () = shutdown.cancelled() => {}
    }
    controllers.close();
    shutdown.cancelled().await;
    drain(&controllers, &ctx.work).await;
    watches.stop.cancel();
    Ok(())
}

async fn drain(controllers: &TaskTracker, work: &TaskTracker) {
    work.close();
    let ended = async {
        controllers.wait().await;
        work.wait().await;
    };
    if tokio::time::timeout(DRAIN, ended).await.is_err() {
        tracing::warn!("ending with {} writes under way", work.len());
    }
}

/// The watches of the hub's own objects.
struct Watches {
    client: Client,
    ctx: Arc<Ctx>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Watches {
    /// Keeps a cache and tells the router of everything that comes. A new list is in the cache when it is complete: of
    /// what it shows, and of what was there before it, the router is told then.
    fn kind<K: HubKind>(
        &self,
        writer: Writer<Guarded<K>>,
        changed: impl Fn(&Router, &str, &str) + Send + 'static,
    ) {
        let ctx = Arc::clone(&self.ctx);
        let cache = writer.as_reader();
        let mut before = BTreeSet::new();
        let api = Api::<Guarded<K>>::all(self.client.clone());
        let seen = watch(api, watcher::Config::default()).backoff(SoonBack::default());
        let events = reflect(writer, seen.modify(trim));
        self.listen(K::kind(&()).into_owned(), events, move |event: &Event<Guarded<K>>| match event {
            Event::Init => before = names(&cache),
            Event::InitApply(_) => {}
            Event::InitDone => {
                ctx.hub.released.clear();
                ctx.members.sweep();
                let mut all = names(&cache);
                all.append(&mut before);
                all.iter().for_each(|(namespace, name)| changed(&ctx.router, namespace, name));
            }
            Event::Apply(object) => {
                changed(&ctx.router, &object.namespace().unwrap_or_default(), &object.name_any());
            }
            Event::Delete(object) => {
                ctx.hub.released.forget(object);
                // It may have been the last to need a cluster whose object is gone.
                ctx.members.sweep();
                changed(&ctx.router, &object.namespace().unwrap_or_default(), &object.name_any());
            }
        });
    }

    /// A kind of clusters.
    fn cluster<K: HubKind>(&self, kind: ClusterKind, writer: Writer<Guarded<K>>) {
        self.kind(writer, move |router, namespace, name| {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            router.cluster_changed(&ClusterKey { namespace, kind, name });
        });
    }

    /// Secrets are watched for their names alone; what they hold is read when it is needed and not kept.
    fn secrets(&self) {
        let router = Arc::clone(&self.ctx.router);
        let api = Api::<PartialObjectMeta<Secret>>::all(self.client.clone());
        let events = watch(api, watcher::Config::default()).backoff(SoonBack::default());
        self.listen(
            "Secret".to_owned(),
            events,
            move |event: &Event<PartialObjectMeta<Secret>>| match event {
                Event::Apply(secret) | Event::Delete(secret) | Event::InitApply(secret) => {
                    router.secret_changed(&secret.namespace().unwrap_or_default(), &secret.name_any());
                }
                Event::Init | Event::InitDone => {}
            },
        );
    }

    fn listen<T: Send + 'static>(
        &self,
        kind: String,
        events: impl futures::Stream<Item = Result<Event<T>, watcher::Error>> + Send + 'static,
        mut on: impl FnMut(&Event<T>) + Send + 'static,
    ) {
        let listening = async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(event) => on(&event),
                    Err(error) => {
                        tracing::warn!(
                            kind,
                            "watch of the hub broke: {}",
                            kurator_member::causes::chain(&error)
                        )
                    }
                }
            }
        };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(listening));
    }
}

/// Namespaces and names of what a cache holds.
fn names<K: HubKind>(cache: &Store<Guarded<K>>) -> BTreeSet<(String, String)> {
    cache.state().iter().map(|object| (object.namespace().unwrap_or_default(), object.name_any())).collect()
}

/// kube's own pauses, cut to 5 s: what happens on the hub should be seen soon after it is back.
#[derive(Default)]
struct SoonBack(DefaultBackoff);

impl Iterator for SoonBack {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.0.next().map(|pause| pause.min(Duration::from_secs(5)))
    }
}

impl Backoff for SoonBack {
    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Starts one worker per kind.
struct Start<'a> {
    ctx: &'a Arc<Ctx>,
    tasks: &'a TaskTracker,
    shutdown: &'a CancellationToken,
}

impl Start<'_> {
    fn all(&self) {
        let (hub, wakes) = (&self.ctx.hub, &self.ctx.router.wakes);
        self.controller(&hub.attached, &wakes.attached, crate::cluster::reconcile_attached);
        self.controller(&hub.provisioned, &wakes.provisioned, crate::cluster::reconcile_provisioned);
        self.controller(&hub.fleets, &wakes.fleets, crate::fleet::reconcile);
        self.controller(&hub.backups, &wakes.backups, crate::backup::reconcile);
        self.controller(&hub.restores, &wakes.restores, crate::restore::reconcile);
        self.controller(&hub.migrates, &wakes.migrates, crate::migrate::reconcile);
    }

    fn controller<K, F>(
        &self,
        store: &Store<Guarded<K>>,
        wakes: &Arc<WakeSet<Guarded<K>>>,
        reconcile: fn(Arc<Guarded<K>>, Arc<Ctx>) -> F,
    ) where
        K: HubKind,
        F: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let kind = kind_name::<K>();
        let queue = Arc::clone(wakes).stream().take_until(self.shutdown.clone().cancelled_owned());
        let cache = store.clone();
        let pass = move |object: Arc<Guarded<K>>, ctx: Arc<Ctx>| {
            let cache = cache.clone();
            Box::pin(async move {
                let hub = Arc::clone(&ctx.hub);
                let ended = measured(kind, reconcile, Arc::clone(&object), ctx).await;
                forget_gone(&hub, &cache, &object);
                ended
            })
        };
        let config = Config::default().concurrency(self.ctx.options.concurrency);
        let passes = applier(pass, after_error::<K>, Arc::clone(self.ctx), store.clone(), queue, config);
        self.tasks.spawn(passes.for_each(|_passed| std::future::ready(())));
    }
}

/// Forgets that an object is released if its deletion was told before that was noted.
fn forget_gone<K: HubKind>(hub: &Hub, cache: &Store<Guarded<K>>, object: &Guarded<K>) {
    if cache.get(&ObjectRef::from_obj(object)).is_none_or(|shown| shown.uid() != object.uid()) {
        hub.released.forget(object);
    }
}

fn kind_name<K: HubKind>() -> &'static str {
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "other",
    }
}

async fn measured<K, F>(
    kind: &'static str,
    reconcile: fn(Arc<Guarded<K>>, Arc<Ctx>) -> F,
    object: Arc<Guarded<K>>,
    ctx: Arc<Ctx>,
) -> Result<Action, Error>
where
    K: HubKind,
    F: Future<Output = Result<Action, Error>>,
{
    if ctx.hub.released.has(&*object) {
        return Ok(Action::await_change());
    }
    let uid = object.uid().unwrap_or_default();
    if let Some(rest) = ctx.turns.wait(&uid) {
        return Ok(Action::requeue(rest));
    }
    let began = Instant::now();
    let mut busy = Duration::ZERO;
    let mut pass = pin!(reconcile(object, Arc::clone(&ctx)));
    // What is waited for takes no core.
    let result = poll_fn(|context| {
        let began = Instant::now();
        let polled = pass.as_mut().poll(context);
        busy += began.elapsed();
        polled
    })
    .await;
    ctx.turns.ended(&uid, busy);
    let outcome = match &result {
        Ok(_) => "ok",
        Err(error) if error.is_conflict() => "conflict",
        Err(_) => "error",
    };
    if result.is_ok() {
        ctx.backoff.reset(&uid);
    }
    ctx.metrics.reconciles.get_or_create(&Reconcile { kind, outcome }).inc();
    ctx.metrics.reconcile_time.get_or_create(&Kind { kind }).observe(began.elapsed().as_secs_f64());
    result
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that kube's applier asks for")]
fn after_error<K: HubKind>(object: Arc<Guarded<K>>, error: &Error, ctx: Arc<Ctx>) -> Action {
    let Error::Hub { source, .. } = error;
    if GateClosed::behind(source).is_some() {
        return Action::await_change();
    }
    let attempts = ctx.backoff.next(&object.uid().unwrap_or_default());
    if error.is_conflict() {
        return Action::requeue(conflict_delay(attempts));
    }
    tracing::warn!(
        object = crate::hub::describe(&*object),
        attempts,
        "{}",
        kurator_member::causes::chain(error)
    );
    Action::requeue(retry_delay(attempts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ctx, nobody};
    use serde_json::json;

    fn fleet(uid: &str) -> Guarded<Fleet> {
        let metadata = json!({"name": "f", "namespace": "default", "uid": uid, "resourceVersion": "1"});
        serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap()
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_released_object_that_the_cache_has_lost_already() {
        for (shown, is_kept) in [(Some("a"), true), (Some("another of its name"), false), (None, false)] {
            let (ctx, mut caches) = ctx(nobody());
            if let Some(fleet) = shown.map(fleet) {
                caches.fleets.apply_watcher_event(&Event::Apply(fleet));
            }
            ctx.hub.released.add(&fleet("a"));
            forget_gone(&ctx.hub, &ctx.hub.fleets, &fleet("a"));
            assert_eq!(ctx.hub.released.has(&fleet("a")), is_kept, "{shown:?}");
        }
    }
}
