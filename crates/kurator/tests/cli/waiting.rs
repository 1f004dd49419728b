//! `--wait`, to its end or not.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use anyhow::Context as _;
use kurator_api::backup::Backup;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::Outcome;
use crate::hub::Hub;

/// A command that goes on; killed if a test ends before it.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    err: BufReader<ChildStderr>,
    /// What it has said to stderr.
    said: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let out = BufReader::new(child.stdout.take().context("no stdout")?);
        let err = BufReader::new(child.stderr.take().context("no stderr")?);
        Ok(Self { child, out, err, said: String::new() })
    }

    /// Reads stdout up to the first line with this in it.
    pub(crate) fn until_out(&mut self, part: &str) -> Outcome {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            anyhow::ensure!(self.out.read_line(&mut line)? > 0, "it has ended without `{part}`");
        }
        Ok(())
    }

    /// Reads stderr up to the first line with this in it.
    pub(crate) fn until_err(&mut self, part: &str) -> Outcome {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            let read = self.err.read_line(&mut line)?;
            anyhow::ensure!(read > 0, "it has ended without `{part}`: {}", self.said);
            self.said.push_str(&line);
        }
        Ok(())
    }

    /// Its exit code, and all that it has said to stderr.
    fn end(mut self) -> anyhow::Result<(Option<i32>, String)> {
        while self.err.read_line(&mut self.said)? > 0 {}
        Ok((self.child.wait()?.code(), std::mem::take(&mut self.said)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn status(phase: &str, message: &str) -> Value {
    let ready = json!({"type": "Ready", "status": "False", "reason": phase, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({"phase": phase, "summary": {"status": "0/1"}, "conditions": [ready]})
}

/// Somebody who waits for a backup.
fn waiting(hub: &Hub, more: &str) -> anyhow::Result<Running> {
    hub.fleet("f", &["a"])?;
    let mut waiting = Running::start(&mut hub.kurator(&format!("backup create b --fleet f --wait{more}")))?;
    waiting.until_err("Pending")?;
    Ok(waiting)
}

#[test]
fn whoever_waits_is_told_once_that_the_hub_is_away_and_once_that_it_is_back() -> Outcome {
    let mut hub = Hub::start()?;
    let mut waiting = waiting(&hub, "")?;
    hub.close_the_way()?;
    waiting.until_err("does not answer, it is asked again and again: ")?;
    hub.open_the_way()?;
    waiting.until_err("the hub answers again")?;
    hub.say::<Backup>("b", &status("Completed", "1/1 clusters completed"))?;
    let (code, said) = waiting.end()?;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said.matches("does not answer").count(), 1, "{said}");
    assert_eq!(said.matches("answers again").count(), 1, "{said}");
    Ok(())
}

#[test]
fn the_time_to_wait_ends_also_while_the_hub_is_away() -> Outcome {
    let mut hub = Hub::start()?;
    let mut waiting = waiting(&hub, " --timeout 5s")?;
    hub.close_the_way()?;
    waiting.until_err("does not answer")?;
    let (code, said) = waiting.end()?;
    assert_eq!(code, Some(5), "{said}");
    let expected = "error: backup `b` has not ended after 5s; the hub at https://127.0.0.1:";
    assert!(said.contains(expected) && !said.contains("it goes on"), "{said}");
    Ok(())
}

#[test]
fn whoever_stops_waiting_is_told_what_the_run_said_last() -> Outcome {
    let hub = Hub::start()?;
    let mut waiting = waiting(&hub, "")?;
    hub.say::<Backup>("b", &status("Pending", "no cluster has started; a: no answer"))?;
    waiting.until_err("no answer")?;
    kill_process(Pid::from_child(&waiting.child), Signal::INT)?;
    let (_, said) = waiting.end()?;
    let expected = "it goes on; it says: no cluster has started; a: no answer\n\nhint: ";
    assert!(said.contains(expected), "{said}");
    Ok(())
}

#[test]
fn whoever_does_not_wait_any_more_is_told_how_to_look() -> Outcome {
    let hub = Hub::start()?;
    let waiting = waiting(&hub, "")?;
    kill_process(Pid::from_child(&waiting.child), Signal::INT)?;
    let (code, said) = waiting.end()?;
    assert_eq!(code, Some(130), "{said}");
    let expected = "error: nobody waits for backup `b` any more; it goes on\n\nhint: `kurator describe backup b --namespace default` \
                    says more\n";
    assert!(said.ends_with(expected), "{said}");
    assert!(hub.backup("b")?.metadata.deletion_timestamp.is_none());
    Ok(())
}

#[test]
fn a_run_that_somebody_has_to_help_along_is_not_waited_for() -> Outcome {
    let hub = Hub::start()?;
    let waiting = waiting(&hub, "")?;
    let why = "spec.kubeconfig.name: there is no Secret `a` in this namespace; create it or change the name";
    let mut held_up = status("Pending", &format!("no cluster has started; a: {why}"));
    held_up["backupDetails"] = json!([{"clusterName": "a", "phase": "Pending", "reason": "KubeconfigSecretMissing", "message": why}]);
    hub.say::<Backup>("b", &held_up)?;
    let (code, said) = waiting.end()?;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&format!("error: backup `b` does not go on: a: {why}\n\nhint: ")), "{said}");
    assert_eq!(said.matches(why).count(), 1, "{said}");
    Ok(())
}

#[test]
fn why_a_run_has_failed_is_said_once() -> Outcome {
    let hub = Hub::start()?;
    let waiting = waiting(&hub, "")?;
    hub.say::<Backup>("b", &status("Failed", "no cluster succeeded; a: no such bucket"))?;
    let (code, said) = waiting.end()?;
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(said.matches("no such bucket").count(), 1, "{said}");
    Ok(())
}
