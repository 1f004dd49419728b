//! A real Velero server beside a member's API server: resources only, no node and no pod.
//!
//! No location and no credentials are made here: that is the work of what is being tested.

use std::{ffi::OsString, fs, process::Command, sync::Arc, time::Duration};

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::json;

use crate::{
    Cluster, LabError,
    binaries::Binaries,
    cage::{Cage, DATA, Host},
    component::{Component, Recipe},
    slot::Slot,
    wait,
};

/// Velero's namespace in every member.
const NAMESPACE: &str = "velero";

/// Velero of one member.
pub(crate) struct Velero {
    server: Component,
    crds: Vec<DynamicObject>,
}

impl Velero {
    pub(crate) fn new(
        host: &Arc<Host>,
        cage: &Arc<Cage>,
        slot: &Slot,
        binaries: &Binaries,
    ) -> Result<Self, LabError> {
        let name = &host.name;
        let scratch = cage.data(&format!("{name}/velero"));
        let plugins = cage.data("plugins");
        for folder in [&scratch, &plugins] {
            fs::create_dir_all(folder).map_err(|source| LabError::File { path: folder.clone(), source })?;
        }
        // Velero runs whatever it finds in this folder, so it holds the plugin alone.
        let plugin = plugins.join("velero-plugin-for-aws");
        if !plugin.is_symlink() {
            std::os::unix::fs::symlink(binaries.path("velero-plugin-for-aws"), &plugin)
                .map_err(|source| LabError::File { path: plugin.clone(), source })?;
        }
        let server = Component::new(recipe(host, binaries), cage, host, slot.path());
        Ok(Self { server, crds: crds(binaries)? })
    }

    pub(crate) fn server(&self) -> &Component {
        &self.server
    }

    /// Installs what the server wants to find and starts it.
    pub(crate) async fn bring_up(&self, cluster: &Cluster) -> Result<(), LabError> {
        let client = cluster.client()?;
        let crds = Api::all_with(client.clone(), &ApiResource::erase::<CustomResourceDefinition>(&()));
        for crd in &self.crds {
            seed(cluster, &crds, crd).await?;
        }
        let namespace = dynamic::<Namespace>(json!({"metadata": {"name": NAMESPACE}}));
        seed(cluster, &Api::all_with(client.clone(), &ApiResource::erase::<Namespace>(&())), &namespace)
            .await?;
        let deployments =
            Api::namespaced_with(client.clone(), NAMESPACE, &ApiResource::erase::<Deployment>(&()));
        seed(cluster, &deployments, &deployment()).await?;
        self.established(&Api::all(client)).await?;
        self.server.start()?;
        self.answers(cluster).await
    }

    /// Waits until the server's controllers work: it fills in a request for its version.
    pub(crate) async fn answers(&self, cluster: &Cluster) -> Result<(), LabError> {
        let kind = GroupVersionKind::gvk("velero.io", "v1", "ServerStatusRequest");
        let requests: Api<DynamicObject> =
            Api::namespaced_with(cluster.client()?, NAMESPACE, &ApiResource::from_gvk(&kind));
        let mut request = DynamicObject::new("", &ApiResource::from_gvk(&kind)).data(json!({"spec": {}}));
        request.metadata.generate_name = Some("lab-".to_owned());
        let failed = |source| LabError::Seed {
            cluster: cluster.name().to_owned(),
            object: "a ServerStatusRequest".to_owned(),
            source,
        };
        let request = requests.create(&PostParams::default(), &request).await.map_err(failed)?;
        let name = request.name_any();
        let (name, all) = (&name, &requests);
        self.server
            .ready(async || {
                let request = all.get(name).await.map_err(|e| e.to_string())?;
                match request.data.pointer("/status/phase").and_then(|phase| phase.as_str()) {
                    Some("Processed") => Ok(()),
                    phase => Err(format!("its answer is {}", phase.unwrap_or("not there"))),
                }
            })
            .await?;
        requests.delete(name, &DeleteParams::default()).await.map(drop).map_err(failed)
    }

    async fn established(&self, crds: &Api<CustomResourceDefinition>) -> Result<(), LabError> {
        let wanted = self.crds.len();
        wait::until("Velero's CRDs", Duration::from_secs(60), async || {
            let list = crds.list(&Default::default()).await.map_err(|e| e.to_string())?;
            let there = list.iter().filter(|crd| is_established(crd)).count();
            if there >= wanted { Ok(Some(())) } else { Err(format!("{there} of {wanted} are established")) }
        })
        .await
        .map_err(|late| LabError::NotReady {
            component: self.server.name().to_owned(),
            why: late.to_string(),
            tail: String::new(),
        })
    }
}

fn is_established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Established" && c.status == "True"))
}

async fn seed(cluster: &Cluster, api: &Api<DynamicObject>, object: &DynamicObject) -> Result<(), LabError> {
    api.create(&PostParams::default(), object).await.map(drop).map_err(|source| LabError::Seed {
        cluster: cluster.name().to_owned(),
        object: object.metadata.name.clone().unwrap_or_default(),
        source,
    })
}

fn dynamic<K: Resource<DynamicType = ()>>(body: serde_json::Value) -> DynamicObject {
    let mut object = DynamicObject::new("", &ApiResource::erase::<K>(&())).data(body);
    // The body brings its metadata along.
    if let Some(metadata) = object.data.as_object_mut().and_then(|data| data.remove("metadata")) {
        object.metadata = serde_json::from_value(metadata).unwrap_or_default();
    }
    object
}

/// A restore reads its helper's image from this Deployment and fails without it; nothing has to run.
fn deployment() -> DynamicObject {
    let labels = json!({"component": "velero"});
    dynamic::<Deployment>(json!({
        "metadata": {"name": "velero", "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "velero", "image": "velero/velero:v1.18.3"}]}
            }
        }
    }))
}

/// Velero's own manifest of its CRDs.
fn crds(binaries: &Binaries) -> Result<Vec<DynamicObject>, LabError> {
    #[derive(serde::Deserialize)]
    struct List {
        items: Vec<DynamicObject>,
    }
    let failed = |source| LabError::Spawn { component: "velero install --crds-only".to_owned(), source };
    let output = Command::new(binaries.path("velero"))
        .args(["install", "--crds-only", "--dry-run", "--output", "json"])
        .output()
        .map_err(failed)?;
    let list: List = serde_json::from_slice(&output.stdout).map_err(|e| failed(e.into()))?;
    Ok(list.items)
}

fn recipe(host: &Host, binaries: &Binaries) -> Recipe {
    let name = &host.name;
    let scratch = OsString::from(format!("{DATA}/{name}/velero"));
    let args = [
        "server".to_owned(),
        format!("--kubeconfig={DATA}/{name}/kubeconfig"),
        format!("--namespace={NAMESPACE}"),
        format!("--plugin-dir={DATA}/plugins"),
        // One at a time is the default, and what is queued may wait a minute for its turn: tests share the server.
        "--concurrent-backups=16".to_owned(),
        "--profiler-address=".to_owned(),
    ];
    Recipe {
        name: format!("{name}-velero"),
        program: binaries.path("velero"),
        args: args.map(Into::into).into(),
        // Credentials of locations are written below TMPDIR: each server has its own.
        env: vec![("TMPDIR", scratch.clone()), ("VELERO_SCRATCH_DIR", scratch)],
    }
}
