//! What Backup and Restore have in common: runs in many clusters, started once, followed to the end.
//!
//! [`child`] decides for one cluster, [`rows`] says what all clusters together mean, [`plan`] joins the
//! two, [`report`] writes it down, [`apply`] starts what is to be created. [`deletion`] takes backups away again.

pub(crate) mod apply;
pub(crate) mod child;
pub(crate) mod deletion;
pub(crate) mod kinds;
pub(crate) mod plan;
pub(crate) mod report;
pub(crate) mod retention;
pub(crate) mod rows;
pub(crate) mod volumes;
pub(crate) mod word;

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use kube::runtime::controller::Action;
use kurator_api::cluster::ClusterKey;
use kurator_api::duration::GoDuration;
use kurator_api::filter::ResourceFilter;
use kurator_api::names::{self, ChildKind};
use kurator_api::reason::Reason;
use tokio::time::Instant;

use crate::hub::HubKind;
use crate::standing::{Standing, Verdict};
use kinds::Said;
use rows::{Details, Row};

/// The hub object on whose behalf children are made in members.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: String,
    pub(crate) kind: ChildKind,
    /// Kind as in the API: `Backup`, `Restore`.
    pub(crate) api_kind: &'static str,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The Fleet that the clusters belong to.
    pub(crate) fleet: String,
    /// UID of the hub's kube-system namespace.
    pub(crate) hub: String,
    pub(crate) claim: Claim,
    /// What is made changes nothing in the cluster, so that it may always take a second name.
    pub(crate) harmless: bool,
}

/// What an object's annotations ask for where a name is taken in a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// To stop and say so.
    None,
    /// To take what has the name as its own.
    Adopt,
    /// To run under another name.
    RunAgain,
}

impl Claim {
    pub(crate) fn of<K: ResourceExt>(object: &K) -> Self {
        let asks = |annotation| object.annotations().get(annotation).is_some_and(|value| value == "true");
        match () {
            () if asks(names::ADOPT_ANNOTATION) => Self::Adopt,
            () if asks(names::RUN_AGAIN_ANNOTATION) => Self::RunAgain,
            () => Self::None,
        }
    }
}

impl Owner {
    /// The owner that `object` is, of clusters of `fleet`.
    pub(crate) fn new<K: HubKind>(object: &K, kind: ChildKind, hub: &str, fleet: String) -> Self {
        Self {
            uid: object.uid().unwrap_or_default(),
            kind,
            api_kind: match kind {
                ChildKind::Backup => "Backup",
                ChildKind::Restore => "Restore",
                ChildKind::Migrate => "Migrate",
            },
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            fleet,
            hub: hub.to_owned(),
            claim: Claim::of(object),
            harmless: kind == ChildKind::Backup,
        }
    }

    /// As the owner annotation of its children has it.
    pub(crate) fn reference(&self) -> String {
        names::owner(self.api_kind, &self.namespace, &self.name)
    }

    /// The names that the child may have in this cluster, in the order of choice.
    ///
    /// A backup may always take a second one. What changes the cluster may run twice only if somebody says so.
    pub(crate) fn names(&self, cluster: &ClusterKey) -> Vec<String> {
        let first = self.first_choice(cluster);
        let second =
            (self.harmless || self.claim == Claim::RunAgain).then(|| names::second_choice(&first, &self.uid));
        std::iter::once(first).chain(second).collect()
    }

    /// The Kurator label that names the owner, with its value.
    pub(crate) fn name_label(&self) -> (&'static str, String) {
        (self.kind.name_label(), names::label_value(&self.name))
    }

    /// Kurator's name for the child in this cluster.
    pub(crate) fn first_choice(&self, cluster: &ClusterKey) -> String {
        names::member_object_name(&cluster.name, self.kind, &self.namespace, &self.name)
    }

    /// Labels and annotations of everything that is made in a member for this owner.
    pub(crate) fn metadata(&self, child: &str, cluster: &ClusterKey) -> ObjectMeta {
        let (key, value) = self.name_label();
        let mut annotations = BTreeMap::from([
            (names::OWNER_ANNOTATION.to_owned(), self.reference()),
            (names::CLUSTER_ANNOTATION.to_owned(), cluster.to_string()),
            (names::HUB_ANNOTATION.to_owned(), self.hub.clone()),
        ]);
        let full = names::full_name(&cluster.name, self.kind, &self.namespace, &self.name);
        if child != full {
            annotations.insert(names::FULL_NAME_ANNOTATION.to_owned(), full);
        }
        ObjectMeta {
            name: Some(child.to_owned()),
            namespace: Some(names::VELERO_NAMESPACE.to_owned()),
            labels: Some(BTreeMap::from([
                (key.to_owned(), value),
                (names::FLEET_NAME_LABEL.to_owned(), names::label_value(&self.fleet)),
                (names::PLUGIN_LABEL.to_owned(), names::BACKUP_PLUGIN.to_owned()),
                (names::OWNER_UID_LABEL.to_owned(), self.uid.clone()),
            ])),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }
    }
}

/// A run whose clusters are known.
pub(crate) struct Started<S> {
    pub(crate) owner: Owner,
    pub(crate) clusters: Vec<ClusterKey>,
    /// Rows as last written, by cluster.
    pub(crate) recorded: BTreeMap<ClusterKey, Row<S>>,
    /// When the set of clusters was frozen, if it is.
    pub(crate) at: Option<Timestamp>,
}

impl<S: Clone> Started<S> {
    /// A run that is to begin in these clusters.
    pub(crate) fn first(owner: Owner, clusters: Vec<ClusterKey>) -> Self {
        Self { owner, clusters, recorded: BTreeMap::new(), at: None }
    }

    /// A run that has begun: its own rows are the set of clusters, whatever became of the fleet.
    ///
    /// `None` if it has not. Kurator writes rows and no time.
    pub(crate) fn begun<D: Details<Status = S>>(owner: &Owner, said: &Said<D>) -> Option<Self> {
        let begun = said.started.is_some() || !said.details.is_empty();
        begun.then(|| Self::again(owner.clone(), said))
    }

    /// Whether every cluster has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.recorded.len() == self.clusters.len()
            && self.recorded.values().all(|row| row.phase.is_terminal())
    }

    /// As [`Started::begun`] of a run that may not have: without rows there is no cluster.
    pub(crate) fn again<D: Details<Status = S>>(owner: Owner, said: &Said<D>) -> Self {
        let clusters: Vec<_> = said.details.iter().map(|row| row.cluster(&owner.namespace)).collect();
        let recorded =
            clusters.iter().cloned().zip(&said.details).map(|(key, row)| (key.clone(), row.read(key)));
        Self { recorded: recorded.collect(), clusters, owner, at: said.started }
    }
}

/// Why an object can't be started.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unfit(pub(crate) Verdict);

impl Unfit {
    /// Something outside must happen first, and will wake the object.
    pub(crate) fn waiting(reason: Reason, message: impl Into<String>) -> Self {
        Self(Verdict::underway(reason, message))
    }

    /// Somebody must edit the object; all reasons at once.
    pub(crate) fn stalled(reason: Reason, problems: &[String]) -> Self {
        Self(Verdict::stalled(reason, problems.join("; ")))
    }

    pub(crate) fn is_invalid(&self) -> bool {
        self.0.standing == Standing::Stalled
    }

    /// Whether this is what is to be said of an object now. One that is refused does not wait, whatever goes meanwhile
    /// of what it names: that it is refused stands until it is edited, or can start.
    pub(crate) fn counts(&self, is_refused: bool, observed: Option<i64>, generation: Option<i64>) -> bool {
        let is_edited = observed.is_none() || observed != generation;
        self.is_invalid() || !is_refused || is_edited
    }
}

/// What is wrong with the fields of `spec.policy` that decide what is stored, and for how long.
pub(crate) fn policy_problems(filter: Option<&ResourceFilter>, ttl: Option<&str>) -> Vec<String> {
    let filter = filter.map(ResourceFilter::problems).unwrap_or_default();
    let filter = filter.into_iter().map(|text| format!("spec.policy.resourceFilter: {text}"));
    let ttl = ttl.and_then(|ttl| ttl.parse::<GoDuration>().err());
    filter.chain(ttl.map(|error| format!("spec.policy.ttl: {error}"))).collect()
}

/// Waits for a change, or until the earliest of the given times.
pub(crate) fn look_again(times: impl IntoIterator<Item = Option<Instant>>) -> Action {
    match times.into_iter().flatten().min() {
        None => Action::await_change(),
        Some(at) => Action::requeue(at.saturating_duration_since(Instant::now())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_does_not_wait_before_it_is_edited() {
        let waits = Unfit::waiting(Reason::FleetNotFound, "there is no Fleet");
        let invalid = Unfit::stalled(Reason::ClusterNotInFleet, &["no cluster of it".to_owned()]);
        for (unfit, is_refused, observed, expected) in [
            (&waits, true, Some(1), false),
            (&waits, true, Some(0), true),
            (&waits, true, None, true),
            (&waits, false, Some(1), true),
            (&invalid, true, Some(1), true),
        ] {
            let counts = unfit.counts(is_refused, observed, Some(1));
            assert_eq!(counts, expected, "{unfit:?} {is_refused} {observed:?}");
        }
    }
}
