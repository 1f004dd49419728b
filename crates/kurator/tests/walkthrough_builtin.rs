//! The user's guide, run block by block on real components, where the hub executes the backups.

use std::path::Path;

use kurator_api::fleet::Engine;
use kurator_testkit::Lab;
use kurator_testkit::walkthrough::{lab, walk};

#[test]
fn the_guide_does_what_it_says_where_members_have_nothing() -> anyhow::Result<()> {
    let lab = Lab::shared(lab(Engine::Builtin))?;
    let kurator = Path::new(env!("CARGO_BIN_EXE_kurator"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Ok(walk(lab, Engine::Builtin, kurator, &root, &|_step| {})?)
}
