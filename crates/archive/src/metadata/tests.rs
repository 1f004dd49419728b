//! The spelling of each file, and what is read without complaint.

use std::collections::BTreeMap;
use std::error::Error as _;

use super::operations::{
    BackupOperation, BackupOperationSpec, OperationPhase, OperationStatus, ResourceIdentifier,
    RestoreOperation, RestoreOperationSpec,
};
use super::resource_list::ResourceList;
use super::results::{Messages, Results};
use super::volumes::{
    BackupVolumeInfo, CsiSnapshotInfo, Method, NativeSnapshotInfo, PodVolumeInfo, PvInfo, RestoreVolumeInfo,
    SnapshotDataMovementInfo, VolumeResult,
};
use super::*;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn read_text<T: DeserializeOwned + Default>(text: &str) -> Result<T, MetadataError> {
    read("b-file.json.gz", Some(&gzip(text)[..]), MOST)
}

fn written(value: &impl Serialize) -> String {
    let file = write(value, Vec::new()).unwrap();
    let mut text = String::new();
    MultiGzDecoder::new(&file[..]).read_to_string(&mut text).unwrap();
    text
}

/// The value is written as `text`, and `text` is read as the value.
fn is_spelled<T>(value: &T, text: &str)
where
    T: Serialize + DeserializeOwned + Default + PartialEq + std::fmt::Debug,
{
    assert_eq!(written(value), format!("{text}\n"));
    assert_eq!(read_text::<T>(text).unwrap(), *value);
}

fn time(text: &str) -> Option<jiff::Timestamp> {
    Some(text.parse().unwrap())
}

#[test]
fn results_are_spelled_as_velero_does() {
    let mut results = Results::default();
    is_spelled(&results, r#"{"errors":{},"warnings":{}}"#);
    results.errors.velero.push("v".to_owned());
    results.errors.add(None, "c".to_owned());
    results.warnings.add(Some("b"), "1".to_owned());
    results.warnings.add(Some("a"), "2".to_owned());
    is_spelled(
        &results,
        r#"{"errors":{"velero":["v"],"cluster":["c"]},"warnings":{"namespaces":{"a":["2"],"b":["1"]}}}"#,
    );
    assert_eq!((results.errors.count(), results.warnings.count()), (2, 2));
}

#[test]
fn merged_messages_come_behind() {
    let message = |text: &str| Messages {
        velero: vec![text.to_owned()],
        cluster: vec![text.to_owned()],
        namespaces: [("a".to_owned(), vec![text.to_owned()])].into(),
    };
    let mut merged = message("1");
    merged.merge(message("2"));
    let both = vec!["1".to_owned(), "2".to_owned()];
    let namespaces = [("a".to_owned(), both.clone())].into();
    assert_eq!(merged, Messages { velero: both.clone(), cluster: both, namespaces });
}

#[test]
fn volumes_of_a_backup_are_spelled_as_velero_does() {
    let skipped = BackupVolumeInfo {
        pvc_name: "c".to_owned(),
        pvc_namespace: "n".to_owned(),
        pv_name: "v".to_owned(),
        skipped: true,
        skipped_reason: "why".to_owned(),
        pv_info: Some(PvInfo { reclaim_policy: "Delete".to_owned(), labels: BTreeMap::new() }),
        ..BackupVolumeInfo::default()
    };
    let native = BackupVolumeInfo {
        backup_method: Some(Method::NativeSnapshot),
        result: Some(VolumeResult::Succeeded),
        native_snapshot_info: Some(NativeSnapshotInfo {
            snapshot_handle: "h".to_owned(),
            volume_type: "t".to_owned(),
            volume_az: "z".to_owned(),
            iops: "0".to_owned(),
            phase: "Completed".to_owned(),
        }),
        pv_info: Some(PvInfo {
            reclaim_policy: "Retain".to_owned(),
            labels: [("l".to_owned(), "x".to_owned())].into(),
        }),
        ..BackupVolumeInfo::default()
    };
    let moved = BackupVolumeInfo {
        backup_method: Some(Method::CsiSnapshot),
        snapshot_data_moved: true,
        preserve_local_snapshot: true,
        start_timestamp: time("2026-11-21T01:02:03.456Z"),
        completion_timestamp: time("2026-11-21T01:02:04Z"),
        result: Some(VolumeResult::Failed),
        csi_snapshot_info: Some(CsiSnapshotInfo {
            snapshot_handle: "h".to_owned(),
            size: 1,
            driver: "d".to_owned(),
            vsc_name: "s".to_owned(),
            ..CsiSnapshotInfo::default()
        }),
        snapshot_data_movement_info: Some(SnapshotDataMovementInfo {
            data_mover: "velero".to_owned(),
            uploader_type: "kopia".to_owned(),
            operation_id: "o".to_owned(),
            phase: "Failed".to_owned(),
            ..SnapshotDataMovementInfo::default()
        }),
        ..BackupVolumeInfo::default()
    };
    let mut moved_at_seconds = moved.clone();
    moved_at_seconds.start_timestamp = time("2026-11-21T01:02:03Z");
    let files = BackupVolumeInfo {
        backup_method: Some(Method::PodVolumeBackup),
        pvb_info: Some(PodVolumeInfo {
            uploader_type: "kopia".to_owned(),
            volume_name: "data".to_owned(),
            pod_name: "p".to_owned(),
            pod_namespace: "n".to_owned(),
            node_name: "w".to_owned(),
            size: 5,
            ..PodVolumeInfo::default()
        }),
        ..BackupVolumeInfo::default()
    };
    let flags = r#""snapshotDataMoved":false,"preserveLocalSnapshot":false"#;
    let text = format!(
        concat!(
            r#"[{{"pvcName":"c","pvcNamespace":"n","pvName":"v",{flags},"skipped":true,"skippedReason":"why","#,
            r#""pvInfo":{{"reclaimPolicy":"Delete","labels":null}}}},"#,
            r#"{{"backupMethod":"NativeSnapshot",{flags},"skipped":false,"result":"succeeded","nativeSnapshotInfo":{{"#,
            r#""snapshotHandle":"h","volumeType":"t","volumeAZ":"z","iops":"0","Phase":"Completed"}},"#,
            r#""pvInfo":{{"reclaimPolicy":"Retain","labels":{{"l":"x"}}}}}},"#,
            r#"{{"backupMethod":"CSISnapshot","snapshotDataMoved":true,"preserveLocalSnapshot":true,"skipped":false,"#,
            r#""startTimestamp":"2026-11-21T01:02:03Z","completionTimestamp":"2026-11-21T01:02:04Z","result":"failed","#,
            r#""csiSnapshotInfo":{{"snapshotHandle":"h","size":1,"driver":"d","vscName":"s","ReadyToUse":null}},"#,
            r#""snapshotDataMovementInfo":{{"dataMover":"velero","uploaderType":"kopia","snapshotHandle":"","#,
            r#""operationID":"o","size":0,"Phase":"Failed"}}}},"#,
            r#"{{"backupMethod":"PodVolumeBackup",{flags},"skipped":false,"pvbInfo":{{"size":5,"uploaderType":"kopia","#,
            r#""volumeName":"data","podName":"p","podNamespace":"n","nodeName":"w","Phase":""}}}}]"#,
        ),
        flags = flags
    );
    assert_eq!(written(&vec![skipped.clone(), native.clone(), moved, files.clone()]), format!("{text}\n"));
    is_spelled(&vec![skipped, native, moved_at_seconds, files], &text);
}

#[test]
fn volumes_of_a_restore_are_spelled_as_velero_does() {
    let volume = RestoreVolumeInfo {
        pvc_name: "c".to_owned(),
        restore_method: Some(Method::PodVolumeRestore),
        pvr_info: Some(PodVolumeInfo { volume_name: "data".to_owned(), ..PodVolumeInfo::default() }),
        ..RestoreVolumeInfo::default()
    };
    is_spelled(
        &vec![volume],
        concat!(
            r#"[{"pvcName":"c","restoreMethod":"PodVolumeRestore","snapshotDataMoved":false,"pvrInfo":{"#,
            r#""uploaderType":"","volumeName":"data","podName":"","podNamespace":"","Phase":""}}]"#
        ),
    );
}

#[test]
fn operations_of_a_backup_are_spelled_as_velero_does() {
    let object = |name: &str| ResourceIdentifier {
        group: String::new(),
        resource: "pods".to_owned(),
        namespace: "n".to_owned(),
        name: name.to_owned(),
    };
    let operation = BackupOperation {
        spec: BackupOperationSpec {
            backup_name: "b".to_owned(),
            backup_uid: "u".to_owned(),
            backup_item_action: "a".to_owned(),
            resource_identifier: object("p"),
            operation_id: "o".to_owned(),
            post_operation_items: vec![object("q")],
        },
        status: OperationStatus {
            phase: Some(OperationPhase::InProgress),
            n_completed: 1,
            n_total: 2,
            operation_units: "bytes".to_owned(),
            created: time("2026-11-21T01:02:03Z"),
            ..OperationStatus::default()
        },
    };
    let text = concat!(
        r#"[{"spec":{"backupName":"b","backupUID":"u","backupItemAction":"a","#,
        r#""resourceIdentifier":{"Group":"","Resource":"pods","Namespace":"n","Name":"p"},"operationID":"o","#,
        r#""postOperationItems":[{"Group":"","Resource":"pods","Namespace":"n","Name":"q"}]},"#,
        r#""status":{"phase":"InProgress","nCompleted":1,"nTotal":2,"operationUnits":"bytes","#,
        r#""created":"2026-11-21T01:02:03Z"}}]"#
    );
    is_spelled(&vec![operation], text);
    let none = written(&BackupOperation::default());
    assert!(none.contains(r#""postOperationItems":null},"status":{}}"#), "{none}");
}

#[test]
fn operations_of_a_restore_are_spelled_as_velero_does() {
    let operation = RestoreOperation {
        spec: RestoreOperationSpec {
            restore_name: "r".to_owned(),
            restore_uid: "u".to_owned(),
            restore_item_action: "a".to_owned(),
            operation_id: "o".to_owned(),
            ..RestoreOperationSpec::default()
        },
        status: OperationStatus {
            phase: Some(OperationPhase::Failed),
            error: "e".to_owned(),
            description: "d".to_owned(),
            ..OperationStatus::default()
        },
    };
    is_spelled(
        &vec![operation],
        concat!(
            r#"[{"spec":{"restoreName":"r","restoreUID":"u","restoreItemAction":"a","#,
            r#""resourceIdentifier":{"Group":"","Resource":"","Namespace":"","Name":""},"operationID":"o"},"#,
            r#""status":{"phase":"Failed","error":"e","description":"d"}}]"#
        ),
    );
}

#[test]
fn words_that_are_not_known_here_stay() {
    let volume = r#"[{"backupMethod":"X","snapshotDataMoved":false,"preserveLocalSnapshot":false,"skipped":false,"result":"y"}]"#;
    let read = read_text::<Vec<BackupVolumeInfo>>(volume).unwrap();
    assert_eq!(read[0].backup_method, Some(Method::Other("X".to_owned())));
    assert_eq!(written(&read), format!("{volume}\n"));
    let phase = read_text::<Vec<BackupOperation>>(r#"[{"status":{"phase":"Z"}}]"#).unwrap();
    assert_eq!(phase[0].status.phase, Some(OperationPhase::Other("Z".to_owned())));
}

#[test]
fn raw_objects_pass_through_as_they_are() {
    let text = r#"[{"spec":{"b":1.50,"a":[ ]}},{}]"#;
    let read = read_text::<RawObjects>(text).unwrap();
    assert_eq!(written(&read), format!("{text}\n"));
}

fn is_empty_as<T: DeserializeOwned + Default + std::fmt::Debug>() {
    let empty = format!("{:?}", T::default());
    let missing = read::<T>("f", None::<&[u8]>, MOST).unwrap();
    assert_eq!(format!("{missing:?}"), empty, "missing");
    assert_eq!(format!("{:?}", read::<T>("f", Some(&b""[..]), MOST).unwrap()), empty, "no bytes");
    for text in ["", "null", "null\n", " null "] {
        assert_eq!(format!("{:?}", read_text::<T>(text).unwrap()), empty, "{text:?}");
    }
}

#[test]
fn missing_empty_and_null_files_are_empty() {
    is_empty_as::<Results>();
    is_empty_as::<ResourceList>();
    is_empty_as::<Vec<BackupVolumeInfo>>();
    is_empty_as::<Vec<RestoreVolumeInfo>>();
    is_empty_as::<Vec<BackupOperation>>();
    is_empty_as::<Vec<RestoreOperation>>();
    is_empty_as::<RawObjects>();
}

#[test]
fn nulls_and_unknown_fields_inside_are_passed_over() {
    let text =
        r#"{"warnings":null,"errors":{"velero":null,"cluster":null,"namespaces":null,"new":1},"x":[{}]}"#;
    assert_eq!(read_text::<Results>(text).unwrap(), Results::default());
    let text = r#"[{"new":{"a":[1]},"startTimestamp":null,"pvInfo":{"labels":null},"csiSnapshotInfo":null}]"#;
    let read = read_text::<Vec<BackupVolumeInfo>>(text).unwrap();
    let expected = BackupVolumeInfo { pv_info: Some(PvInfo::default()), ..BackupVolumeInfo::default() };
    assert_eq!(read, [expected]);
    let text = r#"[{"spec":{"postOperationItems":null},"status":{"started":null}}]"#;
    assert_eq!(read_text::<Vec<BackupOperation>>(text).unwrap(), [BackupOperation::default()]);
}

#[test]
fn several_gzip_members_are_one_file() {
    let file = [gzip(r#"{"v1/Pod":["a/"#), gzip(r#"p"]}"#)].concat();
    let list: ResourceList = read("f", Some(&file[..]), MOST).unwrap();
    assert_eq!(list, [("v1/Pod".to_owned(), vec!["a/p".to_owned()])].into());
}

#[test]
fn a_file_is_read_up_to_its_limit() {
    let text = r#"["abc"]"#;
    let list = |most| read::<Vec<String>>("b-file.json.gz", Some(&gzip(text)[..]), most);
    assert_eq!(list(text.len() as u64).unwrap(), ["abc"]);
    for most in [0, 1, text.len() as u64 - 1] {
        assert_eq!(
            list(most).unwrap_err().to_string(),
            format!(
                "`b-file.json.gz` has more than {most} bytes of content, the most that is read; use another backup"
            )
        );
    }
    let bomb = gzip(&format!("[{}]", " ".repeat(4 << 20)));
    let refused = read::<Vec<String>>("f", Some(&bomb[..]), 1 << 20).unwrap_err();
    assert!(matches!(refused, MetadataError::TooLarge { most: 0x10_0000, .. }), "{refused}");
}

#[test]
fn damaged_files_are_refused() {
    let whole = gzip(r#"{"errors":{}}"#);
    let mut flipped = whole.clone();
    let crc = flipped.len() - 6;
    flipped[crc] ^= 1;
    for (file, what) in [
        (&whole[..whole.len() - 1], "cut"),
        (&flipped[..], "checksum"),
        (b"{\"errors\":{}}", "no gzip"),
        (&gzip("{\"errors\":{}} x")[..], "something behind it"),
        (&gzip("{\"errors\":")[..], "JSON cut"),
        (&gzip("7")[..], "another shape"),
        (&gzip("{\"errors\":{\"velero\":[1]}}")[..], "another type"),
        (&[&whole[..], b"x"].concat()[..], "garbage"),
    ] {
        let refused = read::<Results>("b-results.gz", Some(file), MOST).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "`b-results.gz` is no gzipped JSON as Velero writes it; remove the file, which then counts as empty",
            "{what}"
        );
        assert!(refused.source().is_some(), "{what}");
    }
    let refused = read_text::<Vec<BackupVolumeInfo>>(r#"[{"startTimestamp":"yesterday"}]"#);
    assert!(matches!(refused, Err(MetadataError::Unreadable { .. })));
}

#[test]
fn the_same_value_gives_the_same_bytes() {
    let results = Results::default();
    assert_eq!(write(&results, Vec::new()).unwrap(), write(&results, Vec::new()).unwrap());
}

#[test]
fn a_sink_that_fails_is_told() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let Err(MetadataError::Sink(error)) = write(&Results::default(), Full) else { panic!("it was written") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
