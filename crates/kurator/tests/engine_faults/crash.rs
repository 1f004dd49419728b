//! An engine that dies before any of its writes, to the API server or to the store, and the one that comes after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::bail;
use http::Method;
use kurator_api::names::ENGINE_LEASE;
use kurator_api::velero::{Backup, Restore};
use kurator_member::gate::WriteGate;
use kurator_testkit::{
    Death, Manner,
    fixtures::{BOUND, json_of, object, velero as in_member},
    wait::until,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::own::{Own, engine, with_own_engines};
use super::{Outcome, contents, fill, sends};
use crate::scene::{PREFIX, of, start};

/// More writes than any run needs.
const ENOUGH: usize = 1_000;

/// An engine that is as dead after `writes` writes as if it had been killed. Returns when that has happened or `done`
/// has come true: whether it died.
async fn live(own: &Own, writes: usize, done: impl Future<Output = Outcome>) -> anyhow::Result<bool> {
    let death = Death::after(writes);
    let (of_api, of_store) = (death.clone(), death.clone());
    own.store.judge(move |request| {
        let is_write = !matches!(request.method, Method::GET | Method::HEAD);
        if is_write && of_store.write().is_err() { Manner::Cut } else { Manner::Pass }
    });
    let (gate, shutdown) = (WriteGate::asking(move || of_api.write()), CancellationToken::new());
    let kubeconfig = own.member().kubeconfig();
    let end = async {
        let end = death.or(done).await;
        shutdown.cancel();
        end.unwrap_or(Ok(()))
    };
    let (ran, end) = tokio::join!(engine(&kubeconfig, &gate, shutdown.clone()), end);
    end?;
    if death.has_come() {
        // The next one need not wait for the dead one's Lease to run out.
        let leases = own.leases()?;
        if leases.api().get_opt(ENGINE_LEASE).await?.is_some() {
            leases.delete(ENGINE_LEASE).await?;
        }
    } else {
        ran?;
    }
    Ok(death.has_come())
}

/// The metadata of a backup in the store, if there is a backup.
async fn stored(own: &Own, name: &str) -> anyhow::Result<Option<Value>> {
    let found = own.lab.s3().get(&format!("{PREFIX}/backups/{name}/velero-backup.json")).await?;
    Ok(found.map(|found| serde_json::from_slice(&found)).transpose()?)
}

#[test]
fn an_engine_killed_before_any_write_leaves_no_half_backup_and_the_next_one_ends_it() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "any-write", 3, 10).await?;
        let backups = in_member::<Backup>(own.member())?;
        for n in 0..ENOUGH {
            let name = format!("dies-after-{n}");
            let made = backups.create(&object(&name, of("any-write"))?).await?;
            let completed = async || Ok(backups.until_phase(&name, "Completed").await.map(drop)?);

            let died = live(own, n, completed()).await?;
            if let Some(seen) = stored(own, &name).await? {
                assert_eq!(seen["status"]["phase"], "Completed", "{name}: half a backup can be seen");
            }
            live(own, ENOUGH, completed()).await?;

            let found = stored(own, &name).await?.unwrap_or_default();
            assert_eq!(found["metadata"]["uid"], json_of(&made)["metadata"]["uid"], "{name}");
            // The namespace, its ServiceAccount, the map that Kubernetes makes, and ours.
            assert_eq!(found["status"]["progress"]["itemsBackedUp"], 6, "{name}: {found}");
            let files = own.lab.s3().list(&format!("{PREFIX}/backups/{name}")).await?;
            assert_eq!(files.len(), 9, "{name}: {files:?}");
            if !died {
                // At the least: Lease, begin, nine files, end.
                assert!(n >= 12, "only {n} writes of a backup were seen");
                return Ok(());
            }
        }
        bail!("no end of writes")
    })
}

#[test]
fn an_engine_killed_before_any_write_of_a_restore_is_followed_by_one_that_ends_it() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "any-restore", 3, 10).await?;
        let backups = in_member::<Backup>(own.member())?;
        backups.create(&object("any-restore", of("any-restore"))?).await?;
        live(own, ENOUGH, async { Ok(backups.until_phase("any-restore", "Completed").await.map(drop)?) })
            .await?;
        let original = contents(own.member(), "any-restore").await?;

        let restores = in_member::<Restore>(own.member())?;
        // In the first round one engine does it all: the other dies before anything is written.
        let mut undisturbed = None;
        for n in 0..ENOUGH {
            let name = format!("again-{n}");
            let spec = json!({"backupName": "any-restore", "namespaceMapping": {"any-restore": name}});
            restores.create(&object(&name, spec)?).await?;
            let completed = async || Ok(restores.until_phase(&name, "Completed").await.map(drop)?);
            let died = live(own, n, completed()).await?;
            live(own, ENOUGH, completed()).await?;

            let status = json_of(&restores.get(&name).await?)["status"].clone();
            assert_eq!(
                (&status["warnings"], &status["errors"]),
                (&Value::Null, &Value::Null),
                "{name}: {status}"
            );
            assert_eq!(contents(own.member(), &name).await?, original, "{name}");
            let progress = &status["progress"];
            assert_eq!(progress, undisturbed.get_or_insert_with(|| progress.clone()), "{name}");
            if !died {
                // At the least: Lease, begin, namespace, three objects, end.
                assert!(n >= 7, "only {n} writes of a restore were seen");
                return Ok(());
            }
        }
        bail!("no end of writes")
    })
}

#[test]
fn a_killed_process_is_followed_by_one_that_waits_for_its_lease_and_ends_what_it_began() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "killed", 3, 10).await?;
        let log = own.lab.dir().join("killed-engine.log");
        let mut engine = start(own.lab, own.member(), &log)?;
        let held = own.store.hold(|request| request.method == Method::PUT);
        let backups = in_member::<Backup>(own.member())?;
        let made = backups.create(&object("killed", of("killed"))?).await?;
        held.arrived().await?;
        engine.kill()?;
        held.release();
        assert!(stored(own, "killed").await?.is_none(), "half a backup can be seen");
        let lease = json_of(&own.leases()?.get(ENGINE_LEASE).await?);
        assert!(lease["spec"]["holderIdentity"].is_string(), "the dead one gave its Lease back: {lease}");

        let mut engine = start(own.lab, own.member(), &log)?;
        backups.until_phase("killed", "Completed").await?;
        let found = stored(own, "killed").await?.unwrap_or_default();
        assert_eq!(found["metadata"]["uid"], json_of(&made)["metadata"]["uid"]);
        own.until_given_back().await?;
        engine.kill()?;
        Ok(())
    })
}

#[test]
fn a_process_that_was_stopped_until_another_had_taken_over_writes_nothing_any_more() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "stopped", 3, 10).await?;
        let [log, others] =
            ["stopped", "following"].map(|name| own.lab.dir().join(format!("{name}-engine.log")));
        let mut stopped = start(own.lab, own.member(), &log)?;
        let held = own.store.hold(|request| sends(request, &Method::PUT, "/stopped.tar.gz"));
        let backups = in_member::<Backup>(own.member())?;
        backups.create(&object("stopped", of("stopped"))?).await?;
        held.arrived().await?;
        stopped.pause()?;
        let mut following = start(own.lab, own.member(), &others)?;
        held.arrived().await?;
        held.release();
        let ended = backups.until_phase("stopped", "Completed").await?;
        own.until_given_back().await?;
        let (folder, version) = (format!("{PREFIX}/backups/stopped"), ended.metadata.resource_version);
        let stored = own.lab.s3().fingerprints(&folder).await?;

        let writes = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&writes);
        own.store.judge(move |request| {
            if !matches!(request.method, Method::GET | Method::HEAD) {
                counted.fetch_add(1, Relaxed);
            }
            Manner::Pass
        });
        stopped.resume()?;
        until("the stopped one to notice", BOUND, async || {
            let log = std::fs::read_to_string(&log)?;
            anyhow::Ok(log.contains("broken off: the Lease was lost").then_some(()))
        })
        .await?;
        following.kill()?;
        stopped.kill()?;
        assert_eq!(writes.load(Relaxed), 0);
        assert_eq!(own.lab.s3().fingerprints(&folder).await?, stored);
        assert_eq!(backups.get("stopped").await?.metadata.resource_version, version);
        Ok(())
    })
}
