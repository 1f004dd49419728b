//! A Backup of 500 clusters: what its status weighs and how often it is written.
//!
//! A few real API servers stand for all clusters, and an actor in Velero's place completes what appears in them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::{self, Event};
use kube::{Api, ResourceExt};
use kurator_api::backup::{Backup, BackupPhase, RowPhase};
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::Fleet;
use kurator_api::names::VELERO_NAMESPACE;
use kurator_api::velero;
use kurator_testkit::fixtures::{BOUND, Tenant, json_of, object, ready, velero as in_member};
use kurator_testkit::{Cluster, Lab, LabSpec, Serving};
use serde_json::json;
use tokio::time::timeout;

type Outcome = anyhow::Result<()>;

const CLUSTERS: usize = 500;
/// API servers. Every cluster that shares one is shown the objects of all others there, so one would be slow.
const SERVERS: usize = 5;
const NAME: &str = "many";
/// Requests of the test under way at the same time.
const AT_ONCE: usize = 16;
/// What a row in good order may weigh.
const BYTES_PER_ROW: usize = 300;
/// What an API server stores.
const MIB: usize = 1024 * 1024;
/// Far below a write per row, and above what the pace of writes comes to on a slow machine.
const WRITES: usize = 60;

/// A Ready fleet of many clusters that have a storage location.
async fn fleet<'a>(lab: &'a Lab) -> anyhow::Result<Tenant<'a>> {
    let tenant = Tenant::new(lab, NAME).await?;
    let mut location: velero::BackupStorageLocation =
        object("default", json!({"provider": "aws", "default": true, "objectStorage": {"bucket": "none"}}))?;
    location.status = serde_json::from_value(json!({"phase": "Available"}))?;
    for i in 1..=SERVERS {
        in_member(lab.member(i))?.create(&location).await?;
        tenant.secret(&format!("server-{i}"), &[("value", &lab.member(i).kubeconfig())]).await?;
    }
    let names: Vec<_> = (0..CLUSTERS).map(|i| format!("m{i:03}")).collect();
    let attach = async |(i, name): (usize, &String)| {
        let secret = format!("server-{}", i % SERVERS + 1);
        let spec = json!({"kubeconfig": {"name": secret, "key": "value"}});
        tenant.create::<AttachedCluster>(name, spec).await.map(drop)
    };
    stream::iter(names.iter().enumerate()).map(Ok).try_for_each_concurrent(AT_ONCE, attach).await?;
    tenant.fleet(&names.iter().map(String::as_str).collect::<Vec<_>>(), None).await?;
    let all_ready = |fleet: &Fleet| {
        fleet.status.as_ref().is_some_and(|status| status.ready_clusters as usize == CLUSTERS)
    };
    tenant.all().until(NAME, "all clusters ready", all_ready).await?;
    Ok(tenant)
}

/// Acts as Velero: completes every Backup that appears. Ends only with an error.
async fn complete_all(member: &Cluster) -> Outcome {
    let api = Api::<velero::Backup>::namespaced(member.client()?, VELERO_NAMESPACE);
    let status = json!({"status": {
        "phase": "Completed", "version": 1, "formatVersion": "1.1.0", "hookStatus": {},
        "startTimestamp": "2026-11-01T00:00:00Z", "completionTimestamp": "2026-11-01T00:00:01Z",
        "expiration": "2026-12-01T00:00:00Z", "progress": {"totalItems": 10, "itemsBackedUp": 10},
    }});
    let appeared = watcher::watcher(api.clone(), watcher::Config::default()).try_filter_map(async |event| {
        let (Event::Apply(backup) | Event::InitApply(backup)) = event else { return Ok(None) };
        Ok(backup.status.is_none().then(|| backup.name_any()))
    });
    let complete = async |name: String| {
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&status)).await?;
        Ok(())
    };
    appeared.map_err(anyhow::Error::from).try_for_each_concurrent(AT_ONCE, complete).await
}

/// Every version of the Backup until it has ended.
async fn until_ended(backups: Api<Backup>, name: &str) -> anyhow::Result<Vec<Backup>> {
    let mut seen = Vec::new();
    let mut events = std::pin::pin!(watcher::watcher(backups, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let (Event::Apply(backup) | Event::InitApply(backup)) = event? else { continue };
        let phase = backup.status.as_ref().and_then(|status| status.phase);
        if backup.name_any() == name {
            seen.push(backup);
        }
        if phase.is_some_and(BackupPhase::is_terminal) {
            return Ok(seen);
        }
    }
    anyhow::bail!("the watch ended")
}

#[test]
fn a_backup_of_500_clusters_has_a_small_status_that_is_seldom_written() -> Outcome {
    let lab = Lab::start(LabSpec { members: SERVERS, velero: true, s3: false })?;
    for i in 1..=SERVERS {
        lab.member(i).stop_velero()?;
    }
    lab.run(async {
        let serving = Serving::start(&lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
        ready(&serving).await?;
        let tenant = fleet(&lab).await?;
        tenant.create::<Backup>("b", json!({"destination": {"fleet": NAME}})).await?;
        let versions = tokio::select! {
            ended = timeout(3 * BOUND, until_ended(tenant.all().api().clone(), "b")) => ended.context("no end")??,
            failed = try_join_all((1..=SERVERS).map(|i| complete_all(lab.member(i)))) => { failed?; Vec::new() }
        };
        let last = versions.last().context("nothing was seen")?;
        let status = last.status.as_ref().context("no status")?;
        assert_eq!(status.phase, Some(BackupPhase::Completed));
        let clusters: BTreeSet<_> = status.backup_details.iter().map(|row| &row.cluster_name).collect();
        assert_eq!((clusters.len(), status.backup_details.len()), (CLUSTERS, CLUSTERS));
        assert!(status.backup_details.iter().all(|row| row.phase == Some(RowPhase::Completed)));
        assert_eq!(status.summary.as_ref().map(|summary| summary.status.as_str()), Some("500/500"));

        let largest = versions.iter().map(|version| json_of(&version.status).to_string().len()).max();
        let largest = largest.unwrap_or_default();
        let weight = json_of(&last.status).to_string().len();
        assert!(weight <= CLUSTERS * BYTES_PER_ROW, "{weight} bytes in the end");
        assert!(largest <= MIB, "{largest} bytes on the way");
        assert!(versions.len() <= WRITES, "{} writes", versions.len());
        Ok(())
    })
}
