//! What no server takes, and what it must survive.

use kurator_apiserver::ApiServer;
use kurator_testkit::conformance::Outcome;
use serde_json::{Value, json};

use crate::{APPLY, JSON, JSON_PATCH, MAPS, deliver, send, server};

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
async fn what_is_nested_without_end_is_refused_and_the_server_goes_on() -> Outcome {
    let server = server();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let object = format!("{{\"metadata\":{{\"name\":\"a\"}},\"data\":{deep}}}");
        let (code, said) = deliver(&server, "POST", MAPS, JSON, object.clone().into_bytes()).await?;
        assert_eq!((code, &said["reason"]), (400, &json!("BadRequest")), "{open}");
        let path = format!("{MAPS}/a?fieldManager=m");
        for kind in [JSON_PATCH, APPLY, "application/merge-patch+json"] {
            assert_eq!(
                deliver(&server, "PATCH", &path, kind, deep.clone().into_bytes()).await?.0,
                400,
                "{kind}"
            );
        }
    }
    assert_eq!(send(&server, "GET", MAPS, JSON, Value::Null).await?.0, 200);
    Ok(())
}

#[tokio::test]
async fn what_is_no_text_or_goes_on_after_its_end_is_refused() -> Outcome {
    let server = server();
    let bodies: [&[u8]; 4] = [b"\xff\xfe{}", b"{}{}", b"{\"metadata\":{\"name\":\"\xc3\"}}", b"\0"];
    for body in bodies {
        let (code, said) = deliver(&server, "POST", MAPS, JSON, body.to_vec()).await?;
        assert_eq!((code, &said["reason"]), (400, &json!("BadRequest")), "{body:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_form_that_is_not_read_is_refused_with_one_that_is() -> Outcome {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8], bytes].concat();
    let types = [field(1, b"apps/v1"), field(2, b"Deployment")].concat();
    let protobuf = [b"k8s\0", &*field(1, &types), &*field(2, b"")].concat();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let kind = "application/vnd.kubernetes.protobuf";
    let (code, said) = deliver(&server(), "POST", path, kind, protobuf).await?;
    assert_eq!((code, &said["reason"]), (415, &json!("UnsupportedMediaType")));
    let message = format!("a body in {kind} is not read here for this kind; send it as application/json");
    assert_eq!(said["message"], message);
    Ok(())
}

#[tokio::test]
async fn yaml_that_is_deep_or_grows_when_it_is_read_is_refused() -> Outcome {
    let server = server();
    let aliases = |level: usize| (0..10).map(|_| format!("*a{level}")).collect::<Vec<_>>().join(", ");
    let levels = (1..8).map(|level| format!("a{level}: &a{level} [{}]\n", aliases(level - 1)));
    let laughs = format!("a0: &a0 [x]\n{}", levels.collect::<String>());
    let flow = format!("a: {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let block: String = (0..1_000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for body in [laughs, flow, block] {
        let (code, said) =
            deliver(&server, "POST", MAPS, "application/yaml", body.clone().into_bytes()).await?;
        assert_eq!((code, &said["reason"]), (400, &json!("BadRequest")));
        let path = format!("{MAPS}/a?fieldManager=m");
        assert_eq!(deliver(&server, "PATCH", &path, APPLY, body.into_bytes()).await?.0, 400);
    }
    Ok(())
}

/// Defines a type whose `spec.list` has a rule.
async fn define(server: &ApiServer, rule: &str) -> Outcome<(u16, Value)> {
    let list =
        json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": rule}]});
    let spec = json!({"type": "object", "properties": {"list": list}});
    let schema = json!({"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"}, "versions": [
            {"name": "v1", "served": true, "storage": true, "schema": schema}]},
    });
    send(server, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", JSON, definition).await
}

#[tokio::test]
async fn an_object_whose_rules_would_run_for_long_is_refused() -> Outcome {
    let server = server();
    assert_eq!(define(&server, "self.all(a, self.all(b, self.all(c, a + b + c > 0)))").await?.0, 201);
    let things = "/apis/example.com/v1/namespaces/default/things";
    for (name, length, code) in [("small", 10, 201), ("large", 2_000, 422)] {
        let thing = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name},
            "spec": {"list": vec![1; length]}});
        let (got, said) = send(&server, "POST", things, JSON, thing).await?;
        assert_eq!(got, code, "{said}");
        if code == 422 {
            let message = said["message"].as_str().unwrap_or_default();
            assert!(message.contains("would run for too long"), "{message}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_rule_that_makes_a_struct_is_refused() -> Outcome {
    let (code, said) = define(&server(), "self == [Thing{a: 1}]").await?;
    assert_eq!((code, &said["reason"]), (422, &json!("Invalid")));
    Ok(())
}
