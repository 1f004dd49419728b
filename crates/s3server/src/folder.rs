//! Objects as files: written aside and then put in their place, so that a reader finds a whole one or none.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use rand::random;
use s3s::dto::{ETag, ETagCondition, StreamingBlob};
use s3s::{S3Error, S3Result, s3_error};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use tokio_util::io::StreamReader;

/// Folder beside those of the buckets, whose names never begin with a dot.
const ASIDE: &str = ".uploads";

/// The folder of all buckets.
pub(super) struct Folder {
    root: PathBuf,
    /// Held between looking at an object and replacing it.
    placing: Mutex<()>,
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
        Self { root: root.to_owned(), placing: Mutex::new(()) }
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

    /// Folder of an upload in parts; what is no identifier of one leads nowhere.
    pub(super) async fn upload(&self, id: &str) -> S3Result<PathBuf> {
        let path = self.root.join(ASIDE).join(id);
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match fs::metadata(&path).await {
            Ok(found) if is_id && found.is_dir() => Ok(path),
            _ => Err(s3_error!(NoSuchUpload, "the upload does not exist")),
        }
    }

    /// Begins an upload in parts.
    pub(super) async fn begin_upload(&self) -> S3Result<String> {
        let id = format!("{:032x}", random::<u128>());
        fs::create_dir_all(self.root.join(ASIDE).join(&id)).await.map_err(failed)?;
        Ok(id)
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
        let _one_at_a_time = self.placing.lock().await;
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
        let mut body = StreamReader::new(body.map_err(io::Error::other));
        tokio::io::copy_buf(&mut body, &mut self.file).await.map_err(failed)?;
        Ok(())
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

/// What the file system said.
pub(super) fn failed(error: io::Error) -> S3Error {
    match error.kind() {
        io::ErrorKind::InvalidFilename => s3_error!(error, KeyTooLongError),
        // A part of the key is an object, or the key is the beginning of another's.
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory | io::ErrorKind::AlreadyExists => {
            s3_error!(error, InvalidRequest)
        }
        _ => s3_error!(error, InternalError),
    }
}

pub(super) fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(folder.upload(id).await.is_err(), "{id}");
        }
        assert!(folder.object("bucket", "a/..b/c").await.is_ok());
        Ok(())
    }
}
