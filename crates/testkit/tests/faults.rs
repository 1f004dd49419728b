//! Killing, pausing and cutting off, on one lab; the tests take turns because they break what they share.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Api, Client, api::PostParams};
use kurator_testkit::{Lab, LabSpec, S3, wait::until};
use object_store::{ObjectStoreExt, aws::AmazonS3Builder};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};

type Outcome = Result<(), Box<dyn Error>>;

const BOUND: Duration = Duration::from_secs(60);

/// Runs one test at a time on the shared lab.
fn in_turn(test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: 1, velero: true, s3: true })?;
    lab.run(test(lab))
}

/// Whether the API server answers a client that connects anew.
async fn answers(client: &Client) -> Result<(), String> {
    let call = timeout(Duration::from_secs(2), client.apiserver_version());
    call.await.map_err(|_| "no answer in 2 s".to_owned())?.map(drop).map_err(|e| e.to_string())
}

#[test]
fn a_killed_api_server_comes_back_with_its_data_and_certificate() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        let client = member.client()?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let kept = json!({"metadata": {"name": "kept"}, "data": {"since": "before"}});
        maps.create(&PostParams::default(), &serde_json::from_value(kept)?).await?;

        member.kill_api()?;
        let refused = TcpStream::connect((member.address(), 6443)).await;
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        assert!(answers(&lab.hub().client()?).await.is_ok(), "the hub goes on");

        member.start_api()?;
        // The client of before: same address, same authority, same token.
        let found = maps.get("kept").await?;
        assert_eq!(found.data.unwrap()["since"], "before");
        Ok(())
    })
}

#[test]
fn a_paused_api_server_takes_connections_and_answers_nobody_until_it_is_resumed() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        member.pause_api()?;
        assert!(TcpStream::connect((member.address(), 6443)).await.is_ok());
        assert_eq!(answers(&member.client()?).await, Err("no answer in 2 s".to_owned()));
        member.resume_api()?;
        let client = member.client()?;
        until("an answer", BOUND, async || answers(&client).await.map(Some)).await?;
        Ok(())
    })
}

#[test]
fn a_partition_is_noticed_and_heals_while_the_cluster_itself_goes_on() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        lab.partition(member.name())?;
        assert!(answers(&member.client()?).await.is_err());
        assert!(answers(&lab.hub().client()?).await.is_ok(), "the hub is not cut off");

        // Asked from the member's own host, where its API server and its controllers still reach etcd.
        let output = lab.kubectl_within(member, &["create", "namespace", "made-while-cut-off"])?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        lab.heal(member.name())?;
        let client = member.client()?;
        until("an answer", BOUND, async || answers(&client).await.map(Some)).await?;
        Api::<Namespace>::all(client).get("made-while-cut-off").await?;
        assert!(lab.partition("nowhere").is_err());
        Ok(())
    })
}

#[test]
fn a_killed_object_store_comes_back_with_its_objects() -> Outcome {
    in_turn(async |lab| {
        let store = AmazonS3Builder::new()
            .with_endpoint(S3::ENDPOINT)
            .with_allow_http(true)
            .with_region(S3::REGION)
            .with_bucket_name(S3::BUCKET)
            .with_access_key_id(S3::ACCESS_KEY)
            .with_secret_access_key(S3::SECRET_KEY)
            .build()?;
        store.put(&"kept/object".into(), "bytes".into()).await?;
        lab.s3().stop()?;
        assert!(lab.s3().list("").await.is_err());
        lab.s3().start()?;
        assert_eq!(lab.s3().list("").await?, ["kept/object"]);
        Ok(())
    })
}

#[test]
fn velero_outlives_its_api_server_and_can_be_killed_and_started() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        let velero = || lab.state().components.into_iter().find(|c| c.name == "member-1-velero").unwrap().pid;
        let before = velero();
        member.kill_api()?;
        member.start_api()?;
        assert_eq!(velero(), before);

        member.stop_velero()?;
        assert_eq!(velero(), None);
        member.start_velero()?;
        assert!(velero().is_some());
        assert!(lab.hub().stop_velero().is_err(), "the hub has none");
        Ok(())
    })
}
