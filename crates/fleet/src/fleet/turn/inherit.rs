//! What an earlier Fleet of this name has left in a member: taken over only from a hub that is gone.

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_api::velero::BackupStorageLocation;

use super::super::heir::Heir;
use super::super::observe::{SeenAlive, SeenVelero};
use super::super::plan::Action;
use super::super::render;
use super::Turn;
use crate::location::is_owned_by;

impl Turn<'_> {
    /// Makes sure that nobody else writes the location of this name, if it was left by another hub.
    pub(super) fn inherit(
        &mut self,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
        name: &str,
    ) -> Result<(), (Reason, String)> {
        let found = velero.locations.iter().find(|found| found.name_any() == name);
        let Some(found) = found.filter(|found| !is_owned_by(found, &self.valid.uid)) else { return Ok(()) };
        let by = found.annotations().get(names::HUB_ANNOTATION);
        if by.is_some_and(|hub| hub == self.hub) {
            return Ok(());
        }
        let asked = format!("whether the hub that wrote storage location `{name}` is gone is being asked");
        match alive.heir {
            Heir::Inherits => Ok(()),
            Heir::Ask => {
                let by = Some(self.valid.uid.clone());
                self.attempt(&alive.question, Action::Question { location: name.to_owned(), by })?;
                Err((Reason::Waiting, asked))
            }
            Heir::Asked { until } => {
                self.at(until);
                Err((Reason::Waiting, asked))
            }
            Heir::Outlived { until } => {
                self.at(until);
                let hub = by.map_or("another hub".to_owned(), |hub| format!("hub {hub}"));
                let owner = render::owner(self.valid, key);
                let message = format!(
                    "storage location `{name}` belongs to `{owner}` of {hub}, which is alive; give one of the two Fleets \
                     another name, or take this cluster off one of them"
                );
                Err((Reason::LocationConflict, message))
            }
        }
    }

    /// Says to another hub that asks that this one lives.
    pub(super) fn answer(&mut self, alive: &SeenAlive, velero: &SeenVelero) -> Result<(), (Reason, String)> {
        let is_asked =
            |found: &&BackupStorageLocation| found.annotations().contains_key(names::INHERITS_ANNOTATION);
        let Some(asked) = velero.ours(&self.valid.uid).find(is_asked) else { return Ok(()) };
        self.attempt(&alive.question, Action::Question { location: asked.name_any(), by: None })
    }
}
