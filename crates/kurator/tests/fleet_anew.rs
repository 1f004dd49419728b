//! A Fleet that is deleted after a quickstart and made anew: what was stored through it is told as it was, and nothing
//! waits for it in silence.

mod staying;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ObjectMeta;
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::watcher::watch_object;
use kube::{Client, ResourceExt as _};
use kurator_api::backup::{Backup, BackupPhase, RowPhase};
use kurator_api::condition::{self, ConditionStatus};
use kurator_api::fleet::{Fleet, FleetPhase};
use kurator_api::restore::Restore;
use kurator_api::velero::{BackupStorageLocation, BackupStorageLocationPhase};
use kurator_testkit::wait::until;
use serde_json::json;
use staying::Staying;

type Outcome = anyhow::Result<()>;

const BOUND: Duration = Duration::from_secs(90);
const FLEET: &str = "quickstart";

/// What a quickstart has left: its only folder.
fn folder(temporary: &Path) -> anyhow::Result<PathBuf> {
    Ok(std::fs::read_dir(temporary)?.next().context("no folder")??.path())
}

async fn client(kubeconfig: &Path) -> anyhow::Result<Client> {
    let parsed = Kubeconfig::read_from(kubeconfig)?;
    let mut config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await?;
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

struct Scene {
    fleets: Api<Fleet>,
    backups: Api<Backup>,
    restores: Api<Restore>,
    /// Of the cluster that has the schedule, and into which was migrated.
    locations: Api<BackupStorageLocation>,
}

impl Scene {
    async fn delete_fleet(&self) -> Outcome {
        let uid = self.fleets.get(FLEET).await?.uid().context("no UID")?;
        self.fleets.delete(FLEET, &DeleteParams::default()).await?;
        let gone = await_condition(self.fleets.clone(), FLEET, conditions::is_deleted(&uid));
        tokio::time::timeout(BOUND, gone).await.context("the Fleet stays")??;
        Ok(())
    }

    async fn make_fleet(&self, spec: &kurator_api::fleet::FleetSpec, secret: &str) -> Outcome {
        let metadata = ObjectMeta { name: Some(FLEET.to_owned()), ..ObjectMeta::default() };
        let mut fleet = Fleet { metadata, spec: spec.clone(), status: None };
        let plugin = fleet.spec.plugin.as_mut().and_then(|plugin| plugin.backup.as_mut());
        plugin.context("no plugin")?.storage.secret_name = secret.to_owned();
        self.fleets.create(&PostParams::default(), &fleet).await?;
        Ok(())
    }

    async fn until_backup<T>(
        &self,
        name: &str,
        what: &str,
        is: impl Fn(&Backup) -> Option<T>,
    ) -> anyhow::Result<T> {
        let look = async || match self.backups.get(name).await {
            Ok(backup) => {
                is(&backup).map_or_else(|| Err(format!("{:?}", backup.status)), |found| Ok(Some(found)))
            }
            Err(error) => Err(error.to_string()),
        };
        Ok(until(what, BOUND, look).await?)
    }

    /// Asks for what the quickstart has backed up, in a namespace beside it.
    async fn restore(&self, name: &str) -> Outcome {
        let policy = json!({"namespaceMapping": {"kurator-backup": name}});
        let restore =
            json!({"metadata": {"name": name}, "spec": {"backupName": "specific-ns", "policy": policy}});
        self.restores.create(&PostParams::default(), &serde_json::from_value(restore)?).await?;
        Ok(())
    }

    /// Waits until the field at this pointer of a Restore's status is `expected`, in which the first row is row 0.
    async fn until_restore(&self, name: &str, pointer: &str, expected: &str) -> Outcome {
        let look = async || match self.restores.get(name).await {
            Ok(restore) => {
                let status = serde_json::to_value(&restore.status).map_err(|error| error.to_string())?;
                let is_it = status.pointer(pointer).is_some_and(|found| found == expected);
                if is_it { Ok(Some(())) } else { Err(status.to_string()) }
            }
            Err(error) => Err(error.to_string()),
        };
        Ok(until(&format!("Restore `{name}` to say {expected}"), BOUND, look).await?)
    }

    async fn name_secret(&self, name: &str) -> Outcome {
        let secret = json!({"spec": {"plugin": {"backup": {"storage": {"secretName": name}}}}});
        self.fleets.patch(FLEET, &PatchParams::default(), &Patch::Merge(&secret)).await?;
        Ok(())
    }

    /// The mount, as it was last looked at.
    async fn mount(&self) -> anyhow::Result<BackupStorageLocation> {
        let all = self.locations.list(&kube::api::ListParams::default()).await?;
        all.items.into_iter().find(|found| found.name_any().starts_with("kurator-ro-")).context("no mount")
    }
}

fn row_phase(backup: &Backup) -> Option<RowPhase> {
    backup.status.as_ref()?.backup_details.first()?.phase
}

/// Why it is not ready, if that is for somebody to mend.
fn stalled(backup: &Backup) -> Option<String> {
    let all = &backup.status.as_ref()?.conditions;
    let stalled = condition::find(all, condition::STALLED)?;
    stalled.reason.clone().filter(|_| stalled.status == ConditionStatus::True)
}

#[test]
fn what_a_deleted_fleet_has_stored_is_told_as_it_was_when_the_fleet_is_made_anew() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (staying, _) = Staying::start(temporary.path())?;
    let _set = rustls::crypto::aws_lc_rs::default_provider().install_default();
    tokio::runtime::Runtime::new()?.block_on(anew(&folder(temporary.path())?))?;
    staying.interrupt()
}

async fn anew(folder: &Path) -> Outcome {
    let hub = client(&folder.join("hub")).await?;
    let scene = Scene {
        fleets: Api::namespaced(hub.clone(), "default"),
        backups: Api::namespaced(hub.clone(), "default"),
        restores: Api::namespaced(hub, "default"),
        locations: Api::namespaced(client(&folder.join("kurator-member2")).await?, "velero"),
    };
    let pause = Patch::Merge(json!({"spec": {"paused": true}}));
    scene.backups.patch("schedule", &PatchParams::default(), &pause).await?;
    let is_paused = |backup: &Backup| {
        let phase = backup.status.as_ref().and_then(|status| status.phase);
        (phase == Some(BackupPhase::Paused) && row_phase(backup) == Some(RowPhase::Completed)).then_some(())
    };
    scene.until_backup("schedule", "the schedule to be paused", is_paused).await?;
    let spec = scene.fleets.get(FLEET).await?.spec;
    scene.delete_fleet().await?;

    a_backup_that_has_not_started_says_that_its_fleet_is_gone(&scene, &spec).await?;
    // As whoever looked at it without the Fleet has left it.
    let mount = scene.mount().await?.name_any();
    let refused = json!({"status": {"phase": "Unavailable", "message": "it was not written by a Fleet"}});
    scene.locations.patch(&mount, &PatchParams::default(), &Patch::Merge(&refused)).await?;

    scene.restore("early").await?;
    scene.until_restore("early", "/phase", "Pending").await?;
    let mut seen = watch_object(scene.backups.clone(), "schedule").boxed();
    scene.make_fleet(&spec, "object-store").await?;
    let mut phases = Vec::new();
    let followed = async {
        while phases.last() != Some(&RowPhase::Completed) {
            let backup = seen.next().await.context("the watch has ended")??;
            phases.extend(backup.as_ref().and_then(row_phase));
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(BOUND, followed).await.context("the schedule does not tell of its run")??;
    assert!(!phases.contains(&RowPhase::InProgress), "{phases:?}");

    let is_ready = async || match scene.fleets.get(FLEET).await {
        Ok(fleet) if fleet.status.as_ref().and_then(|status| status.phase) == Some(FleetPhase::Ready) => {
            Ok(Some(()))
        }
        other => Err(format!("{other:?}")),
    };
    until("the Fleet to be ready", BOUND, is_ready).await?;
    let works = async || match scene.mount().await {
        Ok(mount) => {
            let phase = mount.status.as_ref().and_then(|status| status.phase.clone());
            let is_good = phase == Some(BackupStorageLocationPhase::Available);
            if is_good { Ok(Some(())) } else { Err(format!("{:?}", mount.status)) }
        }
        Err(error) => Err(error.to_string()),
    };
    until("the mount to work", BOUND, works).await?;
    // It was asked for before the Fleet had any location.
    scene.until_restore("early", "/phase", "Completed").await?;
    a_restore_waits_for_the_credential_of_its_fleet(&scene).await
}

async fn a_restore_waits_for_the_credential_of_its_fleet(scene: &Scene) -> Outcome {
    scene.name_secret("no-such-secret").await?;
    let is_seen = async || match scene.fleets.get(FLEET).await {
        Ok(fleet) if fleet.status.as_ref().and_then(|status| status.phase) == Some(FleetPhase::Failed) => {
            Ok(Some(()))
        }
        other => Err(format!("{other:?}")),
    };
    until("the Fleet to miss the Secret", BOUND, is_seen).await?;
    scene.restore("keyless").await?;
    scene.until_restore("keyless", "/restoreDetails/0/reason", "CredentialSecretMissing").await?;
    scene.name_secret("object-store").await?;
    scene.until_restore("keyless", "/phase", "Completed").await
}

async fn a_backup_that_has_not_started_says_that_its_fleet_is_gone(
    scene: &Scene,
    spec: &kurator_api::fleet::FleetSpec,
) -> Outcome {
    scene.make_fleet(spec, "no-such-secret").await?;
    let backup = json!({"metadata": {"name": "held"}, "spec": {"destination": {"fleet": FLEET}}});
    scene.backups.create(&PostParams::default(), &serde_json::from_value(backup)?).await?;
    let waits = |backup: &Backup| row_phase(backup).filter(|phase| *phase == RowPhase::Pending);
    scene.until_backup("held", "the Backup to wait", waits).await?;
    scene.delete_fleet().await?;
    let is_gone = |backup: &Backup| stalled(backup).filter(|reason| reason == "FleetNotFound");
    scene.until_backup("held", "the Backup to say that its Fleet is gone", is_gone).await?;
    scene.backups.delete("held", &DeleteParams::default()).await?;
    Ok(())
}
