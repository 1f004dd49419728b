//! An API server that refuses, is slow, breaks off and restarts in the middle of a backup and of a restore.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};
use std::time::Duration;

use http::{Method, StatusCode, request::Parts};
use kurator_api::velero::{Backup, Restore};
use kurator_testkit::{
    Manner,
    fixtures::{object, velero as in_member},
};
use serde_json::json;

use super::{Outcome, Stage, fill, on_stage, sends};
use crate::scene::{PREFIX, of};

/// Watches are not what these tests are about.
fn is_watch(request: &Parts) -> bool {
    request.uri.query().is_some_and(|query| query.contains("watch="))
}

/// Does this to every `n`th request while a namespace is backed up and restored; how often it did.
async fn while_going_round(
    stage: &Stage,
    name: &str,
    n: usize,
    manner: impl Fn() -> Manner + Send + Sync + 'static,
) -> anyhow::Result<usize> {
    fill(stage.member(), name, 20, 10).await?;
    let (seen, done) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&done);
    stage.api.judge(move |request| {
        if is_watch(request) || !(seen.fetch_add(1, Relaxed) + 1).is_multiple_of(n) {
            return Manner::Pass;
        }
        counted.fetch_add(1, Relaxed);
        manner()
    });
    stage.goes_round(name, name).await?;
    Ok(done.load(Relaxed))
}

#[test]
fn answers_of_429_in_the_middle_are_waited_out() -> Outcome {
    on_stage(async |stage| {
        let refuse = || Manner::refusal(StatusCode::TOO_MANY_REQUESTS, Some(1));
        let refused = while_going_round(stage, "throttled", 25, refuse).await?;
        assert!(refused >= 3, "only {refused} requests were refused");
        Ok(())
    })
}

#[test]
fn answers_of_500_in_the_middle_are_repeated() -> Outcome {
    on_stage(async |stage| {
        let refuse = || Manner::refusal(StatusCode::INTERNAL_SERVER_ERROR, None);
        let refused = while_going_round(stage, "unwell", 5, refuse).await?;
        assert!(refused >= 10, "only {refused} requests were refused");
        Ok(())
    })
}

#[test]
fn a_slow_api_server_is_waited_for() -> Outcome {
    on_stage(async |stage| {
        let late = || Manner::late(Duration::from_millis(100));
        while_going_round(stage, "slow", 1, late).await?;
        Ok(())
    })
}

#[test]
fn answers_that_break_off_are_asked_for_again() -> Outcome {
    on_stage(async |stage| {
        let cut = while_going_round(stage, "cut", 6, || Manner::CutAnswer(200)).await?;
        assert!(cut >= 10, "only {cut} answers were cut");
        Ok(())
    })
}

#[test]
fn what_was_created_without_an_answer_is_not_taken_for_a_strangers() -> Outcome {
    on_stage(async |stage| {
        let cut = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&cut);
        fill(stage.member(), "unanswered", 5, 10).await?;
        stage.api.judge(move |request| {
            let is_map = sends(request, &Method::POST, "/configmaps");
            if is_map && counted.fetch_add(1, Relaxed) < 5 { Manner::CutAnswer(0) } else { Manner::Pass }
        });
        stage.goes_round("unanswered", "unanswered").await?;
        assert!(cut.load(Relaxed) > 5, "nothing was cut");
        Ok(())
    })
}

#[test]
fn an_api_server_that_restarts_in_the_middle_is_waited_for() -> Outcome {
    on_stage(async |stage| {
        let member = stage.member();
        let maps = "/configmaps";
        fill(member, "restarts", 5, 10).await?;
        let restart = async |method: Method| -> Outcome {
            let held = stage.api.hold(move |request| {
                request.method == method
                    && !is_watch(request)
                    && request.uri.path().ends_with(maps)
                    && request.uri.path().contains("restarts")
            });
            held.arrived().await?;
            member.kill_api()?;
            held.release();
            Ok(member.start_api()?)
        };
        let backups = in_member::<Backup>(member)?;
        backups.create(&object("restarts", of("restarts"))?).await?;
        restart(Method::GET).await?;
        let results = format!("{PREFIX}/backups/restarts/restarts-results.gz");
        stage.ended::<Backup>("restarts", "Completed", &results).await?;

        let spec = json!({"backupName": "restarts", "namespaceMapping": {"restarts": "restarts-copy"}});
        in_member::<Restore>(member)?.create(&object("restarts", spec)?).await?;
        restart(Method::POST).await?;
        let results = format!("{PREFIX}/restores/restarts/restore-restarts-results.gz");
        let restored = stage.ended::<Restore>("restarts", "Completed", &results).await?;
        assert!(restored["warnings"].is_null(), "{restored}");
        let (copy, original) =
            (super::contents(member, "restarts-copy").await?, super::contents(member, "restarts").await?);
        assert_eq!(copy, original);
        Ok(())
    })
}
