//! The documentation's story, walked on real components with kubectl: attach two clusters, back one
//! namespace up, lose it, restore it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::{Cluster, Lab, LabError, Serving};

/// Longest time for one step.
const STEP: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// The namespace that is lost.
const NAMESPACE: &str = "kurator-backup";

/// A step that did not end as the documentation says.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// kubectl failed.
    #[error("`kubectl {command}` failed: {said}")]
    Kubectl {
        /// Its arguments.
        command: String,
        /// What it wrote to stderr.
        said: String,
    },
    /// The wait for something was in vain.
    #[error("waited {STEP:?} for {what}; last seen: {last}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// What was seen instead.
        last: String,
    },
    /// Something is not as it was.
    #[error("{what}: expected {expected}, found {found}")]
    Differs {
        /// What was compared.
        what: String,
        /// As it should be.
        expected: String,
        /// As it is.
        found: String,
    },
    /// The lab itself failed.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file or pipe failed.
    #[error("cannot use {what}")]
    Io {
        /// The file or pipe.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Walks all steps in a lab of two members with Velero and an object store, and tells each as it is done.
///
/// `kurator` is the program, `examples` the folder of the documentation's YAML.
///
/// # Errors
/// The first step that does not end as it should.
pub fn walk(lab: &Lab, kurator: &Path, examples: &Path, tell: &dyn Fn(&str)) -> Result<(), WalkError> {
    let serving = Serving::start(lab, kurator, [] as [&str; 0])?;
    let walk = Walk { lab, examples, tell };
    let walked = walk.all();
    if walked.is_err() {
        let log = serving.log().unwrap_or_default();
        let tail: Vec<_> = log.lines().rev().take(30).collect();
        tell(&format!("end of kurator's log:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n")));
    }
    walked
}

struct Walk<'a> {
    lab: &'a Lab,
    examples: &'a Path,
    tell: &'a dyn Fn(&str),
}

impl Walk<'_> {
    fn all(&self) -> Result<(), WalkError> {
        self.step("kurator serves the Kurator API on the hub", || {
            self.wait("the types to be served", || {
                let served =
                    self.hub(&["get", "fleets,backups.backup.kurator.dev,restores.backup.kurator.dev", "-A"]);
                Ok(served.map(|_| ()))
            })
        })?;
        self.step("two clusters are attached", || self.attach())?;
        self.step("a fleet gives both a storage location", || self.fleet())?;
        self.step("a workload runs in both", || self.workload())?;
        let before = self.inventories()?;
        self.step("one namespace is backed up in both", || self.back_up())?;
        self.step("the namespace is lost in both", || self.lose())?;
        self.step("the namespace is restored in both", || self.restore())?;
        self.step("every object is back", || self.compare(&before))
    }

    fn step(&self, title: &str, work: impl FnOnce() -> Result<(), WalkError>) -> Result<(), WalkError> {
        let began = Instant::now();
        let done = work();
        let mark = if done.is_ok() { "ok  " } else { "FAIL" };
        (self.tell)(&format!("{mark} {:6.1} s  {title}", began.elapsed().as_secs_f64()));
        done
    }

    fn attach(&self) -> Result<(), WalkError> {
        for i in 1..=2 {
            let kubeconfig = self.lab.member(i).kubeconfig_path();
            let (name, file) = (
                format!("kurator-member{i}"),
                format!("--from-file=kurator-member{i}.config={}", kubeconfig.display()),
            );
            self.hub(&["create", "secret", "generic", &name, &file])?;
        }
        self.apply(self.lab.hub(), "fleet/attachedclusters.yaml")?;
        for i in 1..=2 {
            let name = format!("attachedclusters/kurator-member{i}");
            self.wait_for(&name, "{.status.ready}", "true")?;
        }
        Ok(())
    }

    fn fleet(&self) -> Result<(), WalkError> {
        self.apply(self.lab.hub(), "fleet/minio-credentials.yaml")?;
        self.apply(self.lab.hub(), "fleet/fleet-minio.yaml")?;
        self.wait_for("fleets/quickstart", "{.status.phase}", "Ready")?;
        for i in 1..=2 {
            let shown = self.kubectl(
                self.lab.member(i),
                &["get", "backupstoragelocations.velero.io", "-A", "--no-headers"],
            )?;
            let columns: Vec<_> = shown.split_whitespace().take(3).collect();
            differs("storage location", "velero default Available", &columns.join(" "))?;
        }
        Ok(())
    }

    fn workload(&self) -> Result<(), WalkError> {
        for i in 1..=2 {
            let member = self.lab.member(i);
            self.apply_when_possible(member, "backup/busybox.yaml")?;
        }
        Ok(())
    }

    fn back_up(&self) -> Result<(), WalkError> {
        self.apply(self.lab.hub(), "backup/backup-specific-ns.yaml")?;
        self.completed(
            "backup",
            ".status.backupDetails[*]",
            "{.backupNameInCluster} {.backupStatusInCluster.phase}",
        )
    }

    fn restore(&self) -> Result<(), WalkError> {
        self.apply(self.lab.hub(), "backup/restore-specific-ns.yaml")?;
        self.completed(
            "restore",
            ".status.restoreDetails[*]",
            "{.restoreNameInCluster} {.restoreStatusInCluster.phase}",
        )
    }

    /// Waits for the end of a run and checks its row of each member, by the names that the documentation gives.
    fn completed(&self, kind: &str, rows: &str, shown: &str) -> Result<(), WalkError> {
        let object = format!("{kind}s.backup.kurator.dev/specific-ns");
        self.wait_for(&object, "{.status.phase}", "Completed")?;
        let query = format!("jsonpath={{range {rows}}}{{.clusterName}} {shown}{{\"\\n\"}}{{end}}");
        let found = self.hub(&["get", &object, "-o", &query])?;
        let row = |member: &str| format!("{member} {member}-{kind}-default-specific-ns Completed\n");
        differs(&format!("rows of the {kind}"), &(row("kurator-member1") + &row("kurator-member2")), &found)
    }

    fn lose(&self) -> Result<(), WalkError> {
        for i in 1..=2 {
            let member = self.lab.member(i);
            // There is no kubelet that would confirm the end of a pod.
            let now = ["--grace-period=0", "--force", "--wait=false"];
            self.kubectl(member, &[&["delete", "pods", "--all", "-n", NAMESPACE], &now[..]].concat())?;
            self.kubectl(member, &["delete", "namespace", NAMESPACE, "--wait=false"])?;
        }
        for i in 1..=2 {
            self.wait(&format!("namespace {NAMESPACE} to be gone from member {i}"), || {
                let left =
                    self.kubectl(self.lab.member(i), &["get", "namespace", NAMESPACE, "--ignore-not-found"])?;
                Ok(differs("namespace", "", left.trim()))
            })?;
        }
        Ok(())
    }

    fn compare(&self, before: &[BTreeSet<String>]) -> Result<(), WalkError> {
        for (i, (expected, found)) in before.iter().zip(self.inventories()?).enumerate() {
            let missing: Vec<_> = expected.difference(&found).cloned().collect();
            let what = format!("objects of namespace {NAMESPACE} missing in member {}", i + 1);
            differs(&what, "none", if missing.is_empty() { "none" } else { "some" }).map_err(|_| {
                WalkError::Differs { what, expected: "none".into(), found: missing.join(", ") }
            })?;
        }
        Ok(())
    }

    /// Every object of the namespace, by type and name, in each member.
    fn inventories(&self) -> Result<Vec<BTreeSet<String>>, WalkError> {
        (1..=2).map(|i| self.inventory(self.lab.member(i))).collect()
    }

    fn inventory(&self, member: &Cluster) -> Result<BTreeSet<String>, WalkError> {
        let types = self.kubectl(member, &["api-resources", "--namespaced", "--verbs=list", "-o", "name"])?;
        // Events tell what happened to objects that are gone; leave them to history.
        let types: Vec<_> = types.split_whitespace().filter(|name| !name.starts_with("events")).collect();
        let listed = self.kubectl(member, &["get", &types.join(","), "-n", NAMESPACE, "-o", "name"])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    fn wait_for(&self, object: &str, path: &str, expected: &str) -> Result<(), WalkError> {
        let jsonpath = format!("jsonpath={path}");
        self.wait(&format!("{path} of {object} to be {expected}"), || {
            let found = self.hub(&["get", object, "-o", &jsonpath])?;
            if found == expected {
                return Ok(Ok(()));
            }
            let status = self.hub(&["get", object, "-o", "jsonpath={.status}"])?;
            Ok(Err(WalkError::Differs {
                what: object.to_owned(),
                expected: expected.to_owned(),
                found: status,
            }))
        })
    }

    /// Repeats `look` until its inner result is good; an outer error ends the walk.
    fn wait(
        &self,
        what: &str,
        look: impl Fn() -> Result<Result<(), WalkError>, WalkError>,
    ) -> Result<(), WalkError> {
        let deadline = Instant::now() + STEP;
        loop {
            match look()? {
                Ok(()) => return Ok(()),
                Err(last) if Instant::now() > deadline => {
                    return Err(WalkError::TimedOut { what: what.to_owned(), last: last.to_string() });
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }

    fn hub(&self, arguments: &[&str]) -> Result<String, WalkError> {
        self.kubectl(self.lab.hub(), arguments)
    }

    fn apply(&self, cluster: &Cluster, example: &str) -> Result<(), WalkError> {
        let path = self.examples.join(example);
        self.kubectl(cluster, &["apply", "-f", &path.display().to_string()]).map(drop)
    }

    /// A new namespace takes pods only once it has its service account.
    fn apply_when_possible(&self, cluster: &Cluster, example: &str) -> Result<(), WalkError> {
        self.wait(&format!("{example} to be accepted"), || Ok(self.apply(cluster, example)))
    }

    fn kubectl(&self, cluster: &Cluster, arguments: &[&str]) -> Result<String, WalkError> {
        let Output { status, stdout, stderr } = self.lab.kubectl(cluster, arguments)?;
        if !status.success() {
            let said = String::from_utf8_lossy(&stderr).trim().to_owned();
            return Err(WalkError::Kubectl { command: arguments.join(" "), said });
        }
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }
}

fn differs(what: &str, expected: &str, found: &str) -> Result<(), WalkError> {
    if expected == found {
        return Ok(());
    }
    Err(WalkError::Differs { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned() })
}
