//! `kurator quickstart`, on a machine that has nothing else.

mod staying;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};
use staying::{Staying, quickstart};

type Outcome = anyhow::Result<()>;

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

fn is_empty(folder: &Path) -> anyhow::Result<bool> {
    Ok(std::fs::read_dir(folder)?.next().is_none())
}

#[test]
fn the_walk_goes_to_its_end_without_a_home_and_leaves_nothing() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let output = quickstart(temporary.path(), &["--once"]).output()?;
    let told = text(&output);
    ensure!(output.status.success(), "{told}");
    assert!(told.contains("9/9  Migrate"), "{told}");
    assert_eq!(told.matches("\n  done in ").count(), 9, "{told}");
    assert!(!told.contains('\x1b'), "{told}");
    assert!(is_empty(temporary.path())?);
    Ok(())
}

#[test]
fn what_is_stored_in_a_folder_of_ones_own_stays() -> Outcome {
    let (temporary, store) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let folder = store.path().to_str().context("a path that is no text")?;
    let output = quickstart(temporary.path(), &["--once", "--show-yaml", "--store", folder]).output()?;
    let told = text(&output);
    ensure!(output.status.success(), "{told}");
    assert!(told.contains("    kind: Migrate\n"), "{told}");
    assert!(!is_empty(&store.path().join("velero"))?);

    let again = quickstart(temporary.path(), &["--once", "--store", folder]).output()?;
    let told = text(&again);
    assert_eq!(again.status.code(), Some(1), "{told}");
    assert!(told.contains("holds backups of other clusters"), "{told}");
    Ok(())
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_what_is_in_the_process() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let mut command = quickstart(temporary.path(), &["--once"]);
    let output = command.env("HTTPS_PROXY", "http://127.0.0.1:9").output()?;
    ensure!(output.status.success(), "{}", text(&output));
    Ok(())
}

#[test]
fn a_port_in_use_is_named_and_a_way_out_too() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let output = quickstart(temporary.path(), &["--once", "--port", &port]).output()?;
    let told = text(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{told}");
    assert!(told.contains("hint: another process may hold the port"), "{told}");
    assert!(is_empty(temporary.path())?);
    Ok(())
}

#[test]
fn it_stays_until_it_is_interrupted_and_then_leaves_nothing() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (staying, told) = Staying::start(temporary.path())?;
    let of = |line: &&String| line.trim_start().starts_with("export KUBECONFIG=");
    let hub = told.iter().find(of).and_then(|line| line.split_once('=')).context("no kubeconfig")?.1;
    let get = Command::new(env!("CARGO_BIN_EXE_kurator"))
        .args(["get", "backups"])
        .env("KUBECONFIG", hub)
        .output()?;
    ensure!(get.status.success() && text(&get).contains("specific-ns"), "{}", text(&get));
    let folder = Path::new(hub).parent().context("a kubeconfig without a folder")?;
    assert_eq!(folder.metadata()?.permissions().mode() & 0o077, 0, "others can read the kubeconfigs");

    staying.interrupt()?;
    assert!(is_empty(temporary.path())?);
    Ok(())
}
