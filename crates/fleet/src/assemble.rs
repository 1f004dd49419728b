//! Puts together what all controllers share.

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Reporter;
use kube::runtime::reflector::store::{Writer, store};
use kurator_api::backup::Backup;
use kurator_api::cluster::{AttachedCluster, Cluster};
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_member::clock::Clock;
use kurator_member::connect::Connect;
use kurator_member::gate::WriteGate;
use kurator_member::member::MemberOptions;
use kurator_store::Open;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ctx::{Backoff, Ctx, Options};
use crate::events::Events;
use crate::fleet::heir::Questions;
use crate::fleet::probe::Probes;
use crate::fleet::recent::Recent;
use crate::fleet::rows::RowIndex;
use crate::heartbeat::Heartbeats;
use crate::hub::{Guarded, Hub, MANAGER};
use crate::members::Members;
use crate::metrics::Metrics;
use crate::pace::{Pace, Turns};
use crate::released::Released;
use crate::route::{Router, Wakes};
use crate::run::deletion::Refusals;
use crate::served::{Engines, ServedMembers};
use crate::writes::Writes;

/// What the controllers are made of.
pub struct Setup {
    /// Client of the hub; its writes pass the gate.
    pub client: Client,
    /// Closed unless this process leads.
    pub gate: WriteGate,
    /// For times that are shown.
    pub clock: Arc<dyn Clock>,
    /// Where the controllers count.
    pub metrics: Metrics,
    /// Choices of whoever runs the hub.
    pub options: Options,
    /// The way to the members.
    pub connect: Arc<dyn Connect>,
    /// The way to the stores.
    pub stores: Arc<dyn Open>,
    /// Where it is told which members the hub itself is to serve.
    pub served: watch::Sender<ServedMembers>,
    /// Cancelled when the process is to end.
    pub shutdown: CancellationToken,
}

/// Where what the hub holds is written when its watches tell of it.
pub(crate) struct Caches {
    pub(crate) attached: Writer<Guarded<AttachedCluster>>,
    pub(crate) provisioned: Writer<Guarded<Cluster>>,
    pub(crate) fleets: Writer<Guarded<Fleet>>,
    pub(crate) backups: Writer<Guarded<Backup>>,
    pub(crate) restores: Writer<Guarded<Restore>>,
    pub(crate) migrates: Writer<Guarded<Migrate>>,
}

/// For the hub whose namespace kube-system has this UID.
pub(crate) fn assemble(setup: Setup, uid: String) -> (Arc<Ctx>, Caches) {
    let Setup { client, gate, clock, metrics, options, connect, stores, served, shutdown: _ } = setup;
    let (attached, attached_writer) = store();
    let (provisioned, provisioned_writer) = store();
    let (fleets, fleets_writer) = store();
    let (backups, backups_writer) = store();
    let (restores, restores_writer) = store();
    let (migrates, migrates_writer) = store();
    let hub = Arc::new(Hub {
        client: client.clone(),
        uid,
        attached,
        provisioned,
        fleets,
        backups,
        restores,
        migrates,
        fleet_rows: RowIndex::default(),
        released: Released::default(),
    });
    let router = Arc::new(Router {
        hub: Arc::clone(&hub),
        wakes: Wakes::new(),
        heartbeats: Heartbeats::default(),
        engines: Engines::new(served),
        recent: Recent::default(),
    });
    let member_options = MemberOptions { clock: Arc::clone(&clock), ..MemberOptions::default() };
    let work = TaskTracker::new();
    let ctx = Arc::new(Ctx {
        members: Members::new(connect, gate, Arc::clone(&router), member_options),
        stores,
        writes: Writes::new(work.clone()),
        probes: Arc::new(Probes::new(&work)),
        pace: Pace::default(),
        turns: Turns::default(),
        backoff: Backoff::default(),
        refusals: Refusals::default(),
        questions: Questions::default(),
        clock,
        events: Arc::new(Events::new(client, Reporter::from(MANAGER))),
        work,
        metrics,
        options,
        hub,
        router,
    });
    let caches = Caches {
        attached: attached_writer,
        provisioned: provisioned_writer,
        fleets: fleets_writer,
        backups: backups_writer,
        restores: restores_writer,
        migrates: migrates_writer,
    };
    (ctx, caches)
}
