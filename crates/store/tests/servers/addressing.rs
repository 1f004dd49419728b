//! Ways to a server: signed URLs, the bucket in the host, TLS.

use bytes::Bytes;
use kurator_store::{Fault, Location, SIGNED_URL_LIFETIME};
use kurator_testkit::{S3, S3Lab, S3Server, S3Spec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::labs::{against_both, location, with};
use crate::proxy::{Manner, Proxy};
use crate::{Outcome, chain, fault};

against_both! {
    a_signed_url_gives_the_object_to_anybody_and_nothing_once_tampered_with,
    a_signed_url_begins_with_the_public_url,
    a_bucket_can_stand_in_the_host,
}

/// Status and body of a GET by a client that knows nothing of S3.
async fn bare_get(url: &str) -> Result<(u16, String), Box<dyn std::error::Error>> {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).ok_or("no URL")?;
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    Ok((head.split(' ').nth(1).ok_or("no status")?.parse()?, body.to_owned()))
}

async fn a_signed_url_gives_the_object_to_anybody_and_nothing_once_tampered_with(_: &S3Lab) -> Outcome {
    let store = Location { prefix: "signed".to_owned(), ..location() }.open(None).await?;
    store.put("a log", Bytes::from_static(b"lines")).await?;
    let url = store.signed_url("a log", SIGNED_URL_LIFETIME).await?;
    assert!(!url.contains(S3::SECRET_KEY), "{url}");
    assert!(url.contains("X-Amz-Expires=600"), "{url}");
    assert_eq!(bare_get(&url).await?, (200, "lines".to_owned()));
    for tampered in [url.replace("a%20log", "another"), url.replace("Expires=600", "Expires=6000")] {
        assert_ne!(tampered, url);
        assert_eq!(bare_get(&tampered).await?.0, 403, "{tampered}");
    }
    let other = store.signed_url("missing", SIGNED_URL_LIFETIME).await?;
    assert_eq!(bare_get(&other).await?.0, 404);
    Ok(())
}

async fn a_signed_url_begins_with_the_public_url(_: &S3Lab) -> Outcome {
    let line = Proxy::start(S3::ENDPOINT, Manner::Plain).await?;
    let store = with(&[("publicUrl", &line.url())]).open(None).await?;
    store.put("public", Bytes::from_static(b"lines")).await?;
    let url = store.signed_url("public", SIGNED_URL_LIFETIME).await?;
    assert!(url.starts_with(&line.url()), "{url}");
    assert_eq!(bare_get(&url).await?, (200, "lines".to_owned()));
    Ok(())
}

async fn a_bucket_can_stand_in_the_host(_: &S3Lab) -> Outcome {
    let line = Proxy::start(S3::ENDPOINT, Manner::Plain).await?;
    let url = format!("http://{}:{}", S3::DOMAIN, line.port());
    let hosted = with(&[("s3Url", &url), ("s3ForcePathStyle", "false")]).open(None).await?;
    hosted.put("hosted", Bytes::from_static(b"bytes")).await?;
    assert!(hosted.list("").await?.objects.contains(&"hosted".to_owned()));
    assert_eq!(location().open(None).await?.get("hosted").await?, Some(Bytes::from_static(b"bytes")));
    let signed = hosted.signed_url("hosted", SIGNED_URL_LIFETIME).await?;
    assert!(signed.starts_with(&format!("http://{}.{}", S3::BUCKET, S3::DOMAIN)), "{signed}");
    Ok(())
}

fn an_own_authority_is_trusted_where_it_is_given(server: S3Server) -> Outcome {
    let lab = S3Lab::start(S3Spec { server, tls: true })?;
    lab.run(async {
        let url = [("s3Url", S3::TLS_ENDPOINT)];
        let unknown = with(&url).open(None).await?;
        let error = unknown.get("a").await.err().ok_or("it succeeded")?;
        assert!(matches!(error.fault(), Some(Fault::OutOfReach { .. })), "{error:?}");
        assert!(chain(&error).contains("certificate"), "{error:?}");

        let ca = lab.s3().ca().ok_or("no authority")?;
        // Another authority's certificate before it: all of them count.
        let other = S3Lab::start(S3Spec { server, tls: true })?;
        let both = format!("{}{ca}", other.s3().ca().ok_or("no authority")?);
        let store = Location { ca: Some(both.into_bytes()), ..with(&url) }.open(None).await?;
        store.put("a", Bytes::from_static(b"bytes")).await?;
        assert_eq!(store.get("a").await?, Some(Bytes::from_static(b"bytes")));

        let foreign = other.s3().ca().map(|ca| ca.as_bytes().to_vec());
        let foreign = Location { ca: foreign, ..with(&url) }.open(None).await?;
        let refused = fault(foreign.get("a").await)?;
        assert!(matches!(refused, Fault::OutOfReach { .. }), "{refused:?}");

        let insecure = with(&[url[0], ("insecureSkipTLSVerify", "true")]).open(None).await?;
        assert_eq!(insecure.get("a").await?, Some(Bytes::from_static(b"bytes")));
        Ok(())
    })
}

#[test]
fn an_own_authority_is_trusted_where_it_is_given_by_minio() -> Outcome {
    an_own_authority_is_trusted_where_it_is_given(S3Server::Minio)
}

#[test]
fn an_own_authority_is_trusted_where_it_is_given_by_versitygw() -> Outcome {
    an_own_authority_is_trusted_where_it_is_given(S3Server::Versitygw)
}
