//! The shape of what is sent, seen by a stand-in: it records requests and answers as it is told, and is no store. No
//! real server of Google's or Azure's kind runs here; for S3 it is what the real servers can't be brought to do.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::TryStreamExt;
use kurator_store::{Creation, Fault, Location, SIGNED_URL_LIFETIME, whole};
use tokio::task::JoinSet;

type Outcome = Result<(), Box<dyn Error>>;

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }
}

type Answer = dyn Fn(&Seen) -> Response + Send + Sync;

#[derive(Clone)]
struct Desk {
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answer>,
}

/// Records and answers for as long as it lives.
struct StandIn {
    url: String,
    desk: Desk,
    _task: JoinSet<()>,
}

impl StandIn {
    async fn start(
        answer: impl Fn(&Seen) -> Response + Send + Sync + 'static,
    ) -> Result<Self, Box<dyn Error>> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let desk = Desk { seen: Arc::default(), answer: Arc::new(answer) };
        let router =
            Router::new().fallback(record).layer(DefaultBodyLimit::disable()).with_state(desk.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            // It ends with the test.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, desk, _task: task })
    }

    fn seen(&self) -> Vec<Seen> {
        self.desk.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn record(
    State(desk): State<Desk>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let seen = Seen { method, uri, headers, body };
    let answer = (desk.answer)(&seen);
    desk.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    answer
}

fn written() -> Response {
    [("etag", "\"1\"")].into_response()
}

fn refused(status: u16, body: String) -> Response {
    (StatusCode::from_u16(status).unwrap_or_default(), body).into_response()
}

fn location(provider: &str, credential: &str, config: &[(&str, &str)]) -> Location {
    Location {
        provider: provider.to_owned(),
        bucket: "velero".to_owned(),
        prefix: "team".to_owned(),
        config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        credential: Some(credential.as_bytes().to_vec()),
        ..Location::default()
    }
}

const KEYS: &str =
    "[default]\naws_access_key_id=AKIA\naws_secret_access_key=the-secret\naws_session_token=the-token\n";

fn s3(stand_in: &StandIn, config: &[(&str, &str)]) -> Location {
    let own = [("s3Url", stand_in.url.as_str()), ("s3ForcePathStyle", "true")];
    location("aws", KEYS, &[&own, config].concat())
}

/// A server that takes uploads in parts.
fn multipart(seen: &Seen) -> Response {
    match (seen.method.as_str(), seen.uri.query().unwrap_or_default()) {
        ("POST", "uploads=") => {
            "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>"
                .into_response()
        }
        ("POST", _) => {
            "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>".into_response()
        }
        ("GET", _) => refused(404, "<Error><Code>NoSuchKey</Code></Error>".to_owned()),
        _ => written(),
    }
}

#[tokio::test]
async fn s3_tags_encrypts_and_checks_what_it_writes() -> Outcome {
    let stand_in = StandIn::start(multipart).await?;
    let options = [("tagging", "a=1&b=2"), ("kmsKeyId", "the-key"), ("checksumAlgorithm", "SHA256")];
    let store = s3(&stand_in, &options).open(None).await?;
    store.put("small", Bytes::from_static(b"x")).await?;
    store.write("large", whole(Bytes::from(vec![0; 6 << 20]))).await?;
    let seen = stand_in.seen();
    let [small, begin, part, ..] = &seen[..] else { return Err(format!("{seen:?}").into()) };
    assert_eq!(small.line(), "PUT /velero/team/small");
    assert_eq!(begin.line(), "POST /velero/team/large?uploads=");
    for first in [small, begin] {
        assert_eq!(first.header("x-amz-tagging"), "a=1&b=2");
        assert_eq!(first.header("x-amz-server-side-encryption"), "aws:kms");
        assert_eq!(first.header("x-amz-server-side-encryption-aws-kms-key-id"), "the-key");
        assert_eq!(first.header("x-amz-security-token"), "the-token");
    }
    assert!(!small.header("x-amz-checksum-sha256").is_empty());
    assert!(!part.header("x-amz-checksum-sha256").is_empty());
    Ok(())
}

#[tokio::test]
async fn s3_makes_the_end_of_an_exclusive_upload_conditional_and_nothing_else() -> Outcome {
    let stand_in = StandIn::start(multipart).await?;
    let store = s3(&stand_in, &[]).open(None).await?;
    let content = || whole(Bytes::from(vec![0; 6 << 20]));
    store.write("over", content()).await?;
    assert_eq!(store.create_from("new", content()).await?, Creation::Created);
    for seen in stand_in.seen() {
        let ends_new = seen.line() == "POST /velero/team/new?uploadId=id";
        assert_eq!(seen.header("if-none-match"), if ends_new { "*" } else { "" }, "{}", seen.line());
    }
    Ok(())
}

#[tokio::test]
async fn an_error_in_a_good_answer_is_an_error_and_the_upload_aborted() -> Outcome {
    let stand_in = StandIn::start(|seen| match seen.uri.query() {
        Some("uploadId=id") if seen.method == Method::POST => {
            "<Error><Code>MalformedXML</Code><Message>bad</Message></Error>".into_response()
        }
        _ => multipart(seen),
    })
    .await?;
    let store = s3(&stand_in, &[]).open(None).await?;
    let failed = store.write("large", whole(Bytes::from(vec![0; 6 << 20]))).await.unwrap_err();
    let Some(Fault::Answer { said, .. }) = failed.fault() else { return Err(failed.into()) };
    assert_eq!(said, "MalformedXML: bad");
    let last = stand_in.seen().pop().ok_or("nothing")?;
    assert_eq!(last.line(), "DELETE /velero/team/large?uploadId=id");
    Ok(())
}

#[tokio::test]
async fn a_server_that_repeats_what_it_was_sent_shows_no_credential() -> Outcome {
    let stand_in = StandIn::start(|seen| {
        let said = format!("{:?} the-secret", seen.headers);
        refused(403, format!("<Error><Code>AccessDenied</Code><Message>{said}</Message></Error>"))
    })
    .await?;
    let store = s3(&stand_in, &[]).open(None).await?;
    let error = store.get("a").await.unwrap_err();
    let signature = stand_in.seen()[0].header("authorization").rsplit('=').next().map(str::to_owned);
    let signature = signature.filter(|signature| signature.len() == 64).ok_or("no signature")?;
    let told = format!("{:?} {}", error, error.fault().ok_or("no fault")?);
    for secret in ["the-secret", "the-token", &signature] {
        assert!(!told.contains(secret), "{told}");
    }
    assert!(told.contains("AccessDenied"), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_server_sends_nobody_elsewhere() -> Outcome {
    let elsewhere = StandIn::start(|_| written()).await?;
    let to = elsewhere.url.clone();
    let stand_in =
        StandIn::start(move |_| (StatusCode::TEMPORARY_REDIRECT, [("location", to.clone())]).into_response())
            .await?;
    let store = s3(&stand_in, &[]).open(None).await?;
    assert!(store.get("a").await.is_err());
    assert!(store.put("a", Bytes::new()).await.is_err());
    assert!(elsewhere.seen().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_list_without_end_is_an_error() -> Outcome {
    let stand_in = StandIn::start(|_| {
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>\
         </ListBucketResult>"
            .into_response()
    })
    .await?;
    let store = s3(&stand_in, &[]).open(None).await?;
    assert!(store.list("a").await.is_err());
    assert!(store.list_all("a").try_collect::<Vec<_>>().await.is_err());
    Ok(())
}

#[tokio::test]
async fn an_answer_that_would_not_fit_in_memory_is_an_error() -> Outcome {
    let stand_in = StandIn::start(|_| " ".repeat(33 << 20).into_response()).await?;
    let store = s3(&stand_in, &[]).open(None).await?;
    let failed = store.list("a").await.unwrap_err();
    assert!(matches!(failed.fault(), Some(Fault::TooLarge { .. })), "{failed:?}");
    Ok(())
}

/// A service account with a key that is made here.
fn service_account() -> Result<String, Box<dyn Error>> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256)?.serialize_pem();
    let account = serde_json::json!({
        "type": "service_account", "private_key_id": "1", "private_key": key, "client_email": "velero@example",
    });
    Ok(account.to_string())
}

#[tokio::test]
async fn gcs_is_asked_in_its_own_way() -> Outcome {
    let stand_in = StandIn::start(|seen| match seen.method {
        Method::GET => {
            let entry = "<Key>team/a/b</Key><Size>1</Size><LastModified>2026-01-01T00:00:00Z</LastModified>";
            format!("<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>").into_response()
        }
        _ => written(),
    })
    .await?;
    let location = location("velero.io/gcp", &service_account()?, &[("storeEndpoint", &stand_in.url)]);
    let store = location.open(None).await?;
    store.put("over", Bytes::from_static(b"x")).await?;
    assert_eq!(store.create("new", Bytes::from_static(b"y")).await?, Creation::Created);
    let all: Vec<_> = store.list_all("a").map_ok(|entry| entry.key).try_collect().await?;
    assert_eq!(all, ["a/b"]);
    let seen = stand_in.seen();
    let [over, new, list] = &seen[..] else { return Err(format!("{seen:?}").into()) };
    assert_eq!(over.line(), "PUT /velero/team%2Fover");
    assert_eq!((over.header("x-goog-if-generation-match"), &over.body[..]), ("", &b"x"[..]));
    assert_eq!(new.header("x-goog-if-generation-match"), "0");
    assert_eq!(list.line(), "GET /velero?list-type=2&prefix=team%2Fa%2F");
    for seen in &seen {
        assert!(seen.header("authorization").starts_with("Bearer ey"), "a token signed here");
    }
    let url = store.signed_url("a/b", SIGNED_URL_LIFETIME).await?;
    assert!(url.contains("X-Goog-Expires=600") && url.contains("X-Goog-Signature="), "{url}");
    assert_eq!(stand_in.seen().len(), 3, "signing asks nobody");
    Ok(())
}

#[tokio::test]
async fn azure_is_asked_in_its_own_way() -> Outcome {
    let stand_in = StandIn::start(|seen| match seen.method {
        Method::GET => "<EnumerationResults><Blobs/></EnumerationResults>".into_response(),
        _ => (StatusCode::CREATED, [("etag", "\"1\"")]).into_response(),
    })
    .await?;
    let config = [
        ("storageAccount", "account"),
        ("storageAccountURI", stand_in.url.as_str()),
        ("storageAccountKeyEnvVar", "KEY"),
    ];
    let store = location("azure", "KEY=dGhlLWtleQ==\n", &config).open(None).await?;
    store.put("over", Bytes::from_static(b"x")).await?;
    assert_eq!(store.create("new", Bytes::from_static(b"y")).await?, Creation::Created);
    assert!(store.list("a").await?.objects.is_empty());
    let seen = stand_in.seen();
    let [over, new, list] = &seen[..] else { return Err(format!("{seen:?}").into()) };
    assert_eq!(over.line(), "PUT /velero/team/over");
    assert_eq!((over.header("x-ms-blob-type"), over.header("if-none-match")), ("BlockBlob", ""));
    assert_eq!(new.header("if-none-match"), "*");
    assert!(list.line().starts_with("GET /velero?"), "{}", list.line());
    for part in ["restype=container", "comp=list", "prefix=team%2Fa%2F", "delimiter=%2F"] {
        assert!(list.line().contains(part), "{}", list.line());
    }
    for seen in &seen {
        assert!(seen.header("authorization").starts_with("SharedKey account:"), "{:?}", seen.headers);
    }
    let url = store.signed_url("a", SIGNED_URL_LIFETIME).await?;
    assert!(url.starts_with(&format!("{}/velero/team/a?", stand_in.url)), "{url}");
    assert!(url.contains("sp=r") && url.contains("sig="), "{url}");
    Ok(())
}

#[tokio::test]
async fn azure_looks_before_the_first_and_before_the_last_part_of_an_exclusive_upload() -> Outcome {
    let stand_in = StandIn::start(|seen| match seen.method {
        Method::GET => refused(404, "<Error><Code>BlobNotFound</Code></Error>".to_owned()),
        _ => (StatusCode::CREATED, [("etag", "\"1\"")]).into_response(),
    })
    .await?;
    let config = [
        ("storageAccount", "account"),
        ("storageAccountURI", stand_in.url.as_str()),
        ("storageAccountKeyEnvVar", "KEY"),
    ];
    let store = location("azure", "KEY=dGhlLWtleQ==\n", &config).open(None).await?;
    let content = whole(Bytes::from(vec![0; 6 << 20]));
    assert_eq!(store.create_from("new", content).await?, Creation::Created);
    let methods: Vec<_> = stand_in.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, [Method::GET, Method::PUT, Method::PUT, Method::GET, Method::PUT]);
    Ok(())
}

#[tokio::test]
async fn an_application_of_azure_fetches_a_token_and_a_refusal_shows_no_secret() -> Outcome {
    const APPLICATION: &str =
        "AZURE_TENANT_ID=tenant\nAZURE_CLIENT_ID=client\nAZURE_CLIENT_SECRET=the-secret\n";
    let stand_in = StandIn::start(|seen| match seen.uri.path() {
        "/tenant/oauth2/v2.0/token" if String::from_utf8_lossy(&seen.body).contains("client_id=client") => {
            r#"{"access_token": "the-token", "expires_in": 3600}"#.into_response()
        }
        "/other/oauth2/v2.0/token" => refused(
            401,
            r#"{"error": "invalid_client", "error_description": "`the-secret` is wrong"}"#.to_owned(),
        ),
        _ => (StatusCode::CREATED, [("etag", "\"1\"")]).into_response(),
    })
    .await?;
    let config = [
        ("storageAccount", "account"),
        ("storageAccountURI", stand_in.url.as_str()),
        ("useAAD", "true"),
        ("activeDirectoryAuthorityURI", stand_in.url.as_str()),
    ];
    let store = location("azure", APPLICATION, &config).open(None).await?;
    store.put("a", Bytes::new()).await?;
    let last = stand_in.seen().pop().ok_or("nothing")?;
    assert_eq!(
        (last.line().as_str(), last.header("authorization")),
        ("PUT /velero/team/a", "Bearer the-token")
    );

    let other = APPLICATION.replace("tenant\n", "other\n");
    let error =
        location("azure", &other, &config).open(None).await?.put("a", Bytes::new()).await.unwrap_err();
    let fault = error.fault().ok_or("no fault")?;
    assert!(matches!(fault, Fault::CredentialRefused { .. }), "{fault:?}");
    assert!(!format!("{fault} {error:?}").contains("the-secret"), "{fault}");
    Ok(())
}
