//! Clusters, and the kubeconfigs that lead to them.

use anyhow::Context as _;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, ResourceExt};
use kurator_api::backup::{Backup, RowPhase};
use kurator_api::cluster::{AttachedCluster, Cluster, ClusterKind};
use kurator_api::fleet::Fleet;
use kurator_api::velero::{self, BackupStorageLocation};
use kurator_testkit::Lab;
use kurator_testkit::fixtures::{Tenant, minio, sow, velero as in_member};
use serde_json::json;

use crate::{Outcome, Stage, on_stage};

/// What a Secret holds, and what has to be said about it.
struct Case {
    name: &'static str,
    /// Key and content; nothing means that the Secret is empty.
    content: Option<(&'static str, String)>,
    reason: &'static str,
    /// Parts of the message: the place, then the remedy.
    says: [&'static str; 2],
}

impl Case {
    fn new(
        name: &'static str,
        kubeconfig: impl Into<String>,
        reason: &'static str,
        says: [&'static str; 2],
    ) -> Self {
        Self { name, content: Some(("value", kubeconfig.into())), reason, says }
    }

    fn invalid(name: &'static str, kubeconfig: impl Into<String>, says: [&'static str; 2]) -> Self {
        Self::new(name, kubeconfig, "KubeconfigInvalid", says)
    }

    fn refused(name: &'static str, kubeconfig: String, says: [&'static str; 2]) -> Self {
        Self::new(name, kubeconfig, "KubeconfigRefused", says)
    }
}

/// Member 1's kubeconfig, which works, with one part replaced.
fn spoilt(lab: &Lab, part: &str, by: &str) -> String {
    let kubeconfig = lab.member(1).kubeconfig();
    assert!(kubeconfig.contains(part), "{part}");
    kubeconfig.replace(part, by)
}

fn broken_kubeconfigs(lab: &Lab, witness: &str) -> Vec<Case> {
    const INLINE: &str = "use `token`, or `client-certificate-data` with `client-key-data`";
    const TOKEN: &str = "{token: lab-token-of-member-1}";
    const SERVER: &str = "https://172.18.1.1:6443";
    const REACHABLE: &str = "use the address under which other machines reach the server";
    let user = |by: &str| spoilt(lab, TOKEN, by);
    let server = |by: &str| spoilt(lab, SERVER, by);
    let cluster = |field: &str| server(&format!("{SERVER}\n    {field}"));
    let exec = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: touch, args: [\"{witness}\"], interactiveMode: Never}}}}"
    );
    vec![
        Case::invalid(
            "garbage",
            "{]",
            ["key `value`: kubeconfig file is not usable", "check it with `kubectl config view"],
        ),
        Case::invalid(
            "empty",
            "",
            ["kubeconfig file is not usable: it is empty", "store the kubeconfig under this key"],
        ),
        Case::invalid("no-credentials", user("{}"), ["users[admin].user", INLINE]),
        Case::invalid(
            "no-url",
            server("elsewhere:x"),
            ["clusters[member-1].cluster.server", "write it as https://HOST:PORT"],
        ),
        Case::refused("exec", user(&exec), ["users[admin].user.exec` with value `touch`", INLINE]),
        Case::refused(
            "auth-provider",
            user("{auth-provider: {name: gcp}}"),
            ["users[admin].user.auth-provider", INLINE],
        ),
        Case::refused(
            "token-file",
            user("{tokenFile: /etc/hostname}"),
            ["users[admin].user.tokenFile", "into `token`"],
        ),
        Case::refused(
            "client-certificate",
            user("{client-certificate: /etc/hostname, client-key: /etc/hostname}"),
            ["users[admin].user.client-certificate", "into `client-certificate-data`"],
        ),
        Case::refused(
            "password",
            user("{username: admin, password: x}"),
            ["users[admin].user.username", INLINE],
        ),
        Case::refused(
            "other-user",
            user("{token: x, as: root}"),
            ["users[admin].user.as", "credentials of its own"],
        ),
        Case::refused(
            "authority-file",
            cluster("certificate-authority: /etc/hostname"),
            ["clusters[member-1].cluster.certificate-authority", "into `certificate-authority-data`"],
        ),
        Case::refused(
            "no-verification",
            cluster("insecure-skip-tls-verify: true"),
            ["clusters[member-1].cluster.insecure-skip-tls-verify", "`certificate-authority-data`"],
        ),
        Case::refused(
            "proxy",
            cluster("proxy-url: http://172.18.0.1:3128"),
            ["clusters[member-1].cluster.proxy-url", "that the manager reaches directly"],
        ),
        Case::refused(
            "http",
            server("http://172.18.1.1:6443"),
            ["clusters[member-1].cluster.server", "https address"],
        ),
        Case::refused("loopback", server("https://127.0.0.1:6443"), ["it is a loopback address", REACHABLE]),
        Case::refused(
            "link-local",
            server("https://169.254.169.254"),
            ["it is a link-local address", REACHABLE],
        ),
        Case::new(
            "dead-address",
            server("https://172.18.9.9:6443"),
            "Unreachable",
            ["no answer since ", "cannot connect"],
        ),
        Case::new(
            "wrong-token",
            user("{token: stolen}"),
            "Unauthorized",
            [
                "the API server refuses the kubeconfig in Secret `wrong-token` since ",
                "credentials refused (401)",
            ],
        ),
        Case {
            name: "other-key",
            content: Some(("config", lab.member(1).kubeconfig())),
            reason: "KubeconfigKeyMissing",
            says: ["spec.kubeconfig.key: Secret `other-key` has no key `value`", "it has config"],
        },
        Case {
            name: "empty-secret",
            content: None,
            reason: "KubeconfigKeyMissing",
            says: ["spec.kubeconfig.key: Secret `empty-secret` has no key `value`", "it has none"],
        },
    ]
}

async fn judge(tenant: &Tenant<'_>, case: &Case) -> anyhow::Result<()> {
    let message = tenant.all::<AttachedCluster>().until_reason(case.name, case.reason).await?;
    let event = tenant.until_event("AttachedCluster", case.name, case.reason).await?;
    for part in case.says {
        assert!(message.contains(part), "{}: condition `{message}` lacks `{part}`", case.name);
    }
    assert!(event.contains(case.says[0]), "{}: event `{event}`", case.name);
    Ok(())
}

#[test]
fn k14_k51_every_fault_of_a_kubeconfig_is_reported_with_field_and_remedy_and_followed_nowhere() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k14").await?;
        let witness = stage.lab.dir().join("k51-a-program-ran");
        let cases = broken_kubeconfigs(stage.lab, &witness.display().to_string());
        for case in &cases {
            let content: Vec<_> = case.content.iter().map(|(key, text)| (*key, text.as_str())).collect();
            tenant.secret(case.name, &content).await?;
            tenant.create::<AttachedCluster>(case.name, json!({"kubeconfig": {"name": case.name}})).await?;
        }
        // A fleet and a Backup give the hub every reason to go there.
        let names: Vec<_> = cases.iter().map(|case| case.name).collect();
        tenant.fleet(&names, Some(minio("k14"))).await?;
        tenant.create::<Backup>("b", json!({"destination": {"fleet": "k14"}})).await?;
        try_join_all(cases.iter().map(|case| judge(&tenant, case))).await?;

        let backup = tenant.all::<Backup>().until_reason("b", cases[0].reason).await?;
        assert!(backup.starts_with("no cluster has started"), "{backup}");
        assert!(!witness.exists(), "the program of the kubeconfig ran");
        assert_eq!(stage.serving.get("/healthz").await?.0, 200);
        nothing_of(&tenant, stage).await
    })
}

/// No object in any member is of this tenant's fleet.
pub(crate) async fn nothing_of(tenant: &Tenant<'_>, stage: &Stage) -> Outcome {
    let label = format!("fleet.kurator.dev/fleet-name={}", tenant.name());
    for i in 1..=2 {
        let member = stage.lab.member(i);
        assert_eq!(in_member::<Secret>(member)?.list(&label).await?, []);
        assert_eq!(in_member::<BackupStorageLocation>(member)?.list(&label).await?, []);
        assert_eq!(in_member::<velero::Backup>(member)?.list(&label).await?, []);
    }
    Ok(())
}

#[test]
fn a_cluster_without_its_secret_is_reported_by_name() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("no-secret").await?;
        tenant.create::<AttachedCluster>("c", json!({"kubeconfig": {"name": "later"}})).await?;
        let message = tenant.all::<AttachedCluster>().until_reason("c", "KubeconfigSecretMissing").await?;
        assert_eq!(
            message,
            "spec.kubeconfig.name: there is no Secret `later` in this namespace; create it or change the name"
        );
        Ok(())
    })
}

#[test]
fn k28_a_kubeconfig_that_comes_later_connects_the_cluster() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k28-kubeconfig").await?;
        let clusters = tenant.all::<AttachedCluster>();
        tenant.create::<AttachedCluster>("c", json!({"kubeconfig": {"name": "later"}})).await?;
        clusters.until_reason("c", "KubeconfigSecretMissing").await?;
        tenant.secret("later", &[("value", &stage.lab.member(1).kubeconfig())]).await?;
        let cluster = clusters.until("c", "ready", is_ready).await?;
        assert_eq!(cluster.status.context("no status")?.api_server.as_deref(), Some("v1.36.3"));
        Ok(())
    })
}

#[test]
fn k28_a_repaired_kubeconfig_connects_the_cluster() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k28-repaired").await?;
        tenant.attach_as("c", "{]").await?;
        tenant.all::<AttachedCluster>().until_reason("c", "KubeconfigInvalid").await?;
        tenant.rotate("c", &[("value", &stage.lab.member(1).kubeconfig())]).await?;
        tenant.all::<AttachedCluster>().until_reason("c", "Connected").await?;
        Ok(())
    })
}

#[test]
fn k30_a_rotated_kubeconfig_leads_to_the_cluster_that_it_names() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("k30-kubeconfig").await?;
        let clusters = tenant.all::<AttachedCluster>();
        let name = tenant.attach(1).await?;
        for i in [1, 2] {
            let member = stage.lab.member(i);
            tenant.rotate(&name, &[("value", &member.kubeconfig())]).await?;
            let uid = Api::<Namespace>::all(member.client()?).get("kube-system").await?.uid();
            let leads_there = |c: &AttachedCluster| {
                is_ready(c) && c.status.as_ref().is_some_and(|status| status.cluster_uid == uid)
            };
            clusters.until(&name, &format!("leads to member {i}"), leads_there).await?;
        }
        Ok(())
    })
}

#[test]
fn n1_k42_a_cluster_of_kurators_own_is_backed_up_whichever_side_leaves_out_its_kind() -> Outcome {
    on_stage(async |stage| {
        let tenant = stage.tenant("n1").await?;
        sow(stage.lab.member(1), "n1").await?;
        // The cloud's credential, which must not be taken for a kubeconfig.
        tenant.secret("n1-cloud", &[("value", "not a kubeconfig")]).await?;
        tenant.secret("n1-prod-kubeconfig", &[("value", &stage.lab.member(1).kubeconfig())]).await?;
        let spec = json!({"infraType": "aws", "version": "v1.36.3", "credential": "n1-cloud"});
        tenant.create::<Cluster>("n1-prod", spec).await?;
        tenant.all::<Cluster>().merge_status("n1-prod", json!({"phase": "Ready"})).await?;
        let plugin = minio("n1");
        tenant.create::<Fleet>("n1", json!({"clusters": [{"name": "n1-prod"}], "plugin": plugin})).await?;
        tenant
            .create::<Backup>(
                "b",
                json!({
                    "destination": {"fleet": "n1", "clusters": [{"kind": "Cluster", "name": "n1-prod"}]},
                    "policy": {"resourceFilter": {"includedNamespaces": ["n1"]}},
                }),
            )
            .await?;
        let backup = tenant.all::<Backup>().until_phase("b", "Completed").await?;
        let rows = backup.status.context("no status")?.backup_details;
        assert_eq!(
            (rows.len(), rows[0].cluster_kind, rows[0].phase),
            (1, ClusterKind::Cluster, Some(RowPhase::Completed))
        );
        let keys = stage.lab.s3().list("n1/clusters/n1/cluster/n1-prod/backups/n1-prod-backup-n1-b").await?;
        assert!(!keys.is_empty());
        Ok(())
    })
}

fn is_ready(cluster: &AttachedCluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| status.ready)
}
