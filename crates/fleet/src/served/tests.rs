use super::*;
use crate::testing::{cluster, ctx, member_with, nobody};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::json;

#[test]
fn a_key_is_another_one_only_if_the_fleet_had_one_before() {
    let mut keys = Keys::default();
    assert!(!keys.is_another("f", "a"));
    assert!(!keys.is_another("f", "a"));
    assert!(!keys.is_another("g", "b"));
    assert!(keys.is_another("f", "b"));
    for why in ["there is no Secret `a`", "there is no Secret `b`"] {
        assert!(keys.is_another("f", why), "{why}");
    }
}

/// A member that is to be served, with a run of Backup `nightly` of the hub.
async fn served() -> (Arc<Ctx>, Arc<Served>) {
    let annotations = json!({"kurator.dev/owner": "Backup default/nightly"});
    let metadata = json!({"name": "b", "namespace": "velero", "uid": "b-uid", "annotations": annotations});
    let run = json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "spec": {}});
    let (ctx, _) = ctx(nobody());
    ctx.members.hold(&member_with(vec![run]).await);
    ctx.router.engines.want(&ctx, "fleet", &[cluster()]);
    let served = Arc::clone(&ctx.router.engines.published.borrow()[&cluster()]);
    (ctx, served)
}

/// The Backups of the hub that were woken since this was last asked.
fn woken(ctx: &Ctx) -> Option<String> {
    let mut wakes = std::pin::pin!(Arc::clone(&ctx.router.wakes.backups).stream());
    wakes.next().now_or_never()?.map(|woken| woken.unwrap().name)
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_proof_is_woken_when_nobody_will_give_it() {
    type End = fn(&Arc<Ctx>, Arc<Member>);
    let ends: [(&str, End); 4] = [
        ("taken out", |ctx, _| ctx.router.engines.want(ctx, "fleet", &[])),
        ("disconnected", |ctx, _| drop(ctx.router.engines.end(&cluster()))),
        ("connected anew", |ctx, anew| {
            ctx.members.hold(&anew);
            ctx.router.engines.want(ctx, "fleet", &[cluster()]);
        }),
        ("refused", |ctx, _| {
            let served = Arc::clone(&ctx.router.engines.published.borrow()[&cluster()]);
            served.say(Standing::Refused("Velero answers".to_owned()));
        }),
    ];
    for (how, end) in ends {
        let (ctx, _served) = served().await;
        assert!(matches!(ctx.router.engines.proof(&cluster(), "b-uid"), Some(Proof::Missing(_))));
        assert_eq!(woken(&ctx), None, "{how}");
        end(&ctx, member_with(Vec::new()).await);
        assert_eq!(woken(&ctx).as_deref(), Some("nightly"), "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_an_engine_wakes_nobody_who_waits_for_no_proof() {
    let (ctx, served) = served().await;
    ctx.router.engines.proof(&cluster(), "b-uid");
    served.proven("b-uid", &BackupPhase::Completed);
    assert_eq!(woken(&ctx).as_deref(), Some("nightly"));
    ctx.router.engines.want(&ctx, "fleet", &[]);
    assert_eq!(woken(&ctx), None);
}

#[tokio::test(start_paused = true)]
async fn whose_run_has_an_end_that_is_not_told_is_woken_by_each_news_of_it() {
    let (ctx, served) = served().await;
    for (why, expected) in
        [(Some("not you"), true), (Some("not you"), false), (Some("not now"), true), (None, true)]
    {
        served.untold("b-uid", why);
        assert_eq!(woken(&ctx).is_some(), expected, "{why:?}");
        assert_eq!(ctx.router.engines.untold(&cluster(), "b-uid").as_deref(), why);
    }
}
