//! What the tables of this folder are made of.

use std::sync::Arc;

use jiff::Timestamp;
use kurator_api::cluster::{ClusterKey, ClusterKind};
use kurator_api::names::ChildKind;
use kurator_api::velero::{Backup, BackupSpec};

use super::runs::{self, History};
use super::validate::Wanted;
use crate::run::{Claim, Owner};

pub(super) fn cluster(name: &str) -> ClusterKey {
    ClusterKey { namespace: "default".into(), kind: ClusterKind::AttachedCluster, name: name.into() }
}

pub(super) fn owner() -> Owner {
    Owner {
        uid: "11111111-2222".into(),
        kind: ChildKind::Backup,
        api_kind: "Backup",
        namespace: "default".into(),
        name: "nightly".into(),
        fleet: "quickstart".into(),
        hub: "hub-uid".into(),
        claim: Claim::None,
        harmless: true,
    }
}

/// Every night, everything, for ten days.
pub(super) fn wanted() -> Wanted {
    Wanted {
        expression: "0 0 * * *".into(),
        paused: false,
        template: BackupSpec {
            include_cluster_resources: Some(true),
            ttl: Some("240h".into()),
            ..BackupSpec::default()
        },
        plugin_of: None,
        run_now: None,
        remarks: Vec::new(),
    }
}

/// What runs come to, where what they say is believed.
pub(super) fn history(all: Vec<Arc<Backup>>, now: Timestamp) -> History {
    runs::history(runs::proven(all, None, now, |run| (run, None)), now)
}
