//! How `kurator serve` starts: on a hub that has newer types, and where it can't start at all.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use kurator_api::backup::Backup;
use kurator_api::names::CRD_VERSION_ANNOTATION;
use kurator_testkit::fixtures::{BOUND, Tenant, ready};
use kurator_testkit::wait::until;
use kurator_testkit::{Lab, LabSpec, Serving};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

const KURATOR: &str = env!("CARGO_BIN_EXE_kurator");
/// Version of the types that this binary's hub had before anybody served them.
const NEWER: &str = "99.0.0";

fn lab() -> anyhow::Result<&'static Lab> {
    Ok(Lab::shared(LabSpec { members: 0, velero: false, s3: false })?)
}

/// What a `kurator serve` that can't start says, and how it exits.
fn failure(lab: &Lab, name: &str, arguments: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
    let path = lab.dir().join(format!("{name}.stderr"));
    let mut command = Command::new(KURATOR);
    command
        .arg("serve")
        .args(arguments)
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .stderr(File::create(&path)?);
    let ended = lab.spawn(&mut command)?.wait(Duration::from_secs(30))?;
    Ok((ended.code(), fs::read_to_string(path)?))
}

/// The hub's kubeconfig with another server, as a file.
fn kubeconfig_of(lab: &Lab, server: &str) -> anyhow::Result<String> {
    let path = lab.dir().join(format!("{}.kubeconfig", server.replace(['/', ':'], "-")));
    let hub = format!("https://{}:6443", lab.hub().address());
    fs::write(&path, lab.hub().kubeconfig().replace(&hub, server))?;
    Ok(path.display().to_string())
}

#[test]
fn a_hub_that_is_not_there_is_named_with_a_hint() -> Outcome {
    let lab = lab()?;
    for (name, server) in [("silent", "https://172.18.9.9:6443"), ("refusing", "https://172.18.0.1:1")] {
        let kubeconfig = kubeconfig_of(lab, server)?;
        let (code, said) = failure(lab, name, &["--kubeconfig", &kubeconfig, "--listen", "127.0.0.1:0"])?;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.starts_with(&format!("error: cannot reach the hub at {server}/\n  caused by: ")),
            "{said}"
        );
        let hint = "\n\nhint: try `kubectl get --raw /version` with the same kubeconfig\n";
        assert!(said.ends_with(hint), "{said}");
    }
    Ok(())
}

#[test]
fn a_kubeconfig_that_is_not_there_is_named_with_a_hint() -> Outcome {
    let (code, said) =
        failure(lab()?, "no-file", &["--kubeconfig", "nowhere.yaml", "--listen", "127.0.0.1:0"])?;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: cannot read kubeconfig nowhere.yaml\n  caused by: "), "{said}");
    let hint = "\n\nhint: name another file with --kubeconfig FILE\n";
    assert!(said.ends_with(hint), "{said}");
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_named_with_a_hint() -> Outcome {
    let lab = lab()?;
    lab.run(async {
        let free = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let holder = tokio::net::TcpListener::bind(free).await?;
        let taken = holder.local_addr()?.to_string();
        let hub = lab.hub().kubeconfig_path().display().to_string();
        let (code, said) = failure(lab, "port", &["--kubeconfig", &hub, "--listen", &taken])?;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.starts_with(&format!("error: cannot listen on {taken}\n  caused by: ")), "{said}");
        assert!(
            said.contains("\n\nhint: another process may hold the port; choose one with --listen"),
            "{said}"
        );
        Ok(())
    })
}

#[test]
fn a_user_who_may_not_lead_is_told_what_to_grant() -> Outcome {
    let lab = lab()?;
    lab.run(async {
        let accounts = Api::<ServiceAccount>::namespaced(lab.hub().client()?, "default");
        accounts
            .create(&PostParams::default(), &serde_json::from_value(json!({"metadata": {"name": "nobody"}}))?)
            .await?;
        let asked = TokenRequest::default();
        let given = accounts.create_token_request("nobody", &PostParams::default(), &asked).await?;
        let token = given.status.context("no token")?.token;
        let mut kubeconfig: Value = serde_saphyr::from_str(&lab.hub().kubeconfig())?;
        for user in kubeconfig["users"].as_array_mut().into_iter().flatten() {
            user["user"] = json!({"token": token});
        }
        let path = lab.dir().join("nobody.kubeconfig");
        fs::write(&path, kubeconfig.to_string())?;
        let path = path.display().to_string();
        let (code, said) = failure(lab, "nobody", &["--kubeconfig", &path, "--listen", "127.0.0.1:0"])?;
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.contains("does not let this user lead: leases.coordination.k8s.io \"kurator\" is forbidden"),
            "{said}"
        );
        assert!(
            said.contains(
                "\n\nhint: grant get, create and update of leases.coordination.k8s.io in namespace `default`"
            ),
            "{said}"
        );
        assert!(said.lines().count() <= 3, "{said}");
        Ok(())
    })
}

#[test]
fn a_user_who_lacks_a_right_is_told_verb_and_type() -> Outcome {
    let lab = lab()?;
    lab.run(async {
        let rights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/rbac/hub.yaml");
        let rights = fs::read_to_string(rights)?
            .replace("resources: [secrets]\n    verbs: [get, list, watch]", "resources: [secrets]\n    verbs: [list]")
            .replace("[attachedclusters/status]", "[clusters/status]");
        let path = lab.dir().join("rights.yaml").display().to_string();
        fs::write(&path, rights)?;
        let applied = lab.kubectl(lab.hub(), &["apply", "-f", &path])?;
        anyhow::ensure!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
        let kubeconfig = lab.hub().kubeconfig_of("kurator", "kurator").await?.display().to_string();
        let arguments =
            ["--kubeconfig", &kubeconfig, "--listen", "127.0.0.1:0", "--lease-namespace", "kurator"];
        let (code, said) = failure(lab, "rights", &arguments)?;
        assert_eq!(code, Some(1), "{said}");
        let lacks = " does not grant this user patch of attachedclusters.cluster.kurator.dev/status; get and watch of secrets\n";
        assert!(said.contains(lacks), "{said}");
        let hint = "\n\nhint: `kurator rbac hub` prints all that is needed, for `kubectl apply -f -`\n";
        assert!(said.ends_with(hint), "{said}");

        // What is asked without the right to is seen: the guide is walked with these rights and nothing else.
        assert!(lab.hub().audit()?.refused.is_empty());
        let mut kubectl = lab.command("kubectl");
        let asked = kubectl.args(["--kubeconfig", &kubeconfig, "get", "nodes"]).output()?;
        assert!(!asked.status.success());
        let refused = lab.hub().audit()?.refused;
        assert!(refused.iter().any(|asked| asked.starts_with("list /api/v1/nodes")), "{refused:?}");
        Ok(())
    })
}

/// A hub whose Backups were defined by a newer release, with a schema that lets everything pass; served since.
fn serving_on_newer_types() -> anyhow::Result<&'static Serving> {
    static SERVING: OnceLock<anyhow::Result<Serving>> = OnceLock::new();
    let serving = SERVING.get_or_init(|| {
        let lab = lab()?;
        lab.run(async {
            Api::all(lab.hub().client()?).create(&PostParams::default(), &newer_backups()?).await?;
            let serving = Serving::start(lab, Path::new(KURATOR), [] as [&str; 0])?;
            ready(&serving).await?;
            Ok(serving)
        })
    });
    serving.as_ref().map_err(|error| anyhow!("{error:#}"))
}

fn newer_backups() -> anyhow::Result<CustomResourceDefinition> {
    let all = kurator_api::crds::all();
    let mut backups = all.into_iter().find(|crd| crd.spec.names.kind == "Backup").context("no Backup")?;
    backups.annotations_mut().insert(CRD_VERSION_ANNOTATION.to_owned(), NEWER.to_owned());
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    backups.spec.versions[0].schema = Some(serde_json::from_value(open)?);
    Ok(backups)
}

async fn installed(client: Client) -> anyhow::Result<Vec<(String, String)>> {
    let all = Api::<CustomResourceDefinition>::all(client).list(&Default::default()).await?;
    let version = |crd: &CustomResourceDefinition| crd.annotations().get(CRD_VERSION_ANNOTATION).cloned();
    Ok(all.iter().filter_map(|crd| Some((crd.spec.names.kind.clone(), version(crd)?))).collect())
}

#[test]
fn the_types_are_installed_and_a_newer_one_is_not_downgraded() -> Outcome {
    serving_on_newer_types()?;
    let lab = lab()?;
    let installed = lab.run(async { installed(lab.hub().client()?).await })?;
    let ours = env!("CARGO_PKG_VERSION");
    let version = |kind: &str| installed.iter().find(|(k, _)| k == kind).map(|(_, version)| version.as_str());
    assert_eq!(version("Backup"), Some(NEWER));
    for kind in ["AttachedCluster", "Cluster", "Fleet", "Restore", "Migrate"] {
        assert_eq!(version(kind), Some(ours), "{kind}");
    }
    Ok(())
}

#[test]
fn n4_a_stored_backup_that_cannot_be_read_is_reported_and_the_others_go_on() -> Outcome {
    serving_on_newer_types()?;
    let lab = lab()?;
    lab.run(async {
        let tenant = Tenant::new(lab, "n4").await?;
        let resource = ApiResource::erase::<Backup>(&());
        let untyped = Api::<DynamicObject>::namespaced_with(lab.hub().client()?, "n4", &resource);
        let spec = json!({"destination": ["not", "an", "object"]});
        let broken = DynamicObject::new("broken", &resource).data(json!({"spec": spec}));
        untyped.create(&PostParams::default(), &broken).await?;
        tenant.create("good", json!({"destination": {"fleet": "nowhere"}})).await.map(drop::<Backup>)?;

        tenant.all::<Backup>().until_reason("good", "FleetNotFound").await?;
        let message = until("the broken Backup to be reported", BOUND, async || {
            let object = untyped.get("broken").await?;
            let status = &object.data["status"];
            let ready = status["conditions"].as_array().and_then(|all| all.first().cloned());
            anyhow::Ok(
                ready.filter(|_| status["phase"] == "FailedValidation").map(|ready| ready["message"].clone()),
            )
        });
        let message = message.await?;
        let message = message.as_str().unwrap_or_default();
        assert!(message.starts_with("the object cannot be read, mend it: "), "{message}");
        Ok(())
    })
}

#[test]
fn k06_a_finished_backup_that_cannot_be_read_for_a_while_stays_finished() -> Outcome {
    serving_on_newer_types()?;
    let lab = lab()?;
    lab.run(async {
        let tenant = Tenant::new(lab, "k06").await?;
        let resource = ApiResource::erase::<Backup>(&());
        let untyped = Api::<DynamicObject>::namespaced_with(lab.hub().client()?, "k06", &resource);
        let backups = tenant.all::<Backup>();
        tenant.create("done", json!({"destination": {"fleet": "nowhere"}})).await.map(drop::<Backup>)?;
        backups.until_reason("done", "FleetNotFound").await?;
        let row = json!({"clusterName": "m1", "clusterKind": "AttachedCluster", "phase": "Completed"});
        let finished =
            json!({"phase": "Completed", "startTimestamp": "2026-11-01T00:00:00Z", "backupDetails": [row]});
        backups.merge_status("done", finished.clone()).await?;

        let unreadable = json!({"spec": {"destination": ["not", "an", "object"]}});
        untyped.patch("done", &PatchParams::default(), &Patch::Merge(unreadable)).await?;
        let status = until("the unreadable Backup to be reported", BOUND, async || {
            let status = untyped.get("done").await?.data["status"].take();
            let said = status["conditions"].to_string().contains("cannot be read");
            anyhow::Ok(said.then_some(status))
        });
        let status = status.await?;
        for field in ["phase", "startTimestamp", "backupDetails"] {
            assert_eq!(status[field], finished[field], "{field}");
        }
        Ok(())
    })
}
