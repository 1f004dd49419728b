//! The built-in engine beside real Velero, on one bucket: what either stores the other restores.

mod hooks;
mod scene;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, ResourceExt};
use kurator_api::velero::{Backup, BackupStorageLocation, Restore};
use kurator_testkit::{
    Cluster, Guest, Lab, LabSpec, S3,
    fixtures::{FixtureError, json_of, object, sow, velero as in_member},
};
use scene::{LOCATION, location, of, start};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

/// The member that the engine serves; the other one has Velero.
const OURS: usize = 1;
const VELEROS: usize = 2;

/// The lab, with the engine in the first member.
fn in_lab(test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static ENGINE: std::sync::OnceLock<Result<std::sync::Mutex<Guest>, String>> = std::sync::OnceLock::new();
    let lab = Lab::shared(LabSpec { members: 2, velero: true, s3: true })?;
    let engine = ENGINE.get_or_init(|| {
        let begun = || -> anyhow::Result<Guest> {
            lab.member(OURS).stop_velero()?;
            lab.run(async {
                for i in [OURS, VELEROS] {
                    location(lab.member(i), S3::ENDPOINT).await?;
                }
                anyhow::Ok(())
            })?;
            start(lab, lab.member(OURS), &lab.dir().join("engine.log"))
        };
        begun().map(std::sync::Mutex::new).map_err(|error| format!("{error:#}"))
    });
    if let Err(error) = engine {
        anyhow::bail!("the engine could not be started: {error}");
    }
    lab.run(async {
        for i in [OURS, VELEROS] {
            in_member::<BackupStorageLocation>(lab.member(i))?.until_phase(LOCATION, "Available").await?;
        }
        test(lab).await
    })
}

/// Backs up `namespace` of a member as `name`.
async fn back_up(member: &Cluster, name: &str, spec: Value) -> Result<Backup, FixtureError> {
    let backups = in_member::<Backup>(member)?;
    backups.create(&object(name, spec)?).await?;
    backups.until_phase(name, "Completed").await
}

/// Makes a backup known in the other member, as Velero's sync would.
async fn bring(backup: &Backup, member: &Cluster) -> Outcome {
    let mut copy = backup.clone();
    copy.metadata = kube::core::ObjectMeta {
        name: Some(backup.name_any()),
        labels: Some(backup.labels().clone()),
        ..Default::default()
    };
    in_member::<Backup>(member)?.create(&copy).await?;
    Ok(())
}

async fn restore(member: &Cluster, name: &str, spec: Value) -> Result<Restore, FixtureError> {
    let restores = in_member::<Restore>(member)?;
    restores.create(&object(name, spec)?).await?;
    restores.until_phase(name, "Completed").await
}

async fn prices(member: &Cluster, namespace: &str) -> anyhow::Result<Value> {
    let map = Api::<ConfigMap>::namespaced(member.client()?, namespace).get("prices").await?;
    Ok(json_of(&map)["data"].clone())
}

#[test]
fn what_the_engine_stores_velero_restores() -> Outcome {
    in_lab(async |lab| {
        let (ours, veleros) = (lab.member(OURS), lab.member(VELEROS));
        sow(ours, "ours-to-velero").await?;
        let backup = back_up(ours, "by-engine", of("ours-to-velero")).await?;
        bring(&backup, veleros).await?;
        let restored = restore(veleros, "of-engine", json!({"backupName": "by-engine"})).await?;
        assert_eq!(json_of(&restored)["status"]["errors"], Value::Null);
        assert_eq!(prices(veleros, "ours-to-velero").await?, prices(ours, "ours-to-velero").await?);
        Ok(())
    })
}

#[test]
fn what_velero_stored_the_engine_restores() -> Outcome {
    in_lab(async |lab| {
        let (ours, veleros) = (lab.member(OURS), lab.member(VELEROS));
        sow(veleros, "velero-to-ours").await?;
        let backup = back_up(veleros, "by-velero", of("velero-to-ours")).await?;
        bring(&backup, ours).await?;
        let spec = json!({"backupName": "by-velero", "namespaceMapping": {"velero-to-ours": "mapped"}});
        let restored = restore(ours, "of-velero", spec).await?;
        assert_eq!(json_of(&restored)["status"]["errors"], Value::Null);
        let unmapped = Api::<Namespace>::all(ours.client()?).get_opt("velero-to-ours").await?;
        assert!(unmapped.is_none(), "the namespace of the source was made too");
        assert_eq!(prices(ours, "mapped").await?, prices(veleros, "velero-to-ours").await?);
        Ok(())
    })
}

#[test]
fn where_velero_serves_the_engine_does_not_begin() -> Outcome {
    in_lab(async |lab| refused(lab, VELEROS, "v1.18.3"))
}

#[test]
fn where_an_engine_serves_a_second_one_does_not_begin() -> Outcome {
    in_lab(async |lab| refused(lab, OURS, concat!("v1.18.3+kurator-", env!("CARGO_PKG_VERSION"))))
}

/// Starts an engine where the server of this version is, and sees it leave again.
fn refused(lab: &Lab, i: usize, version: &str) -> Outcome {
    let log = lab.dir().join(format!("second-engine-{i}.log"));
    let mut second = start(lab, lab.member(i), &log)?;
    let ended = second.wait(Duration::from_secs(60))?;
    assert!(!ended.success());
    let log = std::fs::read_to_string(log)?;
    let refusal = format!(
        "error: another server ({version}) executes the velero.io objects in namespace velero; stop it, or leave the \
         cluster to it"
    );
    assert!(log.contains(&refusal), "{log}");
    Ok(())
}

#[test]
fn what_cannot_be_run_is_refused_with_every_reason() -> Outcome {
    in_lab(async |lab| {
        let backups = in_member::<Backup>(lab.member(OURS))?;
        let spec = json!({"includedNamespaces": ["a", "*"], "storageLocation": "nowhere"});
        backups.create(&object("refused", spec)?).await?;
        let refused = backups.until_phase("refused", "FailedValidation").await?;
        let reasons = json_of(&refused)["status"]["validationErrors"].clone();
        assert_eq!(reasons.as_array().map(Vec::len), Some(2), "{reasons}");
        Ok(())
    })
}

#[test]
fn a_name_that_is_stored_already_is_never_written_over() -> Outcome {
    in_lab(async |lab| {
        let ours = lab.member(OURS);
        sow(ours, "twice").await?;
        back_up(ours, "same-name", of("twice")).await?;
        let before = lab.s3().fingerprints("both/backups/same-name").await?;
        let backups = in_member::<Backup>(ours)?;
        backups.delete("same-name").await?;
        backups.until_gone("same-name").await?;
        backups.create(&object("same-name", of("twice"))?).await?;
        let failed = backups.until_phase("same-name", "Failed").await?;
        let why = json_of(&failed)["status"]["failureReason"].clone();
        assert_eq!(why, "backup already exists in object storage");
        assert_eq!(lab.s3().fingerprints("both/backups/same-name").await?, before);
        Ok(())
    })
}
