//! Three clusters: one that both engines back up, and one for each to restore into.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use kube::Api;
use kurator_api::velero::BackupStorageLocation;
use kurator_testkit::fixtures::{BOUND, json_of, object, shelf};
use kurator_testkit::{Cluster, Guest, Lab, LabSpec, S3, wait::until};
use serde_json::json;

use crate::Outcome;

/// The cluster that is backed up.
pub(crate) const SOURCE: usize = 1;

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Velero,
    Engine,
}

impl Make {
    pub(crate) const BOTH: [Self; 2] = [Self::Velero, Self::Engine];

    /// Where its velero.io objects are in the cluster that is backed up.
    pub(crate) fn namespace(self) -> &'static str {
        match self {
            Self::Velero => "velero",
            Self::Engine => "engine",
        }
    }

    /// The location of what it stores, in every cluster; also the prefix in the bucket.
    pub(crate) fn location(self) -> &'static str {
        match self {
            Self::Velero => "by-velero",
            Self::Engine => "by-engine",
        }
    }

    /// The cluster that it restores into.
    pub(crate) fn target(self) -> usize {
        match self {
            Self::Velero => 2,
            Self::Engine => 3,
        }
    }
}

/// The lab with its engines, begun by the first test that asks.
pub(crate) fn lab() -> anyhow::Result<&'static Lab> {
    static ENGINES: OnceLock<Result<Mutex<[Guest; 2]>, String>> = OnceLock::new();
    let lab = Lab::shared(LabSpec { members: 3, velero: true, s3: true })?;
    let engines = ENGINES.get_or_init(|| begin(lab).map(Mutex::new).map_err(|error| format!("{error:#}")));
    match engines {
        Ok(_) => Ok(lab),
        Err(error) => anyhow::bail!("the lab could not be prepared: {error}"),
    }
}

fn begin(lab: &Lab) -> anyhow::Result<[Guest; 2]> {
    let (source, ours) = (lab.member(SOURCE), lab.member(Make::Engine.target()));
    ours.stop_velero()?;
    kubectl(lab, source, &["create", "namespace", Make::Engine.namespace()])?;
    lab.run(async {
        for make in Make::BOTH {
            location(source, make.namespace(), make).await?;
            for target in Make::BOTH {
                location(lab.member(target.target()), "velero", make).await?;
            }
        }
        anyhow::Ok(())
    })?;
    let engines =
        [start(lab, source, Make::Engine.namespace(), "source")?, start(lab, ours, "velero", "target")?];
    populate(lab)?;
    lab.run(async {
        for make in Make::BOTH {
            available(source, make.namespace(), make).await?;
            for target in Make::BOTH {
                available(lab.member(target.target()), "velero", make).await?;
            }
        }
        anyhow::Ok(())
    })?;
    Ok(engines)
}

fn start(lab: &Lab, cluster: &Cluster, namespace: &str, log: &str) -> anyhow::Result<Guest> {
    let log = File::create(lab.dir().join(format!("engine-{log}.log")))?;
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_kurator")));
    command.args(["engine", "--namespace", namespace, "--kubeconfig"]).arg(cluster.kubeconfig_path());
    command.stdin(Stdio::null()).stderr(log);
    Ok(lab.spawn(&mut command)?)
}

async fn location(cluster: &Cluster, namespace: &str, make: Make) -> Outcome {
    let keys = format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    );
    let name = make.location();
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": name}, "stringData": {"cloud": keys}}))?;
    shelf::<Secret>(cluster, namespace)?.create(&secret).await?;
    let spec = json!({
        "provider": "aws",
        "objectStorage": {"bucket": S3::BUCKET, "prefix": name},
        "credential": {"name": name, "key": "cloud"},
        "config": {"region": S3::REGION, "s3Url": S3::ENDPOINT, "s3ForcePathStyle": "true"},
        "backupSyncPeriod": "0s",
    });
    shelf::<BackupStorageLocation>(cluster, namespace)?.create(&object(name, spec)?).await?;
    Ok(())
}

async fn available(cluster: &Cluster, namespace: &str, make: Make) -> Outcome {
    shelf::<BackupStorageLocation>(cluster, namespace)?.until_phase(make.location(), "Available").await?;
    Ok(())
}

/// Fills the cluster that is backed up, and waits until its controllers have nothing more to do.
fn populate(lab: &Lab) -> Outcome {
    let source = lab.member(SOURCE);
    grow(lab, source, include_str!("manifests/definitions.yaml"), &["create"])?;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    kubectl(lab, source, &wait)?;
    // Velero learns of new types every five minutes, and when it begins.
    source.stop_velero()?;
    source.start_velero()?;
    grow(lab, source, include_str!("manifests/source.yaml"), &["create"])?;
    grow(lab, source, include_str!("manifests/applied.yaml"), &["apply"])?;
    grow(lab, source, include_str!("manifests/server-side.yaml"), &["apply", "--server-side"])?;
    let ended = r#"{"status":{"phase":"Succeeded"}}"#;
    kubectl(
        lab,
        source,
        &["patch", "pod", "errand", "-n", "shop", "--subresource=status", "--type=merge", "-p", ended],
    )?;
    kubectl(lab, source, &["delete", "--wait=false", "namespace/shop-going"])?;
    kubectl(lab, source, &["delete", "--wait=false", "-n", "shop", "configmap/going"])?;
    let status = r#"{"status":{"turns":7}}"#;
    for gadget in ["drill", "lamp"] {
        kubectl(
            lab,
            source,
            &["patch", "gadget", gadget, "-n", "ops", "--subresource=status", "--type=merge", "-p", status],
        )?;
    }
    lab.run(settled(source))
}

async fn settled(source: &Cluster) -> Outcome {
    let client = source.client()?;
    let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), "data");
    let pods = Api::<Pod>::all(client.clone());
    let tokens = Api::<Secret>::namespaced(client.clone(), "rbac");
    let going = Api::<ServiceAccount>::namespaced(client, "shop-going");
    until("the controllers of the source", BOUND, async || {
        let claims = claims.list(&Default::default()).await.map_err(|error| error.to_string())?;
        let bound = claims.iter().filter(|claim| json_of(claim)["status"]["phase"] == "Bound").count();
        let pods = pods.list(&Default::default()).await.map_err(|error| error.to_string())?.items.len();
        let token = tokens.get("robot-token").await.map_err(|error| error.to_string())?;
        let filled = token.data.is_some_and(|data| data.contains_key("token"));
        let going = going.list(&Default::default()).await.map_err(|error| error.to_string())?.items.len();
        if (bound, pods, filled, going) == (3, 8, true, 0) {
            Ok(Some(()))
        } else {
            Err(format!(
                "bound claims: {bound}, pods: {pods}, token: {filled}, accounts that are going: {going}"
            ))
        }
    })
    .await?;
    Ok(())
}

/// Makes the objects of a manifest: its namespaces first, and the others when these have their ServiceAccount.
pub(crate) fn grow(lab: &Lab, cluster: &Cluster, manifest: &str, how: &[&str]) -> Outcome {
    let (namespaces, others): (Vec<_>, Vec<_>) =
        manifest.split("\n---\n").partition(|document| document.contains("\nkind: Namespace\n"));
    for (name, part) in [("namespaces", namespaces), ("others", others)] {
        if part.is_empty() {
            continue;
        }
        let file = lab.dir().join(format!("{}-{name}.yaml", cluster.name()));
        fs::write(&file, part.join("\n---\n"))?;
        let file = file.display().to_string();
        kubectl(lab, cluster, &[how, &["-f", &file]].concat())?;
        if name == "namespaces" {
            lab.run(inhabited(cluster))?;
        }
    }
    Ok(())
}

/// Waits until pods can be made in all namespaces.
async fn inhabited(cluster: &Cluster) -> Outcome {
    let client = cluster.client()?;
    let all = Api::<Namespace>::all(client.clone()).list(&Default::default()).await?;
    try_join_all(all.iter().filter_map(|namespace| namespace.metadata.name.as_deref()).map(|name| {
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), name);
        until("a ServiceAccount", BOUND, async move || accounts.get_opt("default").await)
    }))
    .await?;
    Ok(())
}

pub(crate) fn kubectl(lab: &Lab, cluster: &Cluster, args: &[&str]) -> Outcome {
    let said = lab.kubectl(cluster, args)?;
    anyhow::ensure!(
        said.status.success(),
        "kubectl {}: {}",
        args.join(" "),
        String::from_utf8_lossy(&said.stderr)
    );
    Ok(())
}
