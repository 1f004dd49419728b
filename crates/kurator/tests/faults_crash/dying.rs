//! A hub that dies before each of its writes in turn.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::bail;
use kube::ResourceExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kurator_api::{
    fleet::{Engine, Installer},
    migrate::Migrate,
    names, velero,
};
use kurator_fleet::{Metrics, Options, Setup};
use kurator_member::{clock::SystemClock, connect::hub_client, gate::WriteGate, kubeconfig::TrustPolicy};
use kurator_testkit::{
    Death, Lab,
    fixtures::{FixtureError, Object, Tenant, json_of, object, velero as in_member},
};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{ENOUGH, MEMBERS, Outcome};

/// The controllers in this process, until their death or the end of `done`: whether they died.
pub(crate) async fn live(
    lab: &Lab,
    death: &Death,
    done: impl Future<Output = Outcome>,
) -> anyhow::Result<bool> {
    let asked = death.clone();
    let gate = WriteGate::asking(move || asked.write());
    let kubeconfig = Kubeconfig::from_yaml(&lab.hub().kubeconfig())?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let shutdown = CancellationToken::new();
    let setup = Setup {
        client: hub_client(config, &gate)?,
        gate,
        clock: Arc::new(SystemClock),
        metrics: Metrics::register(&mut Registry::default()),
        options: Options {
            default_engine: Engine::Velero,
            default_installer: Installer::None,
            trust: TrustPolicy { allow_loopback: false },
            concurrency: 5,
        },
        connect: Arc::new(kurator_member::connect::Network),
        stores: Arc::new(kurator_store::Network::default()),
        served: tokio::sync::watch::Sender::default(),
        shutdown: shutdown.clone(),
    };
    let end = async {
        let end = death.or(done).await;
        shutdown.cancel();
        end.unwrap_or(Ok(()))
    };
    let (ran, end) = tokio::join!(kurator_fleet::run(setup, || {}), end);
    ran?;
    end?;
    Ok(death.has_come())
}

/// Lets the hub die before its `n`th write, for every `n`, and another one finish the work: what the first one made
/// in the members is what is there in the end, once in each. Returns how many writes a run takes.
pub(crate) async fn die_before_every_write<K: Object, V: Object>(
    lab: &Lab,
    tenant: &Tenant<'_>,
    spec: serde_json::Value,
) -> anyhow::Result<usize> {
    let make = |name: &str| object::<K>(name, spec.clone());
    let completed = |object: &K| json_of(object)["status"]["phase"] == "Completed";
    let made = async |uid: &str| children::<V>(lab, uid).await;
    die_and_go_on(lab, tenant, make, completed, made, MEMBERS).await
}

/// As [`die_before_every_write`], of whatever `make` makes, which is done when it is `done` and has then `count`
/// things `made` in the members.
pub(crate) async fn die_and_go_on<K: Object>(
    lab: &Lab,
    tenant: &Tenant<'_>,
    make: impl Fn(&str) -> Result<K, FixtureError>,
    done: impl Fn(&K) -> bool,
    made: impl AsyncFn(&str) -> Result<BTreeSet<(usize, String)>, FixtureError>,
    count: usize,
) -> anyhow::Result<usize> {
    for n in 0..ENOUGH {
        let name = format!("dies-after-{n}");
        let uid = tenant.all().create(&make(&name)?).await?.meta().uid.clone().unwrap_or_default();
        let is_done = async || Ok(tenant.all::<K>().until(&name, "done", &done).await.map(drop)?);

        let died = live(lab, &Death::after(n), is_done()).await?;
        let before = made(&uid).await?;
        live(lab, &Death::never(), is_done()).await?;
        let found = made(&uid).await?;

        assert_eq!(found.len(), count, "{name}: {found:?}");
        assert!(before.is_subset(&found), "{name}: {before:?} became {found:?}");
        if !died {
            return Ok(n);
        }
    }
    bail!("no end of writes")
}

/// As [`die_before_every_write`] of a Migrate from member 1 into member 2, each of which ends with its deletion, so that
/// the next one makes everything anew.
pub(crate) async fn migrate_and_die_before_every_write(
    lab: &Lab,
    tenant: &Tenant<'_>,
) -> anyhow::Result<usize> {
    let one = |i: usize| {
        let name = format!("{}-m{i}", tenant.name());
        json!({"fleet": tenant.name(), "clusters": [{"kind": "AttachedCluster", "name": name}]})
    };
    let policy = json!({"resourceFilter": {"includedNamespaces": [tenant.name()]}});
    let spec = json!({"sourceCluster": one(1), "targetCluster": one(2), "policy": policy});
    for n in 0..ENOUGH {
        let name = format!("dies-after-{n}");
        let uid = tenant.create::<Migrate>(&name, spec.clone()).await?.uid().unwrap_or_default();
        let migrates = tenant.all::<Migrate>();
        let completed = async || Ok(migrates.until_phase(&name, "Completed").await.map(drop)?);

        let died = live(lab, &Death::after(n), completed()).await?;
        let made = moved(lab, &uid).await?;
        let next = Death::never();
        let is_gone = async || Ok(migrates.until_gone(&name).await?);
        let finish_and_delete = async {
            completed().await?;
            let found = moved(lab, &uid).await?;
            // Source: the backup. Target: its copy, the way to it, the restore.
            assert_eq!(found.len(), 4, "{name}: {found:?}");
            assert!(made.is_subset(&found), "{name}: {made:?} became {found:?}");
            next.comes_after(n);
            migrates.delete(&name).await?;
            is_gone().await
        };
        let deleted = live(lab, &next, finish_and_delete).await?;
        if deleted {
            live(lab, &Death::never(), is_gone()).await?;
        }
        let left = moved(lab, &uid).await?;
        assert!(left.iter().all(|(member, _)| *member == 1), "{name}: {left:?} is left");
        if !died && !deleted {
            return Ok(n);
        }
    }
    bail!("no end of writes")
}

/// Member and UID of everything that was made for a Migrate.
async fn moved(lab: &Lab, owner: &str) -> Result<BTreeSet<(usize, String)>, FixtureError> {
    let mut found = children::<velero::Backup>(lab, owner).await?;
    found.extend(children::<velero::Restore>(lab, owner).await?);
    found.extend(children::<velero::BackupStorageLocation>(lab, owner).await?);
    Ok(found)
}

/// Member and UID of every Velero object that was made for the owner.
pub(crate) async fn children<V: Object>(
    lab: &Lab,
    owner: &str,
) -> Result<BTreeSet<(usize, String)>, FixtureError> {
    let label = format!("{}={owner}", names::OWNER_UID_LABEL);
    let mut found = BTreeSet::new();
    for i in 1..=MEMBERS {
        let objects = in_member::<V>(lab.member(i))?.list(&label).await?;
        found.extend(objects.into_iter().map(|object| (i, object.meta().uid.clone().unwrap_or_default())));
    }
    Ok(found)
}
