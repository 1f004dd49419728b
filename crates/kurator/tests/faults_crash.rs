//! A hub that ends in the middle of its work, by its own death or on request, and the one that comes after it.

use std::{
    error::Error,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use kube::{
    ResourceExt,
    config::{KubeConfigOptions, Kubeconfig},
};
use kurator_api::{
    backup::{Backup, RowPhase},
    fleet::Installer,
    names,
    restore::Restore,
    velero,
};
use kurator_fleet::{Metrics, Options, Setup};
use kurator_member::{clock::SystemClock, connect::hub_client, gate::WriteGate, kubeconfig::TrustPolicy};
use kurator_testkit::{
    Lab, LabSpec, Serving,
    fixtures::{FixtureError, Object, Tenant, ready, sow, velero as in_member},
};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

type Outcome = Result<(), Box<dyn Error>>;

const MEMBERS: usize = 2;
/// More writes than any run needs.
const ENOUGH: usize = 1_000;
/// How long a process may take to end in order.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// One test at a time: there is one hub, and each test brings processes of its own to it.
fn in_turn(test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: MEMBERS, velero: true, s3: true })?;
    lab.run(test(lab))
}

async fn serve(lab: &Lab) -> Result<Serving, FixtureError> {
    let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
    ready(&serving).await?;
    Ok(serving)
}

/// The controllers in this process, as dead after `writes` writes as if it had been killed. Returns when that has
/// happened or `done` has come true: whether it died.
async fn live(lab: &Lab, writes: usize, done: impl Future<Output = Outcome>) -> Result<bool, Box<dyn Error>> {
    let died = CancellationToken::new();
    let (left, death) = (AtomicUsize::new(writes), died.clone());
    let gate = WriteGate::asking(move || {
        if left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Ok(());
        }
        death.cancel();
        Err("this process is dead".to_owned())
    });
    let kubeconfig = Kubeconfig::from_yaml(&lab.hub().kubeconfig())?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let shutdown = CancellationToken::new();
    let setup = Setup {
        client: hub_client(config, &gate)?,
        gate,
        clock: Arc::new(SystemClock),
        metrics: Metrics::register(&mut Registry::default()),
        options: Options {
            default_installer: Installer::None,
            trust: TrustPolicy { allow_loopback: false },
            concurrency: 5,
        },
        shutdown: shutdown.clone(),
    };
    let end = async {
        let end = tokio::select! {
            () = died.cancelled() => Ok(()),
            done = done => done,
        };
        shutdown.cancel();
        end
    };
    let (ran, end) = tokio::join!(kurator_fleet::run(setup, || {}), end);
    ran?;
    end?;
    Ok(died.is_cancelled())
}

/// Lets the hub die before its `n`th write on behalf of `object`, for every `n`, and another one finish the work.
/// `check` looks at what is there in the end.
async fn die_before_every_write<K: Object>(
    lab: &Lab,
    tenant: &Tenant<'_>,
    name: impl Fn(usize) -> String,
    spec: impl Fn(usize) -> serde_json::Value,
    check: impl AsyncFn(&K) -> Outcome,
) -> Result<usize, Box<dyn Error>> {
    for n in 0..ENOUGH {
        let name = name(n);
        tenant.create::<K>(&name, spec(n)).await?;
        let completed = async || Ok(tenant.all::<K>().until_phase(&name, "Completed").await.map(drop)?);
        let died = live(lab, n, completed()).await?;
        live(lab, ENOUGH, completed()).await?;
        check(&tenant.all::<K>().get(&name).await?).await?;
        eprintln!("{name} died {died} {:?}", std::time::SystemTime::UNIX_EPOCH.elapsed());
        if !died {
            return Ok(n);
        }
    }
    Err("no end of writes".into())
}

#[test]
fn a_hub_killed_between_any_two_writes_goes_on_and_does_nothing_twice() -> Outcome {
    in_turn(async |lab| {
        let serving = serve(lab).await?;
        let tenant = Tenant::new(lab, "crash").await?;
        tenant.ready_fleet(MEMBERS).await?;
        for i in 1..=MEMBERS {
            sow(lab.member(i), "crash-shop").await?;
        }
        drop(serving);

        let filter = json!({"resourceFilter": {"includedNamespaces": ["crash-shop"]}});
        let backups = die_before_every_write::<Backup>(
            lab,
            &tenant,
            |n| format!("b{n}"),
            |_| json!({"destination": {"fleet": tenant.name()}, "policy": filter}),
            async |backup| {
                for i in 1..=MEMBERS {
                    let label = format!("{}={}", names::OWNER_UID_LABEL, backup.uid().unwrap_or_default());
                    let children = in_member::<velero::Backup>(lab.member(i))?.list(&label).await?;
                    assert_eq!(children.len(), 1, "{children:?}");
                }
                let rows = &backup.status.as_ref().unwrap().backup_details;
                assert!(rows.iter().all(|row| row.phase == Some(RowPhase::Completed)), "{rows:?}");
                Ok(())
            },
        )
        .await?;
        // Finalizer, start, one object per member, end.
        assert!(backups >= 3 + MEMBERS, "only {backups} writes were counted");

        let restores = die_before_every_write::<Restore>(
            lab,
            &tenant,
            |n| format!("r{n}"),
            |_| json!({"backupName": "b0"}),
            async |restore| {
                for i in 1..=MEMBERS {
                    let label = format!("{}={}", names::OWNER_UID_LABEL, restore.uid().unwrap_or_default());
                    let children = in_member::<velero::Restore>(lab.member(i))?.list(&label).await?;
                    assert_eq!(children.len(), 1, "{children:?}");
                }
                let rows = &restore.status.as_ref().unwrap().restore_details;
                assert!(rows.iter().all(|row| row.phase == Some(RowPhase::Completed)), "{rows:?}");
                Ok(())
            },
        )
        .await?;
        assert!(restores >= 3 + MEMBERS, "only {restores} writes were counted");
        Ok(())
    })
}
