//! What a creation names that has to be on the hub: without it, the new object would wait for it in silence.

use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject};
use kurator_api::backup::{Backup, DeletionPolicy};
use kurator_api::cluster::ClusterReference;
use kurator_api::fleet::{Engine, Fleet};
use kurator_member::clock::{Clock as _, SystemClock};
use serde::de::DeserializeOwned;

use super::super::hub::{Hub, is_unknown_type};
use super::super::kinds::{Kind, engine, typed};
use super::super::near;
use super::super::note;
use super::super::wait::Runs;
use super::schedule::followed;
use crate::failure::Failure;

/// Names of objects in the hub's namespace.
pub(super) struct Named {
    pub(super) backup: Option<String>,
    pub(super) fleet: Option<String>,
    /// Clusters of that fleet, each with the flag that names it.
    pub(super) clusters: Vec<(&'static str, ClusterReference)>,
    pub(super) retention: Vec<Retention>,
    /// When it is repeated.
    pub(super) schedule: Option<String>,
}

/// When what is stored is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retention {
    /// After some time.
    Ttl,
    /// With its object.
    Deletion,
}

impl Retention {
    /// All that is asked for.
    pub(super) fn of(ttl: Option<&str>, policy: Option<DeletionPolicy>) -> Vec<Self> {
        let deletion = (policy == Some(DeletionPolicy::Delete)).then_some(Self::Deletion);
        ttl.map(|_| Self::Ttl).into_iter().chain(deletion).collect()
    }
}

impl Named {
    pub(super) fn of_fleet(name: &str) -> Self {
        let fleet = Some(name.to_owned());
        Self { backup: None, fleet, clusters: Vec::new(), retention: Vec::new(), schedule: None }
    }

    /// Sees whether all of it is there, and warns of what this fleet's engine does not do yet.
    ///
    /// # Errors
    /// Something is not there; what may have been meant.
    pub(super) async fn look_up<K: Runs>(&self, hub: &Hub) -> Result<(), Failure> {
        let backup: Option<Backup> = match &self.backup {
            Some(name) => find(hub, Kind::Backups, name).await?,
            None => None,
        };
        let Some(name) = &self.fleet else { return Ok(()) };
        let fleet: Option<Fleet> = find(hub, Kind::Fleets, name).await?;
        if let Some(of_backup) = backup.map(|backup| backup.spec.destination.fleet)
            && of_backup != *name
        {
            let why = format!("--fleet: `{name}` is not the fleet of the backup, which is `{of_backup}`");
            return Err(Failure::with_hint(anyhow::Error::msg(why), "name that one, or leave --fleet out"));
        }
        let Some(fleet) = fleet else { return Ok(()) };
        for (flag, cluster) in &self.clusters {
            is_in(&fleet, flag, cluster)?;
        }
        if let Some(schedule) = &self.schedule {
            let clusters: Vec<_> = self.clusters.iter().map(|(_, cluster)| cluster).collect();
            let remarks =
                followed(schedule, &fleet, &clusters, SystemClock.now()).map_err(anyhow::Error::msg)?;
            remarks.iter().for_each(|remark| note(&format!("warning: --schedule: {remark}")));
        }
        let warnings = self.retention.iter().filter_map(|asked| warning(*asked, &fleet, K::NOUN));
        warnings.for_each(|warning| note(&warning));
        Ok(())
    }
}

/// The object, unless it can't be looked at: then the hub sees to it when it has what is created.
async fn find<K: DeserializeOwned>(hub: &Hub, kind: Kind, name: &str) -> Result<Option<K>, Failure> {
    let types = kind.types();
    let Some(of) = types.first() else { return Ok(None) };
    let api: Api<DynamicObject> = Api::namespaced_with(hub.client.clone(), &hub.namespace, of);
    match api.get(name).await {
        Ok(object) if object.metadata.deletion_timestamp.is_some() => {
            Err(anyhow::anyhow!("{} `{name}` is being deleted; name another", kind.singular()).into())
        }
        Ok(object) => Ok(typed(&object).ok()),
        Err(kube::Error::Api(status)) if status.is_not_found() && !is_unknown_type(&status) => {
            Err(hub.missing(&[(kind, name.to_owned())]).await)
        }
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            note(&format!("without a look at {} `{name}`: {}", kind.singular(), status.message));
            Ok(None)
        }
        Err(error) => Err(hub.failure(&format!("{} `{name}`", kind.singular()), error)),
    }
}

fn is_in(fleet: &Fleet, flag: &str, cluster: &ClusterReference) -> Result<(), Failure> {
    let known = &fleet.spec.clusters;
    if known.iter().any(|one| one.name == cluster.name && one.cluster_kind() == cluster.cluster_kind()) {
        return Ok(());
    }
    let (kind, of) = (cluster.kind.as_deref().unwrap_or_default(), fleet.name_any());
    let why = format!("{flag}: {kind} `{}` is not in fleet `{of}`", cluster.name);
    let meant = match known.iter().find(|one| one.name == cluster.name) {
        Some(namesake) => {
            let kind = namesake.cluster_kind().map(|kind| kind.as_str()).unwrap_or_default();
            format!("did you mean `{kind}/{}`? ", cluster.name)
        }
        None => near::question(&cluster.name, known.iter().map(|one| one.name.as_str())),
    };
    let hint = format!("{meant}`kurator describe fleet {of}` shows its clusters");
    Err(Failure::with_hint(anyhow::Error::msg(why), hint))
}

/// What is asked in vain of a fleet with the built-in engine.
fn warning(asked: Retention, fleet: &Fleet, noun: &str) -> Option<String> {
    if engine(fleet) != Some(Engine::Builtin) {
        return None;
    }
    let of = fleet.name_any();
    let why = format!("fleet `{of}` has engine Builtin, which deletes nothing yet that it has stored");
    Some(match asked {
        Retention::Ttl => format!(
            "warning: --ttl frees no room: what has expired is not restored any more, but stays; {why}"
        ),
        Retention::Deletion => format!(
            "warning: --deletion-policy delete holds the {noun} up when it is deleted, until its deletionPolicy is Retain: \
             {why}"
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fleet(engine: Option<&str>, of_row: Option<&str>) -> Fleet {
        serde_json::from_value(json!({
            "metadata": {"name": "f"},
            "spec": {
                "clusters": [{"name": "edge-1", "kind": "AttachedCluster"}, {"name": "made", "kind": "Cluster"}],
                "plugin": {"backup": {"engine": engine, "storage": {"secretName": "s",
                    "location": {"bucket": "b", "provider": "aws", "endpoint": "e"}}}},
            },
            "status": {"clusters": [{"name": "edge-1", "kind": "AttachedCluster", "backup": {"engine": of_row}}]},
        }))
        .unwrap()
    }

    #[test]
    fn what_the_builtin_engine_does_not_do_yet_is_told_whoever_asks_for_it() {
        for fleet in [fleet(Some("Builtin"), None), fleet(None, Some("Builtin"))] {
            let said = warning(Retention::Ttl, &fleet, "backup").unwrap();
            let expected = "warning: --ttl frees no room: what has expired is not restored any more, but stays; fleet `f` has \
                            engine Builtin, which deletes nothing yet that it has stored";
            assert_eq!(said, expected);
            let said = warning(Retention::Deletion, &fleet, "backup").unwrap();
            assert!(said.contains("until its deletionPolicy is Retain: fleet `f`"), "{said}");
        }
    }

    #[test]
    fn nobody_is_warned_of_velero() {
        for fleet in [fleet(Some("Velero"), None), fleet(None, Some("Velero")), fleet(None, None)] {
            assert_eq!(warning(Retention::Deletion, &fleet, "backup"), None);
        }
    }

    #[test]
    fn whoever_keeps_what_is_stored_asks_for_nothing() {
        assert_eq!(Retention::of(None, Some(DeletionPolicy::Retain)), []);
        let both = Retention::of(Some("1h"), Some(DeletionPolicy::Delete));
        assert_eq!(both, [Retention::Ttl, Retention::Deletion]);
    }

    #[test]
    fn a_cluster_that_the_fleet_has_not_is_refused_by_its_kind_too() {
        let refused = |text| {
            let cluster = super::super::super::words::cluster(text).unwrap();
            is_in(&fleet(None, None), "--clusters", &cluster).map_err(|failure| failure.text())
        };
        assert_eq!(refused("edge-1"), Ok(()));
        let said = refused("edge-2").unwrap_err();
        let expected = "error: --clusters: AttachedCluster `edge-2` is not in fleet `f`\n\nhint: did you mean `edge-1`? `kurator \
                        describe fleet f` shows its clusters";
        assert_eq!(said, expected);
        assert!(refused("made").unwrap_err().contains("did you mean `Cluster/made`?"));
    }
}
