//! What a backup holds in the store, however it is laid out.

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;
use kurator_testkit::Lab;
use serde_json::Value;

use crate::scene::Make;

/// A backup, as its files say.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Each object once, by its path.
    pub(crate) objects: BTreeMap<String, Value>,
    /// The Backup with its last status.
    pub(crate) backup: Value,
    pub(crate) resource_list: Value,
    pub(crate) results: Value,
    pub(crate) volumes: Value,
}

impl Stored {
    /// Reads a backup of the store.
    pub(crate) async fn fetch(lab: &Lab, make: Make, name: &str) -> anyhow::Result<Self> {
        let file = async |suffix: &str| {
            let key = format!("{}/backups/{name}/{suffix}", make.location());
            lab.s3().get(&key).await?.ok_or_else(|| anyhow::anyhow!("{key} is not there"))
        };
        let json = async |kind: &str| json(&file(&format!("{name}-{kind}.gz")).await?);
        Ok(Self {
            objects: objects(&file(&format!("{name}.tar.gz")).await?)?,
            backup: serde_json::from_slice(&file("velero-backup.json").await?)?,
            resource_list: json("resource-list.json").await?,
            results: json("results").await?,
            volumes: json("volumeinfo.json").await?,
        })
    }
}

/// A gzipped file of JSON.
pub(crate) fn json(content: &[u8]) -> anyhow::Result<Value> {
    Ok(serde_json::from_reader(MultiGzDecoder::new(content))?)
}

fn objects(content: &[u8]) -> anyhow::Result<BTreeMap<String, Value>> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(content));
    let mut objects = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.display().to_string();
        let Some(path) = path.strip_prefix("resources/").and_then(|path| path.strip_suffix(".json")) else {
            continue;
        };
        if path.contains("-preferredversion/") {
            continue;
        }
        let path = path.to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let twice = objects.insert(path.clone(), serde_json::from_slice(&content)?);
        anyhow::ensure!(twice.is_none(), "{path} is there twice");
    }
    Ok(objects)
}
