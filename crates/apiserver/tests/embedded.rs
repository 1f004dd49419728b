//! The embedded server: as kube-apiserver was recorded to answer, and what only it promises.

use std::{pin::pin, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, ObjectMeta, PostParams, WatchParams},
    core::WatchEvent,
    runtime::watcher,
};
use kurator_apiserver::{ApiServer, Seeded};
use kurator_testkit::conformance::{Outcome, all, differences, transcript};

fn server() -> ApiServer {
    let clock = || Timestamp::UNIX_EPOCH;
    ApiServer::new(Arc::new(clock), Arc::new(Seeded::new(1)))
}

fn client(server: &ApiServer) -> Client {
    Client::new(server.router(), "default")
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        ..Default::default()
    }
}

#[tokio::test]
async fn it_answers_as_kube_apiserver_does() -> Outcome {
    let client = client(&server());
    let mut found = Vec::new();
    for case in all() {
        let got = transcript(&client, &case).await.map_err(|error| format!("{}: {error}", case.name))?;
        found.extend(differences(&case, &got)?);
    }
    assert!(found.is_empty(), "{} answers differ:\n{}", found.len(), found.join("\n"));
    Ok(())
}

async fn follows(config: watcher::Config) -> Outcome {
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server()));
    api.create(&PostParams::default(), &config_map("before")).await?;
    let mut events = pin!(watcher(api.clone(), config));
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last| last != "-x") {
        let event = events.try_next().await?.ok_or("the watch ended")?;
        match event {
            watcher::Event::Init => {}
            watcher::Event::InitApply(object) => seen.push(format!("={}", object.name_any())),
            watcher::Event::InitDone => {
                api.create(&PostParams::default(), &config_map("x")).await?;
                api.delete("x", &Default::default()).await?;
            }
            watcher::Event::Apply(object) => seen.push(format!("+{}", object.name_any())),
            watcher::Event::Delete(object) => seen.push(format!("-{}", object.name_any())),
        }
    }
    assert_eq!(seen, ["=before", "+x", "-x"]);
    Ok(())
}

#[tokio::test]
async fn kubes_watcher_follows_it_from_a_list() -> Outcome {
    follows(watcher::Config::default()).await
}

#[tokio::test]
async fn kubes_watcher_follows_it_from_a_streaming_list() -> Outcome {
    follows(watcher::Config::default().streaming_lists()).await
}

#[tokio::test]
async fn kubes_watcher_follows_it_from_pages() -> Outcome {
    follows(watcher::Config::default().page_size(1)).await
}

#[tokio::test]
async fn a_watch_that_falls_behind_is_told_so_and_cut() -> Outcome {
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server()));
    let start = api.list(&ListParams::default()).await?.metadata.resource_version.ok_or("no version")?;
    // Nobody reads while more happens than the window holds.
    let mut watch = pin!(api.watch(&WatchParams::default(), &start).await?);
    for _ in 0..2100 {
        api.create(&PostParams::default(), &config_map("x")).await?;
        api.delete("x", &Default::default()).await?;
    }
    let event = watch.try_next().await?;
    let Some(WatchEvent::Error(status)) = event else { return Err(format!("told of {event:?}").into()) };
    assert_eq!((status.code, &*status.reason), (410, "Expired"));
    assert!(watch.try_next().await?.is_none());
    Ok(())
}

#[tokio::test]
async fn two_thousand_watches_are_told_of_one_change() -> Outcome {
    let server = server();
    let api: Api<Secret> = Api::default_namespaced(client(&server));
    let start = api.list(&ListParams::default()).await?.metadata.resource_version.ok_or("no version")?;
    let mut watches = Vec::new();
    for _ in 0..2000 {
        watches.push(api.watch(&WatchParams::default(), &start).await?.boxed());
    }
    let secret = Secret { metadata: config_map("x").metadata, ..Default::default() };
    api.create(&PostParams::default(), &secret).await?;
    for watch in &mut watches {
        assert!(
            matches!(watch.try_next().await?, Some(WatchEvent::Added(object)) if object.name_any() == "x")
        );
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_a_bookmark_every_minute() -> Outcome {
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server()));
    let start = api.list(&ListParams::default()).await?.metadata.resource_version.ok_or("no version")?;
    let mut watch = pin!(api.watch(&WatchParams::default(), &start).await?);
    let since = tokio::time::Instant::now();
    assert!(matches!(watch.try_next().await?, Some(WatchEvent::Bookmark(_))));
    assert_eq!(since.elapsed().as_secs(), 60);
    Ok(())
}

#[tokio::test]
async fn the_same_requests_give_the_same_uids() -> Outcome {
    let uid = async || -> Outcome<Option<String>> {
        let api: Api<ConfigMap> = Api::default_namespaced(client(&server()));
        Ok(api.create(&PostParams::default(), &config_map("x")).await?.uid())
    };
    assert_eq!(uid().await?, uid().await?);
    Ok(())
}
