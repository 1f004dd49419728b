//! The real binary on real components: one hub, two members with Velero, one object store, one `kurator serve`.
//!
//! Each test works in a hub namespace of its own, so all of them run side by side. What kills or cuts off has
//! a binary of its own.

mod attach;
mod backups;
mod deletions;
mod examples;
mod fleets;
mod migrates;
mod restores;
mod schedules;
mod schema;
mod serving;

use std::path::Path;
use std::sync::OnceLock;

use anyhow::anyhow;
use kurator_testkit::fixtures::{FixtureError, Tenant, ready};
use kurator_testkit::{Lab, LabSpec, Serving};

type Outcome = anyhow::Result<()>;

/// The hub namespace of the fleet that gives both members their default storage location.
const BASE: &str = "base";

/// What all tests share.
struct Stage {
    lab: &'static Lab,
    serving: Serving,
}

impl Stage {
    fn set() -> Result<Self, FixtureError> {
        let lab = Lab::shared(LabSpec { members: 2, velero: true, s3: true })?;
        let serving = Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), [] as [&str; 0])?;
        lab.run(async {
            ready(&serving).await?;
            Tenant::new(lab, BASE).await?.ready_fleet(2).await
        })?;
        Ok(Self { lab, serving })
    }

    async fn tenant(&self, name: &str) -> Result<Tenant<'_>, FixtureError> {
        Tenant::new(self.lab, name).await
    }
}

/// Runs a test inside the lab's network.
fn on_stage(test: impl AsyncFnOnce(&'static Stage) -> Outcome) -> Outcome {
    static STAGE: OnceLock<anyhow::Result<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Ok(Stage::set()?)).as_ref();
    let stage = stage.map_err(|error| anyhow!("the stage is not set: {error:#}"))?;
    stage.lab.run(test(stage))
}
