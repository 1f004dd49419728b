//! Of clusters that share a location, one makes the backup of a name.
//!
//! A backup exists with its last file; until then a mark, which is created and never written over, says whose it will be. Else
//! the files of two runs could lie among each other.

use bytes::Bytes;
use kube::ResourceExt as _;
use kurator_api::velero::Backup;
use kurator_archive::BackupFiles;
use kurator_store::{Creation, Replacement, Store};
use serde::{Deserialize, Serialize};

use super::store::KeepError;

/// Looks at a mark that changes meanwhile.
const LOOKS: usize = 3;
/// Where a mark does not say whose it is.
const UNKNOWN: &str = "(which one is not known)";

/// What a mark says.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Owner {
    /// UID of the cluster's namespace kube-system.
    cluster: String,
    /// Velero's namespace there.
    namespace: String,
    /// UID of the Backup.
    backup: String,
}

/// A mark that is set.
#[derive(Debug)]
pub(super) struct Mark(String);

impl Mark {
    /// Marks the backup as that of this `cluster`. A mark that it left earlier is taken over: it makes one backup at a
    /// time.
    pub(super) async fn set(
        store: &dyn Store,
        at: &BackupFiles,
        cluster: &str,
        backup: &Backup,
    ) -> Result<Self, KeepError> {
        let key = at.mark();
        let owner = Owner {
            cluster: cluster.to_owned(),
            namespace: backup.namespace().unwrap_or_default(),
            backup: backup.uid().unwrap_or_default(),
        };
        let own = Bytes::from(serde_json::to_vec(&owner)?);
        for _ in 0..LOOKS {
            let created = store.create(&key, own.clone()).await;
            if matches!(created, Ok(Creation::Created)) {
                return Ok(Self(key));
            }
            // Where only the answer was lost, what is there is ours.
            let Some(present) = store.get(&key).await? else {
                created?;
                continue;
            };
            if present == own {
                return Ok(Self(key));
            }
            let other: Owner = serde_json::from_slice(&present).unwrap_or_default();
            if (&other.cluster, &other.namespace) != (&owner.cluster, &owner.namespace) {
                let known = Some(other.cluster).filter(|cluster| !cluster.is_empty());
                return Err(KeepError::Marked { key, cluster: known.unwrap_or_else(|| UNKNOWN.to_owned()) });
            }
            if store.replace(&key, &present, own.clone()).await? == Replacement::Replaced {
                return Ok(Self(key));
            }
        }
        Err(KeepError::Marked { key, cluster: UNKNOWN.to_owned() })
    }

    /// Takes the mark away. One that stays keeps no backup of this cluster from its name.
    pub(super) async fn remove(self, store: &dyn Store) {
        if let Err(error) = store.delete(&self.0).await {
            tracing::warn!(key = self.0, error = %error, "the mark of the run stays in the store; it does no harm");
        }
    }
}

#[cfg(test)]
mod tests {
    use kurator_store::Memory;
    use serde_json::json;

    use super::*;

    fn backup(uid: &str) -> Backup {
        let object = json!({"metadata": {"name": "b", "namespace": "velero", "uid": uid}, "spec": {}});
        serde_json::from_value(object).unwrap()
    }

    fn files() -> BackupFiles {
        BackupFiles::new("", "b").unwrap()
    }

    #[tokio::test]
    async fn of_two_clusters_the_first_makes_the_backup_until_it_has_ended() {
        let store = Memory::default();
        let first = Mark::set(&store, &files(), "one", &backup("1")).await.unwrap();
        let refused = Mark::set(&store, &files(), "two", &backup("2")).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "cluster one is making a backup of this name in the same location: choose another name, or delete \
             `backups/b/kurator-in-progress.json` from the store if it is not"
        );
        first.remove(&store).await;
        Mark::set(&store, &files(), "two", &backup("2")).await.unwrap();
    }

    #[tokio::test]
    async fn a_cluster_takes_over_what_it_has_marked_for_this_backup_or_an_earlier_one() {
        let store = Memory::default();
        for uid in ["1", "1", "2"] {
            Mark::set(&store, &files(), "one", &backup(uid)).await.unwrap();
            let found = store.get(&files().mark()).await.unwrap().unwrap();
            assert_eq!(serde_json::from_slice::<Owner>(&found).unwrap().backup, uid);
        }
    }

    #[tokio::test]
    async fn a_mark_that_cannot_be_read_is_somebody_elses() {
        let store = Memory::default();
        store.put(&files().mark(), Bytes::from_static(b"?")).await.unwrap();
        let refused = Mark::set(&store, &files(), "one", &backup("1")).await.unwrap_err();
        assert!(matches!(refused, KeepError::Marked { .. }), "{refused}");
    }
}
