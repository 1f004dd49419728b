//! The copy of a Backup in a cluster that did not make it, with the records of its volumes.

use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};
use kurator_api::condition;
use kurator_api::names;
use kurator_api::velero::{self, PodVolumeBackup};
use serde_json::json;

use super::render;
use crate::ctx::Ctx;
use crate::hub::MANAGER;
use crate::run::Started;
use crate::run::rows::Rows;
use crate::writes::{self, Failure};

/// Records that one request lists.
const PAGE: u32 = 500;
/// What [`names::VOLUMES_ANNOTATION`] says where nobody could be asked.
const UNKNOWN: &str = "unknown";
/// What is said of a restore from a copy without records.
const WITHOUT_VOLUMES: &str = "the records of volumes were lost with the cluster that made the backup: volumes that were read from their \
     file system, if any, are not restored";

/// A Backup that is to be copied.
#[derive(Clone)]
pub(crate) struct Copy {
    /// With its final status, labels and annotations; the location is filled in.
    pub(crate) backup: velero::Backup,
    /// The metadata that it has in a location of the cluster's own, where these are other ones.
    pub(crate) at_home: Option<ObjectMeta>,
    pub(crate) records: Records,
}

/// Who knows the records of the volumes that were read from their file system.
#[derive(Clone)]
pub(crate) enum Records {
    /// This cluster. If it has none because it lost them, `else_lost` says that nobody can tell.
    In { client: Client, else_lost: bool },
    /// A cluster that doesn't answer, and why.
    Away(String),
    /// A cluster that is no more.
    Lost,
}

/// Says in every row that has just ended whether its Backup was copied without the records of its volumes.
pub(crate) fn note_lost_volumes(
    ctx: &Ctx,
    run: &Started<velero::RestoreStatus>,
    rows: &mut Rows<velero::RestoreStatus>,
) {
    let room = condition::room(rows.0.len());
    for row in rows.0.iter_mut().filter(|row| row.status.is_some() && row.phase.is_terminal()) {
        let had_ended = run.recorded.get(&row.cluster).is_some_and(|before| before.phase.is_terminal());
        let copy = || ctx.members.get(&row.cluster)?.backups().get(row.source.as_deref()?).present();
        if !had_ended && copy().is_some_and(|copy| lacks_volumes(&copy)) {
            let said = row.message.iter().map(String::as_str).chain([WITHOUT_VOLUMES]).collect::<Vec<_>>();
            row.message = Some(condition::shorten(&said.join("; "), room));
        }
    }
}

fn lacks_volumes(copy: &velero::Backup) -> bool {
    copy.annotations().get(names::VOLUMES_ANNOTATION).is_some_and(|said| said == UNKNOWN)
}

/// As Velero's sync would have made it: in this location, with nothing that would run again.
pub(super) fn located(mut backup: velero::Backup, location: &str) -> velero::Backup {
    let label = (names::VELERO_STORAGE_LOCATION_LABEL.to_owned(), names::label_value(location));
    backup.metadata.labels.get_or_insert_default().extend([label]);
    backup.spec.storage_location = Some(location.to_owned());
    backup.spec.hooks = None;
    backup
}

/// Makes the copy, or what it still lacks. The mark that it is complete comes last.
pub(super) async fn make(target: Client, copy: Copy, location: &str) -> Result<(), Failure> {
    let Copy { backup, at_home: _, records } = copy;
    let backup = located(backup, location);
    let name = backup.name_any();
    let (volumes, else_lost) = match records {
        Records::In { client, else_lost } => (recorded(client, &name).await?, else_lost),
        Records::Away(_) | Records::Lost => (Vec::new(), true),
    };
    let said = if volumes.is_empty() && else_lost { UNKNOWN.to_owned() } else { volumes.len().to_string() };
    let backups = Api::<velero::Backup>::namespaced(target.clone(), names::VELERO_NAMESPACE);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let mut wanted = backup;
    if volumes.is_empty() {
        wanted
            .metadata
            .annotations
            .get_or_insert_default()
            .insert(names::VOLUMES_ANNOTATION.to_owned(), said.clone());
    }
    let made = match backups.create(&params, &wanted).await {
        Ok(_) if volumes.is_empty() => return Ok(()),
        Ok(made) => made,
        Err(kube::Error::Api(status)) if status.is_already_exists() => backups.get(&name).await?,
        Err(error) => return Err(error.into()),
    };
    if made.labels().get(names::VELERO_STORAGE_LOCATION_LABEL) != Some(&names::label_value(location)) {
        // Somebody else's, as the watch will show.
        return Ok(());
    }
    let api = Api::<PodVolumeBackup>::namespaced(target, names::VELERO_NAMESPACE);
    for volume in volumes {
        writes::create(&api, &render::volume(volume, &made, location)).await?;
    }
    let done = json!({"metadata": {"annotations": {names::VOLUMES_ANNOTATION: said}}});
    backups.patch(&name, &PatchParams::default(), &Patch::Merge(&done)).await?;
    Ok(())
}

/// All records of a Backup's volumes that can be restored.
async fn recorded(source: Client, backup: &str) -> Result<Vec<PodVolumeBackup>, Failure> {
    let api = Api::<PodVolumeBackup>::namespaced(source, names::VELERO_NAMESPACE);
    let of_backup = format!("{}={}", names::VELERO_BACKUP_NAME_LABEL, names::label_value(backup));
    let mut params = ListParams::default().labels(&of_backup).limit(PAGE);
    let mut all = Vec::new();
    loop {
        let page = match api.list(&params).await {
            Ok(page) => page,
            // A Velero so old that it has no such kind has no such volumes either.
            Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(all),
            Err(error) => return Err(error.into()),
        };
        all.extend(page.items.into_iter().filter(is_restorable));
        match page.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => params = params.continue_token(&next),
            None => return Ok(all),
        }
    }
}

fn is_restorable(volume: &PodVolumeBackup) -> bool {
    let status = volume.status.as_ref();
    status.is_some_and(|status| {
        status.snapshot_id.is_some() && status.phase.as_ref().is_some_and(velero::PodVolumePhase::is_success)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lies_in_the_mount_runs_no_hooks_and_keeps_its_end() {
        let backup: velero::Backup = serde_json::from_value(json!({
            "metadata": {"name": "b", "labels": {"kurator.dev/owner-uid": "u"}},
            "spec": {"storageLocation": "default", "hooks": {"resources": []}, "ttl": "1h0m0s"},
            "status": {"phase": "Completed", "formatVersion": "1.1.0"},
        }))
        .unwrap();
        let copy = serde_json::to_value(located(backup, "kurator-ro-0123abcd")).unwrap();
        assert_eq!(copy["spec"], json!({"storageLocation": "kurator-ro-0123abcd", "ttl": "1h0m0s"}));
        assert_eq!(copy["status"]["phase"], "Completed");
        assert_eq!(
            copy["metadata"]["labels"],
            json!({"kurator.dev/owner-uid": "u", "velero.io/storage-location": "kurator-ro-0123abcd"})
        );
    }
}
