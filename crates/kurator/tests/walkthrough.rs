//! The documentation's story, walked on real components from a namespace named `default`.

use std::path::Path;

use kurator_testkit::walkthrough::walk;
use kurator_testkit::{Lab, LabSpec};

#[test]
fn the_documentations_story_ends_with_every_object_back() -> anyhow::Result<()> {
    let lab = Lab::shared(LabSpec { members: 2, velero: true, s3: true })?;
    let kurator = Path::new(env!("CARGO_BIN_EXE_kurator"));
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    Ok(walk(lab, kurator, &examples, &|_step| {})?)
}
