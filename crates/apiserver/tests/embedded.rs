//! The embedded server: as kube-apiserver was recorded to answer, and what only it promises.

use std::{pin::pin, sync::Arc};

use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt as _;
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
use serde_json::{Value, json};

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

/// Sends a request as it is; its code and body.
async fn send(
    server: &ApiServer,
    method: &str,
    path: &str,
    kind: &str,
    body: Value,
) -> Outcome<(u16, Value)> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = client(server).send(request.body(body.into())?).await?;
    let code = answer.status().as_u16();
    let text = answer.into_body().collect().await?.to_bytes();
    Ok((code, serde_json::from_slice(&text).unwrap_or_default()))
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A map that the one of this answer owns.
fn owned(name: &str, owner: &Value) -> Value {
    let Value::Object(metadata) = &owner["metadata"] else { return Value::Null };
    json!({"metadata": {"name": name, "ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": metadata["name"], "uid": metadata["uid"], "blockOwnerDeletion": true},
    ]}})
}

#[tokio::test]
async fn owners_in_a_circle_go_when_one_is_deleted_in_the_foreground() -> Outcome {
    let server = server();
    let (_, a) = send(&server, "POST", MAPS, JSON, json!({"metadata": {"name": "a"}})).await?;
    let (_, b) = send(&server, "POST", MAPS, JSON, owned("b", &a)).await?;
    let back = json!({"metadata": {"ownerReferences": owned("a", &b)["metadata"]["ownerReferences"]}});
    send(&server, "PATCH", &format!("{MAPS}/a"), "application/merge-patch+json", back).await?;
    let foreground = json!({"propagationPolicy": "Foreground"});
    send(&server, "DELETE", &format!("{MAPS}/a"), JSON, foreground).await?;
    for name in ["a", "b"] {
        assert_eq!(
            send(&server, "GET", &format!("{MAPS}/{name}"), JSON, Value::Null).await?.0,
            404,
            "{name}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_dependent_with_another_owner_outlives_a_deletion_in_the_foreground() -> Outcome {
    let server = server();
    let (_, a) = send(&server, "POST", MAPS, JSON, json!({"metadata": {"name": "a"}})).await?;
    let (_, b) = send(&server, "POST", MAPS, JSON, json!({"metadata": {"name": "b"}})).await?;
    let mut both = owned("c", &a);
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "uid": b["metadata"]["uid"]});
    both["metadata"]["ownerReferences"].as_array_mut().ok_or("no owners")?.push(other);
    send(&server, "POST", MAPS, JSON, both).await?;
    send(&server, "DELETE", &format!("{MAPS}/a"), JSON, json!({"propagationPolicy": "Foreground"})).await?;
    let (code, left) = send(&server, "GET", &format!("{MAPS}/c"), JSON, Value::Null).await?;
    assert_eq!((code, &left["metadata"]["ownerReferences"][0]["name"]), (200, &json!("b")));
    Ok(())
}

#[tokio::test]
async fn a_json_patch_that_cannot_be_done_or_grows_without_end_is_refused() -> Outcome {
    let server = server();
    let map = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
    send(&server, "POST", MAPS, JSON, map).await?;
    let path = format!("{MAPS}/a");
    let undone = json!([
        {"op": "add", "path": "/data/x", "value": "1"}, {"op": "move", "from": "/data", "path": "/nope/y"},
    ]);
    assert_eq!(send(&server, "PATCH", &path, JSON_PATCH, undone).await?.0, 422);
    // Each copy holds all before it.
    let copy = |n| json!({"op": "copy", "from": "/metadata", "path": format!("/metadata/x{n}")});
    let doubled: Value = (0..40).map(copy).collect();
    assert_eq!(send(&server, "PATCH", &path, JSON_PATCH, doubled).await?.0, 413);
    Ok(())
}

#[tokio::test]
async fn an_apply_that_names_an_old_version_changes_nothing() -> Outcome {
    let server = server();
    let (_, map) = send(&server, "POST", MAPS, JSON, json!({"metadata": {"name": "a"}})).await?;
    let change = json!({"metadata": {"labels": {"a": "b"}}});
    send(&server, "PATCH", &format!("{MAPS}/a"), "application/merge-patch+json", change).await?;
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"},
        "metadata": {"resourceVersion": map["metadata"]["resourceVersion"]}});
    let path = format!("{MAPS}/a?fieldManager=m&force=true");
    let (code, refused) = send(&server, "PATCH", &path, APPLY, applied).await?;
    assert_eq!((code, &refused["reason"]), (409, &json!("Conflict")));
    Ok(())
}

/// Defines a type with a status of its own.
async fn define(server: &ApiServer) -> Outcome {
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": free, "status": free}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}},
        ]},
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, said) = send(server, "POST", path, JSON, definition).await?;
    assert_eq!(code, 201, "{said}");
    Ok(())
}

#[tokio::test]
async fn an_applied_status_has_its_manager_and_needs_its_object() -> Outcome {
    let server = server();
    define(&server).await?;
    let things = "/apis/example.com/v1/namespaces/default/things";
    let status =
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "status": {"phase": "Ready", "note": "x"}});
    let path = format!("{things}/a/status?fieldManager=m");
    assert_eq!(send(&server, "PATCH", &path, APPLY, status.clone()).await?.0, 404);
    let thing =
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}, "spec": {}});
    send(&server, "POST", things, JSON, thing).await?;
    let (_, applied) = send(&server, "PATCH", &path, APPLY, status).await?;
    let managers: Vec<_> = applied["metadata"]["managedFields"].as_array().into_iter().flatten().collect();
    assert!(
        managers.iter().any(|one| one["manager"] == "m" && one["subresource"] == "status"),
        "{managers:?}"
    );
    let less = json!({"apiVersion": "example.com/v1", "kind": "Thing", "status": {"phase": "Ready"}});
    let (_, applied) = send(&server, "PATCH", &path, APPLY, less).await?;
    assert_eq!(applied["status"], json!({"phase": "Ready"}));
    Ok(())
}

#[tokio::test]
async fn a_namespace_goes_with_its_last_finalizer() -> Outcome {
    let server = server();
    let namespace = json!({"metadata": {"name": "n", "finalizers": ["example.com/a"]}});
    send(&server, "POST", "/api/v1/namespaces", JSON, namespace).await?;
    send(&server, "DELETE", "/api/v1/namespaces/n", JSON, Value::Null).await?;
    assert_eq!(send(&server, "GET", "/api/v1/namespaces/n", JSON, Value::Null).await?.0, 200);
    let let_go = json!({"metadata": {"finalizers": null}});
    send(&server, "PATCH", "/api/v1/namespaces/n", "application/merge-patch+json", let_go).await?;
    assert_eq!(send(&server, "GET", "/api/v1/namespaces/n", JSON, Value::Null).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn nothing_is_deleted_in_all_namespaces_at_once() -> Outcome {
    assert_eq!(send(&server(), "DELETE", "/api/v1/secrets", JSON, Value::Null).await?.0, 405);
    Ok(())
}

#[tokio::test]
async fn a_chain_of_many_owners_goes_with_the_first() -> Outcome {
    let server = server();
    let (_, mut owner) = send(&server, "POST", MAPS, JSON, json!({"metadata": {"name": "m0"}})).await?;
    for n in 1..300 {
        owner = send(&server, "POST", MAPS, JSON, owned(&format!("m{n}"), &owner)).await?.1;
    }
    send(&server, "DELETE", &format!("{MAPS}/m0"), JSON, Value::Null).await?;
    let (_, left) = send(&server, "GET", MAPS, JSON, Value::Null).await?;
    assert_eq!(left["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_namespace_with_many_objects_goes_with_all_of_them() -> Outcome {
    let server = server();
    send(&server, "POST", "/api/v1/namespaces", JSON, json!({"metadata": {"name": "n"}})).await?;
    for n in 0..300 {
        let map = json!({"metadata": {"name": format!("m{n}")}});
        assert_eq!(send(&server, "POST", "/api/v1/namespaces/n/configmaps", JSON, map).await?.0, 201);
    }
    send(&server, "DELETE", "/api/v1/namespaces/n", JSON, Value::Null).await?;
    assert_eq!(send(&server, "GET", "/api/v1/namespaces/n", JSON, Value::Null).await?.0, 404);
    let (_, left) = send(&server, "GET", "/api/v1/namespaces/n/configmaps", JSON, Value::Null).await?;
    assert_eq!(left["items"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_job_leaves_its_dependents_behind_unless_told_otherwise() -> Outcome {
    let server = server();
    let jobs = "/apis/batch/v1/namespaces/default/jobs";
    for (name, options, code) in
        [("a", Value::Null, 200), ("b", json!({"propagationPolicy": "Background"}), 404)]
    {
        let (_, job) = send(&server, "POST", jobs, JSON, json!({"metadata": {"name": name}})).await?;
        let mut map = owned(name, &job);
        let owner = &mut map["metadata"]["ownerReferences"][0];
        (owner["kind"], owner["apiVersion"]) = (json!("Job"), json!("batch/v1"));
        send(&server, "POST", MAPS, JSON, map).await?;
        send(&server, "DELETE", &format!("{jobs}/{name}"), JSON, options).await?;
        let left = send(&server, "GET", &format!("{MAPS}/{name}"), JSON, Value::Null).await?;
        assert_eq!(left.0, code, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn writers_that_meet_lose_no_change() -> Outcome {
    let server = server();
    send(&server, "POST", MAPS, JSON, json!({"metadata": {"name": "a"}})).await?;
    let path = format!("{MAPS}/a");
    let write = |n: usize| {
        let (server, path) = (server.clone(), path.clone());
        let change = json!({"data": {format!("k{n}"): "v"}});
        // Each on a thread of its own, so that they meet.
        tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current().block_on(async move {
                Ok::<_, String>(
                    send(&server, "PATCH", &path, "application/merge-patch+json", change)
                        .await
                        .map_err(|error| error.to_string())?
                        .0,
                )
            })
        })
    };
    let written: Vec<_> = (0..50).map(write).collect();
    for one in written {
        assert_eq!(one.await??, 200);
    }
    let (_, map) = send(&server, "GET", &path, JSON, Value::Null).await?;
    assert_eq!(map["data"].as_object().map(serde_json::Map::len), Some(50));
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

#[tokio::test]
async fn whoever_asks_may_do_everything() -> Outcome {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    // Stock clients ask in protobuf; what they ask makes no difference.
    let kind = "application/vnd.kubernetes.protobuf";
    let (code, answer) = send(&server(), "POST", path, kind, json!("k8s")).await?;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)));
    Ok(())
}

#[tokio::test]
async fn a_definition_whose_default_does_not_fit_is_refused() -> Outcome {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "size": {"type": "integer", "default": "large"}}}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (code, said) = send(&server(), "POST", path, JSON, definition).await?;
    assert_eq!((code, &said["reason"]), (422, &json!("Invalid")));
    Ok(())
}

#[tokio::test]
async fn the_document_of_a_custom_type_has_its_schema_and_its_paths() -> Outcome {
    let server = server();
    define(&server).await?;
    let (_, index) = send(&server, "GET", "/openapi/v3", JSON, Value::Null).await?;
    let path = index["paths"]["apis/example.com/v1"]["serverRelativeURL"].as_str().ok_or("no document")?;
    let (_, document) = send(&server, "GET", path, JSON, Value::Null).await?;
    let kind = json!([{"group": "example.com", "version": "v1", "kind": "Thing"}]);
    let schema = &document["components"]["schemas"]["com.example.v1.Thing"];
    assert_eq!(schema["x-kubernetes-group-version-kind"], kind);
    let one = &document["paths"]["/apis/example.com/v1/namespaces/{namespace}/things/{name}"];
    assert_eq!(one["patch"]["x-kubernetes-action"], "patch");
    Ok(())
}
