//! A hub that ends in the middle of its work, by its own death or on request, and the one that comes after it.

mod dying;

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;
use kube::ResourceExt;
use kurator_api::{
    backup::{Backup, BackupDetails, RowPhase},
    cluster::AttachedCluster,
    fleet::{Engine, Fleet},
    migrate::Migrate,
    names,
    restore::Restore,
    velero,
};
use kurator_testkit::{
    Death, Guest, Lab, LabSpec, Serving,
    fixtures::{FixtureError, Object, Tenant, object, ready, sow},
    start_engine,
};
use serde_json::json;

use self::dying::{
    children, die_and_go_on, die_before_every_write, live, migrate_and_die_before_every_write,
};

type Outcome = anyhow::Result<()>;

const MEMBERS: usize = 2;
/// More writes than any run needs.
const ENOUGH: usize = 1_000;
/// How long a process may take to end in order. One that does hands its lease back; one that is killed leaves the
/// next to wait for the lease to run out.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// One test at a time: there is one hub, and each test brings processes of its own to it.
///
/// In the members works Velero, or, for the many runs of a test that kills the hub again and again, the built-in
/// engine: it needs a fraction of the time, and the hub knows no difference.
fn in_turn(server: Engine, test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static ENGINES: Mutex<Vec<Guest>> = Mutex::new(Vec::new());
    let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: MEMBERS, velero: true, s3: true })?;
    match server {
        Engine::Builtin if engines.is_empty() => {
            for i in 1..=MEMBERS {
                let member = lab.member(i);
                member.stop_velero()?;
                let log = lab.dir().join(format!("engine-{i}.log"));
                engines.push(start_engine(lab, kurator(), &member.kubeconfig_path(), &log)?);
            }
        }
        Engine::Velero if !engines.is_empty() => {
            for mut engine in engines.drain(..) {
                engine.terminate()?;
                engine.wait(ENDED_WITHIN)?;
            }
            for i in 1..=MEMBERS {
                lab.member(i).start_velero()?;
            }
        }
        Engine::Builtin | Engine::Velero => {}
    }
    lab.run(test(lab))
}

fn kurator() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kurator"))
}

async fn serve(lab: &Lab) -> Result<Serving, FixtureError> {
    let serving = Serving::start(lab, kurator(), [] as [&str; 0])?;
    ready(&serving).await?;
    Ok(serving)
}

/// Takes all of a test off the hub, so that the processes of the next one write for that alone.
async fn leave(lab: &Lab, tenant: &Tenant<'_>) -> Outcome {
    let gone = async {
        remove::<Migrate>(tenant).await?;
        remove::<Restore>(tenant).await?;
        remove::<Backup>(tenant).await?;
        remove::<Fleet>(tenant).await?;
        remove::<AttachedCluster>(tenant).await
    };
    live(lab, &Death::never(), gone).await.map(drop)
}

async fn remove<K: Object>(tenant: &Tenant<'_>) -> Outcome {
    let all = tenant.all::<K>();
    let names: Vec<_> = all.list("").await?.iter().filter_map(|object| object.meta().name.clone()).collect();
    for name in &names {
        all.delete(name).await?;
    }
    for name in &names {
        all.until_gone(name).await?;
    }
    Ok(())
}

#[test]
fn a_hub_killed_between_any_two_writes_goes_on_and_does_nothing_twice() -> Outcome {
    in_turn(Engine::Builtin, async |lab| {
        let mut serving = serve(lab).await?;
        let tenant = fleet(lab, "any-write").await?;
        serving.terminate(ENDED_WITHIN)?;
        let backup = backup_spec(&tenant);
        // At the least: finalizer, start, one object in each member, end.
        let least = 3 + MEMBERS;
        let writes = die_before_every_write::<Backup, velero::Backup>(lab, &tenant, backup).await?;
        assert!(writes >= least, "only {writes} writes of a Backup were seen");
        let restore = json!({"backupName": "dies-after-0"});
        let writes = die_before_every_write::<Restore, velero::Restore>(lab, &tenant, restore).await?;
        assert!(writes >= least, "only {writes} writes of a Restore were seen");
        leave(lab, &tenant).await
    })
}

#[test]
fn k45_a_hub_killed_between_any_two_writes_of_a_deletion_leaves_no_data_behind() -> Outcome {
    in_turn(Engine::Velero, async |lab| {
        let mut serving = serve(lab).await?;
        let tenant = fleet(lab, "any-deletion").await?;
        serving.terminate(ENDED_WITHIN)?;
        let mut spec = backup_spec(&tenant);
        spec["deletionPolicy"] = json!("Delete");
        let backups = tenant.all::<Backup>();
        for n in 0..ENOUGH {
            let name = format!("goes-after-{n}");
            let uid = tenant.create::<Backup>(&name, spec.clone()).await?.uid().unwrap_or_default();
            let death = Death::never();
            let is_gone = async || Ok(backups.until_gone(&name).await?);
            let complete_and_delete = async {
                backups.until_phase(&name, "Completed").await?;
                assert_eq!(children::<velero::Backup>(lab, &uid).await?.len(), MEMBERS);
                death.comes_after(n);
                backups.delete(&name).await?;
                is_gone().await
            };
            let died = live(lab, &death, complete_and_delete).await?;
            if died {
                live(lab, &Death::never(), is_gone()).await?;
            }
            assert_eq!(children::<velero::Backup>(lab, &uid).await?, BTreeSet::new(), "{name}");
            let stored = lab.s3().list(tenant.name()).await?;
            assert!(!stored.iter().any(|key| key.contains(&name)), "{name}: {stored:?}");
            if !died {
                // At the least: one request in each member, end.
                assert!(n > MEMBERS, "only {n} writes of a deletion were seen");
                return leave(lab, &tenant).await;
            }
        }
        bail!("no end of writes")
    })
}

#[test]
fn a_hub_killed_between_any_two_writes_has_each_schedule_and_each_run_asked_for_once() -> Outcome {
    in_turn(Engine::Builtin, async |lab| {
        let mut serving = serve(lab).await?;
        let tenant = fleet(lab, "any-schedule").await?;
        serving.terminate(ENDED_WITHIN)?;
        let make = |name: &str| {
            // Of a namespace that is not there: its runs end at once and wait for no other.
            let mut spec = backup_spec(&tenant);
            spec["policy"]["resourceFilter"]["includedNamespaces"] = json!(["nowhere"]);
            spec["schedule"] = json!("0 0 1 1 *");
            let mut backup = object::<Backup>(name, spec)?;
            let token = (names::RUN_NOW_ANNOTATION.to_owned(), "now".to_owned());
            backup.metadata.annotations = Some([token].into());
            Ok(backup)
        };
        let done = |backup: &Backup| {
            let rows =
                backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
            let ran = |row: &BackupDetails| {
                row.phase.is_some_and(RowPhase::is_terminal)
                    && row.schedule.as_ref().is_some_and(|schedule| schedule.ran_now.is_some())
            };
            rows.len() == MEMBERS && rows.iter().all(ran)
        };
        let made = async |uid: &str| {
            let mut made = children::<velero::Schedule>(lab, uid).await?;
            made.extend(children::<velero::Backup>(lab, uid).await?);
            Ok(made)
        };
        let writes = die_and_go_on(lab, &tenant, make, done, made, 2 * MEMBERS).await?;
        // At the least: finalizer, rows, a Schedule and a run in each member, what they came to.
        assert!(writes >= 3 + 2 * MEMBERS, "only {writes} writes were seen");
        leave(lab, &tenant).await
    })
}

#[test]
fn a_hub_killed_between_any_two_writes_of_a_migrate_finds_all_of_it_again() -> Outcome {
    in_turn(Engine::Builtin, async |lab| {
        let mut serving = serve(lab).await?;
        let tenant = fleet(lab, "any-migrate").await?;
        serving.terminate(ENDED_WITHIN)?;
        // At the least: finalizer, start, backup, location, copy, restore, end.
        let writes = migrate_and_die_before_every_write(lab, &tenant).await?;
        assert!(writes >= 7, "only {writes} writes of a Migrate were seen");
        leave(lab, &tenant).await
    })
}

#[test]
fn a_killed_process_is_followed_by_one_that_finishes_what_runs() -> Outcome {
    in_turn(Engine::Velero, async |lab| {
        let mut serving = serve(lab).await?;
        let tenant = fleet(lab, "killed").await?;
        let uid = run_in_one_member(lab, &tenant).await?;
        let made = children::<velero::Backup>(lab, &uid).await?;
        serving.kill()?;

        lab.member(2).start_velero()?;
        let mut next = serve(lab).await?;
        tenant.all::<Backup>().until_phase("runs", "Completed").await?;
        assert_eq!(children::<velero::Backup>(lab, &uid).await?, made);
        next.terminate(ENDED_WITHIN)?;
        leave(lab, &tenant).await
    })
}

#[test]
fn a_process_that_is_told_to_end_does_so_within_ten_seconds_though_backups_run() -> Outcome {
    in_turn(Engine::Velero, async |lab| {
        let mut serving = serve(lab).await?;
        let tenant = fleet(lab, "told").await?;
        run_in_one_member(lab, &tenant).await?;
        let ended = serving.terminate(ENDED_WITHIN);
        lab.member(2).start_velero()?;
        assert!(ended?.success(), "{}", serving.log()?);
        leave(lab, &tenant).await
    })
}

/// A Ready fleet of all members with something to back up.
async fn fleet<'a>(lab: &'a Lab, name: &str) -> Result<Tenant<'a>, FixtureError> {
    let tenant = Tenant::new(lab, name).await?;
    tenant.ready_fleet(MEMBERS).await?;
    for i in 1..=MEMBERS {
        sow(lab.member(i), name).await?;
    }
    Ok(tenant)
}

fn backup_spec(tenant: &Tenant<'_>) -> serde_json::Value {
    json!({
        "destination": {"fleet": tenant.name()},
        "policy": {"resourceFilter": {"includedNamespaces": [tenant.name()]}},
    })
}

/// A Backup that has completed in member 1 and can't get on in member 2, whose Velero is stopped; its UID.
async fn run_in_one_member(lab: &Lab, tenant: &Tenant<'_>) -> anyhow::Result<String> {
    lab.member(2).stop_velero()?;
    let backup = tenant.create::<Backup>("runs", backup_spec(tenant)).await?;
    let half = [Some(RowPhase::Completed), Some(RowPhase::InProgress)];
    let is_half_done = |backup: &Backup| {
        let rows = backup.status.as_ref().map(|status| status.backup_details.as_slice()).unwrap_or_default();
        rows.iter().map(|row| row.phase).eq(half)
            && rows.iter().all(|row| row.backup_status_in_cluster.is_some())
    };
    tenant.all::<Backup>().until("runs", "completed in one of two members", is_half_done).await?;
    Ok(backup.uid().unwrap_or_default())
}
