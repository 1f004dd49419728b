//! Migrates whose source ends oddly, and Migrates that lose a target.
//!
//! One test at a time: members are cut off, and in member 1 Velero is stopped where a test acts in its place.

mod lost;
mod stages;

use std::{collections::BTreeSet, path::Path, sync::OnceLock};

use anyhow::anyhow;
use kube::ResourceExt;
use kurator_api::{
    migrate::Migrate,
    names,
    velero::{self, BackupStorageLocation},
};
use kurator_testkit::{
    Cluster, Lab, LabSpec, Serving,
    fixtures::{BOUND, FixtureError, Object, Tenant, json_of, ready, sow, velero as in_member},
    wait::until,
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

type Outcome = anyhow::Result<()>;

/// The source, and two targets.
const MEMBERS: usize = 3;

struct Stage {
    lab: &'static Lab,
    _serving: Serving,
    turn: Mutex<()>,
}

impl Stage {
    fn set() -> Result<Self, FixtureError> {
        let lab = Lab::shared(LabSpec { members: MEMBERS, velero: true, s3: true })?;
        let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
        lab.run(ready(&serving))?;
        Ok(Self { lab, _serving: serving, turn: Mutex::default() })
    }
}

/// What a test plays on: a Ready fleet of all members, and something to migrate in member 1, in a namespace called as
/// the test.
struct Scene<'a> {
    lab: &'a Lab,
    tenant: Tenant<'a>,
}

fn in_turn(name: &str, test: impl AsyncFnOnce(&Scene<'_>) -> Outcome) -> Outcome {
    static STAGE: OnceLock<anyhow::Result<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Ok(Stage::set()?)).as_ref();
    let stage = stage.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    stage.lab.run(async {
        let _mine = stage.turn.lock().await;
        let tenant = Tenant::new(stage.lab, name).await?;
        tenant.ready_fleet(MEMBERS).await?;
        sow(stage.lab.member(1), name).await?;
        let scene = Scene { lab: stage.lab, tenant };
        let outcome = test(&scene).await;
        for i in 1..=MEMBERS {
            stage.lab.member(i).start_velero()?;
        }
        outcome
    })
}

impl Scene<'_> {
    fn cluster(&self, i: usize) -> String {
        format!("{}-m{i}", self.tenant.name())
    }

    fn clusters(&self, members: &[usize]) -> Value {
        let list: Vec<_> =
            members.iter().map(|i| json!({"kind": "AttachedCluster", "name": self.cluster(*i)})).collect();
        json!({"fleet": self.tenant.name(), "clusters": list})
    }

    /// From member 1 into these, the test's namespace.
    async fn migrate(&self, targets: &[usize], mut policy: Value) -> Result<Migrate, FixtureError> {
        policy["resourceFilter"] = json!({"includedNamespaces": [self.tenant.name()]});
        let spec = json!({
            "sourceCluster": self.clusters(&[1]), "targetCluster": self.clusters(targets), "policy": policy,
        });
        self.tenant.create("m", spec).await
    }

    async fn until_phase(&self, phase: &str) -> Result<Migrate, FixtureError> {
        self.tenant.all::<Migrate>().until_phase("m", phase).await
    }

    /// Waits until the row of a target has this phase, and this reason if one is given.
    async fn until_row(&self, i: usize, phase: &str, reason: &str) -> Result<Migrate, FixtureError> {
        let is_so = |migrate: &Migrate| {
            let row = row(migrate, &self.cluster(i));
            row["phase"] == phase && row["reason"] == reason
        };
        self.tenant.all::<Migrate>().until("m", &format!("target {i} {phase} {reason}"), is_so).await
    }

    /// Waits for the one object of a kind in a member that was made for the Migrate.
    async fn child<V: Object>(&self, i: usize, of: &Migrate) -> anyhow::Result<V> {
        let shelf = in_member::<V>(self.lab.member(i))?;
        let label = format!("{}={}", names::OWNER_UID_LABEL, of.uid().unwrap_or_default());
        let what = format!("the {} in member {i}", V::kind(&()));
        let found = until(&what, BOUND, async || Ok::<_, FixtureError>(shelf.list(&label).await?.pop()));
        Ok(found.await?)
    }

    async fn restores(&self, i: usize, of: &Migrate) -> anyhow::Result<usize> {
        let label = format!("{}={}", names::OWNER_UID_LABEL, of.uid().unwrap_or_default());
        Ok(in_member::<velero::Restore>(self.lab.member(i))?.list(&label).await?.len())
    }
}

/// Names of what a Migrate leaves in a member while it is there.
async fn left_in(member: &Cluster, of: &Migrate) -> anyhow::Result<BTreeSet<String>> {
    let label = format!("{}={}", names::OWNER_UID_LABEL, of.uid().unwrap_or_default());
    let mut left = BTreeSet::new();
    left.extend(in_member::<velero::Backup>(member)?.list(&label).await?.iter().map(ResourceExt::name_any));
    left.extend(in_member::<velero::Restore>(member)?.list(&label).await?.iter().map(ResourceExt::name_any));
    let locations = in_member::<BackupStorageLocation>(member)?.list(&label).await?;
    left.extend(locations.iter().map(ResourceExt::name_any));
    Ok(left)
}

fn row(migrate: &Migrate, cluster: &str) -> Value {
    let rows = json_of(migrate)["status"]["targetClusterStatus"].take();
    let row = rows.as_array().into_iter().flatten().find(|row| row["clusterName"] == cluster);
    row.cloned().unwrap_or_default()
}
