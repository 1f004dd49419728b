//! The places for runs, which all engines of a process share: who waits for a member has none.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use http::Method;
use kurator_api::velero::{Backup, Restore};
use kurator_testkit::{
    Manner, Proxy,
    fixtures::{object, velero as in_member},
};
use serde_json::json;

use super::own::{beside_an_engine, with_own_engines};
use super::{Outcome, contents, fill, sends};
use crate::scene::of;

#[test]
fn a_backup_whose_end_the_api_server_does_not_take_leaves_the_only_place_to_a_restore() -> Outcome {
    with_own_engines(async |own| {
        let member = own.member();
        fill(member, "places", 2, 10).await?;
        let (backups, restores) = (in_member::<Backup>(member)?, in_member::<Restore>(member)?);
        let api = Proxy::to_api(member)?;
        let kubeconfig = std::fs::read_to_string(api.kubeconfig(member, own.lab.dir())?)?;
        let test = async {
            backups.create(&object("places", of("places"))?).await?;
            backups.until_phase("places", "Completed").await?;

            let is_stored = Arc::new(AtomicBool::new(false));
            let told = Arc::clone(&is_stored);
            own.store.judge(move |request| {
                let is_last = sends(request, &Method::PUT, "/velero-backup.json");
                told.fetch_or(is_last, Relaxed);
                Manner::Pass
            });
            let end = api.hold(move |request| {
                is_stored.load(Relaxed)
                    && request.method == Method::PATCH
                    && request.uri.path().ends_with("/backups/hangs")
            });
            backups.create(&object("hangs", of("places"))?).await?;
            end.arrived().await?;
            let spec = json!({"backupName": "places", "namespaceMapping": {"places": "places-copy"}});
            restores.create(&object("beside", spec)?).await?;
            restores.until_phase("beside", "Completed").await?;
            assert_eq!(contents(member, "places-copy").await?, contents(member, "places").await?);
            end.release();
            backups.until_phase("hangs", "Completed").await?;
            anyhow::Ok(())
        };
        beside_an_engine(&kubeconfig, test).await
    })
}
