//! What `kurator quickstart` prints to try next, typed into a stock kubectl.

mod staying;

use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use kurator_testkit::binaries::{self, Module};
use staying::Staying;

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

#[test]
fn the_kubectl_lines_that_are_printed_work() -> anyhow::Result<()> {
    let kubectl = binaries::ensure(&[Module::Kubernetes], &|_| {})?.path("kubectl");
    let (temporary, home) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (staying, told) = Staying::start(temporary.path())?;
    let run = |words: &str| -> anyhow::Result<String> {
        let output =
            Command::new(&kubectl).args(words.split_whitespace()).env("HOME", home.path()).output()?;
        ensure!(output.status.success(), "kubectl {words}: {}", text(&output));
        Ok(text(&output))
    };
    let printed: Vec<_> = told.iter().filter_map(|line| line.trim_start().strip_prefix("kubectl ")).collect();
    ensure!(printed.len() >= 4, "{told:?}");
    for words in &printed {
        let said = run(words)?;
        ensure!(!said.contains("No resources found"), "kubectl {words}: {said}");
    }

    // The rest of a session: change, wait, delete.
    let of = |line: &&String| line.trim_start().starts_with("export KUBECONFIG=");
    let hub = told.iter().find(of).and_then(|line| line.split_once('=')).context("no kubeconfig")?.1;
    let hub = |words: &str| run(&format!("--kubeconfig {hub} {words}"));
    hub("patch backups.backup.kurator.dev schedule --type=merge -p {\"spec\":{\"paused\":true}}")?;
    hub("wait --for=jsonpath={.status.phase}=Paused backups.backup.kurator.dev/schedule --timeout=60s")?;
    hub("annotate --overwrite backups.backup.kurator.dev schedule kurator.dev/run-now=again")?;
    hub(
        "wait --for=jsonpath={.status.backupDetails[0].schedule.ranNow}=again backups.backup.kurator.dev/schedule --timeout=60s",
    )?;
    hub("delete restores.backup.kurator.dev schedule --timeout=60s")?;
    let left = hub("get restores.backup.kurator.dev -o name")?;
    assert_eq!(left, "restore.backup.kurator.dev/specific-ns\n");
    staying.interrupt()
}
