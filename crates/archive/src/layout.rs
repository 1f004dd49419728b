//! The keys of a backup's and a restore's files in an object store.
//!
//! The names are Velero's, and not all of one pattern: a restore's volume information lacks the `restore-` that its
//! other files have.

/// The folders that may lie directly below a location's prefix. As Velero 1.18: any other makes the location
/// Unavailable in every cluster that shares it.
pub const TOP_LEVEL: [&str; 6] = ["backups", "kopia", "metadata", "plugins", "restic", "restores"];

/// The keys of the files of one backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupFiles {
    folder: String,
    name: String,
}

impl BackupFiles {
    /// The files of the backup `name` in a location with `prefix`, which may be empty or have slashes around it.
    ///
    /// # Errors
    /// [`LayoutError`] if the name or the prefix could reach another folder.
    pub fn new(prefix: &str, name: &str) -> Result<Self, LayoutError> {
        let folder = folder_of(backups_folder(prefix)?, "backup", name)?;
        Ok(Self { folder, name: name.to_owned() })
    }

    /// The folder that everything of the backup lies in, with a slash at its end.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The Backup object, plain JSON. A backup exists exactly if this file does.
    pub fn metadata(&self) -> String {
        format!("{}velero-backup.json", self.folder)
    }

    /// Says who is making the backup; there only meanwhile. Not Velero's, and Velero never looks at it: without
    /// [`metadata`](Self::metadata) it takes no notice of a folder, and it deletes one with all that is in it.
    pub fn mark(&self) -> String {
        format!("{}kurator-in-progress.json", self.folder)
    }

    /// The tarball with the objects.
    pub fn contents(&self) -> String {
        self.key(".tar.gz")
    }

    /// The log, gzipped text or JSON lines.
    pub fn log(&self) -> String {
        self.key("-logs.gz")
    }

    /// The PodVolumeBackup objects.
    pub fn pod_volume_backups(&self) -> String {
        self.key("-podvolumebackups.json.gz")
    }

    /// The snapshots that volume plugins made.
    pub fn volume_snapshots(&self) -> String {
        self.key("-volumesnapshots.json.gz")
    }

    /// The operations that went on after the main run.
    pub fn item_operations(&self) -> String {
        self.key("-itemoperations.json.gz")
    }

    /// The names of all objects, by kind.
    pub fn resource_list(&self) -> String {
        self.key("-resource-list.json.gz")
    }

    /// Warnings and errors.
    pub fn results(&self) -> String {
        self.key("-results.gz")
    }

    /// What became of each volume.
    pub fn volume_info(&self) -> String {
        self.key("-volumeinfo.json.gz")
    }

    /// CSI VolumeSnapshot objects; written by Velero up to 1.16, still read if there.
    pub fn csi_volume_snapshots(&self) -> String {
        self.key("-csi-volumesnapshots.json.gz")
    }

    /// CSI VolumeSnapshotContent objects; written by Velero up to 1.16.
    pub fn csi_volume_snapshot_contents(&self) -> String {
        self.key("-csi-volumesnapshotcontents.json.gz")
    }

    /// CSI VolumeSnapshotClass objects; written by Velero up to 1.17, still read if there.
    pub fn csi_volume_snapshot_classes(&self) -> String {
        self.key("-csi-volumesnapshotclasses.json.gz")
    }

    fn key(&self, end: &str) -> String {
        format!("{}{}{end}", self.folder, self.name)
    }
}

/// The keys of the files of one restore. They lie in the location of the backup that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreFiles {
    folder: String,
    name: String,
}

impl RestoreFiles {
    /// The files of the restore `name` in a location with `prefix`, which may be empty or have slashes around it.
    ///
    /// # Errors
    /// [`LayoutError`] if the name or the prefix could reach another folder.
    pub fn new(prefix: &str, name: &str) -> Result<Self, LayoutError> {
        let folder = folder_of(restores_folder(prefix)?, "restore", name)?;
        Ok(Self { folder, name: name.to_owned() })
    }

    /// The folder that everything of the restore lies in, with a slash at its end.
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// The log, gzipped text or JSON lines.
    pub fn log(&self) -> String {
        self.key("-logs.gz")
    }

    /// Warnings and errors.
    pub fn results(&self) -> String {
        self.key("-results.gz")
    }

    /// The names of all objects and what was done with each, by kind.
    pub fn resource_list(&self) -> String {
        self.key("-resource-list.json.gz")
    }

    /// The operations that went on after the main run.
    pub fn item_operations(&self) -> String {
        self.key("-itemoperations.json.gz")
    }

    /// What became of each volume.
    pub fn volume_info(&self) -> String {
        format!("{}{}-volumeinfo.json.gz", self.folder, self.name)
    }

    fn key(&self, end: &str) -> String {
        format!("{}restore-{}{end}", self.folder, self.name)
    }
}

/// The folder of all backups below `prefix`, with a slash at its end.
///
/// # Errors
/// [`LayoutError`] if the prefix could reach another folder.
pub fn backups_folder(prefix: &str) -> Result<String, LayoutError> {
    Ok(format!("{}backups/", root(prefix)?))
}

/// The folder of all restores below `prefix`, with a slash at its end.
///
/// # Errors
/// [`LayoutError`] if the prefix could reach another folder.
pub fn restores_folder(prefix: &str) -> Result<String, LayoutError> {
    Ok(format!("{}restores/", root(prefix)?))
}

/// Why a key cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A name that is not one folder.
    #[error(
        "`{}` cannot be the name of a {kind} in an object store; use a name of letters, digits, `-` and `.`",
        name.escape_debug()
    )]
    Name {
        /// `backup` or `restore`.
        kind: &'static str,
        /// As given.
        name: String,
    },
    /// A prefix that is not a path downwards.
    #[error(
        "`{}` cannot be the prefix of a location; use folder names with single slashes between them",
        .0.escape_debug()
    )]
    Prefix(String),
}

fn root(prefix: &str) -> Result<String, LayoutError> {
    let trimmed = prefix.trim_matches('/');
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    if !trimmed.split('/').all(is_folder_name) {
        return Err(LayoutError::Prefix(prefix.to_owned()));
    }
    Ok(format!("{trimmed}/"))
}

fn folder_of(parent: String, kind: &'static str, name: &str) -> Result<String, LayoutError> {
    if !is_folder_name(name) {
        return Err(LayoutError::Name { kind, name: name.to_owned() });
    }
    Ok(parent + name + "/")
}

fn is_folder_name(name: &str) -> bool {
    let foreign = |c: char| c == '/' || c == '\\' || c.is_control();
    !matches!(name, "" | "." | "..") && !name.contains(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_backup_have_veleros_names() {
        let files = BackupFiles::new("/team/a/", "b1").unwrap();
        assert_eq!(files.folder(), "team/a/backups/b1/");
        let keys = [
            (files.metadata(), "velero-backup.json"),
            (files.contents(), "b1.tar.gz"),
            (files.log(), "b1-logs.gz"),
            (files.pod_volume_backups(), "b1-podvolumebackups.json.gz"),
            (files.volume_snapshots(), "b1-volumesnapshots.json.gz"),
            (files.item_operations(), "b1-itemoperations.json.gz"),
            (files.resource_list(), "b1-resource-list.json.gz"),
            (files.results(), "b1-results.gz"),
            (files.volume_info(), "b1-volumeinfo.json.gz"),
            (files.csi_volume_snapshots(), "b1-csi-volumesnapshots.json.gz"),
            (files.csi_volume_snapshot_contents(), "b1-csi-volumesnapshotcontents.json.gz"),
            (files.csi_volume_snapshot_classes(), "b1-csi-volumesnapshotclasses.json.gz"),
        ];
        for (key, file) in keys {
            assert_eq!(key, format!("team/a/backups/b1/{file}"));
        }
    }

    #[test]
    fn the_files_of_a_restore_have_veleros_names() {
        let files = RestoreFiles::new("", "r1").unwrap();
        assert_eq!(files.folder(), "restores/r1/");
        let keys = [
            (files.log(), "restores/r1/restore-r1-logs.gz"),
            (files.results(), "restores/r1/restore-r1-results.gz"),
            (files.resource_list(), "restores/r1/restore-r1-resource-list.json.gz"),
            (files.item_operations(), "restores/r1/restore-r1-itemoperations.json.gz"),
            (files.volume_info(), "restores/r1/r1-volumeinfo.json.gz"),
        ];
        for (key, expected) in keys {
            assert_eq!(key, expected);
        }
    }

    #[test]
    fn a_name_that_is_not_one_folder_is_refused() {
        for name in ["", ".", "..", "a/b", "/a", "a/", "a\\b", "a\0b", "a\nb"] {
            let expected = Err(LayoutError::Name { kind: "backup", name: name.to_owned() });
            assert_eq!(BackupFiles::new("p", name), expected, "{name:?}");
            assert!(RestoreFiles::new("p", name).is_err(), "{name:?}");
        }
        assert_eq!(
            BackupFiles::new("", "a\n/b").unwrap_err().to_string(),
            r"`a\n/b` cannot be the name of a backup in an object store; use a name of letters, digits, `-` and `.`"
        );
    }

    #[test]
    fn a_prefix_that_leaves_its_folder_is_refused() {
        for prefix in ["..", "a/../b", "a//b", "./a", "a/\0"] {
            let expected = Err(LayoutError::Prefix(prefix.to_owned()));
            assert_eq!(BackupFiles::new(prefix, "b"), expected, "{prefix:?}");
            assert!(restores_folder(prefix).is_err(), "{prefix:?}");
        }
        assert_eq!(
            backups_folder("a//b").unwrap_err().to_string(),
            "`a//b` cannot be the prefix of a location; use folder names with single slashes between them"
        );
    }

    #[test]
    fn slashes_around_a_prefix_do_not_matter() {
        for prefix in ["a/b", "/a/b", "a/b/", "//a/b//"] {
            assert_eq!(backups_folder(prefix).as_deref(), Ok("a/b/backups/"), "{prefix}");
        }
        for prefix in ["", "/", "//"] {
            assert_eq!(restores_folder(prefix).as_deref(), Ok("restores/"), "{prefix}");
        }
    }
}
