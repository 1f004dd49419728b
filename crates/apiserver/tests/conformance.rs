//! The lab's kube-apiserver answers as it was recorded to answer, or is recorded anew with `KURATOR_RECORD=1`; and a
//! stock kubectl works with the embedded server as it does with that one.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

use kurator_apiserver::{ApiServer, Seeded};
use kurator_testkit::{
    Lab, LabSpec,
    conformance::{Outcome, all, differences, record, transcript},
};

const SPEC: LabSpec = LabSpec { members: 0, velero: false, s3: false };

#[test]
fn kube_apiserver_answers_as_it_was_recorded() -> Outcome {
    let lab = Lab::shared(SPEC)?;
    let recording = std::env::var_os("KURATOR_RECORD").is_some();
    lab.run(async {
        let client = lab.hub().client()?;
        let mut found = Vec::new();
        for case in all() {
            let got = transcript(&client, &case).await.map_err(|error| format!("{}: {error}", case.name))?;
            if recording {
                record(&case, &got)?;
            } else {
                found.extend(differences(&case, &got)?);
            }
        }
        assert!(found.is_empty(), "{} answers differ:\n{}", found.len(), found.join("\n"));
        Ok(())
    })
}

/// A kubectl that talks to one server.
struct Kubectl {
    program: PathBuf,
    server: String,
    home: PathBuf,
}

impl Kubectl {
    /// What it prints, given this input; its complaint is an error.
    fn run(&self, line: &str, input: &str) -> Outcome<String> {
        let mut child = Command::new(&self.program)
            .args(["--server", &self.server])
            .args(line.split_whitespace())
            .env("HOME", &self.home)
            .env("KUBECONFIG", "/dev/null")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child.stdin.take().ok_or("no input")?.write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8(output.stdout)?;
        if output.status.success() {
            return Ok(text);
        }
        Err(format!("kubectl {line}: {text}{}", String::from_utf8_lossy(&output.stderr)).into())
    }

    /// Runs and finds these texts in what is printed.
    fn shows(&self, line: &str, input: &str, texts: &[&str]) -> Outcome {
        let printed = self.run(line, input)?;
        for text in texts {
            if !printed.contains(text) {
                return Err(format!("kubectl {line} does not show {text:?} but:\n{printed}").into());
            }
        }
        Ok(())
    }
}

const MAP: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {app: web}}
data: {color: blue}
";
const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: 'web:1'}]
";
const LIST: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: one}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: two}}
";
const EVENT: &str = "
apiVersion: events.k8s.io/v1
kind: Event
metadata: {name: settings.1}
eventTime: '2026-01-02T03:04:05.000000Z'
reportingController: example.com/maker
reportingInstance: maker-0
action: Making
reason: Made
note: It is made.
type: Normal
regarding: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: default, uid: UID}
";
const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat, shortNames: [bt]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Masts, type: integer, jsonPath: .spec.masts}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type==\"Ready\")].status'}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {masts: {type: integer, description: How many masts it has., minimum: 1}}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
";
const BOAT: &str = "
apiVersion: example.com/v1
kind: Boat
metadata: {name: anna}
spec: {masts: 2}
";

fn session(kubectl: &Kubectl) -> Outcome {
    kubectl.shows("version", "", &["Server Version: v1.36"])?;
    kubectl.shows("get namespaces", "", &["NAME", "STATUS", "AGE", "kube-system", "Active"])?;
    kubectl.shows("apply -f -", MAP, &["configmap/settings created"])?;
    kubectl.shows("apply -f -", MAP, &["configmap/settings unchanged"])?;
    kubectl.shows("apply -f -", &MAP.replace("blue", "red"), &["configmap/settings configured"])?;
    kubectl.shows("get configmap settings -o jsonpath={.data.color}", "", &["red"])?;
    kubectl.shows("get configmaps", "", &["NAME", "DATA", "settings   1"])?;
    kubectl.shows("get cm -l app=web -o name", "", &["configmap/settings"])?;
    kubectl.shows("describe configmap settings", "", &["Name:", "settings", "color:", "red"])?;
    let uid = kubectl.run("get configmap settings -o jsonpath={.metadata.uid}", "")?;
    kubectl.shows("create -f -", &EVENT.replace("UID", &uid), &["event.events.k8s.io/settings.1 created"])?;
    kubectl.shows("describe configmap settings", "", &["Made", "maker", "It is made."])?;
    kubectl.shows("get events", "", &["REASON", "configmap/settings", "It is made."])?;
    kubectl.shows("apply -f -", LIST, &["configmap/one created", "configmap/two created"])?;
    kubectl.shows("apply --server-side -f -", DEPLOYMENT, &["deployment.apps/web serverside-applied"])?;
    kubectl.shows("get deployments", "", &["UP-TO-DATE", "web", "0/2"])?;
    kubectl.shows("get deployments -o wide", "", &["CONTAINERS", "web:1", "app=web"])?;
    kubectl.shows("describe deployment web", "", &["Replicas:", "2 desired", "web:1"])?;
    kubectl.shows("set image deployment/web web=web:2", "", &["image updated"])?;
    kubectl.shows(
        "get deployment web -o jsonpath={.spec.template.spec.containers[0].image}",
        "",
        &["web:2"],
    )?;
    kubectl.shows("scale deployment web --replicas=5", "", &["deployment.apps/web scaled"])?;
    kubectl.shows("scale deployment web --current-replicas=5 --replicas=4", "", &["scaled"])?;
    kubectl.shows("get deployments", "", &["0/4"])?;
    kubectl.shows(
        "patch configmap settings --type=merge -p {\"data\":{\"size\":\"5\"}}",
        "",
        &["patched"],
    )?;
    kubectl.shows("label configmap settings tier=front", "", &["labeled"])?;
    kubectl.shows("annotate configmap settings note=x", "", &["annotated"])?;
    kubectl.shows("explain deployment.spec.replicas", "", &["KIND:", "Deployment", "replicas <integer>"])?;
    kubectl.shows("explain pods", "", &["spec\t<PodSpec>"])?;
    kubectl.shows("apply -f -", DEFINITION, &["boats.example.com created"])?;
    kubectl.shows(
        "wait --for=condition=Established crd/boats.example.com --timeout=10s",
        "",
        &["condition met"],
    )?;
    kubectl.shows("apply -f -", BOAT, &["boat.example.com/anna created"])?;
    kubectl.shows("apply -f -", &BOAT.replace('2', "3"), &["boat.example.com/anna configured"])?;
    let ready = "{\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}";
    kubectl.shows(
        &format!("patch boat anna --subresource=status --type=merge -p {ready}"),
        "",
        &["patched"],
    )?;
    kubectl.shows("wait --for=condition=Ready boat/anna --timeout=10s", "", &["condition met"])?;
    kubectl.shows("get bt", "", &["MASTS", "READY", "anna   3       True"])?;
    kubectl.shows("explain boat.spec.masts", "", &["How many masts it has."])?;
    kubectl.shows("api-resources --api-group=example.com", "", &["boats", "bt", "example.com/v1", "Boat"])?;
    kubectl.shows("auth can-i create boats", "", &["yes"])?;
    kubectl.shows("create namespace harbour", "", &["namespace/harbour created"])?;
    kubectl.shows("get serviceaccounts -n harbour", "", &["default"])?;
    kubectl.shows("create configmap c --from-literal=a=b -n harbour", "", &["configmap/c created"])?;
    kubectl.shows("create secret generic s --from-literal=a=b -n harbour", "", &["secret/s created"])?;
    kubectl.shows("create serviceaccount a -n harbour", "", &["serviceaccount/a created"])?;
    kubectl.shows(
        "create role r --verb=get --resource=pods -n harbour",
        "",
        &["role.rbac.authorization.k8s.io/r created"],
    )?;
    kubectl.shows("get secret s -n harbour -o jsonpath={.data.a}", "", &["Yg=="])?;
    kubectl.shows("describe namespace harbour", "", &["Status:", "Active"])?;
    kubectl.shows("delete namespace harbour --timeout=10s", "", &["deleted"])?;
    kubectl.shows(
        "delete deployment/web configmap/settings --timeout=10s",
        "",
        &["deployment.apps \"web\" deleted"],
    )?;
    kubectl.shows("delete crd boats.example.com --timeout=10s", "", &["deleted"])?;
    for (line, input, complaint) in [
        ("get ships", "", "the server doesn't have a resource type"),
        ("get configmap settings", "", "configmaps \"settings\" not found"),
        ("delete namespace default", "", "this namespace may not be deleted"),
        (
            "apply -f -",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndaat: {}\n",
            "unknown field \"daat\"",
        ),
        ("apply -f -", &LIST.replace("metadata", "daat: {}, metadata"), "unknown field \"daat\""),
    ] {
        let said = kubectl.run(line, input).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(complaint), "kubectl {line} says {said:?}");
    }
    Ok(())
}

#[test]
fn a_stock_kubectl_works_with_the_embedded_server() -> Outcome {
    let lab = Lab::shared(SPEC)?;
    let folders = lab.state().path;
    let program = folders.iter().map(|folder: &PathBuf| folder.join("kubectl")).find(|file| file.is_file());
    let home = lab.dir().join("kubectl-home");
    std::fs::create_dir_all(&home)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let server = format!("http://{}", listener.local_addr()?);
    let cluster = ApiServer::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH), Arc::new(Seeded::new(1)));
    let serving = runtime.spawn(async move { axum::serve(listener, cluster.router()).await });
    let kubectl = Kubectl { program: program.ok_or("the lab has no kubectl")?, server, home };
    let walked = session(&kubectl);
    serving.abort();
    walked
}
