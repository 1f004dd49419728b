//! How any cluster gets at what the clusters of a Fleet stored: from the hub's own data alone, never from what
//! an object in a member says.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use kurator_api::backup::StoredAt;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Fleet, Layout};
use kurator_api::velero::{AccessMode, BackupStorageLocation, BackupStorageLocationSpec};
use kurator_store::Location;

use super::validate::{Plugin, ValidPlugin};
use super::{layout, observe, render, validate};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Guarded;
use crate::text;

/// The object store of a Fleet's backup plugin, with its credential.
pub(crate) struct Store {
    /// UID of the Fleet.
    pub(crate) fleet: String,
    /// Hub, namespace and name of the Fleet: one that is made anew under its name is the same.
    pub(crate) whose: String,
    plugin: Box<ValidPlugin>,
}

/// A sentence about a Fleet whose store can't be used.
pub(crate) type NoStore = String;

/// Reads what the Fleet's plugin and its Secret say now.
pub(crate) async fn of(ctx: &Ctx, fleet: &Fleet) -> Result<Result<Store, NoStore>, Error> {
    let credential = observe::credential(ctx, fleet).await?;
    let name = fleet.name_any();
    let whose = || format!("{}/{}/{name}", ctx.hub.uid, fleet.namespace().unwrap_or_default());
    Ok(match validate::plugin(fleet, credential.as_ref(), (&ctx.options).into()) {
        Plugin::On(plugin) => Ok(Store { fleet: fleet.uid().unwrap_or_default(), whose: whose(), plugin }),
        Plugin::Off => Err(format!("fleet `{name}` has no backup plugin")),
        Plugin::Faulty(problems) => {
            let problems: Vec<_> = problems.into_iter().map(|problem| problem.message).collect();
            Err(format!("the backup plugin of fleet `{name}` is faulty: {}", text::some_of(&problems, 1)))
        }
    })
}

/// As [`of`], for who only looks: perhaps as it was a moment ago, but not before a change that the hub was told of.
pub(super) async fn recent(
    ctx: &Ctx,
    fleet: &Arc<Guarded<Fleet>>,
) -> Result<Result<Arc<Store>, NoStore>, Error> {
    let recent = &ctx.router.recent;
    if let Some(kept) = recent.get(fleet) {
        return Ok(Ok(kept));
    }
    let Ok(readable) = &fleet.0 else { return Ok(Err("the fleet can't be read".to_owned())) };
    let begun = recent.begin();
    let read = of(ctx, readable).await?;
    Ok(read.map(|store| {
        let store = Arc::new(store);
        recent.keep(begun, fleet, &store);
        store
    }))
}

impl Store {
    pub(crate) fn endpoint(&self) -> &str {
        &self.plugin.endpoint
    }

    /// What a location of a member that the hub serves says of this place.
    pub(super) fn spec(&self, place: &StoredAt) -> BackupStorageLocationSpec {
        render::spec(&self.plugin, &place.bucket, &place.prefix, None)
    }

    /// Whether the Fleet gives a cluster this place as it is now.
    pub(super) fn gives(&self, place: &StoredAt, cluster: &ClusterKey, layout: Option<Layout>) -> bool {
        let prefix = layout::prefix(&self.plugin, layout.unwrap_or(Layout::PerCluster), cluster);
        place.bucket == self.plugin.bucket && place.prefix == prefix
    }

    /// How the hub itself works on a place in this store.
    pub(super) fn location(&self, bucket: &str, prefix: &str) -> Location {
        let (bucket, prefix) = (bucket.to_owned(), prefix.to_owned());
        Location { bucket, prefix, config: self.plugin.config.clone(), ..self.plugin.store.clone() }
    }

    /// A location that reads this place and that Velero neither syncs nor cleans up; without a Secret where the hub
    /// serves.
    pub(crate) fn read_only(
        &self,
        metadata: ObjectMeta,
        place: &StoredAt,
        secret: Option<&str>,
    ) -> BackupStorageLocation {
        let spec = BackupStorageLocationSpec {
            access_mode: Some(AccessMode::ReadOnly),
            backup_sync_period: Some("0s".to_owned()),
            ..render::spec(&self.plugin, &place.bucket, &place.prefix, secret)
        };
        BackupStorageLocation { metadata, spec, status: None }
    }

    pub(crate) fn secret(&self, metadata: ObjectMeta) -> Secret {
        render::credential(&self.plugin, metadata)
    }

    /// Tells one content of the Secret from another.
    pub(crate) fn content_hash(&self) -> String {
        render::content_hash(&self.plugin)
    }

    #[cfg(test)]
    pub(crate) fn of_test(spec: serde_json::Value) -> Self {
        let fleet: Fleet = serde_json::from_value(spec).unwrap();
        let credential = observe::Credential::Keys {
            access_key: "minio".to_owned(),
            secret_key: "minio123".to_owned(),
            session_token: None,
        };
        let plugin = validate::plugin(
            &fleet,
            Some(&credential),
            validate::Defaults {
                engine: kurator_api::fleet::Engine::Velero,
                installer: kurator_api::fleet::Installer::None,
            },
        );
        match plugin {
            Plugin::On(plugin) => {
                Self { fleet: fleet.uid().unwrap_or_default(), whose: fleet.name_any(), plugin }
            }
            Plugin::Off | Plugin::Faulty(_) => panic!("no plugin"),
        }
    }
}
