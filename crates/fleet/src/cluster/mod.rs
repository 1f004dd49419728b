//! Connects to the clusters that an AttachedCluster or a Cluster describes, and says whether they answer.
//!
//! A cluster that does not answer is a fact in a status; nothing is ever undone in it for that reason.

mod hold;
mod observe;
mod report;
mod validate;

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::cluster::{AttachedCluster, Cluster, ClusterKey, ClusterKind, SecretKeyRef};
use kurator_member::member::Liveness;
use serde_json::json;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::{Guarded, HubKind};
use hold::Held;
use validate::Fault;

/// What came of trying to be connected.
enum Outcome {
    Connected(Liveness),
    Faulty(Fault),
}

pub(crate) async fn reconcile_attached(
    object: Arc<Guarded<AttachedCluster>>,
    ctx: Arc<Ctx>,
) -> Result<Action, Error> {
    let key = key_of(&*object, ClusterKind::AttachedCluster);
    let waits_for = match hold::hold(&ctx, &object, &key).await? {
        Held::Changed => return Ok(Action::await_change()),
        Held::AsItIs => None,
        Held::For(need) => Some(need),
    };
    let cluster = match &object.0 {
        Ok(cluster) => cluster,
        Err(undecodable) => {
            ctx.members.disconnect(&key);
            ctx.report_undecodable(&*object, undecodable, json!({"ready": false})).await?;
            return Ok(Action::await_change());
        }
    };
    let outcome = connect(&ctx, &key, cluster.spec.kubeconfig.clone(), waits_for.is_some()).await?;
    report::report(&ctx, cluster, &outcome, waits_for.as_ref()).await?;
    Ok(Action::await_change())
}

/// Kurator's cluster operator owns the status of this kind: it is read, never written.
pub(crate) async fn reconcile_provisioned(
    object: Arc<Guarded<Cluster>>,
    ctx: Arc<Ctx>,
) -> Result<Action, Error> {
    let key = key_of(&*object, ClusterKind::Cluster);
    let Some(cluster) = object.0.as_ref().ok().filter(|cluster| cluster.is_ready()) else {
        ctx.members.disconnect(&key);
        return Ok(Action::await_change());
    };
    if let Outcome::Faulty(fault) = connect(&ctx, &key, Some(cluster.kubeconfig()), false).await? {
        tracing::warn!(cluster = %key, reason = fault.reason.as_str(), "{}", fault.message);
    }
    Ok(Action::await_change())
}

/// The connection of an object that is `leaving` outlives its Secret: both may have been deleted in one go.
async fn connect(
    ctx: &Ctx,
    key: &ClusterKey,
    credential: Option<SecretKeyRef>,
    leaving: bool,
) -> Result<Outcome, Error> {
    let seen = observe::observe(ctx, key, credential).await?;
    let connected = validate::validate(&seen, &ctx.options.trust).and_then(|config| {
        ctx.members.connect(key, &config).map_err(|error| Fault::kubeconfig(&seen, &error))
    });
    let outcome = match connected {
        Ok(member) => Outcome::Connected(member.liveness()),
        Err(fault) => match ctx.members.get(key).filter(|_| leaving) {
            Some(member) => Outcome::Connected(member.liveness()),
            None => {
                ctx.members.disconnect(key);
                Outcome::Faulty(fault)
            }
        },
    };
    ctx.count_members();
    Ok(outcome)
}

fn key_of<K: HubKind>(object: &K, kind: ClusterKind) -> ClusterKey {
    ClusterKey { namespace: object.namespace().unwrap_or_default(), kind, name: object.name_any() }
}
