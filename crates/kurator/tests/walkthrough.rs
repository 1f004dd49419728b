//! The user's guide, run block by block on real components.

use std::path::Path;

use kurator_testkit::walkthrough::walk;
use kurator_testkit::{Lab, LabSpec};

#[test]
fn the_guide_does_what_it_says() -> anyhow::Result<()> {
    let lab = Lab::shared(LabSpec { members: 2, velero: true, s3: true })?;
    let kurator = Path::new(env!("CARGO_BIN_EXE_kurator"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(walk(lab, kurator, &root, &|_step| {})?)
}
