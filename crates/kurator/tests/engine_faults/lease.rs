//! One engine works on a cluster at a time: who has the Lease, by what this process sees of it.

use std::collections::BTreeMap;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use http::Method;
use k8s_openapi::api::coordination::v1::Lease;
use kurator_api::names::ENGINE_LEASE;
use kurator_api::velero::Backup;
use kurator_member::gate::WriteGate;
use kurator_testkit::{
    Manner, Proxy,
    fixtures::{json_of, object, velero as in_member},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::own::{Own, beside_an_engine, engine, with_own_engines};
use super::{Outcome, fill, sends};
use crate::scene::{PREFIX, of};

/// Makes `holder` the one who has the Lease for two seconds, by a clock that shows `time`.
async fn hold(own: &Own, holder: &str, time: &str) -> Outcome {
    let leases = own.leases()?;
    let spec =
        json!({"holderIdentity": holder, "leaseDurationSeconds": 2, "renewTime": time, "acquireTime": time});
    match leases.api().get_opt(ENGINE_LEASE).await? {
        Some(_) => leases.merge(ENGINE_LEASE, json!({"spec": spec})).await?,
        None => leases.create(&object(ENGINE_LEASE, spec)?).await?,
    };
    Ok(())
}

async fn backup(own: &Own, name: &str, namespace: &str) -> Outcome {
    in_member::<Backup>(own.member())?.create(&object(name, of(namespace))?).await?;
    Ok(())
}

#[test]
fn of_two_engines_that_start_together_one_runs_each_backup_and_the_lease_is_given_back() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "rivals", 3, 10).await?;
        let names = ["rivals-a", "rivals-b", "rivals-c"];
        for name in names {
            backup(own, name, "rivals").await?;
        }
        // Which way the beginning of each Backup went.
        let begun: Arc<Mutex<BTreeMap<String, Vec<usize>>>> = Arc::default();
        let ways = [Proxy::to_api(own.member())?, Proxy::to_api(own.member())?];
        for (way, proxy) in ways.iter().enumerate() {
            let begun = Arc::clone(&begun);
            proxy.judge(move |request| {
                if request.method == Method::PATCH
                    && let Some((_, name)) = request.uri.path().split_once("/backups/")
                {
                    begun.lock().unwrap().entry(name.to_owned()).or_default().push(way);
                }
                Manner::Pass
            });
        }
        let shutdown = CancellationToken::new();
        let gate = WriteGate::open();
        let kubeconfigs = ways.each_ref().map(|way| way.kubeconfig(own.member(), own.lab.dir()));
        let [one, other] = kubeconfigs.map(|path| anyhow::Ok(std::fs::read_to_string(path?)?));
        let (one, other) = (one?, other?);
        let test = async {
            for name in names {
                in_member::<Backup>(own.member())?.until_phase(name, "Completed").await?;
            }
            own.until_given_back().await?;
            shutdown.cancel();
            anyhow::Ok(())
        };
        let (one, other, test) = tokio::join!(
            engine(&one, &gate, shutdown.clone()),
            engine(&other, &gate, shutdown.clone()),
            test
        );
        test?;
        one.and(other)?;
        let begun = begun.lock().unwrap();
        assert_eq!(begun.len(), names.len(), "{begun:?}");
        for (name, ways) in &*begun {
            assert!(ways.windows(2).all(|pair| pair[0] == pair[1]), "{name} was worked on by both: {ways:?}");
        }
        Ok(())
    })
}

#[test]
fn a_lease_by_a_clock_that_is_years_off_is_waited_for_as_long_as_it_says() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "clocks", 1, 10).await?;
        for (name, time) in
            [("ahead", "2100-01-01T00:00:00.000000Z"), ("behind", "2000-01-01T00:00:00.000000Z")]
        {
            hold(own, "a-dead-engine", time).await?;
            let version =
                json_of(&own.leases()?.get(ENGINE_LEASE).await?)["metadata"]["resourceVersion"].clone();
            let seen = own.store.hold(|request| request.method == Method::PUT);
            backup(own, name, "clocks").await?;
            let test = async {
                seen.arrived().await?;
                // Taken by a write, not read as run out.
                let lease = json_of(&own.leases()?.get(ENGINE_LEASE).await?);
                assert_ne!(lease["metadata"]["resourceVersion"], version);
                assert_ne!(lease["spec"]["holderIdentity"], "a-dead-engine");
                seen.release();
                in_member::<Backup>(own.member())?.until_phase(name, "Completed").await?;
                own.until_given_back().await
            };
            beside_an_engine(&own.member().kubeconfig(), test).await?;
        }
        Ok(())
    })
}

#[test]
fn a_lease_that_is_lost_in_the_middle_breaks_the_run_off_before_its_next_write() -> Outcome {
    with_own_engines(async |own| {
        fill(own.member(), "lost", 1, 10).await?;
        backup(own, "lost", "lost").await?;
        let test = async {
            let (contents, ends) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let tarball = own.store.hold(|request| sends(request, &Method::PUT, "/lost.tar.gz"));
            tarball.arrived().await?;
            hold(own, "a-thief", "2000-01-01T00:00:00.000000Z").await?;
            // It contends again when it has noticed, and begins anew when the thief is silent.
            let taken_back = |lease: &Lease| {
                let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
                holder.is_some_and(|holder| holder != "a-thief")
            };
            let (told, ended) = (Arc::clone(&contents), Arc::clone(&ends));
            own.store.judge(move |request| {
                if sends(request, &Method::PUT, "/lost.tar.gz") {
                    told.fetch_add(1, Relaxed);
                }
                if sends(request, &Method::PUT, "/velero-backup.json") {
                    ended.fetch_add(1, Relaxed);
                }
                Manner::Pass
            });
            own.leases()?.until(ENGINE_LEASE, "taken back", taken_back).await?;
            tarball.release();
            in_member::<Backup>(own.member())?.until_phase("lost", "Completed").await?;
            assert_eq!(contents.load(Relaxed), 1, "the run that lost the Lease was not begun anew");
            assert_eq!(ends.load(Relaxed), 1, "the backup was ended twice");
            let found = own.lab.s3().get(&format!("{PREFIX}/backups/lost/velero-backup.json")).await?;
            assert!(found.is_some());
            own.until_given_back().await
        };
        beside_an_engine(&own.member().kubeconfig(), test).await
    })
}
