//! The hub that all tests share: set up as Kurator leaves it, then taken over.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::fleet::Fleet;
use kurator_api::migrate::Migrate;
use kurator_api::restore::Restore;
use kurator_api::{names, velero};
use kurator_testkit::fixtures::{FixtureError, Object, Tenant, json_of, ready, velero as in_member};
use kurator_testkit::{Cluster, Lab, LabSpec, Serving};
use serde_json::{Value, json};

use crate::Outcome;
use crate::left::{self, CLUSTERS, FLEET, HUB, RUN, child};

/// The hub and the members after they were taken over, for one test.
pub(crate) struct Stage {
    pub(crate) lab: &'static Lab,
    pub(crate) tenant: Tenant<'static>,
    pub(crate) was: &'static Was,
}

/// What was there before.
pub(crate) struct Was {
    _serving: Serving,
    /// On the hub, by kind and name.
    hub: BTreeMap<(&'static str, String), Value>,
    /// UIDs in the members.
    pub(crate) members: BTreeMap<Child, String>,
    /// Fingerprints in the bucket.
    pub(crate) bucket: BTreeMap<String, String>,
}

/// A Velero object: number of the member, kind, name.
pub(crate) type Child = (usize, &'static str, String);

impl Was {
    fn before(lab: &Lab) -> anyhow::Result<Self> {
        lab.run(async {
            let tenant = Tenant::new(lab, HUB).await?;
            left::install_types(lab).await?;
            left_in_members(lab).await?;
            left_on_the_hub(lab, &tenant).await?;
            let (hub, members) = (on_the_hub(&tenant).await?, in_members(lab).await?);
            let bucket = lab.s3().fingerprints("").await?;

            let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
            ready(&serving).await?;
            let is_ours = |backup: &velero::Backup| backup.labels().contains_key(names::OWNER_UID_LABEL);
            let going = child(CLUSTERS[1], "backup", "going");
            in_member(lab.member(2))?.until(&going, "adopted", is_ours).await?;
            lab.member(2).start_velero()?;
            Ok(Self { _serving: serving, hub, members, bucket })
        })
    }
}

impl Stage {
    /// Waits until everything that has finished is known to have: what would be run again has been by then.
    pub(crate) async fn settled(&self) -> Result<(), FixtureError> {
        for name in ["done", "expired", "going"] {
            self.tenant.all::<Backup>().until_phase(name, "Completed").await?;
        }
        self.tenant.all::<Restore>().until_phase("back", "Completed").await?;
        self.tenant.all::<Fleet>().until_phase(FLEET, "Ready").await.map(drop)
    }

    /// What was on the hub before.
    pub(crate) fn before(&self, kind: &'static str, name: &str) -> anyhow::Result<&Value> {
        self.was.hub.get(&(kind, name.to_owned())).with_context(|| format!("no {kind} {name}"))
    }
}

/// Runs a test inside the lab's network.
pub(crate) fn on_stage(test: impl AsyncFnOnce(&Stage) -> Outcome) -> Outcome {
    static WAS: OnceLock<anyhow::Result<Was>> = OnceLock::new();
    let lab = Lab::shared(LabSpec { members: CLUSTERS.len(), velero: true, s3: true })?;
    let was = WAS.get_or_init(|| Was::before(lab)).as_ref();
    let was = was.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    lab.run(async { test(&Stage { lab, tenant: Tenant::present(lab, lab.hub(), HUB)?, was }).await })
}

/// Everything that Velero has been asked for, done, but for one Backup of member 2.
async fn left_in_members(lab: &Lab) -> anyhow::Result<()> {
    for (i, cluster) in (1..).zip(CLUSTERS) {
        left::equip(lab.member(i)).await?;
        for name in ["done", "old"] {
            left::back_up(lab.member(i), &child(cluster, "backup", name), "backup", name).await?;
        }
    }
    let [first, second] = [lab.member(1), lab.member(2)];
    let moved = child(CLUSTERS[0], "migrate", "moved");
    left::back_up(first, &moved, "migrate", "moved").await?;
    left::schedule(second, &child(CLUSTERS[1], "backup", "nightly"), "nightly").await?;
    let backups = [in_member::<velero::Backup>(first)?, in_member(second)?];
    backups[0].until_phase(&moved, "Completed").await?;
    for (backups, cluster) in backups.iter().zip(CLUSTERS) {
        for name in ["done", "old"] {
            backups.until_phase(&child(cluster, "backup", name), "Completed").await?;
        }
    }
    let run = format!("{}-{RUN}", child(CLUSTERS[1], "backup", "nightly"));
    backups[1].until_phase(&run, "Completed").await?;

    for (i, cluster) in (1..).zip(CLUSTERS) {
        let (restore, backup) = (child(cluster, "restore", "back"), child(cluster, "backup", "done"));
        left::restore(lab.member(i), &restore, ("restore", "back"), &backup).await?;
    }
    left::sync(first, second, &moved).await?;
    let target = child(CLUSTERS[1], "migrate", "moved");
    left::restore(second, &target, ("migrate", "moved"), &moved).await?;
    for (i, name) in
        [(1, child(CLUSTERS[0], "restore", "back")), (2, child(CLUSTERS[1], "restore", "back")), (2, target)]
    {
        in_member::<velero::Restore>(lab.member(i))?.until_phase(&name, "Completed").await?;
    }
    second.stop_velero()?;
    for (i, cluster) in (1..).zip(CLUSTERS) {
        left::back_up(lab.member(i), &child(cluster, "backup", "going"), "backup", "going").await?;
    }
    backups[0].until_phase(&child(CLUSTERS[0], "backup", "going"), "Completed").await?;
    Ok(())
}

async fn left_on_the_hub(lab: &Lab, tenant: &Tenant<'_>) -> anyhow::Result<()> {
    left::attach(lab, tenant).await?;
    for name in ["done", "old"] {
        let rows = [
            left::backup_row(lab, 1, &child(CLUSTERS[0], "backup", name)).await?,
            left::backup_row(lab, 2, &child(CLUSTERS[1], "backup", name)).await?,
        ];
        left::hub_backup(tenant, name, json!({}), rows.into()).await?;
    }
    let rows = [1, 2].map(|i| {
        let name = child(CLUSTERS[i - 1], "backup", "expired");
        left::row(i, "backup", Some(&name), &json!({"phase": "Completed", "version": 1}))
    });
    left::hub_backup(tenant, "expired", json!({}), rows.into()).await?;
    let rows = [1, 2].map(|i| {
        let name = child(CLUSTERS[i - 1], "backup", "going");
        left::row(i, "backup", Some(&name), &json!({"phase": "InProgress"}))
    });
    left::hub_backup(tenant, "going", json!({}), rows.into()).await?;

    let run = format!("{}-{RUN}", child(CLUSTERS[1], "backup", "nightly"));
    let rows = vec![left::row(2, "backup", None, &Value::Null), left::backup_row(lab, 2, &run).await?];
    let only = json!([{"kind": "AttachedCluster", "name": CLUSTERS[1]}]);
    let spec = json!({"schedule": "0 0 1 1 *", "destination": {"fleet": FLEET, "clusters": only}});
    left::hub_backup(tenant, "nightly", spec, rows).await?;

    let rows = [
        left::restore_row(lab, 1, &child(CLUSTERS[0], "restore", "back")).await?,
        left::restore_row(lab, 2, &child(CLUSTERS[1], "restore", "back")).await?,
    ];
    left::hub_restore(tenant, "back", "done", rows.into()).await?;
    let source = left::backup_row(lab, 1, &child(CLUSTERS[0], "migrate", "moved")).await?;
    let target = left::restore_row(lab, 2, &child(CLUSTERS[1], "migrate", "moved")).await?;
    left::hub_migrate(tenant, "moved", source, target).await?;

    left::hub_backup(tenant, "days", json!({"policy": {"ttl": "30d"}}), Vec::new()).await?;
    let row = json!({"clusterKind": "Host", "clusterName": CLUSTERS[0]});
    let resource = ApiResource::erase::<Backup>(&());
    let untyped = untyped(lab.hub().client()?);
    let spec = json!({"spec": {"destination": {"fleet": FLEET}}});
    untyped.create(&PostParams::default(), &DynamicObject::new("unreadable", &resource).data(spec)).await?;
    let status = Patch::Merge(json!({"status": {"backupDetails": [row]}}));
    untyped.patch_status("unreadable", &PatchParams::default(), &status).await?;
    Ok(())
}

/// The hub's Backups, also those that can't be read.
pub(crate) fn untyped(hub: Client) -> Api<DynamicObject> {
    Api::namespaced_with(hub, HUB, &ApiResource::erase::<Backup>(&()))
}

/// What is on the hub, by kind and name.
async fn on_the_hub(tenant: &Tenant<'_>) -> Result<BTreeMap<(&'static str, String), Value>, FixtureError> {
    let mut found = BTreeMap::new();
    // By name, because one Backup can't be read.
    for name in ["done", "old", "expired", "going", "nightly", "days"] {
        found.insert(("Backup", name.to_owned()), json_of(&tenant.all::<Backup>().get(name).await?));
    }
    found.insert(("Restore", "back".to_owned()), json_of(&tenant.all::<Restore>().get("back").await?));
    found.insert(("Migrate", "moved".to_owned()), json_of(&tenant.all::<Migrate>().get("moved").await?));
    found.insert(("Fleet", FLEET.to_owned()), json_of(&tenant.all::<Fleet>().get(FLEET).await?));
    Ok(found)
}

/// UIDs of everything that was made for one of the members; what Velero's sync brings from the other doesn't count.
pub(crate) async fn in_members(lab: &Lab) -> Result<BTreeMap<Child, String>, FixtureError> {
    let mut found = BTreeMap::new();
    for (i, cluster) in (1..).zip(CLUSTERS) {
        let member = lab.member(i);
        uids::<velero::Backup>(&mut found, member, (i, "Backup", cluster)).await?;
        uids::<velero::Restore>(&mut found, member, (i, "Restore", cluster)).await?;
        uids::<velero::Schedule>(&mut found, member, (i, "Schedule", cluster)).await?;
    }
    Ok(found)
}

async fn uids<K: Object>(
    found: &mut BTreeMap<Child, String>,
    member: &Cluster,
    (i, kind, cluster): (usize, &'static str, &str),
) -> Result<(), FixtureError> {
    for object in in_member::<K>(member)?.list("").await? {
        let name = object.name_any();
        if name.starts_with(cluster) {
            found.insert((i, kind, name), object.meta().uid.clone().unwrap_or_default());
        }
    }
    Ok(())
}
