//! The embedded server: as kube-apiserver was recorded to answer, and what only it promises.

mod deleting;
mod strange;
mod watching;

use std::sync::Arc;

use http_body_util::BodyExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
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
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    deliver(server, method, path, kind, body).await
}

/// The same with any bytes at all.
async fn deliver(
    server: &ApiServer,
    method: &str,
    path: &str,
    kind: &str,
    body: Vec<u8>,
) -> Outcome<(u16, Value)> {
    let request = http::Request::builder().method(method).uri(path).header("content-type", kind);
    let answer = client(server).send(request.body(body.into())?).await?;
    let code = answer.status().as_u16();
    let text = answer.into_body().collect().await?.to_bytes();
    Ok((code, serde_json::from_slice(&text).unwrap_or_default()))
}

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

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

/// What a server tells of its types.
async fn types(server: &ApiServer) -> Outcome<String> {
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let request = http::Request::builder().uri("/apis").header("accept", accept);
    let answer = client(server).send(request.body(Vec::new().into())?).await?;
    Ok(String::from_utf8(answer.into_body().collect().await?.to_bytes().to_vec())?)
}

#[tokio::test]
async fn discovery_tells_of_a_type_from_its_definition_to_its_end() -> Outcome {
    let server = server();
    let is_told = async || -> Outcome<bool> { Ok(types(&server).await?.contains("\"things\"")) };
    assert!(!is_told().await?);
    define(&server).await?;
    assert!(is_told().await?);
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.example.com";
    send(&server, "DELETE", path, JSON, Value::Null).await?;
    assert!(!is_told().await?);
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
async fn whoever_asks_may_do_everything() -> Outcome {
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    // Stock clients ask in protobuf; what they ask makes no difference.
    let kind = "application/vnd.kubernetes.protobuf";
    let (code, answer) = send(&server(), "POST", path, kind, json!("k8s")).await?;
    assert_eq!((code, &answer["status"]["allowed"]), (201, &json!(true)));
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
