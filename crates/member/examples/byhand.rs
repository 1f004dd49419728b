//! throwaway
use kurator_api::cluster::*;
use kurator_member::{connect::connect, gate::WriteGate, kubeconfig::*, member::*};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::unwrap_used, clippy::print_stdout, reason = "throwaway")]
async fn main() {
    let path = std::env::args().nth(1).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let trusted = UntrustedKubeconfig::new(&bytes).trust(&TrustPolicy { allow_loopback: true }).unwrap();
    println!("{trusted:?}");
    let client = connect(&trusted, &WriteGate::open()).unwrap();
    let t0 = Instant::now();
    let stamp = move || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as f64 / 1000.0;
    let _ = t0;
    let on: Arc<dyn Fn(Change) + Send + Sync> = Arc::new(move |c| match c {
        Change::Backup(b) => {
            println!("{:.3} backup {:?} rv {:?}", stamp(), b.metadata.name, b.metadata.resource_version)
        }
        Change::Secret(n) => println!("{:.3} secret {n}", stamp()),
        Change::Resynced(k) => println!("{:.3} resynced {k:?}", stamp()),
        Change::Liveness => println!("{:.3} LIVENESS", stamp()),
        other => println!("{:.3} {}", stamp(), format!("{other:?}").chars().take(60).collect::<String>()),
    });
    let m = Member::spawn(
        ClusterKey { namespace: "d".into(), kind: ClusterKind::AttachedCluster, name: "m".into() },
        client,
        MemberOptions::default(),
        on,
    );
    let mut last = String::new();
    loop {
        let now = format!("{:?} | backups {:?}", m.liveness(), m.backups().list().map(|l| l.len()));
        if now != last {
            println!("{:.3} STATE {now}", stamp());
            last = now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
