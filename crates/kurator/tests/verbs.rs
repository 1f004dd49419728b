//! The verbs that people type, against a hub that serves.

use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use anyhow::ensure;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::Api;
use kube::api::DeleteParams;
use kurator_api::fleet::Fleet;
use kurator_testkit::fixtures::{BOUND, Tenant, minio, ready, sow};
use kurator_testkit::wait::until;
use kurator_testkit::{Lab, LabSpec, Serving};
use serde_json::{Value, json};

type Outcome = anyhow::Result<()>;

/// What a command printed, and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs `kurator` with these words, which are split at blanks, in the namespace `verbs` of the hub.
fn kurator(lab: &Lab, words: &str) -> anyhow::Result<Said> {
    let mut command = lab.command(env!("CARGO_BIN_EXE_kurator"));
    command.args(words.split(' ')).env("KUBECONFIG", lab.hub().kubeconfig_path()).stdin(Stdio::null());
    Ok(said(&command.args(["--namespace", "verbs"]).output()?))
}

fn said(output: &Output) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Said {
    fn done(self) -> anyhow::Result<String> {
        ensure!(self.code == Some(0), "ended with {:?}: {}", self.code, self.err);
        Ok(self.out)
    }
}

/// The cells of the line that begins with `name`.
fn line<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let found = table.lines().find(|line| line.split_whitespace().next() == Some(name));
    found
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .unwrap_or_default()
}

/// One story: what each step shows is what the one before has made.
#[test]
fn a_person_backs_up_restores_and_migrates_without_writing_yaml() -> Outcome {
    let lab = Lab::shared(LabSpec { members: 2, velero: false, s3: true })?;
    let serving =
        Serving::start(lab, Path::new(env!("CARGO_BIN_EXE_kurator")), ["--default-engine", "builtin"])?;
    lab.run(async {
        ready(&serving).await?;
        let nothing = kurator(lab, "get")?;
        assert_eq!((nothing.code, nothing.err.as_str()), (Some(0), "nothing in namespace verbs\n"));

        let tenant = Tenant::new(lab, "verbs").await?;
        sow(lab.member(1), "verbs-shop").await?;
        let clusters = [tenant.attach(1).await?, tenant.attach(2).await?];
        tenant.fleet(&[&clusters[0], &clusters[1]], Some(minio("verbs"))).await?;
        tenant.all::<Fleet>().until_phase("verbs", "Ready").await?;
        what_is_printed_first_is_what_is_created(lab, &clusters[0])?;

        let create = format!("backup create shop --fleet verbs --clusters {} --include-namespaces verbs-shop --wait", clusters[0]);
        let created = kurator(lab, &create)?;
        assert!(created.err.ends_with("Completed, 4/4 objects, 1/1 clusters completed\n"), "{}", created.err);
        assert_eq!(created.done()?, "backup.backup.kurator.dev/shop created\n");
        let again = kurator(lab, &create)?;
        assert_eq!(again.code, Some(1));
        assert!(again.err.contains("hint: choose another name, or delete that one first"), "{}", again.err);

        let all = kurator(lab, "get")?.done()?;
        assert_eq!(line(&all, "verbs")[1..5], ["Ready", "2/2", "Builtin", "velero"]);
        assert_eq!(line(&all, "shop")[1..4], ["verbs", "Completed", "1/1"]);
        assert_eq!(line(&all, &clusters[1])[1..3], ["AttachedCluster", "True"]);
        let wide = kurator(lab, "get backups shop -o wide")?.done()?;
        assert_eq!(line(&wide, "shop").last(), Some(&"1/1 clusters completed"));
        assert_eq!(kurator(lab, "get backups -o name")?.done()?, "backup.backup.kurator.dev/shop\n");
        let shown: Value = serde_json::from_str(&kurator(lab, "get backup shop -o json")?.done()?)?;
        assert_eq!(shown["status"]["phase"], "Completed");
        let named = kurator(lab, "get backup.backup.kurator.dev/shop -o name")?.done()?;
        assert_eq!(named, "backup.backup.kurator.dev/shop\n");
        let mut elsewhere = lab.command(env!("CARGO_BIN_EXE_kurator"));
        elsewhere.env("KUBECONFIG", lab.member(1).kubeconfig_path()).args(["-n", "default", "get", "backups"]);
        let elsewhere = said(&elsewhere.stdin(Stdio::null()).output()?);
        assert!(elsewhere.err.contains("has no Kurator types\n\nhint: is it the hub?"), "{}", elsewhere.err);
        assert_eq!(kurator(lab, "describe backup nosuch")?.err, kurator(lab, "get backup nosuch")?.err);
        let told = kurator(lab, "describe backup shop")?.done()?;
        assert!(told.contains("STORED IN\n"), "{told}");

        let namespaces = Api::<Namespace>::all(lab.member(1).client()?);
        namespaces.delete("verbs-shop", &DeleteParams::default()).await?;
        until("the namespace to be gone", BOUND, async || match namespaces.get_opt("verbs-shop").await {
            Ok(None) => Ok(Some(())),
            other => Err(format!("{other:?}")),
        })
        .await?;
        let restored = kurator(lab, "restore create back --from-backup shop --wait")?;
        assert_eq!(restored.done()?, "restore.backup.kurator.dev/back created\n");
        prices(lab, 1).await?;
        let migrate = format!("migrate create move --fleet verbs --from {} --to {} --include-namespaces verbs-shop --wait", clusters[0], clusters[1]);
        kurator(lab, &migrate)?.done()?;
        prices(lab, 2).await?;
        let moved = kurator(lab, "get migrates")?.done()?;
        assert_eq!(line(&moved, "move")[1..5], [&clusters[0], &clusters[1], "Completed", "1/1"]);

        let failed = kurator(lab, "restore create none --from-backup shop --include-resources [ --wait")?;
        assert_eq!(failed.code, Some(4), "{}", failed.err);
        assert!(failed.err.contains("hint: `kurator describe restore none --namespace verbs` says more"), "{}", failed.err);
        let missing = kurator(lab, "get backups nosuch")?;
        assert_eq!(missing.code, Some(1));
        assert_eq!(
            missing.err,
            "error: no backup `nosuch` in namespace verbs\n\nhint: `kurator get backups --namespace verbs` shows those that there are\n"
        );
        Ok(())
    })
}

/// The YAML of a dry run is what the hub takes, and nothing is created.
fn what_is_printed_first_is_what_is_created(lab: &Lab, cluster: &str) -> Outcome {
    let words = format!(
        "backup create dry --fleet verbs --clusters {cluster} --selector app=shop --ttl 24h --dry-run client -o yaml"
    );
    let yaml = kurator(lab, &words)?.done()?;
    assert!(!yaml.contains("{}"), "{yaml}");
    let mut command = lab.command("kubectl");
    command.args(["--kubeconfig", &lab.hub().kubeconfig_path().to_string_lossy()]);
    command
        .args(["apply", "--dry-run=server", "-o", "json", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(yaml.as_bytes())?;
    }
    let applied: Value = serde_json::from_str(&said(&child.wait_with_output()?).done()?)?;
    let policy = json!({"ttl": "24h", "resourceFilter": {"labelSelector": {"matchLabels": {"app": "shop"}}}});
    assert_eq!(applied["spec"]["policy"], policy);
    assert_eq!(kurator(lab, "get backups -o name")?.err, "no backups in namespace verbs\n");
    Ok(())
}

async fn prices(lab: &Lab, member: usize) -> Outcome {
    Api::<ConfigMap>::namespaced(lab.member(member).client()?, "verbs-shop").get("prices").await?;
    Ok(())
}
