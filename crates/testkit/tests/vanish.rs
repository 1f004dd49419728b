//! Labs end with their owner, leave nothing behind, and do not see each other.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
    time::Duration,
};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use kurator_testkit::{Lab, LabSpec, LabState, wait::until};
use serde_json::json;

type Outcome = Result<(), Box<dyn Error>>;

const SMALL: LabSpec = LabSpec { members: 0, velero: false, s3: false };
/// Set in the process that owns a lab only to be killed.
const VICTIM: &str = "KURATOR_LAB_VICTIM";

/// A lab's traces on the machine.
struct Traces {
    state: LabState,
    pid_namespace: u64,
    net_namespace: u64,
}

impl Traces {
    fn of(state: LabState) -> std::io::Result<Self> {
        let namespace = |kind| fs::metadata(format!("/proc/{}/ns/{kind}", state.init)).map(|m| m.ino());
        Ok(Self { pid_namespace: namespace("pid")?, net_namespace: namespace("net")?, state })
    }

    /// The processes that are still in one of the lab's namespaces, or bear one of its known ids.
    fn processes(&self) -> Vec<String> {
        let is = |pid: &str, kind: &str, inode| {
            fs::metadata(format!("/proc/{pid}/ns/{kind}")).is_ok_and(|m| m.ino() == inode)
        };
        let known: Vec<_> =
            self.state.components.iter().filter_map(|c| c.pid).chain([self.state.init]).collect();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().into_string().ok());
        pids.filter(|pid| {
            pid.parse().is_ok_and(|pid: u32| known.contains(&pid)) || {
                is(pid, "pid", self.pid_namespace) || is(pid, "net", self.net_namespace)
            }
        })
        .collect()
    }

    fn vanish(&self) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(until("the lab to vanish", Duration::from_secs(20), async || {
            let left = self.processes();
            if left.is_empty() { Ok(Some(())) } else { Err(format!("processes {left:?} are left")) }
        }))?;
        Ok(())
    }
}

/// What the machine itself has of named namespaces, mounts and network: this thread's, addresses and routes included.
/// Nothing is sent to find out: a lab's addresses mean somebody else outside of it.
fn surroundings() -> (Vec<String>, Vec<String>, u64, String) {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let network = fs::metadata("/proc/thread-self/ns/net").map_or(0, |m| m.ino());
    let addresses = fs::read_to_string("/proc/thread-self/net/fib_trie").unwrap_or_default();
    (names, mounts.lines().map(str::to_owned).collect(), network, addresses)
}

#[test]
fn two_labs_side_by_side_have_the_same_addresses_and_do_not_meet() -> Outcome {
    let before = surroundings();
    let (one, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| Lab::start(SMALL));
        (Lab::start(SMALL), other.join())
    });
    let (one, other) = (one?, other.unwrap()?);
    assert_eq!(one.hub().address(), other.hub().address());
    assert_ne!(one.dir(), other.dir());
    assert_eq!(surroundings(), before, "nothing shows outside");
    for (lab, text) in [(&one, "one"), (&other, "other")] {
        lab.run(async {
            let maps: Api<ConfigMap> = Api::namespaced(lab.hub().client()?, "default");
            let map = json!({"metadata": {"name": "which"}, "data": {"lab": text}});
            maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
            Ok::<_, Box<dyn Error>>(())
        })?;
    }
    for (lab, text) in [(&one, "one"), (&other, "other")] {
        let map = lab.run(async {
            Ok::<_, Box<dyn Error>>(
                Api::<ConfigMap>::namespaced(lab.hub().client()?, "default").get("which").await?,
            )
        })?;
        assert_eq!(map.data.unwrap()["lab"], text);
    }
    assert_eq!(surroundings(), before, "the thread is back home");
    let (traces, folder) = (Traces::of(one.state())?, one.dir().to_owned());
    drop(one);
    assert_eq!(traces.processes(), Vec::<String>::new());
    assert!(!folder.exists());
    assert!(
        other.kubectl(other.hub(), &["get", "configmap", "which"])?.status.success(),
        "the other one lives"
    );
    Ok(())
}

#[test]
fn a_lab_whose_test_panics_vanishes() -> Outcome {
    let (send, receive) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let lab = Lab::start(SMALL).unwrap();
        send.send(Traces::of(lab.state()).unwrap()).unwrap();
        panic!("as a failing test does");
    });
    assert!(test.join().is_err());
    receive.recv()?.vanish()
}

#[test]
fn a_lab_whose_owner_is_killed_vanishes() -> Outcome {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--exact", "owns_a_lab_until_it_is_killed", "--ignored", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().ok_or("no output")?).lines();
    let state = lines.find_map(|line| serde_json::from_str(&line.ok()?).ok()).ok_or("no lab")?;
    let traces = Traces::of(state)?;
    assert!(!traces.processes().is_empty());
    owner.kill()?;
    owner.wait()?;
    traces.vanish()
}

/// Not a test of its own: what the one above kills.
#[test]
#[ignore = "run by the test that kills it"]
#[expect(clippy::print_stdout, reason = "its parent reads this")]
fn owns_a_lab_until_it_is_killed() -> Outcome {
    if std::env::var_os(VICTIM).is_none() {
        return Ok(());
    }
    let lab = Lab::start(SMALL)?;
    println!("\n{}", serde_json::to_string(&lab.state())?);
    loop {
        std::thread::park();
    }
}
