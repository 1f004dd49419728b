//! Starts the writes of a plan. Nothing is waited for.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, ResourceExt};
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use kurator_api::velero::{BackupStorageLocation, ServerStatusRequest, ServerStatusRequestSpec};
use kurator_member::member::Member;
use serde_json::json;

use super::foundation;
use super::plan::{Action, Plan};
use crate::ctx::Ctx;
use crate::hub::MANAGER;
use crate::location;
use crate::writes::{self, Failure, WriteKey};

pub(super) const SECRET: &str = "secret";
pub(super) const LOCATION: &str = "location";
pub(super) const RETIREMENT: &str = "retirement";
pub(super) const SERVER: &str = "server";
pub(super) const QUESTION: &str = "question";
pub(super) const FOUNDATION: &str = "foundation";
pub(super) const FOUNDATION_REMOVAL: &str = "foundation removal";
pub(super) const SECRET_REMOVAL: &str = "secret removal";
pub(super) const LOCATION_REMOVAL: &str = "location removal";

pub(super) fn apply(ctx: &Ctx, fleet: &Fleet, plan: &Plan) {
    for (cluster, action) in &plan.actions {
        let Some(member) = ctx.members.get(cluster) else { continue };
        start(ctx, fleet, cluster, &member, action);
    }
}

fn start(ctx: &Ctx, fleet: &Fleet, cluster: &ClusterKey, member: &Arc<Member>, action: &Action) {
    let client = member.client().clone();
    let key = |what| WriteKey { owner: fleet.uid().unwrap_or_default(), cluster: cluster.clone(), what };
    let wakes = Arc::clone(&ctx.router.wakes.fleets);
    let back = ObjectRef::new(&fleet.name_any()).within(&fleet.namespace().unwrap_or_default());
    let wake = move || wakes.wake(back);
    match action {
        Action::Secret { secret, replace, locations } => {
            let (secret, replace, locations) = (secret.clone(), *replace, locations.clone());
            ctx.writes.forget(&key(SECRET_REMOVAL));
            let write = async move {
                write(client.clone(), *secret, replace).await?;
                check_again(client, &locations).await
            };
            ctx.writes.start(key(SECRET), write, wake);
        }
        Action::Location(location) => {
            let mut location = location.clone();
            location.annotations_mut().insert(names::HUB_ANNOTATION.to_owned(), ctx.hub.uid.clone());
            ctx.writes.forget(&key(LOCATION_REMOVAL));
            ctx.writes.start(key(LOCATION), async move { write(client, *location, true).await }, wake);
        }
        Action::Retire(location) => {
            let location = location.clone();
            ctx.writes.start(key(RETIREMENT), async move { write(client, *location, true).await }, wake);
        }
        Action::AskServer => {
            ctx.router.heartbeats.ask(cluster);
            ctx.writes.start(key(SERVER), async move { ask_server(client).await }, wake);
        }
        Action::Question { location, by } => {
            if by.is_some() {
                ctx.questions.ask(&fleet.uid().unwrap_or_default(), cluster);
            }
            let (location, by) = (location.clone(), by.clone());
            ctx.writes.start(key(QUESTION), async move { question(client, &location, by).await }, wake);
        }
        Action::ChangeEngine => {
            for what in [SECRET, LOCATION, RETIREMENT, SERVER, SECRET_REMOVAL] {
                ctx.writes.forget(&key(what));
            }
        }
        Action::LayFoundation => {
            ctx.writes.forget(&key(FOUNDATION_REMOVAL));
            let member = Arc::clone(member);
            let lay = async move {
                foundation::lay(client).await?;
                member.watch_again();
                Ok(())
            };
            ctx.writes.start(key(FOUNDATION), lay, wake);
        }
        Action::ClearFoundation => {
            ctx.writes.forget(&key(FOUNDATION));
            ctx.writes.start(key(FOUNDATION_REMOVAL), foundation::clear(client), wake);
        }
        Action::DeleteLocations(names) => {
            ctx.writes.forget(&key(LOCATION));
            ctx.writes.forget(&key(RETIREMENT));
            let delete = remove::<BackupStorageLocation>(client, names.clone());
            ctx.writes.start(key(LOCATION_REMOVAL), delete, wake);
        }
        Action::DeleteSecrets(names) => {
            ctx.writes.forget(&key(SECRET));
            ctx.writes.start(key(SECRET_REMOVAL), remove::<Secret>(client, names.clone()), wake);
        }
    }
}

/// Deletes what is still there of these.
async fn remove<K>(client: Client, names: Vec<String>) -> Result<(), Failure>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client, names::VELERO_NAMESPACE);
    for name in names {
        writes::gone(api.delete(&name, &DeleteParams::default()).await)?;
    }
    Ok(())
}

/// Applies an object; unless `replace`, the server refuses to take fields from whoever wrote them.
async fn write<K>(client: Client, object: K, replace: bool) -> Result<(), Failure>
where
    K: kube::Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    K: Clone + serde::Serialize + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let api = Api::<K>::namespaced(client, names::VELERO_NAMESPACE);
    let params = PatchParams { force: replace, ..PatchParams::apply(MANAGER) };
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await?;
    Ok(())
}

/// Makes Velero look at these locations within seconds, not a minute after its last look.
async fn check_again(client: Client, locations: &[String]) -> Result<(), Failure> {
    let api = Api::<BackupStorageLocation>::namespaced(client, names::VELERO_NAMESPACE);
    for name in locations {
        let patch = Patch::Merge(location::unchecked());
        writes::gone(api.patch(name, &PatchParams::default(), &patch).await)?;
    }
    Ok(())
}

/// Asks the hub that wrote a location, or takes such a question off.
async fn question(client: Client, location: &str, by: Option<String>) -> Result<(), Failure> {
    let api = Api::<BackupStorageLocation>::namespaced(client, names::VELERO_NAMESPACE);
    let asked = json!({"metadata": {"annotations": {names::INHERITS_ANNOTATION: by}}});
    api.patch(location, &PatchParams::default(), &Patch::Merge(&asked)).await?;
    Ok(())
}

/// Velero answers a status request and removes it a minute later.
async fn ask_server(client: Client) -> Result<(), Failure> {
    let metadata = ObjectMeta {
        generate_name: Some("kurator-".to_owned()),
        namespace: Some(names::VELERO_NAMESPACE.to_owned()),
        ..ObjectMeta::default()
    };
    let request = ServerStatusRequest { metadata, spec: ServerStatusRequestSpec::default(), status: None };
    writes::create(&Api::namespaced(client, names::VELERO_NAMESPACE), &request).await
}
