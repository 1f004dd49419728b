//! What an object brings into a backup beside itself, and what is changed of it, by the rules of Velero 1.18.3.
//!
//! A pod brings its claims and its PriorityClass; a bound claim its volume, the running pods that use it and the other
//! claims of its volume group; a ServiceAccount the ClusterRoleBindings that name it and their ClusterRoles; a custom
//! resource its definition. Each of them has to be let in by [`Selection::related`](super::select::Selection::related),
//! and brings in what it brings. Pods and claims can only be missing in the lists if the selection
//! [`narrows`](super::select::Selection::narrows); else nobody needs [`Claims`].

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::types::ApiType;

/// An object that another brings in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// API group.
    pub group: &'static str,
    /// Resource, such as `persistentvolumes`.
    pub resource: &'static str,
    /// Its namespace; none for cluster-scoped ones.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Reference {
    fn cluster(group: &'static str, resource: &'static str, name: &str) -> Self {
        Self { group, resource, namespace: None, name: name.to_owned() }
    }

    fn core(resource: &'static str, namespace: &str, name: &str) -> Self {
        Self { group: "", resource, namespace: Some(namespace.to_owned()), name: name.to_owned() }
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const CLAIMS: &str = "persistentvolumeclaims";

/// The definition of a type, if it may be a custom one: the groups of these are domains.
#[must_use]
pub fn definition(api: &ApiType) -> Option<Reference> {
    let is_domain = api.group.contains('.');
    is_domain.then(|| {
        Reference::cluster("apiextensions.k8s.io", "customresourcedefinitions", &api.group_resource())
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Pod<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: PodSpec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec<'a> {
    #[serde(borrow)]
    priority_class_name: Cow<'a, str>,
    #[serde(borrow)]
    node_name: Cow<'a, str>,
    #[serde(borrow)]
    volumes: Option<Vec<Volume<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Volume<'a> {
    #[serde(borrow)]
    persistent_volume_claim: Option<ClaimSource<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSource<'a> {
    #[serde(borrow)]
    claim_name: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    phase: Cow<'a, str>,
}

impl Pod<'_> {
    /// Names of its claims.
    fn claims(&self) -> impl Iterator<Item = &str> {
        let sources =
            self.spec.volumes.iter().flatten().filter_map(|one| one.persistent_volume_claim.as_ref());
        sources.map(|source| source.claim_name.as_ref()).filter(|name| !name.is_empty())
    }

    /// As Velero: on a node, running and not being deleted.
    fn is_running(&self) -> bool {
        !self.spec.node_name.is_empty()
            && self.status.phase == "Running"
            && self.metadata.deletion_timestamp.is_none()
    }
}

/// What a pod brings in.
///
/// # Errors
/// If it is no JSON of a pod.
pub fn of_pod(json: &[u8]) -> Result<Vec<Reference>, serde_json::Error> {
    let pod: Pod<'_> = serde_json::from_slice(json)?;
    let class = Some(pod.spec.priority_class_name.as_ref()).filter(|name| !name.is_empty());
    let class = class.map(|name| Reference::cluster("scheduling.k8s.io", "priorityclasses", name));
    let claims = pod.claims().map(|name| Reference::core(CLAIMS, &pod.metadata.namespace, name));
    Ok(class.into_iter().chain(claims).collect())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawClaim<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    spec: ClaimSpec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ClaimSpec<'a> {
    #[serde(borrow)]
    volume_name: Cow<'a, str>,
    #[serde(borrow)]
    storage_class_name: Option<Cow<'a, str>>,
    data_source: Option<IgnoredAny>,
    data_source_ref: Option<IgnoredAny>,
    #[serde(borrow)]
    selector: Option<VolumeSelector<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeSelector<'a> {
    #[serde(borrow)]
    match_labels: Option<BTreeMap<Cow<'a, str>, IgnoredAny>>,
}

/// A claim that is bound to a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundClaim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its volume.
    pub volume: Reference,
    /// The claim as it is stored, if anything is changed of it: what would bind it to where it was when it is restored
    /// goes, and what earlier backups and restores left on it.
    pub changed: Option<Vec<u8>>,
}

/// What is to be known of a claim; none, if it is not bound: it is stored as it is and brings in nothing.
///
/// # Errors
/// If it is no JSON of a claim.
pub fn of_claim(json: &[u8], backup: &str) -> Result<Option<BoundClaim>, serde_json::Error> {
    let claim: RawClaim<'_> = serde_json::from_slice(json)?;
    let RawClaim { metadata, spec, status } = &claim;
    if status.phase != "Bound" || spec.volume_name.is_empty() {
        return Ok(None);
    }
    let stale: Vec<&str> = metadata
        .labels
        .iter()
        .flatten()
        .filter(|(key, value)| is_stale(key, value, backup))
        .map(|(key, _)| key.as_ref())
        .collect();
    // Only a claim that wants no class, not even the default one, finds its volume by labels.
    let keeps_selector = spec.storage_class_name.as_deref() == Some("");
    let selects = |selector: &VolumeSelector<'_>| {
        !keeps_selector || selector.match_labels.iter().flatten().any(|(key, _)| is_veleros(key))
    };
    let changes = spec.data_source.is_some()
        || spec.data_source_ref.is_some()
        || spec.selector.as_ref().is_some_and(selects)
        || !stale.is_empty();
    Ok(Some(BoundClaim {
        namespace: metadata.namespace.clone().into_owned(),
        name: metadata.name.clone().into_owned(),
        volume: Reference::cluster("", "persistentvolumes", &spec.volume_name),
        changed: if changes { Some(cleaned(json, &stale, keeps_selector)?) } else { None },
    }))
}

/// Labels that earlier backups and restores left.
fn is_stale(key: &str, value: &str, backup: &str) -> bool {
    match key {
        "velero.io/restore-name"
        | "velero.io/volume-snapshot-name"
        | "backup.velero.io/must-include-additional-items" => true,
        "velero.io/backup-name" => value != backup,
        _ => false,
    }
}

fn is_veleros(key: &str) -> bool {
    key.starts_with("velero.io/")
}

fn cleaned(json: &[u8], stale: &[&str], keeps_selector: bool) -> Result<Vec<u8>, serde_json::Error> {
    let mut claim: Value = serde_json::from_slice(json)?;
    if let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("dataSource");
        spec.remove("dataSourceRef");
        if !keeps_selector {
            spec.remove("selector");
        }
    }
    if let Some(labels) = claim.pointer_mut("/spec/selector/matchLabels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !is_veleros(key));
    }
    if let Some(labels) = claim.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.retain(|key, _| !stale.contains(&key.as_str()));
    }
    serde_json::to_vec(&claim)
}

/// The pods of each claim, some 70 bytes for each: there may be as many as pods in the cluster.
#[derive(Clone, Debug, Default)]
struct Users {
    keys: RandomState,
    /// By hash of namespace and claim: the last of its users.
    last: HashMap<u64, usize>,
    users: Vec<User>,
    /// Their names, one behind the other.
    names: String,
}

#[derive(Clone, Copy, Debug)]
struct User {
    /// Where its name ends; it begins where that of the user before it ends.
    end: usize,
    /// The one before it of the same claim.
    before: Option<u32>,
}

impl Users {
    fn add(&mut self, namespace: &str, claim: &str, pod: &str) {
        // A pod may name a claim twice, in a row or not; whoever asks for pods takes each once.
        let place = self.last.insert(self.keys.hash_one((namespace, claim)), self.users.len());
        self.names.push_str(pod);
        let before = place.and_then(|place| u32::try_from(place).ok());
        self.users.push(User { end: self.names.len(), before });
    }

    fn of(&self, namespace: &str, claim: &str) -> impl Iterator<Item = &str> {
        let last = self.last.get(&self.keys.hash_one((namespace, claim))).copied();
        let before = |place: &usize| self.users[*place].before.map(|place| place as usize);
        std::iter::successors(last, before).map(|place| {
            let begin = place.checked_sub(1).map_or(0, |before| self.users[before].end);
            &self.names[begin..self.users[place].end]
        })
    }
}

/// Who uses which claim, and which claims belong together.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    pods: Users,
    /// By namespace and claim: the group.
    groups: BTreeMap<(String, String), String>,
    /// By namespace and group: claims.
    members: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Claims {
    /// Adds a pod of the cluster, of whatever labels.
    ///
    /// # Errors
    /// If it is no JSON of a pod.
    pub fn add_pod(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        let pod: Pod<'_> = serde_json::from_slice(json)?;
        if pod.is_running() {
            for claim in pod.claims() {
                self.pods.add(&pod.metadata.namespace, claim, &pod.metadata.name);
            }
        }
        Ok(())
    }

    /// Adds a claim of the cluster, of whatever labels; `group_label` is the spec's `volumeGroupSnapshotLabelKey`.
    ///
    /// # Errors
    /// If it is no JSON of a claim.
    pub fn add_claim(&mut self, json: &[u8], group_label: &str) -> Result<(), serde_json::Error> {
        let RawClaim { metadata: Meta { namespace, name, labels, .. }, .. } = serde_json::from_slice(json)?;
        let group = labels.as_ref().and_then(|labels| labels.get(group_label));
        if let Some(group) = group.filter(|group| !group.is_empty()) {
            let (namespace, name, group) =
                (namespace.into_owned(), name.into_owned(), group.clone().into_owned());
            self.groups.insert((namespace.clone(), name.clone()), group.clone());
            self.members.entry((namespace, group)).or_default().insert(name);
        }
        Ok(())
    }

    /// What a bound claim brings in beside its volume.
    #[must_use]
    pub fn with(&self, claim: &BoundClaim) -> Vec<Reference> {
        let key = (claim.namespace.clone(), claim.name.clone());
        let pods = self.pods.of(&claim.namespace, &claim.name);
        let pods = pods.map(|pod| Reference::core("pods", &claim.namespace, pod));
        let group = self.groups.get(&key).and_then(|group| self.members.get(&(key.0.clone(), group.clone())));
        let others = group.into_iter().flatten().filter(|name| **name != claim.name);
        pods.chain(others.map(|name| Reference::core(CLAIMS, &claim.namespace, name))).collect()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Binding<'a> {
    #[serde(borrow)]
    metadata: Meta<'a>,
    #[serde(borrow)]
    subjects: Option<Vec<Subject<'a>>>,
    #[serde(borrow)]
    role_ref: RoleRef<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Subject<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    namespace: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RoleRef<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// All ClusterRoleBindings of a cluster, by the ServiceAccounts that they name.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// By namespace and name.
    accounts: BTreeMap<(String, String), BTreeSet<Reference>>,
}

impl Bindings {
    /// Adds a ClusterRoleBinding.
    ///
    /// # Errors
    /// If it is no JSON of one.
    pub fn add(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        let Binding { metadata, subjects, role_ref } = serde_json::from_slice(json)?;
        for Subject { kind, name, namespace } in subjects.into_iter().flatten() {
            if kind == "ServiceAccount" {
                let account = (namespace.into_owned(), name.into_owned());
                let brought = self.accounts.entry(account).or_default();
                brought.insert(Reference::cluster(RBAC, "clusterrolebindings", &metadata.name));
                brought.insert(Reference::cluster(RBAC, "clusterroles", &role_ref.name));
            }
        }
        Ok(())
    }

    /// What a ServiceAccount brings in: bindings first.
    pub fn of(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Reference> {
        self.accounts.get(&(namespace.to_owned(), name.to_owned())).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests;
