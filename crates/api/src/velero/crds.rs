//! The velero.io types as CustomResourceDefinitions, for members that no Velero was ever installed in.
//!
//! Their schemas are open: whatever a release of Velero, or its CLI, writes into such an object is kept. Names, short
//! names and columns are those of Velero 1.18; as there, no type has a status subresource.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiext;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::names::MADE_BY_ANNOTATION;

const GROUP: &str = "velero.io";
const VERSION: &str = "v1";

/// A type: kind, plural, short name, printer columns as name, type and path.
struct Type {
    kind: &'static str,
    plural: &'static str,
    short: Option<&'static str>,
    columns: &'static [(&'static str, &'static str, &'static str)],
}

const fn plain(kind: &'static str, plural: &'static str) -> Type {
    Type { kind, plural, short: None, columns: &[] }
}

const AGE: (&str, &str, &str) = ("Age", "date", ".metadata.creationTimestamp");
const STATUS: (&str, &str, &str) = ("Status", "string", ".status.phase");
const STARTED: (&str, &str, &str) = ("Started", "date", ".status.startTimestamp");
const DONE: (&str, &str, &str) = ("Bytes Done", "integer", ".status.progress.bytesDone");
const TOTAL: (&str, &str, &str) = ("Total Bytes", "integer", ".status.progress.totalBytes");
const AT: (&str, &str, &str) = ("Storage Location", "string", ".spec.backupStorageLocation");
const NODE: (&str, &str, &str) = ("Node", "string", ".status.node");

const TYPES: [Type; 11] = [
    plain("Backup", "backups"),
    plain("Restore", "restores"),
    plain("DownloadRequest", "downloadrequests"),
    Type {
        columns: &[
            STATUS,
            ("Schedule", "string", ".spec.schedule"),
            ("LastBackup", "date", ".status.lastBackup"),
            AGE,
            ("Paused", "boolean", ".spec.paused"),
        ],
        ..plain("Schedule", "schedules")
    },
    Type {
        short: Some("bsl"),
        columns: &[
            ("Phase", "string", ".status.phase"),
            ("Last Validated", "date", ".status.lastValidationTime"),
            AGE,
            ("Default", "boolean", ".spec.default"),
        ],
        ..plain("BackupStorageLocation", "backupstoragelocations")
    },
    Type { short: Some("vsl"), ..plain("VolumeSnapshotLocation", "volumesnapshotlocations") },
    Type {
        columns: &[("BackupName", "string", ".spec.backupName"), STATUS],
        ..plain("DeleteBackupRequest", "deletebackuprequests")
    },
    Type {
        columns: &[AGE, ("Repository Type", "string", ".spec.repositoryType")],
        ..plain("BackupRepository", "backuprepositories")
    },
    Type {
        columns: &[STATUS, STARTED, DONE, TOTAL, AT, AGE, NODE, ("Uploader", "string", ".spec.uploaderType")],
        ..plain("PodVolumeBackup", "podvolumebackups")
    },
    Type {
        columns: &[
            STATUS,
            STARTED,
            DONE,
            TOTAL,
            AT,
            AGE,
            NODE,
            ("Uploader Type", "string", ".spec.uploaderType"),
        ],
        ..plain("PodVolumeRestore", "podvolumerestores")
    },
    Type { short: Some("ssr"), ..plain("ServerStatusRequest", "serverstatusrequests") },
];

/// Every type of velero.io/v1, marked as made by this project, in the order in which they are to be made: no engine
/// begins without the last of them, so none begins before all are there.
#[must_use]
pub fn crds() -> Vec<apiext::CustomResourceDefinition> {
    TYPES.iter().map(define).collect()
}

fn define(of: &Type) -> apiext::CustomResourceDefinition {
    let columns = of.columns.iter().map(|(name, type_, path)| apiext::CustomResourceColumnDefinition {
        name: (*name).to_owned(),
        type_: (*type_).to_owned(),
        json_path: (*path).to_owned(),
        ..Default::default()
    });
    let schema = apiext::JSONSchemaProps {
        type_: Some("object".to_owned()),
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..Default::default()
    };
    apiext::CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{GROUP}", of.plural)),
            annotations: Some([(MADE_BY_ANNOTATION.to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: apiext::CustomResourceDefinitionSpec {
            group: GROUP.to_owned(),
            names: apiext::CustomResourceDefinitionNames {
                kind: of.kind.to_owned(),
                list_kind: Some(format!("{}List", of.kind)),
                plural: of.plural.to_owned(),
                singular: Some(of.kind.to_lowercase()),
                short_names: of.short.map(|short| vec![short.to_owned()]),
                ..Default::default()
            },
            scope: "Namespaced".to_owned(),
            versions: vec![apiext::CustomResourceDefinitionVersion {
                name: VERSION.to_owned(),
                served: true,
                storage: true,
                additional_printer_columns: Some(columns.collect::<Vec<_>>()).filter(|all| !all.is_empty()),
                schema: Some(apiext::CustomResourceValidation { open_api_v3_schema: Some(schema) }),
                ..Default::default()
            }],
            ..Default::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::velero;
    use kube::Resource;

    #[test]
    fn each_type_that_is_spoken_in_members_is_defined_under_its_name() {
        let names: Vec<_> = crds().iter().filter_map(|crd| crd.metadata.name.clone()).collect();
        let spoken = [
            velero::Backup::plural(&()),
            velero::Restore::plural(&()),
            velero::Schedule::plural(&()),
            velero::BackupStorageLocation::plural(&()),
            velero::DeleteBackupRequest::plural(&()),
            velero::ServerStatusRequest::plural(&()),
            velero::PodVolumeBackup::plural(&()),
        ];
        for plural in spoken {
            assert!(names.contains(&format!("{plural}.velero.io")), "{plural}");
        }
    }

    #[test]
    fn the_type_without_which_no_engine_begins_comes_last() {
        let last = crds().pop().unwrap();
        assert_eq!(last.spec.names.plural, velero::ServerStatusRequest::plural(&()));
    }

    #[test]
    fn nothing_that_velero_writes_is_pruned_and_a_status_is_a_field_like_any_other() {
        for crd in crds() {
            let [version] = crd.spec.versions.as_slice() else { panic!("one version") };
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            assert_eq!(schema.and_then(|schema| schema.x_kubernetes_preserve_unknown_fields), Some(true));
            assert!(version.subresources.is_none());
        }
    }
}
