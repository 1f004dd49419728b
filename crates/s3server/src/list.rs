//! Lists: the files of a bucket as keys, in their order.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use s3s::S3Result;
use s3s::dto::{CommonPrefix, ListObjectsV2Output, Object, Timestamp};

use crate::folder::{failed, is_file_name, tag};

/// Entries of one page, as S3.
const PAGE: usize = 1000;

/// What is asked for.
pub(super) struct Query {
    pub(super) prefix: String,
    pub(super) delimiter: Option<String>,
    /// Only what comes behind this.
    pub(super) after: String,
    pub(super) most: Option<i32>,
}

/// One entry: an object, or what several keys have in common up to the delimiter.
enum Entry {
    Object(String, Metadata),
    Prefix(String),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Object(name, _) | Self::Prefix(name) => name,
        }
    }
}

/// A page of a bucket. Blocks.
pub(super) fn page(bucket: &Path, query: &Query) -> S3Result<ListObjectsV2Output> {
    let asked = query.most.map_or(PAGE, |most| usize::try_from(most).unwrap_or(0));
    let most = asked.min(PAGE);
    let mut entries = entries(bucket, query)?;
    let is_truncated = entries.len() > most;
    entries.truncate(most);
    let next = entries.last().map(|entry| entry.name().to_owned()).filter(|_| is_truncated);
    let mut output = ListObjectsV2Output {
        key_count: i32::try_from(entries.len()).ok(),
        max_keys: i32::try_from(most).ok(),
        is_truncated: Some(is_truncated),
        next_continuation_token: next,
        prefix: Some(query.prefix.clone()),
        delimiter: query.delimiter.clone(),
        ..ListObjectsV2Output::default()
    };
    for entry in entries {
        match entry {
            Entry::Object(key, found) => output.contents.get_or_insert_default().push(Object {
                key: Some(key),
                size: i64::try_from(found.len()).ok(),
                e_tag: Some(tag(&found)),
                last_modified: found.modified().ok().map(Timestamp::from),
                ..Object::default()
            }),
            Entry::Prefix(prefix) => {
                output.common_prefixes.get_or_insert_default().push(CommonPrefix { prefix: Some(prefix) });
            }
        }
    }
    Ok(output)
}

fn entries(bucket: &Path, query: &Query) -> S3Result<Vec<Entry>> {
    let mut files = Vec::new();
    // Whole folders of the prefix are gone to at once.
    let folder = query.prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
    // No key begins like that, and no path of it stays in the bucket.
    if !folder.is_empty() && !folder.split('/').all(is_file_name) {
        return Ok(Vec::new());
    }
    walk(
        bucket.join(folder),
        if folder.is_empty() { String::new() } else { format!("{folder}/") },
        &mut files,
    )?;
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut entries: Vec<Entry> = Vec::new();
    for (key, found) in files {
        let Some(rest) = key.strip_prefix(&query.prefix) else { continue };
        let common = query.delimiter.as_deref().and_then(|delimiter| {
            let end = rest.find(delimiter)? + delimiter.len();
            Some(key[..query.prefix.len() + end].to_owned())
        });
        let entry = common.map_or_else(|| Entry::Object(key.clone(), found), Entry::Prefix);
        let is_repeated = entries.last().is_some_and(|last| last.name() == entry.name());
        if entry.name() > query.after.as_str() && !is_repeated {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// All files below a folder with their keys; links are not followed, and a folder that is not there has none.
fn walk(folder: PathBuf, prefix: String, files: &mut Vec<(String, Metadata)>) -> S3Result<()> {
    let mut folders = vec![(folder, prefix)];
    while let Some((folder, prefix)) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            // No key has such a name.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let found = match entry.metadata() {
                Ok(found) => found,
                // It has gone since.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            let key = format!("{prefix}{name}");
            if found.is_dir() {
                folders.push((entry.path(), key + "/"));
            } else if found.is_file() {
                files.push((key, found));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prefix_leads_out_of_the_bucket() {
        let root = tempfile::tempdir().unwrap();
        let bucket = root.path().join("bucket");
        std::fs::create_dir(&bucket).unwrap();
        std::fs::write(root.path().join("beside"), "").unwrap();
        let absolute = format!("{}/", root.path().display());
        for prefix in ["/", "//", "../", "a//", "./", &absolute] {
            let query =
                Query { prefix: prefix.to_owned(), delimiter: None, after: String::new(), most: None };
            assert!(page(&bucket, &query).unwrap().contents.is_none(), "{prefix}");
        }
    }
}
