//! What differs where the hub itself executes backups: nothing is changed under another server, the place is in the status
//! before a location says so, and no credential lies in the member.

use std::time::Duration;

use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, MemberBackupStatus};
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::super::observe::{SeenAlive, SeenVelero};
use super::super::plan::Action;
use super::super::validate::ValidPlugin;
use super::{Turn, still};
use crate::location::is_owned_by;
use crate::served::Standing;

/// Pause before the next look where only this process has to do something.
const SOON: Duration = Duration::from_millis(50);

impl Turn<'_> {
    /// What is known of the engine before says nothing of another one. Ends the pass where there was another.
    pub(super) fn change_engine(
        &mut self,
        engine: Engine,
        status: &mut MemberBackupStatus,
    ) -> Result<(), (Reason, String)> {
        let before = status.engine.replace(engine);
        // Rows of earlier versions name none.
        let was = before.or(status.location.is_some().then_some(Engine::Velero));
        if was.is_none_or(|was| was == engine) {
            return Ok(());
        }
        self.actions.push(Action::ChangeEngine);
        status.ready = false;
        status.server_version = None;
        self.at(Instant::now() + SOON);
        Err((Reason::Waiting, format!("the engine is being changed to {engine:?}")))
    }

    /// Whether the hub serves the member; its namespace is made on the way.
    pub(super) fn check_engine(
        &mut self,
        status: &mut MemberBackupStatus,
        alive: &SeenAlive,
    ) -> Result<(), (Reason, String)> {
        match &alive.engine {
            Some(Standing::Serves { version }) => {
                status.server_version = Some(version.clone());
                Ok(())
            }
            Some(Standing::Refused(why)) => Err((Reason::ServedByAnother, why.clone())),
            Some(Standing::Failed(why)) => {
                self.attempt(&alive.foundation, Action::LayFoundation)?;
                Err((Reason::Waiting, format!("the built-in engine is being started: {why}")))
            }
            Some(Standing::Starting) | None => {
                self.attempt(&alive.foundation, Action::LayFoundation)?;
                still(status, "the built-in engine finds out whether another server is there")
            }
        }
    }

    /// The name of the location in the status, whatever somebody made of it in the member: the hub follows its own word
    /// alone. Else as any other.
    pub(super) fn kept_name(
        &self,
        plugin: &ValidPlugin,
        key: &ClusterKey,
        status: &MemberBackupStatus,
        velero: &SeenVelero,
        prefix: &str,
    ) -> Result<String, (Reason, String)> {
        let same = status.bucket.as_ref() == Some(&plugin.bucket) && status.prefix.as_deref() == Some(prefix);
        let recorded = status.location.as_ref().filter(|_| same);
        let is_ours = |name: &&String| {
            let mut all = velero.locations.iter();
            all.find(|found| found.metadata.name.as_ref() == Some(name))
                .is_none_or(|found| is_owned_by(found, &self.valid.uid))
        };
        match recorded.filter(is_ours) {
            Some(name) => Ok(name.clone()),
            None => self.location_name(plugin, key, velero, prefix),
        }
    }

    /// What Velero needed before the hub served: the credential is on the hub alone.
    pub(super) fn remove_secrets(
        &mut self,
        key: &ClusterKey,
        alive: &SeenAlive,
        velero: &SeenVelero,
    ) -> Result<(), (Reason, String)> {
        let secrets = self.secrets(key, velero);
        if secrets.is_empty() {
            return Ok(());
        }
        self.attempt(&alive.secret_removal, Action::DeleteSecrets(secrets))
    }
}
