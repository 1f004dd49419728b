//! A watched member that dies, hangs, is cut off, changes, and comes back: a real API server in a real network.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt, api::PostParams, core::ObjectMeta};
use kurator_api::{
    cluster::{ClusterKey, ClusterKind},
    velero::Backup,
};
use kurator_member::{
    connect::connect,
    gate::WriteGate,
    knowledge::Knowledge,
    kubeconfig::{TrustPolicy, UntrustedKubeconfig},
    member::{Change, Member, MemberOptions},
};
use kurator_testkit::{
    Cluster, Lab, LabError, LabSpec,
    fixtures::{BOUND, Shelf, object, velero},
    wait::until,
};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The bound is ten seconds; the machine may be busy with other things.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// One test at a time: each breaks what all share.
fn in_turn(test: impl AsyncFnOnce(&'static Lab) -> Outcome) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: 1, velero: true, s3: false })?;
    lab.run(test(lab))
}

/// A watched cluster, and the Backups that changes were told of.
struct Watched {
    member: Arc<Member>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    /// Watches a cluster and waits until it is alive.
    async fn new(cluster: &Cluster) -> Result<Self, Box<dyn std::error::Error>> {
        let kubeconfig = cluster.kubeconfig();
        let config = UntrustedKubeconfig::new(kubeconfig.as_bytes()).trust(&TrustPolicy::default())?;
        let key = ClusterKey {
            namespace: "default".to_owned(),
            kind: ClusterKind::AttachedCluster,
            name: cluster.name().to_owned(),
        };
        let told = Arc::new(Mutex::new(Vec::new()));
        let hear = Arc::clone(&told);
        let on_change = Arc::new(move |change| {
            if let Change::Backup(backup) = change {
                hear.lock().unwrap_or_else(PoisonError::into_inner).push(backup.name_any());
            }
        });
        let client = connect(&config, &WriteGate::open())?;
        let watched = Self { member: Member::spawn(key, client, MemberOptions::default(), on_change), told };
        watched.until_alive(true).await?;
        Ok(watched)
    }

    async fn until_alive(&self, alive: bool) -> Result<(), Box<dyn std::error::Error>> {
        until(&format!("alive to be {alive}"), BOUND, async || {
            let liveness = self.member.liveness();
            if liveness.is_alive() == alive { Ok(Some(())) } else { Err(format!("{liveness:?}")) }
        })
        .await?;
        Ok(())
    }

    /// The first word on a Backup that is more than "unknown".
    async fn known(&self, backup: &str) -> Result<Option<Arc<Backup>>, Box<dyn std::error::Error>> {
        let what = format!("word of Backup {backup}");
        let known = until(&what, BOUND, async || match self.member.backups().get(backup) {
            Knowledge::Unknown { why, .. } => Err(why),
            Knowledge::Absent => Ok(Some(None)),
            Knowledge::Present(found) => Ok(Some(Some(found))),
        });
        Ok(known.await?)
    }
}

/// Does something to the member, waits for its liveness to follow, and holds that against the bound.
async fn is_noticed(
    watched: &Watched,
    alive: bool,
    what: &str,
    fault: impl FnOnce() -> Result<(), LabError>,
) -> Outcome {
    fault()?;
    let since = Instant::now();
    watched.until_alive(alive).await?;
    let noticed = since.elapsed();
    tell(&format!("{what} was noticed after {:.1} s", noticed.as_secs_f64()));
    assert!(noticed < NOTICED_WITHIN, "{what} was noticed after {noticed:?}");
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]
fn tell(line: &str) {
    println!("{line}");
}

#[test]
fn a_killed_api_server_and_its_return_are_noticed_within_seconds() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        let watched = Watched::new(member).await?;
        is_noticed(&watched, false, "a kill", || member.kill_api()).await?;
        is_noticed(&watched, true, "the return from a kill", || member.start_api()).await
    })
}

#[test]
fn a_hung_api_server_and_its_return_are_noticed_within_seconds() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        let watched = Watched::new(member).await?;
        is_noticed(&watched, false, "a hang", || member.pause_api()).await?;
        is_noticed(&watched, true, "the return from a hang", || member.resume_api()).await
    })
}

#[test]
fn a_partition_and_its_end_are_noticed_within_seconds() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        let watched = Watched::new(member).await?;
        is_noticed(&watched, false, "a partition", || lab.partition(member.name())).await?;
        is_noticed(&watched, true, "the end of a partition", || lab.heal(member.name())).await
    })
}

#[test]
fn a_deletion_during_a_partition_is_known_afterwards_and_told() -> Outcome {
    in_turn(async |lab| {
        let member = lab.member(1);
        let backups: Shelf<Backup> = velero(member)?;
        backups.create(&object("deleted-unseen", json!({"storageLocation": "none"}))?).await?;
        let watched = Watched::new(member).await?;
        assert!(watched.known("deleted-unseen").await?.is_some());

        lab.partition(member.name())?;
        watched.until_alive(false).await?;
        assert!(watched.member.backups().get("deleted-unseen").is_unknown(), "nobody can know now");
        let delete = ["delete", "backups.velero.io", "deleted-unseen", "-n", "velero"];
        let deleted = lab.kubectl_within(member, &delete)?;
        watched.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
        lab.heal(member.name())?;
        assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));

        assert_eq!(watched.known("deleted-unseen").await?, None);
        until("to be told of the deletion", BOUND, async || {
            let told = watched.told.lock().unwrap_or_else(PoisonError::into_inner);
            Ok::<_, String>(told.iter().any(|name| name == "deleted-unseen").then_some(()))
        })
        .await?;
        Ok(())
    })
}

#[test]
fn a_velero_that_is_installed_late_is_seen_when_it_is_there() -> Outcome {
    in_turn(async |lab| {
        let watched = Watched::new(lab.hub()).await?;
        until("the reason why nothing is known", BOUND, async || {
            match watched.member.backups().get("late") {
                Knowledge::Unknown { why, .. } if why.contains("has no type `backups.velero.io`") => {
                    Ok(Some(()))
                }
                other => Err(format!("{other:?}")),
            }
        })
        .await?;
        install_velero(&lab.member(1).client()?, &lab.hub().client()?).await?;
        until("a Backup to be taken", BOUND, async || {
            let backups: Shelf<Backup> = velero(lab.hub())?;
            backups.create(&object("late", json!({}))?).await.map(Some)
        })
        .await?;
        until("the Backup to be seen", BOUND, async || match watched.member.backups().get("late") {
            Knowledge::Present(_) => Ok(Some(())),
            other => Err(format!("{other:?}")),
        })
        .await?;
        Ok(())
    })
}

/// Copies Velero's types from one cluster to another, and makes its namespace.
async fn install_velero(from: &Client, to: &Client) -> Outcome {
    let params = PostParams::default();
    let types = Api::<CustomResourceDefinition>::all(from.clone()).list(&Default::default()).await?;
    for mut velero in types.items.into_iter().filter(|crd| crd.spec.group == "velero.io") {
        velero.metadata = ObjectMeta { name: velero.metadata.name, ..ObjectMeta::default() };
        velero.status = None;
        Api::all(to.clone()).create(&params, &velero).await?;
    }
    let namespace = serde_json::from_value(json!({"metadata": {"name": "velero"}}))?;
    Api::<k8s_openapi::api::core::v1::Namespace>::all(to.clone()).create(&params, &namespace).await?;
    Ok(())
}
