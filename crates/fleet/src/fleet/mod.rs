//! Fleets: which clusters belong together, and the storage location of the backup plugin in each.
//!
//! A member out of reach is a fact in the status. It never makes anything be undone there, and it
//! never holds up the others.

mod apply;
pub(crate) mod claim;
mod foundation;
pub(crate) mod heir;
mod lack;
mod layout;
mod observe;
pub(crate) mod places;
mod plan;
pub(crate) mod probe;
pub(crate) mod recent;
mod release;
pub(crate) mod render;
mod report;
pub(crate) mod rows;
mod server;
pub(crate) mod store;
mod turn;
mod validate;

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kurator_api::fleet::Fleet;
use kurator_api::names;
use serde_json::json;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::hub::Guarded;
use crate::run::look_again;
use validate::Plugin;

pub(crate) async fn reconcile(object: Arc<Guarded<Fleet>>, ctx: Arc<Ctx>) -> Result<Action, Error> {
    let fleet = match &object.0 {
        Ok(fleet) => fleet,
        Err(undecodable) => {
            ctx.report_undecodable(&*object, undecodable, json!({"phase": "Failed"})).await?;
            return Ok(Action::await_change());
        }
    };
    if fleet.metadata.deletion_timestamp.is_some() {
        return release::release(&ctx, fleet).await;
    }
    if !fleet.finalizers().iter().any(|held| held == names::FLEET_FINALIZER) {
        ctx.hub.add_finalizer(fleet, names::FLEET_FINALIZER).await?;
        return Ok(Action::await_change());
    }
    let claimed = claim::claim(&ctx, fleet).await;
    let credential = observe::credential(&ctx, fleet).await?;
    let valid = validate::validate(fleet, credential.as_ref(), (&ctx.options).into());
    let key = match &valid.plugin {
        Plugin::On(plugin) => render::content_hash(plugin),
        Plugin::Faulty(faults) => {
            faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; ")
        }
        Plugin::Off => String::new(),
    };
    ctx.router.engines.key_is(&fleet.namespace().unwrap_or_default(), &valid.uid, &key);
    let seen = observe::observe(&ctx, fleet, &valid);
    let plan = plan::plan(&valid, seen);
    apply::apply(&ctx, fleet, &plan);
    ctx.router.engines.want(&ctx, &valid.uid, &plan.served);
    let delayed = report::report(&ctx, fleet, &plan).await?;
    claim::let_go(&ctx, fleet, &plan.left).await?;
    claimed?;
    Ok(look_again([plan.look_again, delayed]))
}
