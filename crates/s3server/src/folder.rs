//! Objects as files: written aside and then put in their place, so that a reader finds a whole one or none.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::{Duration, SystemTime};

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use hyper::StatusCode;
use rand::random;
use s3s::dto::{ETag, ETagCondition, StreamingBlob};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;
use tokio_util::io::StreamReader;

/// Folder beside those of the buckets, whose names never begin with a dot.
const ASIDE: &str = ".uploads";
/// File in it that is locked while objects are looked at and replaced, by every process that serves the folder.
const LOCK: &str = "lock";
/// File in the folder of an upload in parts that says which object it is for; parts have numbers.
const TARGET: &str = "target";
/// How long nothing has happened to what lies aside before it is taken for abandoned.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);
/// Longest time between two pieces of a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// The folder of all buckets.
pub(super) struct Folder {
    root: PathBuf,
}

/// What must hold of an object that is replaced.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

/// A file that nobody sees yet; it goes if it is not put in a place.
pub(super) struct Aside {
    path: PathBuf,
    file: File,
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Gone already once it is in its place.
        let _placed = std::fs::remove_file(&self.path);
    }
}

impl Folder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Folder of a bucket that is there.
    pub(super) async fn bucket(&self, name: &str) -> S3Result<PathBuf> {
        let path = self.root.join(name);
        let is_there = is_file_name(name) && !name.starts_with('.');
        match fs::metadata(&path).await {
            Ok(found) if is_there && found.is_dir() => Ok(path),
            _ => Err(s3_error!(NoSuchBucket, "the bucket does not exist")),
        }
    }

    /// Where an object is or would be: never outside of its bucket.
    pub(super) async fn object(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = self.bucket(bucket).await?;
        if !key.split('/').all(is_file_name) {
            return Err(s3_error!(InvalidArgument, "every part of a key must be a file name"));
        }
        Ok(path.join(key))
    }

    /// Folder of an upload in parts of this object; what is no identifier of one leads nowhere.
    pub(super) async fn upload(&self, id: &str, bucket: &str, key: &str) -> S3Result<PathBuf> {
        let path = self.root.join(ASIDE).join(id);
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let target = if is_id { fs::read_to_string(path.join(TARGET)).await.ok() } else { None };
        match target {
            Some(of) if of == format!("{bucket}/{key}") => Ok(path),
            _ => Err(s3_error!(NoSuchUpload, "the object has no such upload")),
        }
    }

    /// Begins an upload in parts of an object.
    pub(super) async fn begin_upload(&self, bucket: &str, key: &str) -> S3Result<String> {
        let id = format!("{:032x}", random::<u128>());
        self.sweep().await?;
        let path = self.root.join(ASIDE).join(&id);
        fs::create_dir_all(&path).await.map_err(failed)?;
        fs::write(path.join(TARGET), format!("{bucket}/{key}")).await.map_err(failed)?;
        Ok(id)
    }

    /// Removes what was put aside and never came to its place. It is as late as the file system says of a new file.
    pub(super) async fn sweep(&self) -> S3Result<()> {
        let new = self.aside().await?;
        let now = new.file.metadata().await.and_then(|found| found.modified()).map_err(failed)?;
        self.sweep_at(now).await.map_err(failed)
    }

    async fn sweep_at(&self, now: SystemTime) -> io::Result<()> {
        let mut entries = match fs::read_dir(self.root.join(ASIDE)).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        while let Some(entry) = entries.next_entry().await? {
            // What is gone by now needs no sweeping.
            let Ok(found) = entry.metadata().await else { continue };
            let age = found.modified().ok().and_then(|at| now.duration_since(at).ok());
            if entry.file_name() == LOCK || age.is_none_or(|age| age < ABANDONED) {
                continue;
            }
            let swept = if found.is_dir() {
                fs::remove_dir_all(entry.path()).await
            } else {
                fs::remove_file(entry.path()).await
            };
            match swept {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => tracing::info!(path = %entry.path().display(), "removed an abandoned upload"),
            }
        }
        Ok(())
    }

    /// Keeps everybody else from replacing and deleting objects until it is dropped, in this process or another.
    async fn lock(&self) -> S3Result<std::fs::File> {
        let folder = self.root.join(ASIDE);
        let locked = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let lock = std::fs::File::options().create(true).append(true).open(folder.join(LOCK))?;
            lock.lock()?;
            Ok(lock)
        });
        locked.await.map_err(|error| s3_error!(error, InternalError))?.map_err(failed)
    }

    /// An empty file.
    pub(super) async fn aside(&self) -> S3Result<Aside> {
        let folder = self.root.join(ASIDE);
        fs::create_dir_all(&folder).await.map_err(failed)?;
        let path = folder.join(format!("{:032x}.new", random::<u128>()));
        let file = File::create_new(&path).await.map_err(failed)?;
        Ok(Aside { path, file })
    }

    /// Deletes an object; one that is not there is deleted already.
    pub(super) async fn delete(&self, bucket: &str, key: &str) -> S3Result<()> {
        let path = self.object(bucket, key).await?;
        let _one_at_a_time = self.lock().await?;
        if found(&path).await?.is_none() {
            return Ok(());
        }
        match fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }

    /// Puts a complete file in its place if the conditions hold; its tag.
    pub(super) async fn place(&self, aside: Aside, to: &Path, on: &Conditions) -> S3Result<ETag> {
        let _one_at_a_time = self.lock().await?;
        on.hold_for(to).await?;
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).await.map_err(failed)?;
        }
        fs::rename(&aside.path, to).await.map_err(failed)?;
        Ok(tag(&fs::metadata(to).await.map_err(failed)?))
    }
}

impl Conditions {
    async fn hold_for(&self, path: &Path) -> S3Result<()> {
        let refused = |why: &'static str| Err(s3_error!(PreconditionFailed, "{why}"));
        let there = found(path).await?.map(|found| tag(&found));
        let is = |condition: &ETagCondition, tag: &ETag| {
            condition.as_etag().is_none_or(|expected| expected.strong_cmp(tag))
        };
        match (&self.if_none_match, &there) {
            (Some(condition), Some(tag)) if is(condition, tag) => return refused("the object exists"),
            _ => {}
        }
        match (&self.if_match, &there) {
            (Some(_), None) => refused("the object does not exist"),
            (Some(condition), Some(tag)) if !is(condition, tag) => refused("the object is another"),
            _ => Ok(()),
        }
    }
}

impl Aside {
    /// Writes a body behind what is there.
    pub(super) async fn write(&mut self, body: StreamingBlob) -> S3Result<()> {
        let pieces = in_time(body.map_err(io::Error::other));
        let mut body = pin!(StreamReader::new(pieces));
        match tokio::io::copy_buf(&mut body, &mut self.file).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                Err(s3_error!(error, RequestTimeout, "the body of the request did not go on"))
            }
            written => written.map(drop).map_err(failed),
        }
    }

    /// Writes a file behind what is there.
    pub(super) async fn append(&mut self, path: &Path) -> S3Result<()> {
        let mut part = File::open(path).await.map_err(|error| s3_error!(error, InvalidPart))?;
        tokio::io::copy(&mut part, &mut self.file).await.map_err(failed)?;
        Ok(())
    }

    /// Hands everything to the system.
    pub(super) async fn finish(mut self) -> S3Result<Self> {
        self.file.flush().await.map_err(failed)?;
        Ok(self)
    }
}

/// A body whose pieces come in time, or an error.
fn in_time<T>(body: impl Stream<Item = io::Result<T>>) -> impl Stream<Item = io::Result<T>> {
    stream::unfold(Box::pin(body), async |mut body| {
        let piece = match timeout(PATIENCE, body.next()).await {
            Ok(piece) => piece?,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        Some((piece, body))
    })
}

/// The object at this path; a folder is none.
pub(super) async fn found(path: &Path) -> S3Result<Option<Metadata>> {
    match fs::metadata(path).await {
        Ok(found) => Ok(Some(found).filter(Metadata::is_file)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Changes whenever a file is replaced: a new one has another inode or another time.
pub(super) fn tag(found: &Metadata) -> ETag {
    let nanoseconds = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    ETag::Strong(format!("{:x}-{nanoseconds:x}-{:x}", found.ino(), found.len()))
}

/// What Linux says when a process has as many files open as it may have: EMFILE.
const NO_MORE_FILES: i32 = 24;

/// What the file system said.
pub(super) fn failed(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::InvalidFilename => s3_error!(error, KeyTooLongError),
        // A part of the key is an object, or the key is the beginning of another's.
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => {
            s3_error!(error, InvalidRequest)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => full(error),
        _ if error.raw_os_error() == Some(NO_MORE_FILES) => {
            let why = "too many open files; allow the object store more with `ulimit -n`";
            s3_error!(error, InternalError, "{why}")
        }
        kind => s3_error!(error, InternalError, "{kind}"),
    }
}

/// The disk has no room: S3 itself knows no such thing, but its clients know the status, and this code.
fn full(error: io::Error) -> S3Error {
    let code = S3ErrorCode::Custom("InsufficientStorage".into());
    let mut full = S3Error::with_message(code, "the disk of the object store is full");
    full.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
    full.set_source(Box::new(error));
    full
}

pub(super) fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_as_that() {
        let told = failed(io::ErrorKind::StorageFull.into());
        assert_eq!(
            (told.code().as_str(), told.status_code()),
            ("InsufficientStorage", Some(StatusCode::INSUFFICIENT_STORAGE))
        );
        assert_eq!(told.message(), Some("the disk of the object store is full"));
        assert_eq!(failed(io::ErrorKind::PermissionDenied.into()).message(), Some("permission denied"));
    }

    #[test]
    fn a_store_that_may_open_no_more_files_says_so_and_what_to_do() {
        let told = failed(io::Error::from_raw_os_error(NO_MORE_FILES));
        assert_eq!(told.message(), Some("too many open files; allow the object store more with `ulimit -n`"));
    }

    #[tokio::test]
    async fn no_name_leads_out_of_its_folder() -> io::Result<()> {
        let root = tempfile::tempdir()?;
        std::fs::create_dir_all(root.path().join("bucket"))?;
        std::fs::create_dir_all(root.path().join(ASIDE))?;
        let folder = Folder::new(&root.path().join("bucket"));
        assert!(folder.bucket("..").await.is_err());
        let folder = Folder::new(root.path());
        for bucket in ["", ".", "..", ASIDE, "bucket/..", "none"] {
            assert!(folder.bucket(bucket).await.is_err(), "{bucket}");
        }
        for key in ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../../b", "a/./b", "a\0b"] {
            assert!(folder.object("bucket", key).await.is_err(), "{key}");
        }
        for id in ["", "..", "../bucket", "0"] {
            assert!(folder.upload(id, "bucket", "a").await.is_err(), "{id}");
        }
        assert!(folder.object("bucket", "a/..b/c").await.is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn an_upload_is_of_one_object_only() -> S3Result<()> {
        let root = tempfile::tempdir().map_err(failed)?;
        let folder = Folder::new(root.path());
        let id = folder.begin_upload("bucket", "a").await?;
        assert!(folder.upload(&id, "bucket", "a").await.is_ok());
        for (bucket, key) in [("bucket", "b"), ("other", "a"), ("bucket/a", ""), ("", "bucket/a")] {
            let refused = folder.upload(&id, bucket, key).await.err();
            assert_eq!(
                refused.map(|error| error.code().as_str().to_owned()).as_deref(),
                Some("NoSuchUpload")
            );
        }
        Ok(())
    }

    #[tokio::test]
    async fn what_is_abandoned_is_swept_and_nothing_else() -> S3Result<()> {
        let root = tempfile::tempdir().map_err(failed)?;
        let folder = Folder::new(root.path());
        drop(folder.lock().await?);
        let id = folder.begin_upload("bucket", "a").await?;
        std::fs::write(root.path().join(ASIDE).join("left.new"), "").map_err(failed)?;
        folder.sweep().await?;
        assert!(folder.upload(&id, "bucket", "a").await.is_ok());
        let now = std::fs::metadata(root.path()).and_then(|found| found.modified()).map_err(failed)?;
        folder.sweep_at(now + ABANDONED + PATIENCE).await.map_err(failed)?;
        let left: Vec<_> = std::fs::read_dir(root.path().join(ASIDE)).map_err(failed)?.flatten().collect();
        assert_eq!(left.iter().map(std::fs::DirEntry::file_name).collect::<Vec<_>>(), [LOCK]);
        Ok(())
    }

    #[tokio::test]
    async fn all_servers_of_one_folder_have_one_lock() -> S3Result<()> {
        let root = tempfile::tempdir().map_err(failed)?;
        let held = Folder::new(root.path()).lock().await?;
        let other = std::fs::File::open(root.path().join(ASIDE).join(LOCK)).map_err(failed)?;
        assert!(matches!(other.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_go_on_is_given_up() {
        let piece = Ok::<_, io::Error>(bytes::Bytes::from_static(b"x"));
        let body = stream::iter([piece]).chain(stream::pending());
        let mut pieces = pin!(in_time(body));
        assert!(matches!(pieces.next().await, Some(Ok(_))));
        let given_up = pieces.next().await;
        assert!(
            matches!(&given_up, Some(Err(error)) if error.kind() == io::ErrorKind::TimedOut),
            "{given_up:?}"
        );
    }
}
