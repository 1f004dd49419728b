//! What the Fleet of a run says of a cluster that concerns the run.

use kurator_api::cluster::ClusterKey;
use kurator_api::reason::Reason;

use super::Owner;
use crate::ctx::Ctx;
use crate::fleet::claim::{kept_by, rival};
use crate::hub::find;
use crate::location::said_in_row;

/// Nothing begins in a cluster that another Fleet has, whose store and engine it would be.
pub(crate) fn in_its_fleet(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey) -> Result<(), (Reason, String)> {
    let fleet = find(&ctx.hub.fleets, &owner.namespace, &owner.fleet);
    let fleet = fleet.as_ref().and_then(|fleet| fleet.0.as_ref().ok());
    match fleet.and_then(|fleet| rival(&ctx.hub, fleet, cluster)) {
        Some(other) => Err((Reason::ClusterInAnotherFleet, kept_by(&other))),
        None => Ok(()),
    }
}

/// Why nobody works on what is in the cluster, if the Fleet has found that out.
pub(crate) fn silence(ctx: &Ctx, owner: &Owner, cluster: &ClusterKey) -> Option<String> {
    let fleet = find(&ctx.hub.fleets, &owner.namespace, &owner.fleet)?;
    let (reason, why) = said_in_row(&owner.fleet, ctx.hub.fleet_rows.row(&fleet, cluster)?)?;
    (reason == Reason::VeleroSilent).then_some(why)
}
