//! Every object of ours in `examples/` is accepted by a real API server and read back whole.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use kurator_testkit::fixtures::Tenant;
use serde_json::{Value, json};

use crate::{Outcome, Stage, on_stage};

/// Groups of kinds that `kurator serve` has installed.
const OURS: [&str; 3] = ["backup.kurator.dev", "cluster.kurator.dev", "fleet.kurator.dev"];
/// The one object of a group that only Kurator itself serves.
const FOREIGN: &str = "unified-backup-demo";

fn files() -> anyhow::Result<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files = Vec::new();
    for folder in ["fleet", "backup"] {
        for entry in std::fs::read_dir(root.join(folder))? {
            files.push(entry?.path());
        }
    }
    files.sort();
    Ok(files)
}

fn documents(file: &Path) -> anyhow::Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple(&std::fs::read_to_string(file)?)?)
}

fn group(document: &Value) -> &str {
    document["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(group, _)| group)
}

/// Applies a document in the tenant's namespace, and reads it back, with kubectl.
fn there_and_back(stage: &Stage, tenant: &Tenant<'_>, document: &Value) -> anyhow::Result<Value> {
    let (hub, namespace) = (stage.lab.hub(), tenant.name());
    let file = stage.lab.dir().join(format!("{namespace}.json"));
    std::fs::write(&file, document.to_string())?;
    let kubectl = |arguments: &[&str]| -> anyhow::Result<Vec<u8>> {
        let output = stage.lab.kubectl(hub, arguments)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    };
    let applied = ["apply", "--validate=strict", "-f", &file.display().to_string()].map(str::to_owned);
    kubectl(&applied.each_ref().map(String::as_str))?;
    let kind =
        format!("{}.{}", document["kind"].as_str().unwrap_or_default().to_lowercase(), group(document));
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    Ok(serde_json::from_slice(&kubectl(&["get", &kind, name, "-n", namespace, "-o", "json"])?)?)
}

#[test]
fn every_example_is_accepted_and_read_back_whole() -> Outcome {
    on_stage(async |stage| {
        let mut skipped = Vec::new();
        let mut applied = 0;
        for file in files()? {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).context("a file without a name")?;
            // The examples of the fleets all have one name.
            let tenant = stage.tenant(&format!("example-{stem}")).await?;
            for mut document in documents(&file)? {
                if !OURS.contains(&group(&document)) {
                    skipped
                        .extend((!group(&document).is_empty()).then(|| document["metadata"]["name"].clone()));
                    continue;
                }
                document["metadata"]["namespace"] = json!(tenant.name());
                let found = there_and_back(stage, &tenant, &document)?;
                assert_eq!(found["spec"], document["spec"], "{}", file.display());
                applied += 1;
            }
        }
        assert_eq!(skipped, [FOREIGN]);
        assert!(applied >= 15, "only {applied} objects applied");
        Ok(())
    })
}
