//! What a lab offers, on one lab with everything in it.

use std::{error::Error, process::Stdio, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use kurator_testkit::{Lab, LabError, LabSpec, S3, wait::until};
use serde_json::json;

type Outcome = Result<(), Box<dyn Error>>;

fn lab() -> Result<&'static Lab, LabError> {
    Lab::shared(LabSpec { members: 1, velero: true, s3: true })
}

#[test]
fn every_cluster_is_reached_with_its_kubeconfig_alone() -> Outcome {
    let lab = lab()?;
    lab.run(async {
        for cluster in lab.clusters() {
            let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig())?;
            let config =
                kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            assert_eq!(config.cluster_url.host(), Some(cluster.address().to_string().as_str()));
            assert!(!config.accept_invalid_certs);
            let version = cluster.client()?.apiserver_version().await?;
            assert_eq!(version.git_version, "v1.36.3");
        }
        Ok(())
    })
}

#[test]
fn a_spec_that_differs_from_the_shared_lab_is_refused() -> Outcome {
    lab()?;
    let other = Lab::shared(LabSpec { members: 7, velero: true, s3: true });
    assert!(matches!(other, Err(LabError::OtherSpec { .. })));
    Ok(())
}

#[test]
fn kubectl_and_commands_run_inside_and_programs_get_their_signals() -> Outcome {
    let lab = lab()?;
    let output = lab.kubectl(lab.hub(), &["get", "namespaces", "-o", "name"])?;
    assert!(String::from_utf8_lossy(&output.stdout).contains("namespace/kube-system"));

    let output = lab.command("ip").args(["-brief", "address", "show", "lan"]).output()?;
    assert!(String::from_utf8_lossy(&output.stdout).contains("172.18.0.1/16"));

    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap 'exit 7' TERM; echo up; while :; do read -r line; done"]);
    let mut guest = lab.spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let out = guest.child().stdout.take().ok_or("no output")?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
    assert_eq!(line, "up\n");
    guest.terminate()?;
    assert_eq!(guest.wait(Duration::from_secs(10))?.code(), Some(7));
    Ok(())
}

#[test]
fn the_lab_says_what_it_is_made_of() -> Outcome {
    let lab = lab()?;
    let state = lab.state();
    assert!(state.components.iter().all(|component| component.pid.is_some()), "{state:?}");
    assert!(lab.logs().iter().all(|log| log.starts_with(lab.dir()) && log.exists()));
    Ok(())
}

#[test]
fn the_real_velero_backs_a_namespace_up_and_restores_it_once_a_location_appears() -> Outcome {
    let lab = lab()?;
    lab.run(async {
        let client = lab.member(1).client()?;
        add_location(&client, "hand/made").await?;

        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &named("shop")?).await?;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
        let prices = json!({"metadata": {"name": "prices"}, "data": {"tea": "3"}});
        maps.create(&PostParams::default(), &serde_json::from_value(prices)?).await?;

        let spec = json!({"storageLocation": "default", "includedNamespaces": ["shop"]});
        run_to(&client, "Backup", "nightly", spec, "Completed").await?;
        let keys = lab.s3().list("hand/made").await?;
        assert!(keys.contains(&"hand/made/backups/nightly/velero-backup.json".to_owned()), "{keys:?}");

        namespaces.delete("shop", &DeleteParams::default()).await?;
        until("the namespace to be gone", Duration::from_secs(60), async || {
            namespaces.get_opt("shop").await.map(|found| found.is_none().then_some(()))
        })
        .await?;

        run_to(&client, "Restore", "back", json!({"backupName": "nightly"}), "Completed").await?;
        let tea = maps.get("prices").await?.data.and_then(|mut data| data.remove("tea"));
        assert_eq!(tea.as_deref(), Some("3"));
        Ok(())
    })
}

/// Credentials and a location, as the docs have them.
async fn add_location(client: &Client, prefix: &str) -> Outcome {
    let cloud = format!(
        "[default]\naws_access_key_id={}\naws_secret_access_key={}\n",
        S3::ACCESS_KEY,
        S3::SECRET_KEY
    );
    let secret = json!({"metadata": {"name": "cloud-credentials"}, "stringData": {"cloud": cloud}});
    Api::<Secret>::namespaced(client.clone(), "velero")
        .create(&PostParams::default(), &serde_json::from_value(secret)?)
        .await?;
    let spec = json!({
        "provider": "aws",
        "default": true,
        "credential": {"name": "cloud-credentials", "key": "cloud"},
        "objectStorage": {"bucket": S3::BUCKET, "prefix": prefix},
        "config": {"region": S3::REGION, "s3Url": S3::ENDPOINT, "s3ForcePathStyle": "true"},
    });
    run_to(client, "BackupStorageLocation", "default", spec, "Available").await
}

/// Creates a Velero object and waits for its phase.
async fn run_to(client: &Client, kind: &str, name: &str, spec: serde_json::Value, phase: &str) -> Outcome {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("velero.io", "v1", kind));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "velero", &kind);
    api.create(&PostParams::default(), &DynamicObject::new(name, &kind).data(json!({"spec": spec}))).await?;
    until(&format!("{} `{name}` {phase}", kind.kind), Duration::from_secs(60), async || {
        let object = api.get(name).await.map_err(|e| e.to_string())?;
        let status = object.data.get("status").cloned().unwrap_or_default();
        if status["phase"] == phase { Ok(Some(())) } else { Err(format!("status {status}")) }
    })
    .await?;
    Ok(())
}

fn named(name: &str) -> serde_json::Result<Namespace> {
    serde_json::from_value(json!({"metadata": {"name": name}}))
}
