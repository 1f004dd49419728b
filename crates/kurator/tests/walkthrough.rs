//! The user's guide, run block by block on real components, where Velero executes the backups.

use std::path::Path;

use kurator_api::fleet::Engine;
use kurator_testkit::Lab;
use kurator_testkit::walkthrough::{lab, walk};

#[test]
fn the_guide_does_what_it_says() -> anyhow::Result<()> {
    let lab = Lab::shared(lab(Engine::Velero))?;
    let kurator = Path::new(env!("CARGO_BIN_EXE_kurator"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(walk(lab, Engine::Velero, kurator, &root, &|_step| {})?)
}
