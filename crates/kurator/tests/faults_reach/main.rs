//! Members out of reach: what is said of them, that nothing is undone in them and nobody waits for them, and how they
//! are taken up again.
//!
//! Members 1 and 2 are the ones that get lost, for one test at a time each; member 3 never is.

mod deletion;
mod fleets;
mod rebuilt;
mod runs;
mod schedules;

use std::{path::Path, sync::OnceLock};

use anyhow::anyhow;
use kurator_api::{cluster::AttachedCluster, fleet::Fleet};
use kurator_testkit::{
    Cluster, Lab, LabError, LabSpec, Serving,
    fixtures::{FixtureError, Tenant, minio, ready, sow},
};
use serde_json::json;
use tokio::sync::Mutex;

type Outcome = anyhow::Result<()>;

/// The member that is always there.
const STEADY: usize = 3;

struct Stage {
    lab: &'static Lab,
    _serving: Serving,
    /// Held by the test that may cut member 1 or 2 off.
    turns: [Mutex<()>; 2],
}

impl Stage {
    fn set() -> Result<Self, FixtureError> {
        let lab = Lab::shared(LabSpec { members: STEADY, velero: true, s3: true })?;
        let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
        lab.run(ready(&serving))?;
        Ok(Self { lab, _serving: serving, turns: Default::default() })
    }
}

/// Runs a test on a Ready fleet of its own, of member `shaky` (1 or 2), which the test may lose, and a steady one.
/// Both have a namespace called as the test's, with something to back up.
fn with_a_shaky_member(shaky: usize, name: &str, test: impl AsyncFnOnce(&Scene<'_>) -> Outcome) -> Outcome {
    static STAGE: OnceLock<anyhow::Result<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Ok(Stage::set()?)).as_ref();
    let stage = stage.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    stage.lab.run(async {
        let _mine = stage.turns[shaky - 1].lock().await;
        test(&Scene::set(stage.lab, shaky, name).await?).await
    })
}

/// What a test plays on.
struct Scene<'a> {
    lab: &'a Lab,
    tenant: Tenant<'a>,
    /// The member that may get lost, and its AttachedCluster.
    member: &'a Cluster,
    shaky: String,
    /// AttachedCluster of the steady member.
    steady: String,
}

impl<'a> Scene<'a> {
    async fn set(lab: &'a Lab, shaky: usize, name: &str) -> Result<Self, FixtureError> {
        let tenant = Tenant::new(lab, name).await?;
        let (shaky, member) = (tenant.attach(shaky).await?, lab.member(shaky));
        let steady = tenant.attach(STEADY).await?;
        tenant.fleet(&[&shaky, &steady], Some(minio(name))).await?;
        for member in [member, lab.member(STEADY)] {
            sow(member, name).await?;
        }
        tenant.all::<Fleet>().until_phase(name, "Ready").await?;
        Ok(Self { lab, tenant, member, shaky, steady })
    }

    /// Cuts the shaky member off, until the answer is dropped, and waits until the hub says so.
    async fn lose(&self) -> Result<Cut<'_>, FixtureError> {
        let cut = Cut::new(self.lab, self.member)?;
        self.tenant.all::<AttachedCluster>().until_reason(&self.shaky, "Unreachable").await?;
        Ok(cut)
    }

    /// Takes the shaky member off the fleet.
    async fn take_off(&self) -> Result<Fleet, FixtureError> {
        let left = json!([{"kind": "AttachedCluster", "name": self.steady}]);
        self.tenant.all().merge(self.tenant.name(), json!({"spec": {"clusters": left}})).await
    }
}

/// A member that is cut off from all others. Healed also when the test fails, for those that come after it.
struct Cut<'a> {
    lab: &'a Lab,
    member: &'a Cluster,
}

impl<'a> Cut<'a> {
    fn new(lab: &'a Lab, member: &'a Cluster) -> Result<Self, LabError> {
        lab.partition(member.name())?;
        Ok(Self { lab, member })
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        let healed = self.lab.heal(self.member.name());
        assert!(healed.is_ok() || std::thread::panicking(), "{healed:?}");
    }
}
