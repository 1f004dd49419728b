//! A member against a stand-in for its cluster, in process and in virtual time: what is known when.
//!
//! The bounds for dead connections rest on real pings and are tested with a real server elsewhere.

mod cluster;

use std::sync::{Arc, Mutex};

use kurator_api::cluster::ClusterKind;
use tokio::{
    sync::Notify,
    time::{Duration, Instant, timeout},
};

use self::cluster::{Cluster, Mode};
use super::*;
use crate::knowledge::Knowledge;

/// A member with a record of what it told.
struct Watched {
    member: Arc<Member>,
    told: Arc<Mutex<Vec<Change>>>,
    news: Arc<Notify>,
}

fn watch(cluster: &Cluster) -> Watched {
    let told = Arc::new(Mutex::new(Vec::new()));
    let news = Arc::new(Notify::new());
    let (record, wake) = (Arc::clone(&told), Arc::clone(&news));
    let on_change = move |change| {
        record.lock().unwrap().push(change);
        wake.notify_one();
    };
    let id = ClusterKey {
        namespace: "fleet".to_owned(),
        kind: ClusterKind::AttachedCluster,
        name: "m".to_owned(),
    };
    let member = Member::spawn(id, cluster.client(), MemberOptions::default(), Arc::new(on_change));
    Watched { member, told, news }
}

impl Watched {
    /// Waits until something holds, looking whenever the member tells of a change.
    async fn until(&self, what: &str, mut holds: impl FnMut(&Member) -> bool) {
        let wait = async {
            while !holds(&self.member) {
                self.news.notified().await;
            }
        };
        if timeout(Duration::from_secs(120), wait).await.is_err() {
            panic!("never {what}; {:?}; {:?}", self.member, self.member.backups().list());
        }
    }

    async fn until_known(&self) {
        self.until("known", |member| !member.backups().list().is_unknown()).await;
    }

    async fn until_unreachable(&self) {
        self.until("unreachable", |member| matches!(member.liveness(), Liveness::Unreachable { .. })).await;
    }

    fn backups(&self) -> Vec<String> {
        let known = self.member.backups().list().present().expect("unknown");
        known.iter().map(|backup| backup.metadata.name.clone().unwrap()).collect()
    }

    fn tells_of_backup(&self, name: &str) -> bool {
        let told = self.told.lock().unwrap();
        told.iter()
            .any(|change| matches!(change, Change::Backup(b) if b.metadata.name.as_deref() == Some(name)))
    }

    fn why_backups(&self) -> String {
        match self.member.backups().get("any") {
            Knowledge::Unknown { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_known_before_the_first_answer() {
    let cluster = Cluster::new();
    let watched = watch(&cluster);
    assert!(matches!(watched.member.liveness(), Liveness::Connecting { why: None, .. }));
    assert!(watched.member.backups().get("b1").is_unknown());
    assert!(watched.member.secrets().list().is_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_answers_is_alive_and_its_objects_are_known() {
    let cluster = Cluster::new();
    cluster.put("b1");
    let watched = watch(&cluster);
    watched.until_known().await;
    let Liveness::Alive { version, uid, .. } = watched.member.liveness() else {
        panic!("{:?}", watched.member)
    };
    assert_eq!((version.as_str(), uid.as_str()), ("v1.36.3", "cluster-1"));
    assert_eq!(watched.backups(), ["b1"]);
    assert!(watched.member.backups().get("b2").is_absent());

    cluster.put("b2");
    watched.until("told", |member| member.backups().get("b2").present().is_some()).await;
    cluster.delete("b1");
    watched.until("told", |member| member.backups().get("b1").is_absent()).await;
}

#[tokio::test(start_paused = true)]
async fn all_five_kinds_are_watched() {
    let watched = watch(&Cluster::new());
    watched
        .until("complete", |member| {
            !member.backups().list().is_unknown()
                && !member.restores().list().is_unknown()
                && !member.locations().list().is_unknown()
                && !member.status_requests().list().is_unknown()
                && !member.secrets().list().is_unknown()
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn without_velero_a_member_is_alive_and_starts_by_itself_when_velero_comes() {
    let cluster = Cluster::new();
    cluster.serve_velero(false);
    let watched = watch(&cluster);
    watched.until("explained", |_| watched.why_backups().contains("has no type `backups.velero.io`")).await;
    assert!(watched.member.liveness().is_alive());
    // The pauses have grown to their longest.
    tokio::time::advance(Duration::from_secs(60)).await;

    cluster.serve_velero(true);
    let start = Instant::now();
    watched.until_known().await;
    assert!(start.elapsed() <= Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(watched.member.liveness().is_alive());
}

#[tokio::test(start_paused = true)]
async fn watches_that_are_told_begin_again_without_a_pause() {
    let cluster = Cluster::new();
    cluster.serve_velero(false);
    let watched = watch(&cluster);
    watched.until("explained", |_| watched.why_backups().contains("has no type `backups.velero.io`")).await;
    // The pauses have grown to their longest.
    tokio::time::advance(Duration::from_secs(60)).await;

    cluster.serve_velero(true);
    let start = Instant::now();
    watched.member.watch_again();
    watched.until_known().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_watched_is_unknown_and_the_rest_is_not() {
    let cluster = Cluster::new();
    cluster.forbid_secrets();
    let watched = watch(&cluster);
    watched
        .until("explained", |member| {
            matches!(member.secrets().list(), Knowledge::Unknown { why, .. } if why.contains("(403)"))
        })
        .await;
    watched.until_known().await;
    assert!(watched.member.liveness().is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_dead_member_is_unreachable_and_nothing_is_known_of_it() {
    let cluster = Cluster::new();
    cluster.put("b1");
    let watched = watch(&cluster);
    watched.until_known().await;

    cluster.set(Mode::Refuses);
    let start = Instant::now();
    watched.until_unreachable().await;
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(watched.member.backups().get("b1").is_unknown());
    assert!(
        watched.why_backups().contains("connection refused by the stand-in"),
        "{}",
        watched.why_backups()
    );

    tokio::time::advance(Duration::from_secs(600)).await;
    cluster.set(Mode::Answers);
    let start = Instant::now();
    watched.until_known().await;
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_delete_during_an_outage_is_told_afterwards() {
    let cluster = Cluster::new();
    cluster.put("kept");
    cluster.put("gone");
    let watched = watch(&cluster);
    watched.until_known().await;
    cluster.set(Mode::Refuses);
    watched.until_unreachable().await;
    cluster.delete("gone");
    watched.told.lock().unwrap().clear();
    cluster.set(Mode::Answers);
    watched.until_known().await;
    assert_eq!(watched.backups(), ["kept"]);
    watched.until("told", |_| watched.tells_of_backup("gone")).await;
    assert!(!watched.tells_of_backup("kept"), "an object that did not change was told");
}

#[tokio::test(start_paused = true)]
async fn a_delete_in_a_watch_that_fell_behind_is_not_lost() {
    let cluster = Cluster::new();
    cluster.put("kept");
    cluster.put("gone");
    let watched = watch(&cluster);
    watched.until_known().await;
    cluster.compact_away("gone");
    watched.until("relisted", |member| member.backups().get("gone").is_absent()).await;
    assert_eq!(watched.backups(), ["kept"]);
    assert!(watched.member.liveness().is_alive());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_is_unreachable_within_ten_seconds() {
    let cluster = Cluster::new();
    let watched = watch(&cluster);
    watched.until_known().await;
    cluster.set(Mode::Hangs);
    let start = Instant::now();
    watched.until_unreachable().await;
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());

    cluster.set(Mode::Answers);
    let start = Instant::now();
    watched.until_known().await;
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_make_a_member_unreachable_and_say_so() {
    let cluster = Cluster::new();
    let watched = watch(&cluster);
    watched.until_known().await;
    cluster.set(Mode::RefusesCredentials);
    watched.until_unreachable().await;
    let Liveness::Unreachable { why, .. } = watched.member.liveness() else { panic!() };
    assert_eq!(why, Trouble::Unauthorized);
    assert_eq!(why.to_string(), "credentials refused (401)");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_never_answered_is_unreachable_with_the_second_failure() {
    let cluster = Cluster::new();
    cluster.set(Mode::Refuses);
    let watched = watch(&cluster);
    watched
        .until("doubtful", |member| matches!(member.liveness(), Liveness::Connecting { why: Some(_), .. }))
        .await;
    watched.until_unreachable().await;
}

#[tokio::test(start_paused = true)]
async fn another_cluster_under_the_same_address_is_another_cluster() {
    let cluster = Cluster::new();
    cluster.put("of-the-first");
    let watched = watch(&cluster);
    watched.until_known().await;
    // Without a broken connection, as behind a load balancer.
    cluster.become_another("cluster-2");
    cluster.put("of-the-second");
    watched
        .until(
            "noticed",
            |member| matches!(member.liveness(), Liveness::Alive { uid, .. } if uid == "cluster-2"),
        )
        .await;
    watched.until_known().await;
    assert_eq!(watched.backups(), ["of-the-second"]);
    assert!(watched.member.backups().get("of-the-first").is_absent());
}

#[tokio::test(start_paused = true)]
async fn over_one_connection_a_member_is_asked_whether_it_is_ready_and_seldom_what_it_is() {
    let cluster = Cluster::new();
    cluster.answer_over(50_001);
    let watched = watch(&cluster);
    watched.until_known().await;
    // What it is, with the first look and the twelfth.
    cluster.until_asked("/readyz", 20).await;
    assert_eq!((cluster.asked("/api/v1/namespaces/kube-system"), cluster.asked("/version")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn over_another_connection_the_next_look_sees_that_it_is_another_cluster() {
    let cluster = Cluster::new();
    cluster.answer_over(50_001);
    let watched = watch(&cluster);
    watched.until_known().await;
    cluster.until_asked("/readyz", 3).await;
    cluster.become_another("cluster-2");
    cluster.answer_over(50_002);
    let start = Instant::now();
    watched
        .until(
            "noticed",
            |member| matches!(member.liveness(), Liveness::Alive { uid, .. } if uid == "cluster-2"),
        )
        .await;
    assert!(start.elapsed() <= Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_all_tasks_and_so_does_dropping() {
    for drop_it in [false, true] {
        let cluster = Cluster::new();
        let Watched { member, told, news: _ } = watch(&cluster);
        if drop_it {
            drop(member);
        } else {
            timeout(Duration::from_secs(60), member.stop()).await.unwrap();
            drop(member);
        }
        // The callback, which the tasks share, is the other owner of the record.
        timeout(Duration::from_secs(60), async {
            while Arc::strong_count(&told) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn a_pause_never_exceeds_its_bound_and_grows() {
    let mut backoff = liveness::Backoff::default();
    let pauses: Vec<_> = (0..200).map(|_| backoff.next()).collect();
    assert!(pauses[0] <= Duration::from_millis(250), "{:?}", pauses[0]);
    assert!(pauses.iter().all(|pause| *pause <= liveness::Backoff::LONGEST));
    assert!(pauses[100] >= liveness::Backoff::LONGEST / 2);
    backoff.reset();
    assert!(backoff.next() <= Duration::from_millis(250));
}
