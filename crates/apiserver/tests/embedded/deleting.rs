//! What goes with what is deleted.

use kurator_testkit::conformance::Outcome;
use serde_json::{Value, json};

use crate::{JSON, MAPS, send, server};

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
