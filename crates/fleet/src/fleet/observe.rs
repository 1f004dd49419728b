//! What is known of the members and of the object store.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, Fleet, FleetClusterStatus};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::{BackupStorageLocation, Schedule, ServerStatusRequest};
use kurator_member::knowledge::Knowledge;
use kurator_member::member::Member;
use tokio::time::Instant;

use super::claim::rival;
use super::heir::Heir;
use super::lack::Lack;
use super::layout::{self, RootFinding};
use super::probe::Probe;
use super::server;
use super::validate::{Plugin, Problem, ValidFleet, ValidPlugin};
use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Presence;
use crate::location::is_owned_by;
use crate::members::Access;
use crate::served::{Standing, is_served};
use crate::text;
use crate::usage::{self, InUse};
use crate::writes::{Write, WriteKey};

/// How many keys of a Secret a message names.
const KEYS_SHOWN: usize = 5;

/// What the hub's Secret for the object store holds.
pub(super) enum Credential {
    Keys { access_key: String, secret_key: String, session_token: Option<String> },
    Faulty(Vec<Problem>),
}

/// The credential of the backup plugin, if there is one.
pub(super) async fn credential(ctx: &Ctx, fleet: &Fleet) -> Result<Option<Credential>, Error> {
    let Some(plugin) = fleet.spec.plugin.as_ref().and_then(|plugin| plugin.backup.as_ref()) else {
        return Ok(None);
    };
    let name = &plugin.storage.secret_name;
    let found = if name.is_empty() {
        None
    } else {
        ctx.hub.secret(&fleet.namespace().unwrap_or_default(), name).await?
    };
    Ok(Some(found.map_or_else(|| missing(name), |secret| read(name, &secret))))
}

fn missing(name: &str) -> Credential {
    let message = format!(
        "there is no Secret `{name}` in this namespace; create it with keys `access-key` and `secret-key`"
    );
    Credential::Faulty(vec![Problem { reason: Reason::CredentialSecretMissing, message }])
}

fn read(name: &str, secret: &Secret) -> Credential {
    let (mut faults, mut missing) = (Vec::new(), Vec::new());
    let mut value = |key: &'static str, needed: bool| -> Option<String> {
        let fault =
            |reason, text: &str| Problem { reason, message: format!("Secret `{name}`, key `{key}`: {text}") };
        match secret.data.as_ref().and_then(|data| data.get(key)) {
            None if needed => missing.push(key),
            None => {}
            Some(bytes) => match std::str::from_utf8(&bytes.0) {
                Ok("") => faults.push(fault(Reason::CredentialKeyMissing, "is empty; fill it")),
                Ok(text) if text.chars().any(char::is_control) => {
                    faults.push(fault(
                        Reason::CredentialInvalid,
                        "holds a line break or control character; remove it",
                    ));
                }
                Ok(text) => return Some(text.to_owned()),
                Err(_) => faults
                    .push(fault(Reason::CredentialInvalid, "is not text; write the key as it was given")),
            },
        }
        None
    };
    let (access_key, secret_key) = (value("access-key", true), value("secret-key", true));
    let session_token = value("session-token", false);
    if !missing.is_empty() {
        let keys = |keys: &[String]| text::some_of(keys, KEYS_SHOWN);
        let present: Vec<_> =
            secret.data.iter().flat_map(BTreeMap::keys).map(|key| format!("`{key}`")).collect();
        let has = if present.is_empty() { "no key".to_owned() } else { keys(&present) };
        let missing: Vec<_> = missing.iter().map(|key| format!("`{key}`")).collect();
        let message = format!("Secret `{name}` has {has}; add {}", keys(&missing));
        faults.insert(0, Problem { reason: Reason::CredentialKeyMissing, message });
    }
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) if faults.is_empty() => {
            Credential::Keys { access_key, secret_key, session_token }
        }
        _ => Credential::Faulty(faults),
    }
}

/// What is known of one cluster of the Fleet, or of one that has left it.
pub(super) struct SeenMember {
    pub(super) key: ClusterKey,
    /// Listed in the spec.
    pub(super) listed: bool,
    pub(super) recorded: Option<FleetClusterStatus>,
    /// Whether the cluster object exists.
    pub(super) presence: Presence,
    /// Another Fleet that has it.
    pub(super) rival: Option<String>,
    /// What still needs the plugin there, where it is to go.
    pub(super) in_use: Option<InUse>,
    pub(super) contact: SeenContact,
}

impl SeenMember {
    /// Whether the cluster that it leads to has a storage location that was written for this very member.
    pub(super) fn holds_location(&self) -> bool {
        let SeenContact::Alive(alive) = &self.contact else { return false };
        let written_for = self.key.to_string();
        let locations = alive.velero.as_ref().map(|velero| velero.locations.as_slice()).unwrap_or_default();
        locations
            .iter()
            .any(|location| location.annotations().get(names::CLUSTER_ANNOTATION) == Some(&written_for))
    }
}

pub(super) enum SeenContact {
    Connecting,
    Away { reason: Reason, why: String },
    Alive(Box<SeenAlive>),
}

/// What is known of a member that answers.
pub(super) struct SeenAlive {
    pub(super) uid: String,
    /// Until then the first lists may be under way.
    pub(super) settled: Option<Instant>,
    /// What it has answered that it does not have, or not show.
    pub(super) lack: Option<Lack>,
    /// All storage locations and Secrets of ours, or why they can't be known.
    pub(super) velero: Result<SeenVelero, String>,
    pub(super) owner: Probe<layout::Owner>,
    pub(super) secret_write: Write,
    pub(super) location_write: Write,
    pub(super) retirement: Write,
    pub(super) server_write: Write,
    pub(super) location_removal: Write,
    pub(super) secret_removal: Write,
    pub(super) foundation: Write,
    pub(super) foundation_removal: Write,
    pub(super) question: Write,
    /// Whether what another hub has left here may be taken over.
    pub(super) heir: Heir,
    /// How far the hub's engine for it is, if there is to be one.
    pub(super) engine: Option<Standing>,
    /// As what another Fleet has this very cluster served by the hub, if this Fleet wants that too.
    pub(super) served_as: Option<ClusterKey>,
    /// When Velero last showed a sign of life, and when it was last asked for one.
    pub(super) sign_of_life: Option<Instant>,
    pub(super) asked: Option<Instant>,
    /// What there is of Velero where it has been asked and has not answered, if that is known.
    pub(super) installed: Option<server::Installed>,
}

pub(super) struct SeenVelero {
    pub(super) locations: Vec<Arc<BackupStorageLocation>>,
    pub(super) secrets: Vec<SeenSecret>,
    pub(super) requests: Vec<Arc<ServerStatusRequest>>,
    /// Of ours and Kurator's; `None` while they are not known.
    pub(super) schedules: Option<Vec<Arc<Schedule>>>,
}

pub(super) struct Seen {
    /// UID of this hub's namespace kube-system.
    pub(super) hub: String,
    pub(super) root: Probe<RootFinding>,
    pub(super) members: Vec<SeenMember>,
}

impl Seen {
    /// Whatever uses the plugin somewhere holds no clean-up up.
    pub(super) fn in_use_or_not(mut self) -> Self {
        for member in &mut self.members {
            member.in_use = None;
            if let SeenContact::Alive(alive) = &mut member.contact
                && let Ok(velero) = &mut alive.velero
            {
                velero.schedules = Some(Vec::new());
            }
        }
        self
    }
}

pub(super) fn observe(ctx: &Arc<Ctx>, fleet: &Fleet, valid: &ValidFleet) -> Seen {
    let plugin = match &valid.plugin {
        Plugin::On(plugin) => Some(&**plugin),
        Plugin::Off | Plugin::Faulty(_) => None,
    };
    let root = plugin.map_or(Probe::Running, |plugin| layout::probe_root(ctx, fleet, plugin));
    let rows = fleet.status.as_ref().map(|status| status.clusters.as_slice()).unwrap_or_default();
    let namespace = fleet.namespace().unwrap_or_default();
    let key_of = |row: &FleetClusterStatus| ClusterKey {
        namespace: namespace.clone(),
        kind: row.kind,
        name: row.name.clone(),
    };
    let listed: HashSet<_> = valid.clusters.iter().collect();
    ctx.questions.keep_only(&valid.uid, |key| listed.contains(key));
    let left: Vec<_> = rows.iter().map(key_of).filter(|key| !listed.contains(key)).collect();
    // The first row of a cluster counts.
    let recorded: HashMap<_, _> = rows.iter().rev().map(|row| (key_of(row), row)).collect();
    let all = valid.clusters.iter().map(|key| (key, true)).chain(left.iter().map(|key| (key, false)));
    let uses = LazyCell::new(|| usage::uses(&ctx.hub, &namespace, ctx.clock.now()));
    let stays =
        |key: &ClusterKey| ctx.hub.presence(key) == Presence::There && !matches!(valid.plugin, Plugin::Off);
    let members = all
        .map(|(key, listed)| (key, listed, recorded.get(key).copied()))
        .map(|(key, listed, recorded)| SeenMember {
            in_use: (!listed || !stays(key)).then(|| uses.of(key)).flatten(),
            key: key.clone(),
            listed,
            recorded: recorded.cloned(),
            presence: ctx.hub.presence(key),
            rival: rival(&ctx.hub, fleet, key),
            contact: contact(ctx, fleet, valid, plugin.map(|plugin| (plugin, &root)), key, recorded),
        })
        .collect();
    Seen { hub: ctx.hub.uid.clone(), root, members }
}

fn contact(
    ctx: &Arc<Ctx>,
    fleet: &Fleet,
    valid: &ValidFleet,
    plugin: Option<(&ValidPlugin, &Probe<RootFinding>)>,
    key: &ClusterKey,
    recorded: Option<&FleetClusterStatus>,
) -> SeenContact {
    let (member, uid, since, settled) = match ctx.members.access(key) {
        Access::Connecting => return SeenContact::Connecting,
        Access::Away { reason, why } => return SeenContact::Away { reason, why },
        Access::Alive { member, uid, since, settled } => (member, uid, since, settled),
    };
    let write = |what| ctx.writes.state(&WriteKey { owner: valid.uid.clone(), cluster: key.clone(), what });
    let place = plugin.and_then(|(plugin, root)| {
        let in_use = recorded.and_then(|row| row.backup.as_ref());
        Some((plugin, layout::choose(plugin, root, in_use, key)?))
    });
    let owner = match place {
        Some((plugin, layout)) => layout::probe_owner(ctx, fleet, plugin, layout, key, &uid),
        None => Probe::Running,
    };
    SeenContact::Alive(Box::new(SeenAlive {
        // Where the types are not served there is no list to wait for.
        settled: settled.filter(|_| member.locations().refusal().is_none()),
        lack: Lack::of(&member),
        velero: velero(&member),
        owner,
        secret_write: write(super::apply::SECRET),
        location_write: write(super::apply::LOCATION),
        retirement: write(super::apply::RETIREMENT),
        server_write: write(super::apply::SERVER),
        location_removal: write(super::apply::LOCATION_REMOVAL),
        secret_removal: write(super::apply::SECRET_REMOVAL),
        foundation: write(super::apply::FOUNDATION),
        foundation_removal: write(super::apply::FOUNDATION_REMOVAL),
        question: write(super::apply::QUESTION),
        heir: ctx.questions.answer(&valid.uid, key, asks(&member, &valid.uid), since),
        engine: ctx.router.engines.standing(key),
        served_as: plugin
            .filter(|(plugin, _)| plugin.engine == Engine::Builtin)
            .and_then(|_| served_as(ctx, valid, key, &member, &uid, recorded)),
        sign_of_life: ctx.router.heartbeats.sign_of_life(key),
        asked: ctx.router.heartbeats.asked(key),
        installed: plugin
            .filter(|(plugin, _)| plugin.engine == Engine::Velero)
            .and_then(|_| server::installed(ctx, fleet, key, &member)),
        uid,
    }))
}

/// As what another Fleet of this hub has the cluster with this UID served. After a start of the hub who has a location there
/// comes first, however long it takes to reach the cluster his way.
fn served_as(
    ctx: &Ctx,
    valid: &ValidFleet,
    key: &ClusterKey,
    member: &Member,
    uid: &str,
    recorded: Option<&FleetClusterStatus>,
) -> Option<ClusterKey> {
    let was_late = || {
        let reason = recorded.and_then(|row| row.backup.as_ref()?.reason.as_deref());
        reason == Some(Reason::SameCluster.as_str())
    };
    let written_for = |location: &BackupStorageLocation| {
        let by_this_hub = location.annotations().get(names::HUB_ANNOTATION) == Some(&ctx.hub.uid);
        ClusterKey::parse(location.annotations().get(names::CLUSTER_ANNOTATION)?).filter(|_| by_this_hub)
    };
    let locations = known(member.locations().list()).unwrap_or_default();
    let holders: Vec<_> = locations.iter().filter_map(|location| written_for(location)).collect();
    let leads_here = |holder: &&ClusterKey| match ctx.members.access(holder) {
        Access::Alive { uid: there, .. } => there == uid,
        Access::Connecting | Access::Away { .. } => was_late(),
    };
    let is_of_another = |holder: &&ClusterKey| !valid.clusters.contains(holder) && is_served(ctx, holder);
    let holder = holders.iter().filter(is_of_another).find(leads_here);
    match holder.filter(|_| !holders.contains(key)) {
        Some(holder) => Some(holder.clone()),
        None => ctx.router.engines.take(uid, &valid.uid, key).err(),
    }
}

/// Whether this Fleet's question stands in a member.
fn asks(member: &Member, fleet_uid: &str) -> bool {
    let is_ours = |location: &BackupStorageLocation| {
        location.annotations().get(names::INHERITS_ANNOTATION).is_some_and(|uid| uid == fleet_uid)
    };
    member.locations().select(is_ours).present().is_some_and(|found| !found.is_empty())
}

fn velero(member: &Member) -> Result<SeenVelero, String> {
    let locations = known(member.locations().list())?;
    let requests = known(member.status_requests().list())?;
    let secrets = known(member.secrets().list())?
        .into_iter()
        .map(|secret| SeenSecret {
            name: secret.name_any(),
            owner: secret.labels().get(names::OWNER_UID_LABEL).cloned(),
            content: secret.annotations().get(super::render::CONTENT_HASH).cloned(),
            made_for: secret.annotations().get(names::CLUSTER_ANNOTATION).cloned(),
            made_by: secret.annotations().get(names::OWNER_ANNOTATION).cloned(),
        })
        .collect();
    // Those of others do not hold the Fleet.
    let is_ours = |schedule: &Schedule| {
        [names::PLUGIN_LABEL, names::OWNER_UID_LABEL]
            .iter()
            .any(|label| schedule.labels().contains_key(*label))
    };
    let schedules = known(member.schedules().select(is_ours)).ok();
    Ok(SeenVelero { locations, secrets, requests, schedules })
}

fn known<T>(knowledge: Knowledge<Vec<T>>) -> Result<Vec<T>, String> {
    match knowledge {
        Knowledge::Unknown { why, .. } => Err(why),
        Knowledge::Absent => Ok(Vec::new()),
        Knowledge::Present(all) => Ok(all),
    }
}

/// A Secret that this or another Fleet, or Kurator, wrote.
pub(super) struct SeenSecret {
    pub(super) name: String,
    /// UID of the Fleet; Kurator's have none.
    pub(super) owner: Option<String>,
    /// Hash of the content.
    pub(super) content: Option<String>,
    /// The cluster that it was written for.
    pub(super) made_for: Option<String>,
    /// The Fleet that wrote it, by kind, namespace and name.
    pub(super) made_by: Option<String>,
}

impl SeenVelero {
    pub(super) fn ours<'a>(&'a self, fleet_uid: &'a str) -> impl Iterator<Item = &'a BackupStorageLocation> {
        self.locations.iter().map(AsRef::as_ref).filter(move |location| is_owned_by(location, fleet_uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn k53_a_secret_without_the_keys_is_told_what_it_has_and_what_to_add_in_one_sentence() {
        for (data, expected) in [
            (
                serde_json::json!({"aws_access_key_id": "YQ==", "aws_secret_access_key": "cw=="}),
                "Secret `s` has `aws_access_key_id`, `aws_secret_access_key`; add `access-key`, `secret-key`",
            ),
            (serde_json::json!({"access-key": "YQ=="}), "Secret `s` has `access-key`; add `secret-key`"),
            (serde_json::json!({}), "Secret `s` has no key; add `access-key`, `secret-key`"),
        ] {
            let secret: Secret = serde_json::from_value(serde_json::json!({"data": data})).unwrap();
            let Credential::Faulty(faults) = read("s", &secret) else { panic!("taken") };
            let said: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
            assert_eq!(said, [expected]);
        }
    }
}
