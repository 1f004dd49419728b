//! The server as clients of S3 meet it: what it promises, and who gets in.

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use kurator_s3server::{S3Error, S3Server};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{Error, MultipartUpload as _, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};
use tokio_util::sync::CancellationToken;

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

/// A client with the right key; the server goes on in the background.
async fn served(root: &Path) -> Outcome<AmazonS3> {
    let server = server(root).await?;
    let client = client(&server.endpoint(), server.access_key(), server.secret_key())?;
    tokio::spawn(server.serve(CancellationToken::new()));
    Ok(client)
}

#[tokio::test]
async fn what_was_put_is_listed_and_read_and_outlives_the_server() -> Outcome {
    let root = tempfile::tempdir()?;
    let key = Key::from("clusters/a/backups/b/velero-backup.json");
    served(root.path()).await?.put(&key, Bytes::from_static(b"{}").into()).await?;
    let again = served(root.path()).await?;
    let listed: Vec<_> = again.list(None).map_ok(|object| object.location).try_collect().await?;
    assert_eq!(listed, [key.clone()]);
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
    tokio::spawn(server.serve(CancellationToken::new()));
    for (access, secret) in [(access.as_str(), "wrong"), ("nobody", secret.as_str())] {
        let refused = client(&endpoint, access, secret)?.put(&Key::from("a"), Bytes::new().into()).await;
        assert!(matches!(refused, Err(Error::PermissionDenied { .. })), "{refused:?}");
    }
    let root = tokio::fs::metadata(root.path().join(BUCKET).join("a")).await;
    assert!(root.is_err());
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
