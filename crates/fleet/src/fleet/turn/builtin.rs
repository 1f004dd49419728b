//! What differs where the hub itself executes backups: nothing is changed under another server, the place is in the status
//! before a location says so, and no credential lies in the member.

use std::time::Duration;

use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{Engine, MemberBackupStatus};
use kurator_api::reason::Reason;
use tokio::time::Instant;

use super::super::lack::Lack;
use super::super::observe::{SeenAlive, SeenVelero};
use super::super::plan::Action;
use super::super::validate::ValidPlugin;
use super::{Turn, still};
use crate::location::is_owned_by;
use crate::served::Standing;
use crate::writes::Write;

/// How it begins what is said of a member in which the namespace or types can't be made.
const CANNOT_MAKE: &str = "the hub can't make what the built-in engine works on";
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

    /// Has the types made that the member lacks; what is said until they are there.
    pub(super) fn make_types(
        &mut self,
        status: &MemberBackupStatus,
        alive: &SeenAlive,
        lack: &Lack,
    ) -> (Reason, String) {
        if let Some(Standing::Refused(why)) = &alive.engine {
            return (Reason::ServedByAnother, why.clone());
        }
        if let Some(why) = lack.hidden.first().filter(|_| lack.types.is_empty()) {
            return (Reason::VeleroMissing, why.clone());
        }
        match self.lay(status, alive) {
            Ok(()) => (Reason::VeleroMissing, format!("{}; the hub makes what is missing", lack.told())),
            Err(why) => why,
        }
    }

    /// A location that is not there may have gone with its namespace, so that is looked for before it is written.
    pub(super) fn make_namespace(
        &mut self,
        status: &MemberBackupStatus,
        alive: &SeenAlive,
    ) -> Result<(), (Reason, String)> {
        self.lay(status, alive)?;
        match alive.foundation {
            Write::Done { .. } => Ok(()),
            Write::None | Write::InFlight | Write::Failed { .. } => Err((
                Reason::Waiting,
                "namespace `velero` is being looked for, and made if it is gone".to_owned(),
            )),
        }
    }

    /// Makes what the engine works on where it is absent. That another attempt is made is no news: until its end it is
    /// said why the last one failed.
    fn lay(&mut self, status: &MemberBackupStatus, alive: &SeenAlive) -> Result<(), (Reason, String)> {
        self.attempt(&alive.foundation, Action::LayFoundation).map_err(|(reason, why)| {
            let grant = match reason {
                Reason::Forbidden => "; grant its user what `kurator rbac member-builtin` prints",
                _ => "",
            };
            (reason, format!("{CANNOT_MAKE}{grant}: {why}"))
        })?;
        let failed = |message: &&String| message.starts_with(CANNOT_MAKE);
        match (&alive.foundation, status.message.as_ref().filter(failed)) {
            (Write::None | Write::InFlight | Write::Failed { .. }, Some(message)) => {
                let reason = status.reason.as_deref().and_then(Reason::of);
                Err((reason.unwrap_or(Reason::VeleroMissing), message.clone()))
            }
            _ => Ok(()),
        }
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
                self.lay(status, alive)?;
                Err((Reason::Waiting, format!("the built-in engine is being started: {why}")))
            }
            Some(Standing::Starting) | None => {
                self.lay(status, alive)?;
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
