//! What `kurator quickstart` prints to try next, typed into a shell with a stock kubectl.

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
fn the_lines_that_are_printed_can_be_pasted_into_a_shell() -> anyhow::Result<()> {
    let kubectl = binaries::ensure(&[Module::Kubernetes], &|_| {})?.path("kubectl");
    let folder = kubectl.parent().context("kubectl lies nowhere")?.display().to_string();
    // A folder whose name a shell takes apart unless it is quoted.
    let (temporary, home) = (tempfile::Builder::new().prefix("it's a ").tempdir()?, tempfile::tempdir()?);
    let (staying, told) = Staying::start(temporary.path())?;
    let lines =
        told.iter().skip_while(|line| *line != "Try next, in another terminal").map(|line| line.trim());
    let (export, lines): (Vec<_>, Vec<_>) = lines
        .filter(|line| ["export ", "kubectl ", "/", "'/"].iter().any(|begin| line.starts_with(begin)))
        .partition(|line| line.starts_with("export "));
    let [export] = export.as_slice() else { anyhow::bail!("{told:?}") };
    let run = |line: &str| -> anyhow::Result<String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{export}; {line}")]).current_dir(home.path());
        let output =
            shell.env("HOME", home.path()).env("PATH", format!("{folder}:/usr/bin:/bin")).output()?;
        let said = text(&output);
        ensure!(output.status.success() && !said.contains("No resources found"), "{line}: {said}");
        ensure!(!said.contains("Warning"), "{line}: {said}");
        Ok(said)
    };
    // That one does not end by itself.
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.ends_with("get --watch")).collect();
    for verb in ["get", "describe", "apply", "patch", "delete", "wait", "explain"] {
        ensure!(
            lines.iter().any(|line| line.contains(&format!("kubectl {verb} "))),
            "no {verb} in {lines:?}"
        );
    }
    for line in &lines {
        run(line)?;
    }
    // What the walk has applied can be applied once more.
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/backup/backup-select-labels.yaml");
    run(&format!("kubectl apply -f {example}"))?;
    run("kubectl wait --for=jsonpath='{.status.phase}'=Paused backups/schedule --timeout=60s")?;
    assert_eq!(run("kubectl get restores -o name")?, "restore.backup.kurator.dev/specific-ns\n");
    staying.interrupt()
}
