//! A store that is gone, full or silent between two parts of an upload, and one whose last answer is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use kurator_api::velero::Backup;
use kurator_testkit::{Manner, fixtures::velero as in_member};

use super::{Outcome, Stage, fill, on_stage, sends};
use crate::scene::{PREFIX, of};

/// An upload of more than one part.
const MAPS: usize = 10;
const BYTES: usize = 900_000;

fn is_second_part(request: &Parts) -> bool {
    request.uri.query().is_some_and(|query| query.contains("partNumber=2"))
}

/// Backs a namespace up while each second part is treated so, and sees that nothing is left of it; why it failed.
async fn fails_without_a_trace(
    stage: &Stage,
    name: &str,
    manner: impl Fn() -> Manner + Send + Sync + 'static,
) -> anyhow::Result<String> {
    fill(stage.member(), name, MAPS, BYTES).await?;
    stage.store.judge(move |request| if is_second_part(request) { manner() } else { Manner::Pass });
    let failed = stage.back_up(name, of(name), "Failed").await?;
    assert_eq!(stage.lab.s3().list(&format!("{PREFIX}/backups/{name}")).await?, [] as [&str; 0]);
    let tarball = format!("{PREFIX}/backups/{name}/{name}.tar.gz");
    assert_eq!(stage.lab.s3().unfinished_uploads(&tarball).await?, 0, "the parts are left");
    Ok(failed["failureReason"].as_str().unwrap_or_default().to_owned())
}

/// A store's answer with this status and these words.
fn refusal(code: StatusCode, words: &'static str) -> Manner {
    let mut answer = Response::new(Bytes::from_static(words.as_bytes()));
    *answer.status_mut() = code;
    Manner::Answer(Box::new(answer))
}

#[test]
fn a_store_that_is_gone_between_two_parts_and_comes_back_is_waited_for() -> Outcome {
    on_stage(async |stage| {
        fill(stage.member(), "parts", MAPS, BYTES).await?;
        let cut = AtomicUsize::new(0);
        stage.store.judge(move |request| {
            if is_second_part(request) && cut.fetch_add(1, Relaxed) < 2 { Manner::Cut } else { Manner::Pass }
        });
        stage.goes_round("parts", "parts").await
    })
}

#[test]
fn a_store_that_does_not_come_back_between_two_parts_fails_the_backup_and_holds_nothing_of_it() -> Outcome {
    on_stage(async |stage| {
        let why = fails_without_a_trace(stage, "gone", || Manner::Cut).await?;
        assert!(why.contains(&stage.store.url()), "{why}");
        Ok(())
    })
}

#[test]
fn a_store_that_is_full_fails_the_backup_in_its_own_words_and_holds_nothing_of_it() -> Outcome {
    on_stage(async |stage| {
        let words = "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive \
                     threshold</Message></Error>";
        let full = || refusal(StatusCode::INSUFFICIENT_STORAGE, words);
        let why = fails_without_a_trace(stage, "full", full).await?;
        assert!(why.contains("XMinioStorageFull"), "{why}");
        Ok(())
    })
}

#[test]
fn a_store_that_becomes_read_only_between_two_parts_fails_the_backup_which_can_be_made_again() -> Outcome {
    on_stage(async |stage| {
        fill(stage.member(), "sealed", MAPS, BYTES).await?;
        let is_sealed = AtomicBool::new(false);
        let words = "<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>";
        stage.store.judge(move |request| {
            let is_write = !matches!(request.method, Method::GET | Method::HEAD);
            if is_second_part(request) {
                is_sealed.store(true, Relaxed);
            }
            if is_write && is_sealed.load(Relaxed) {
                refusal(StatusCode::FORBIDDEN, words)
            } else {
                Manner::Pass
            }
        });
        let failed = stage.back_up("sealed", of("sealed"), "Failed").await?;
        let why = failed["failureReason"].as_str().unwrap_or_default();
        assert!(why.contains("AccessDenied") && why.contains("sealed.tar.gz"), "{why}");
        let stored = stage.lab.s3().list(&format!("{PREFIX}/backups/sealed")).await?;
        assert!(!stored.iter().any(|key| key.ends_with("/velero-backup.json")), "{stored:?}");
        stage.store.pass();
        let backups = in_member::<Backup>(stage.member())?;
        backups.delete("sealed").await?;
        backups.until_gone("sealed").await?;
        stage.goes_round("sealed", "sealed").await
    })
}

#[test]
fn a_backup_whose_last_file_was_stored_without_an_answer_is_no_strangers() -> Outcome {
    on_stage(async |stage| {
        fill(stage.member(), "last", 1, 10).await?;
        let cut = AtomicUsize::new(0);
        stage.store.judge(move |request| {
            let is_last = sends(request, &Method::PUT, "/velero-backup.json");
            if is_last && cut.fetch_add(1, Relaxed) == 0 { Manner::CutAnswer(0) } else { Manner::Pass }
        });
        stage.goes_round("last", "last").await
    })
}
