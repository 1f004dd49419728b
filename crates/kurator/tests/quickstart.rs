//! `kurator quickstart`, on a machine that has nothing else.

mod staying;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use staying::{Signal, Staying, quickstart};

type Outcome = anyhow::Result<()>;

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    both.concat()
}

/// Kubeconfig of the hub of the only quickstart with this folder for temporary files.
fn hub(temporary: &Path) -> anyhow::Result<PathBuf> {
    let folder = std::fs::read_dir(temporary)?.next().context("no folder")??;
    Ok(folder.path().join("hub"))
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
    let output = quickstart(temporary.path(), &["--once", "--store", folder]).output()?;
    let told = text(&output);
    ensure!(output.status.success(), "{told}");
    assert!(!is_empty(&store.path().join("velero"))?);

    let again = quickstart(temporary.path(), &["--once", "--store", folder]).output()?;
    let told = text(&again);
    assert_eq!(again.status.code(), Some(1), "{told}");
    assert!(told.contains("holds backups of other clusters"), "{told}");
    Ok(())
}

#[test]
fn all_that_is_applied_is_shown_once_but_for_what_is_secret() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let told = text(&quickstart(temporary.path(), &["--once", "--show-yaml"]).output()?);
    for kind in ["Deployment", "Migrate", "Fleet"] {
        assert_eq!(told.matches(&format!("    kind: {kind}\n")).count(), 1, "{kind}: {told}");
    }
    assert!(told.contains("password: <a password>") && !told.contains("swordfish"), "{told}");
    Ok(())
}

#[test]
fn a_walk_whose_words_nobody_gets_has_failed() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let full = File::options().write(true).open("/dev/full")?;
    let output = quickstart(temporary.path(), &["--once"]).stdout(full).stderr(Stdio::piped()).spawn()?;
    let output = output.wait_with_output()?;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert_eq!(text(&output), "error: cannot write to stdout: No space left on device (os error 28)\n");
    assert!(is_empty(temporary.path())?);
    Ok(())
}

#[test]
fn where_too_few_files_may_be_open_that_is_said_with_the_way_out() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let folder = temporary.path().display();
    let line =
        format!("ulimit -n 40; TMPDIR={folder} exec {} quickstart --once", env!("CARGO_BIN_EXE_kurator"));
    let output = Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).output()?;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let told = text(&output);
    assert!(
        told.contains(
            "hint: this process may have 40 files open, which is few; allow 96 with `ulimit -n 96`"
        ),
        "{told}"
    );
    assert!(!told.contains("uncategorized"), "{told}");
    Ok(())
}

#[test]
fn a_signal_before_a_step_cuts_the_walk_short_and_shows_no_log() -> Outcome {
    let (stay, once) = (&["--step"][..], &["--step", "--once"][..]);
    for (more, signal) in [(stay, Signal::INT), (stay, Signal::TERM), (once, Signal::INT)] {
        let temporary = tempfile::tempdir()?;
        let said = tempfile::NamedTempFile::new()?;
        let mut command = quickstart(temporary.path(), more);
        command.stdin(Stdio::piped()).stderr(said.reopen()?);
        let (staying, _) = Staying::until(&mut command, "  Enter goes on")?;
        let once = more.contains(&"--once");
        assert_eq!(staying.end(&[signal])?.code(), Some(i32::from(once)));
        let error = if once { "error: " } else { "" };
        let expected = format!("{error}the walk was cut short by a signal\n");
        assert_eq!(std::fs::read_to_string(said.path())?, expected);
    }
    Ok(())
}

#[test]
fn a_signal_after_the_walk_has_cut_nothing_short() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let said = tempfile::NamedTempFile::new()?;
    let mut command = quickstart(temporary.path(), &[]);
    let (staying, _) = Staying::until(command.stderr(said.reopen()?), "Ctrl-C ends all of it")?;
    staying.interrupt()?;
    assert_eq!(std::fs::read_to_string(said.path())?, "");
    Ok(())
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_this_machine() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let proxy = ("HTTPS_PROXY", "http://127.0.0.1:9");
    let mut command = quickstart(temporary.path(), &[]);
    let (staying, _) = Staying::until(command.env(proxy.0, proxy.1), "Ctrl-C ends all of it")?;
    let get = Command::new(env!("CARGO_BIN_EXE_kurator"))
        .args(["get", "backups"])
        .env(proxy.0, proxy.1)
        .env("KUBECONFIG", hub(temporary.path())?)
        .output()?;
    ensure!(get.status.success(), "{}", text(&get));
    staying.interrupt()
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

#[test]
fn whatever_signal_ends_it_leaves_nothing() -> Outcome {
    for signals in [&[Signal::TERM][..], &[Signal::HUP], &[Signal::INT, Signal::INT]] {
        let temporary = tempfile::tempdir()?;
        let (staying, _) = Staying::until(&mut quickstart(temporary.path(), &[]), "Up after")?;
        let status = staying.end(signals)?;
        // The second may come before the end that the first has begun.
        assert!(matches!(status.code(), Some(0 | 130)), "{signals:?}: {status}");
        assert!(is_empty(temporary.path())?, "{signals:?}");
    }
    Ok(())
}

#[test]
fn a_signal_while_it_comes_up_leaves_nothing_either() -> Outcome {
    // It is met at another place each time.
    for _ in 0..5 {
        let temporary = tempfile::tempdir()?;
        let mut starting =
            quickstart(temporary.path(), &["--once"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        while is_empty(temporary.path())? {
            ensure!(starting.try_wait()?.is_none(), "it ended before it had made its folder");
            std::thread::yield_now();
        }
        rustix::process::kill_process(rustix::process::Pid::from_child(&starting), Signal::INT)?;
        starting.wait()?;
        assert!(is_empty(temporary.path())?);
    }
    Ok(())
}

#[test]
fn what_a_killed_one_has_left_goes_with_the_next() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (killed, _) = Staying::until(&mut quickstart(temporary.path(), &[]), "Up after")?;
    killed.end(&[Signal::KILL])?;
    assert!(!is_empty(temporary.path())?);
    let (next, _) = Staying::until(&mut quickstart(temporary.path(), &[]), "Up after")?;
    assert_eq!(std::fs::read_dir(temporary.path())?.count(), 1);
    next.interrupt()
}

#[test]
fn each_step_takes_one_enter_and_none_is_lost() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let mut command = quickstart(temporary.path(), &["--once", "--step"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut enters = child.stdin.take().context("no stdin")?;
    enters.write_all(&[b'\n'; 9])?;
    // Nobody hangs up: a step that has lost its Enter would wait for ever.
    let output = child.wait_with_output()?;
    drop(enters);
    let told = text(&output);
    ensure!(output.status.success(), "{told}");
    assert_eq!(told.matches("  Enter goes on").count(), 9, "{told}");
    Ok(())
}

#[test]
fn without_a_stdin_nobody_is_waited_for_and_that_is_said() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let output = quickstart(temporary.path(), &["--once", "--step"]).output()?;
    let told = text(&output);
    ensure!(output.status.success(), "{told}");
    assert_eq!(told.matches("  Enter goes on").count(), 1, "{told}");
    assert_eq!(told.matches("  Nobody can press it").count(), 1, "{told}");
    Ok(())
}

#[test]
fn on_a_terminal_of_40_columns_nothing_breaks_but_what_is_to_be_copied() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let pty = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&pty)?;
    unlockpt(&pty)?;
    let name = ptsname(&pty, Vec::new())?;
    let terminal = File::options().read(true).write(true).open(OsStr::from_bytes(name.to_bytes()))?;
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0 })?;
    let mut child = quickstart(temporary.path(), &["--once"]).stdout(terminal).spawn()?;
    let mut told = Vec::new();
    // The system ends the stream with an error when nobody holds the other side any more.
    let _hung_up = File::from(pty).read_to_end(&mut told);
    ensure!(child.wait()?.success());
    let told = String::from_utf8(told)?;
    assert!(told.contains("\x1b[1m9/9  Migrate\x1b[0m"), "{told:?}");
    assert!(told.contains("\x1b[2A\x1b[J  kurator-member1"), "{told:?}");
    let (_, overview) = told.split_once("What there is now").context("no overview")?;
    assert!(overview.contains("  specific-ns     Completed   2/2"), "{overview:?}");
    for line in told.lines() {
        let shown: usize = line
            .split("\x1b[")
            .enumerate()
            .map(|(at, part)| match part.split_once(['m', 'A', 'J']) {
                Some((_, rest)) if at > 0 => rest.chars().count(),
                _ => part.chars().count(),
            })
            .sum();
        assert!(shown <= 40, "{line:?}");
    }
    Ok(())
}

#[test]
fn the_lines_of_the_documentation_can_be_pasted_after_it() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (staying, told) = Staying::start(temporary.path())?;
    let export = told.iter().map(|line| line.trim()).find(|line| line.starts_with("export KUBECONFIG="));
    let export = export.context("no kubeconfig")?;
    let page = include_str!("../../../docs/cli.md");
    let lines = page.lines().filter(|line| line.starts_with("kurator ") && !line.contains("--watch "));
    let lines: Vec<_> = lines.collect();
    assert!(lines.len() >= 8, "{lines:?}");
    let folder = Path::new(env!("CARGO_BIN_EXE_kurator")).parent().context("no folder")?;
    let path = format!("{}:/usr/bin:/bin", folder.display());
    for line in lines {
        let mut shell = Command::new("sh");
        let output = shell.args(["-c", &format!("{export}; {line}")]).env("PATH", &path).output()?;
        ensure!(output.status.success(), "{line}: {}", text(&output));
    }
    staying.interrupt()
}

#[test]
fn a_description_shows_what_has_happened() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (staying, _) = Staying::start(temporary.path())?;
    let described = Command::new(env!("CARGO_BIN_EXE_kurator"))
        .args(["describe", "backup", "specific-ns"])
        .env("KUBECONFIG", hub(temporary.path())?)
        .output()?;
    let told = text(&described);
    let events = told.lines().skip_while(|line| !line.starts_with("EVENT ")).collect::<Vec<_>>();
    assert!(events.iter().any(|line| line.contains("Completed")), "{told}");
    staying.interrupt()
}

#[test]
fn a_watch_ends_when_nobody_reads_it_any_more() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (staying, _) = Staying::until(&mut quickstart(temporary.path(), &[]), "Up after")?;
    let mut watch = Command::new(env!("CARGO_BIN_EXE_kurator"))
        .args(["get", "--watch"])
        .env("KUBECONFIG", hub(temporary.path())?)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut first = [0];
    watch.stdout.take().context("no stdout")?.read_exact(&mut first)?;
    // The walk goes on, and with it what there is to tell.
    ensure!(watch.wait()?.success());
    staying.interrupt()
}

#[test]
fn whoever_watches_is_told_that_the_quickstart_has_ended() -> Outcome {
    let temporary = tempfile::tempdir()?;
    let (staying, _) = Staying::start(temporary.path())?;
    let mut watch = Command::new(env!("CARGO_BIN_EXE_kurator"))
        .args(["get", "--watch"])
        .env("KUBECONFIG", hub(temporary.path())?)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut first = [0];
    watch.stdout.as_mut().context("no stdout")?.read_exact(&mut first)?;
    staying.interrupt()?;
    let output = watch.wait_with_output()?;
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("/hub belongs to has ended; `kurator quickstart` begins another\n"), "{said}");
    Ok(())
}
