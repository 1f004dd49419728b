use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client, Config, ResourceExt as _, api::ListParams, config::Kubeconfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::task::TaskTracker;

use super::*;
use crate::Seeded;

type Outcome<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn server(seed: u64) -> ApiServer {
    ApiServer::new(Arc::new(|| Timestamp::UNIX_EPOCH), Arc::new(Seeded::new(seed)))
}

async fn front() -> Outcome<Front> {
    let clusters = [("hub".to_owned(), server(1)), ("member1".to_owned(), server(2))];
    Ok(Front::bind("127.0.0.1:0".parse()?, clusters).await?)
}

async fn client(kubeconfig: Option<String>) -> Outcome<Client> {
    let _first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig.ok_or("no such cluster")?)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await?)?)
}

fn door() -> Outcome<(Door, String)> {
    let (token, other) = (Token::new()?, Token::new()?);
    let guarded = |token: &Token, seed| Guarded { token: token.fingerprint(), router: server(seed).router() };
    let clusters = [("hub", guarded(&token, 1)), ("member1", guarded(&other, 2))];
    let door = Door::new(clusters.into_iter().map(|(name, one)| (name.to_owned(), one)).collect());
    Ok((door, format!("Bearer {}", token.text())))
}

async fn ask(door: &Door, path: &str, authorization: Option<&str>) -> Outcome<(u16, Value)> {
    let mut request = Request::builder().uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    let answer = door.answer(request.body(Full::new(Bytes::new()))?).await;
    let code = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((code, serde_json::from_slice(&body).unwrap_or_default()))
}

#[tokio::test]
async fn each_cluster_is_reached_with_its_kubeconfig_and_is_another() -> Outcome {
    let front = front().await?;
    let (hub, member) = (client(front.kubeconfig("hub")).await?, client(front.kubeconfig("member1")).await?);
    let end = CancellationToken::new();
    let serving = TaskTracker::new().spawn(front.serve(end.clone()));
    let uid = async |client: &Client| {
        Api::<Namespace>::all(client.clone()).get("kube-system").await.map(|found| found.uid())
    };
    assert_ne!(uid(&hub).await?, uid(&member).await?);
    end.cancel();
    serving.await?;
    Ok(())
}

#[tokio::test]
async fn a_watch_does_not_keep_the_front_from_ending() -> Outcome {
    let front = front().await?;
    let client = client(front.kubeconfig("hub")).await?;
    let end = CancellationToken::new();
    let serving = TaskTracker::new().spawn(front.serve(end.clone()));
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let start = api.list(&ListParams::default()).await?.metadata.resource_version.ok_or("no version")?;
    let _watch = api.watch(&Default::default(), &start).await?;
    end.cancel();
    serving.await?;
    Ok(())
}

#[tokio::test]
async fn a_request_without_the_clusters_token_is_refused_as_kube_apiserver_refuses_it() -> Outcome {
    let (door, right) = door()?;
    let refused = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "Unauthorized",
        "reason": "Unauthorized", "code": 401,
    });
    let bare = right.trim_start_matches("Bearer ");
    let basic = format!("Basic {bare}");
    for wrong in
        [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Bearer x"), Some(bare), Some(&*basic)]
    {
        assert_eq!(ask(&door, "/clusters/hub/api", wrong).await?, (401, refused.clone()), "{wrong:?}");
    }
    assert_eq!(ask(&door, "/clusters/member1/api", Some(&right)).await?, (401, refused));
    for right in [&*right, &*format!("bearer  {bare}")] {
        assert_eq!(ask(&door, "/clusters/hub/api", Some(right)).await?.0, 200);
    }
    Ok(())
}

#[tokio::test]
async fn a_path_that_names_no_cluster_is_not_found() -> Outcome {
    let (door, right) = door()?;
    for path in [
        "/",
        "/api",
        "/clusters",
        "/clusters/",
        "/clusters//api",
        "/clusters/other/api",
        "/clusters/%68ub/api",
        "/clusters/hub%2Fapi",
        "/clusters/./hub/api",
        "/clusters/../clusters/hub/api",
        "//clusters/hub/api",
        "/Clusters/hub/api",
        "/clusters/HUB/api",
    ] {
        let (code, said) = ask(&door, path, Some(&right)).await?;
        assert_eq!((code, &said["reason"]), (404, &json!("NotFound")), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_path_cannot_climb_out_of_its_cluster() -> Outcome {
    let (door, right) = door()?;
    for rest in ["..", "../member1/api", "../../clusters/member1/api", "%2e%2e/member1/api", "/member1/api"] {
        let (code, _) = ask(&door, &format!("/clusters/hub/{rest}"), Some(&right)).await?;
        assert_eq!(code, 404, "{rest}");
    }
    Ok(())
}

#[tokio::test]
async fn a_query_reaches_the_cluster() -> Outcome {
    let (door, right) = door()?;
    let (code, list) = ask(&door, "/clusters/hub/api/v1/namespaces?limit=1", Some(&right)).await?;
    assert_eq!((code, list["items"].as_array().map(Vec::len)), (200, Some(1)));
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_no_label_or_taken_is_refused() -> Outcome {
    for names in [vec![""], vec!["a/b"], vec!["a.b"], vec!["A"], vec!["a", "a"]] {
        let clusters = names.iter().map(|name| ((*name).to_owned(), server(1)));
        let refused = Front::bind("127.0.0.1:0".parse()?, clusters).await.err();
        assert!(matches!(refused, Some(FrontError::Name { .. })), "{names:?}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_is_named() -> Outcome {
    let first = front().await?;
    let refused = Front::bind(first.address(), []).await.err().ok_or("it listens twice")?;
    assert_eq!(refused.to_string(), format!("cannot listen on {}", first.address()));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_takes_nothing_is_cut_off() -> Outcome {
    let (door, right) = door()?;
    let (mut near, far) = tokio::io::duplex(1024);
    let watch = format!(
        "GET /clusters/hub/api/v1/configmaps?watch=true HTTP/1.1\r\nhost: x\r\nauthorization: {right}\r\n\r\n"
    );
    near.write_all(watch.as_bytes()).await?;
    let serving = TaskTracker::new().spawn(serve_requests(
        Patient::new(far, STALL),
        door.clone(),
        CancellationToken::new(),
    ));
    let mut begun = [0; 15];
    near.read_exact(&mut begun).await?;
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    let since = tokio::time::Instant::now();
    for n in 0..100 {
        let body =
            json!({"metadata": {"name": format!("m{n}")}, "data": {"k": "x".repeat(1000)}}).to_string();
        let request = Request::post("/clusters/hub/api/v1/namespaces/default/configmaps")
            .header("authorization", &right)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        assert_eq!(door.answer(request).await.status(), 201);
    }
    serving.await?;
    assert!(since.elapsed() >= STALL, "{:?}", since.elapsed());
    let mut told = Vec::new();
    near.read_to_end(&mut told).await?;
    // What was on its way when the client stopped reading, and no more.
    assert!(told.len() <= 1024, "{}", told.len());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_after_the_handshake_is_cut_off() -> Outcome {
    let (door, _) = door()?;
    // Nothing at all, and too little to tell which version of HTTP it is.
    for said in ["", "P"] {
        let (mut near, far) = tokio::io::duplex(1024);
        near.write_all(said.as_bytes()).await?;
        let since = tokio::time::Instant::now();
        serve_requests(far, door.clone(), CancellationToken::new()).await;
        assert_eq!(since.elapsed(), PATIENCE, "{said:?}");
    }
    Ok(())
}

#[test]
fn there_are_no_more_connections_than_files() {
    assert!((1..=CONNECTIONS).contains(&room()));
}
