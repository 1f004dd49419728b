//! What watches promise.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams, WatchParams},
    core::WatchEvent,
    runtime::watcher,
};
use kurator_testkit::conformance::Outcome;
use serde_json::json;

use crate::{client, config_map, server};

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
async fn a_watch_ends_with_its_type_after_it_has_told_of_the_end_of_each_object() -> Outcome {
    let client = client(&server());
    let definition = serde_json::from_value(json!({
        "metadata": {"name": "teas.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"kind": "Tea", "plural": "teas"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    }))?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &definition).await?;
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Tea"));
    let teas = Api::<DynamicObject>::namespaced_with(client, "default", &kind);
    teas.create(&PostParams::default(), &DynamicObject::new("green", &kind)).await?;
    let start = teas.list(&ListParams::default()).await?.metadata.resource_version.ok_or("no version")?;
    let mut watch = pin!(teas.watch(&WatchParams::default(), &start).await?);
    definitions.delete("teas.example.com", &Default::default()).await?;
    let event = watch.try_next().await?;
    let Some(WatchEvent::Deleted(gone)) = event else { return Err(format!("told of {event:?}").into()) };
    assert_eq!(gone.name_any(), "green");
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
async fn a_large_list_is_streamed_as_it_was_when_the_watch_began() -> Outcome {
    let server = server();
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server));
    for n in 0..150 {
        api.create(&PostParams::default(), &config_map(&format!("m{n:03}"))).await?;
    }
    let mut watch = pin!(api.watch(&WatchParams::default(), "0").await?);
    let mut seen = Vec::new();
    while seen.len() < 151 {
        if seen.len() == 10 {
            api.delete("m149", &Default::default()).await?;
        }
        match watch.try_next().await?.ok_or("the watch ended")? {
            WatchEvent::Added(object) => seen.push(format!("+{}", object.name_any())),
            WatchEvent::Deleted(object) => seen.push(format!("-{}", object.name_any())),
            other => return Err(format!("told of {other:?}").into()),
        }
    }
    let mut expected: Vec<_> = (0..150).map(|n| format!("+m{n:03}")).collect();
    expected.push("-m149".to_owned());
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_busy_watch_ends_in_time() -> Outcome {
    let api: Api<ConfigMap> = Api::default_namespaced(client(&server()));
    let start = api.list(&ListParams::default()).await?.metadata.resource_version.ok_or("no version")?;
    let mut watch = pin!(api.watch(&WatchParams::default().timeout(5), &start).await?);
    for n in 0..20 {
        api.create(&PostParams::default(), &config_map(&format!("m{n}"))).await?;
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        if watch.try_next().await?.is_none() {
            assert_eq!(n, 4);
            return Ok(());
        }
    }
    Err("it goes on".into())
}
