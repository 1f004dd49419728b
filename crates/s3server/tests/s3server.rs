//! The server as clients of S3 meet it: what it promises, and who gets in.

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use kurator_s3server::{S3Error, S3Server};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{
    Error, MultipartUpload as _, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutResult,
    UpdateVersion,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const BUCKET: &str = "velero";

async fn server(root: &Path) -> Outcome<S3Server> {
    Ok(S3Server::bind("127.0.0.1:0".parse()?, root, &[BUCKET]).await?)
}

fn client(endpoint: &str, access_key: &str, secret_key: &str) -> Outcome<AmazonS3> {
    Ok(AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_region(S3Server::REGION)
        .with_bucket_name(BUCKET)
        .with_allow_http(true)
        .with_access_key_id(access_key)
        .with_secret_access_key(secret_key)
        .build()?)
}

/// Answers until the test ends.
fn go_on(server: S3Server) {
    let _until_the_end = TaskTracker::new().spawn(server.serve(CancellationToken::new()));
}

/// A client with the right key.
async fn served(root: &Path) -> Outcome<AmazonS3> {
    let server = server(root).await?;
    let client = client(&server.endpoint(), server.access_key(), server.secret_key())?;
    go_on(server);
    Ok(client)
}

#[tokio::test]
async fn what_was_put_is_listed_and_read_and_outlives_the_server() -> Outcome {
    let root = tempfile::tempdir()?;
    let key = Key::from("clusters/a/backups/b/velero-backup.json");
    served(root.path()).await?.put(&key, Bytes::from_static(b"{}").into()).await?;
    let again = served(root.path()).await?;
    let listed: Vec<_> = again.list(None).map_ok(|object| object.location).try_collect().await?;
    assert_eq!(listed, std::slice::from_ref(&key));
    assert_eq!(again.get(&key).await?.bytes().await?, "{}");
    Ok(())
}

#[tokio::test]
async fn an_object_that_is_there_is_not_created_again() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let key = Key::from("owners/a.json");
    let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    client.put_opts(&key, Bytes::from_static(b"1").into(), create()).await?;
    let second = client.put_opts(&key, Bytes::from_static(b"2").into(), create()).await;
    assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
    assert_eq!(client.get(&key).await?.bytes().await?, "1");
    Ok(())
}

#[tokio::test]
async fn an_object_is_replaced_only_by_who_knows_it() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let key = Key::from("owners/a.json");
    let update = async |known: &PutResult, content: &'static str| {
        let version = UpdateVersion { e_tag: known.e_tag.clone(), version: None };
        let options = PutOptions { mode: PutMode::Update(version), ..PutOptions::default() };
        client.put_opts(&key, Bytes::from_static(content.as_bytes()).into(), options).await
    };
    let first = client.put(&key, Bytes::from_static(b"1").into()).await?;
    update(&first, "2").await?;
    let late = update(&first, "3").await;
    assert!(matches!(late, Err(Error::Precondition { .. })), "{late:?}");
    assert_eq!(client.get(&key).await?.bytes().await?, "2");
    Ok(())
}

#[tokio::test]
async fn a_part_of_an_object_is_read() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let key = Key::from("a");
    client.put(&key, Bytes::from_static(b"0123456789").into()).await?;
    assert_eq!(client.get_range(&key, 2..5).await?, "234");
    assert_eq!(client.get_range(&key, 8..10).await?, "89");
    Ok(())
}

#[tokio::test]
async fn a_list_shows_folders_as_prefixes_and_ends_where_its_prefix_does() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    for key in ["backups/a/1", "backups/a/2", "backups/b/1", "backups/c", "backups-old/x"] {
        client.put(&Key::from(key), Bytes::new().into()).await?;
    }
    let found = client.list_with_delimiter(Some(&Key::from("backups"))).await?;
    assert_eq!(found.common_prefixes, [Key::from("backups/a"), Key::from("backups/b")]);
    let objects: Vec<_> = found.objects.into_iter().map(|object| object.location).collect();
    assert_eq!(objects, [Key::from("backups/c")]);
    Ok(())
}

#[tokio::test]
async fn a_long_list_comes_in_pages() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let folder = root.path().join(BUCKET).join("many");
    std::fs::create_dir_all(&folder)?;
    for i in 0..1203 {
        std::fs::write(folder.join(format!("{i:04}")), "")?;
    }
    let listed: Vec<_> = client.list(None).map_ok(|object| object.location).try_collect().await?;
    assert_eq!((listed.len(), listed.is_sorted()), (1203, true));
    Ok(())
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_may_be_deleted_again() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let key = Key::from("a/b");
    client.put(&key, Bytes::new().into()).await?;
    client.delete(&key).await?;
    assert!(matches!(client.head(&key).await, Err(Error::NotFound { .. })));
    client.delete(&key).await?;
    Ok(())
}

#[tokio::test]
async fn a_key_is_as_long_as_s3_allows() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let key = Key::from(vec!["k".repeat(200); 5].join("/"));
    client.put(&key, Bytes::from_static(b"x").into()).await?;
    assert_eq!(client.get(&key).await?.bytes().await?, "x");
    Ok(())
}

#[tokio::test]
async fn an_object_below_another_is_refused_and_breaks_nothing() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    client.put(&Key::from("a"), Bytes::from_static(b"x").into()).await?;
    assert!(client.put(&Key::from("a/b"), Bytes::new().into()).await.is_err());
    assert_eq!(client.get(&Key::from("a")).await?.bytes().await?, "x");
    Ok(())
}

#[tokio::test]
async fn parts_become_one_object() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let key = Key::from("large");
    let mut upload = client.put_multipart(&key).await?;
    for part in [vec![1; 5 << 20], vec![2; 3]] {
        upload.put_part(Bytes::from(part).into()).await?;
    }
    upload.complete().await?;
    assert_eq!(client.head(&key).await?.size, (5 << 20) + 3);
    Ok(())
}

#[tokio::test]
async fn a_wrong_key_gets_nothing() -> Outcome {
    let root = tempfile::tempdir()?;
    let server = server(root.path()).await?;
    let (endpoint, access, secret) =
        (server.endpoint(), server.access_key().to_owned(), server.secret_key().to_owned());
    go_on(server);
    for (access, secret) in [(access.as_str(), "wrong"), ("nobody", secret.as_str())] {
        let refused = client(&endpoint, access, secret)?.put(&Key::from("a"), Bytes::new().into()).await;
        assert!(matches!(refused, Err(Error::PermissionDenied { .. })), "{refused:?}");
    }
    let root = tokio::fs::metadata(root.path().join(BUCKET).join("a")).await;
    assert!(root.is_err());
    Ok(())
}

#[tokio::test]
async fn whoever_says_nothing_is_cut_off_and_keeps_nobody_out() -> Outcome {
    let root = tempfile::tempdir()?;
    let server = server(root.path()).await?;
    let address = server.endpoint().trim_start_matches("http://").to_owned();
    let client = client(&server.endpoint(), server.access_key(), server.secret_key())?;
    go_on(server);
    let mut silent = TcpStream::connect(&address).await?;
    silent.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await?;
    // Time passes at once where nobody has anything to do.
    tokio::time::pause();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).await?;
    tokio::time::resume();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    client.put(&Key::from("a"), Bytes::new().into()).await?;
    Ok(())
}

#[tokio::test]
async fn an_upload_that_was_given_up_leaves_nothing() -> Outcome {
    let root = tempfile::tempdir()?;
    let client = served(root.path()).await?;
    let mut upload = client.put_multipart(&Key::from("large")).await?;
    upload.put_part(Bytes::from(vec![1; 5 << 20]).into()).await?;
    upload.abort().await?;
    let left = std::fs::read_dir(root.path().join(".uploads"))?.flatten();
    assert_eq!(left.map(|entry| entry.file_name()).collect::<Vec<_>>(), ["lock"]);
    Ok(())
}

#[tokio::test]
async fn every_server_has_a_key_of_its_own() -> Outcome {
    let root = tempfile::tempdir()?;
    let (one, other) = (server(root.path()).await?, server(root.path()).await?);
    assert_ne!(one.access_key(), other.access_key());
    assert_ne!(one.secret_key(), other.secret_key());
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_and_a_folder_that_is_a_file_are_named() -> Outcome {
    let root = tempfile::tempdir()?;
    let first = server(root.path()).await?;
    let address = first.endpoint().trim_start_matches("http://").to_owned();
    let refused = S3Server::bind(address.parse()?, root.path(), &[BUCKET]).await.err();
    assert!(matches!(refused, Some(S3Error::Listen { .. })));
    let file = root.path().join("file");
    tokio::fs::write(&file, "").await?;
    let refused = S3Server::bind("127.0.0.1:0".parse()?, &file, &[BUCKET]).await.err().ok_or("it serves")?;
    assert!(refused.to_string().starts_with("cannot make folder "), "{refused}");
    Ok(())
}
