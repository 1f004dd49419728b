//! Objects and types that come, change and go while they are listed or restored.

use std::collections::BTreeSet;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use kurator_api::velero::{Backup, BackupStorageLocation, Restore};
use kurator_testkit::{
    Cluster, Manner,
    fixtures::{json_of, object, velero as in_member},
};
use serde_json::{Value, json};

use super::{Outcome, Stage, contents, fill, map_name, on_stage, sends, unpacked};
use crate::scene::{PREFIX, of};

/// More than one page of a list.
const MAPS: usize = 600;

/// Whether it asks for a further page of a namespace's ConfigMaps.
fn is_second_page(request: &Parts, namespace: &str) -> bool {
    request.uri.path() == format!("/api/v1/namespaces/{namespace}/configmaps")
        && continuation(request).is_some()
}

fn continuation(request: &Parts) -> Option<&str> {
    request.uri.query()?.split('&').find_map(|pair| pair.strip_prefix("continue="))
}

/// The ConfigMaps in the list of what a backup holds, each as often as it is told.
async fn told(stage: &Stage, backup: &str) -> anyhow::Result<Vec<String>> {
    let key = format!("{PREFIX}/backups/{backup}/{backup}-resource-list.json.gz");
    let list = stage.lab.s3().get(&key).await?.context("no list is stored")?;
    let list: Value = serde_json::from_str(&unpacked(&list)?)?;
    Ok(serde_json::from_value(list["v1/ConfigMap"].clone())?)
}

#[test]
fn what_is_there_all_the_time_is_backed_up_once_whatever_else_comes_changes_and_goes() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "busy", MAPS, 10).await?;
        let held = stage.api.hold(|request| is_second_page(request, "busy"));
        in_member::<Backup>(member)?.create(&object("busy", of("busy"))?).await?;
        held.arrived().await?;

        let maps = Api::<ConfigMap>::namespaced(member.client()?, "busy");
        let gone = [0, 1, MAPS - 1].map(map_name);
        for name in &gone {
            maps.delete(name, &DeleteParams::default()).await?;
        }
        for i in [2, MAPS - 2] {
            let change = Patch::Merge(json!({"data": {"i": "changed"}}));
            maps.patch(&map_name(i), &PatchParams::default(), &change).await?;
        }
        for name in ["a-new-one", "z-new-one"] {
            let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": name}}))?;
            maps.create(&PostParams::default(), &map).await?;
        }
        held.release();

        let results = format!("{PREFIX}/backups/busy/busy-results.gz");
        let status = stage.ended::<Backup>("busy", "Completed", &results).await?;
        assert_eq!(status["errors"], Value::Null, "{status}");
        let told = told(stage, "busy").await?;
        let once: BTreeSet<_> = told.iter().cloned().collect();
        assert_eq!(once.len(), told.len(), "something is in it twice");
        for i in (0..MAPS).map(map_name).filter(|name| !gone.contains(name)) {
            assert!(once.contains(&format!("busy/{i}")), "{i} is missing");
        }
        Ok(())
    })
}

/// The token with which an API server lets a list go on whose own has expired: the same place, in no version.
fn inconsistent(token: &str) -> anyhow::Result<String> {
    let mut place: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(token)?)?;
    place["rv"] = json!(-1);
    Ok(BASE64_URL_SAFE_NO_PAD.encode(place.to_string()))
}

#[test]
fn a_list_that_grew_too_old_goes_on_where_it_stands() -> Outcome {
    on_stage(async |stage| {
        fill(stage.member(), "expired", MAPS, 10).await?;
        let expired = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&expired);
        stage.api.judge(move |request| {
            if !is_second_page(request, "expired") || counted.fetch_add(1, Relaxed) > 0 {
                return Manner::Pass;
            }
            let next = inconsistent(continuation(request).unwrap_or_default()).unwrap();
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                "message": "The provided continue parameter is too old", "metadata": {"continue": next},
            });
            let mut answer = Response::new(Bytes::from(status.to_string()));
            *answer.status_mut() = StatusCode::GONE;
            Manner::Answer(Box::new(answer))
        });
        let status = stage.back_up("expired", of("expired"), "Completed").await?;
        assert_eq!(status["errors"], Value::Null, "{status}");
        assert_eq!(expired.load(Relaxed), 2, "one page expires and is asked for again");
        assert_eq!(told(stage, "expired").await?.len(), MAPS + 1, "with the one that Kubernetes makes");
        Ok(())
    })
}

/// Any object, created.
async fn make(member: &Cluster, namespace: Option<&str>, whole: Value) -> Outcome {
    let made: DynamicObject = serde_json::from_value(whole)?;
    let of = made.types.clone().context("it has no kind")?;
    let of = ApiResource::from_gvk(&GroupVersionKind::try_from(&of)?);
    let api = match namespace {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(member.client()?, namespace, &of),
        None => Api::all_with(member.client()?, &of),
    };
    api.create(&PostParams::default(), &made).await?;
    Ok(())
}

#[test]
fn an_aggregated_api_that_is_down_is_a_warning_and_the_rest_is_stored() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "aggregated", 2, 10).await?;
        let name = "v1.down.example.com";
        let service = json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name},
            "spec": {
                "group": "down.example.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 10,
                "insecureSkipTLSVerify": true, "service": {"name": "nowhere", "namespace": "aggregated"},
            },
        });
        make(member, None, service).await?;
        let client = member.client()?;
        let discovered =
            kurator_testkit::wait::until("the group", kurator_testkit::fixtures::BOUND, async || {
                let groups = client.list_api_groups_aggregated().await?;
                let mut names = groups.items.into_iter().filter_map(|group| group.metadata?.name);
                Ok::<_, kube::Error>(names.any(|name| name == "down.example.com").then_some(()))
            });
        discovered.await?;
        let backed_up = stage.back_up("aggregated", of("aggregated"), "Completed").await;
        let of = ApiResource::from_gvk(&GroupVersionKind::gvk("apiregistration.k8s.io", "v1", "APIService"));
        let services = Api::<DynamicObject>::all_with(client, &of);
        services.delete(name, &DeleteParams::default()).await?;
        let status = backed_up?;
        let warnings = status["results"]["warnings"].to_string();
        assert!(warnings.contains("down.example.com/v1") && warnings.contains("does not answer"), "{status}");
        assert_eq!(told(stage, "aggregated").await?.len(), 3, "with the one that Kubernetes makes");
        Ok(())
    })
}

/// A type of the cluster, with one object of it in `namespace` beside what is there.
async fn define(member: &Cluster, kind: &str, namespace: &str) -> Outcome {
    let (single, group) = (kind.to_lowercase(), "example.com");
    let name = format!("{single}s.{group}");
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": format!("{single}s"), "singular": single},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    });
    make(member, None, crd).await?;
    let definitions = Api::<CustomResourceDefinition>::all(member.client()?);
    await_condition(definitions, &name, conditions::is_crd_established()).await?;
    let one =
        json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "one"}, "spec": {}});
    kurator_testkit::wait::until("the type", kurator_testkit::fixtures::BOUND, async || {
        make(member, Some(namespace), one.clone()).await.map(Some)
    })
    .await?;
    Ok(())
}

async fn undefine(member: &Cluster, name: &str) -> Outcome {
    let definitions = Api::<CustomResourceDefinition>::all(member.client()?);
    let uid = definitions.get(name).await?.metadata.uid.unwrap_or_default();
    definitions.delete(name, &DeleteParams::default()).await?;
    await_condition(definitions, name, conditions::is_deleted(&uid)).await?;
    Ok(())
}

#[test]
fn a_type_that_is_deleted_during_the_restore_costs_its_objects_only() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "tea", 2, 10).await?;
        define(member, "Tea", "tea").await?;
        stage.back_up("tea", of("tea"), "Completed").await?;
        let held = stage.api.hold(|request| sends(request, &Method::POST, "/teas"));
        let spec = json!({"backupName": "tea", "namespaceMapping": {"tea": "tea-copy"}});
        in_member::<Restore>(member)?.create(&object("tea", spec)?).await?;
        held.arrived().await?;
        undefine(member, "teas.example.com").await?;
        held.release();
        let results = format!("{PREFIX}/restores/tea/restore-tea-results.gz");
        let status = stage.ended::<Restore>("tea", "PartiallyFailed", &results).await?;
        let errors = &status["results"]["errors"]["namespaces"]["tea-copy"];
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{status}");
        assert!(
            errors[0].as_str().is_some_and(|error| error.contains("teas.example.com/tea-copy/one")),
            "{errors}"
        );
        assert_eq!(contents(member, "tea-copy").await?, contents(member, "tea").await?);
        Ok(())
    })
}

#[test]
fn a_type_that_the_target_lacks_is_a_warning_that_counts_its_objects() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "coffee", 2, 10).await?;
        define(member, "Coffee", "coffee").await?;
        let mut spec = of("coffee");
        spec["excludedResources"] = json!(["customresourcedefinitions.apiextensions.k8s.io"]);
        stage.back_up("coffee", spec, "Completed").await?;
        undefine(member, "coffees.example.com").await?;
        let spec = json!({"backupName": "coffee", "namespaceMapping": {"coffee": "coffee-copy"}});
        let status = stage.restore("coffee", spec, "Completed").await?;
        let warnings = status["results"]["warnings"].to_string();
        let lacks = "1 objects of coffees.example.com are not restored: the cluster has no such type";
        assert!(warnings.contains(lacks), "{status}");
        assert_eq!(contents(member, "coffee-copy").await?, contents(member, "coffee").await?);
        Ok(())
    })
}

#[test]
fn a_type_that_is_called_like_namespaces_is_none() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "plural", 2, 10).await?;
        define(member, "Namespace", "plural").await?;
        stage.back_up("plural", of("plural"), "Completed").await?;
        let stored =
            stage.lab.s3().get(&format!("{PREFIX}/backups/plural/plural-resource-list.json.gz")).await?;
        let stored: Value = serde_json::from_str(&unpacked(&stored.context("no list is stored")?)?)?;
        assert_eq!(stored["example.com/v1/Namespace"], json!(["plural/one"]), "{stored}");
        assert_eq!(stored["v1/Namespace"], json!(["plural"]), "{stored}");
        let spec = json!({
            "backupName": "plural", "includedNamespaces": ["plural"],
            "namespaceMapping": {"plural": "plural-copy", "one": "two"},
        });
        let status = stage.restore("plural", spec, "Completed").await?;
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Namespace"));
        let client = member.client()?;
        let ones = Api::<DynamicObject>::namespaced_with(client.clone(), "plural-copy", &kind);
        assert!(ones.get_opt("one").await?.is_some(), "{status}");
        for name in ["one", "two"] {
            assert!(Api::<Namespace>::all(client.clone()).get_opt(name).await?.is_none(), "{name} was made");
        }
        let warning = "spec.namespaceMapping (one to two): the backup holds nothing of namespace `one`";
        assert_eq!(status["results"]["warnings"]["velero"], json!([warning]), "{status}");
        assert_eq!(contents(member, "plural-copy").await?, contents(member, "plural").await?);
        undefine(member, "namespaces.example.com").await
    })
}

#[test]
fn a_backup_that_somebody_calls_complete_while_it_waits_is_told_to_have_failed() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        fill(member, "called", 1, 10).await?;
        let first = stage.store.hold(|request| request.method == Method::PUT);
        let backups = in_member::<Backup>(member)?;
        backups.create(&object("called-before", of("called"))?).await?;
        first.arrived().await?;
        // There is one at a time, so this one waits.
        backups.create(&object("called-complete", of("called"))?).await?;
        // By the time that the engine has looked at what was made later it knows of it.
        let locations = in_member::<BackupStorageLocation>(member)?;
        locations
            .create(&object("later", json!({"provider": "none", "objectStorage": {"bucket": "b"}}))?)
            .await?;
        locations.until_phase("later", "Unavailable").await?;
        locations.delete("later").await?;
        backups.merge("called-complete", json!({"status": {"phase": "Completed"}})).await?;
        let told = json_of(&backups.until_phase("called-complete", "Failed").await?);
        let why = told["status"]["failureReason"].as_str().unwrap_or_default();
        assert!(why.starts_with("its status was set to Completed, and nothing of it is stored"), "{why}");
        first.release();
        backups.until_phase("called-before", "Completed").await?;
        Ok(())
    })
}
