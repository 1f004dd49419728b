//! Servers that die, stall or are slow, and lines that break.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use kurator_store::{Creation, Fault, Location, Patience, StoreError, whole};
use kurator_testkit::{LabError, S3, S3Lab, wait};

use crate::labs::{against_both, location, with};
use crate::proxy::{Manner, Proxy};
use crate::{Outcome, chain, fault, noise};

against_both! {
    a_stopped_server_is_an_error_that_names_it_and_the_same_store_works_when_it_is_back,
    a_server_killed_during_an_upload_leaves_no_half_object,
    content_that_fails_during_an_upload_leaves_nothing,
    an_upload_that_nobody_waits_for_leaves_nothing,
    an_upload_dropped_before_the_answer_to_its_begin_leaves_nothing,
    a_slow_line_is_waited_for,
    a_silent_server_ends_a_read,
    a_server_that_falls_silent_ends_an_upload,
    a_read_goes_on_where_the_line_broke,
}

const PIECE: usize = 1 << 20;

type Upload<'a> = BoxFuture<'a, Result<u64, StoreError>>;

/// Pieces of 1 MiB; something happens before one of them.
fn interrupted<'a>(
    pieces: usize,
    at: usize,
    mut event: impl FnMut() -> io::Result<()> + Send + 'a,
) -> BoxStream<'a, io::Result<Bytes>> {
    let piece = noise(PIECE);
    let next = move |i| {
        if i == at {
            event()?;
        }
        Ok(piece.clone())
    };
    futures::stream::iter(0..pieces).map(next).boxed()
}

fn as_io(done: Result<(), LabError>) -> io::Result<()> {
    done.map_err(io::Error::other)
}

/// Does not wait long for what is silent.
fn impatient() -> Location {
    let patience = Patience {
        silence: Duration::from_millis(300),
        request: Duration::from_secs(5),
        ..Patience::default()
    };
    Location { patience, ..location() }
}

async fn a_stopped_server_is_an_error_that_names_it_and_the_same_store_works_when_it_is_back(
    lab: &S3Lab,
) -> Outcome {
    let store = location().open(None).await?;
    store.create("kept", Bytes::from_static(b"bytes")).await?;
    lab.s3().stop()?;
    let failed = store.get("kept").await;
    lab.s3().start()?;
    let failed = failed.err().ok_or("it succeeded")?;
    assert!(matches!(failed.fault(), Some(Fault::OutOfReach { .. })), "{failed:?}");
    assert!(chain(&failed).contains(S3::ENDPOINT), "{failed:?}");
    assert_eq!(store.get("kept").await?, Some(Bytes::from_static(b"bytes")));
    Ok(())
}

async fn a_server_killed_during_an_upload_leaves_no_half_object(lab: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let content = interrupted(20, 12, || as_io(lab.s3().stop()));
    let failed = fault(store.write("killed/upload", content).await);
    lab.s3().start()?;
    let failed = failed?;
    assert!(matches!(failed, Fault::OutOfReach { .. }), "{failed:?}");
    assert_eq!(store.head("killed/upload").await?, None);
    assert_eq!(store.list("killed").await?.objects, Vec::<String>::new());
    Ok(())
}

async fn content_that_fails_during_an_upload_leaves_nothing(lab: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let content = interrupted(20, 12, || Err(io::Error::other("the disk is broken")));
    let error = store.write("half", content).await.err().ok_or("it succeeded")?;
    assert!(chain(&error).ends_with("what was to be written could not be produced\nthe disk is broken\n"));
    assert_eq!(store.head("half").await?, None);
    assert_eq!(lab.s3().unfinished_uploads("half").await?, 0);
    Ok(())
}

async fn an_upload_that_nobody_waits_for_leaves_nothing(lab: &S3Lab) -> Outcome {
    abandoned(lab, "abandoned", async |upload| {
        // Polled only here, it makes progress only here.
        let _ = tokio::time::timeout(Duration::from_millis(10), upload).await;
    })
    .await
}

async fn an_upload_dropped_before_the_answer_to_its_begin_leaves_nothing(lab: &S3Lab) -> Outcome {
    abandoned(lab, "unanswered", async |upload| {
        // What comes after this one poll is not seen before the server is asked whether it has begun.
        let _ = futures::poll!(upload);
    })
    .await
}

/// Takes an upload forward until the server knows of it, and drops it.
async fn abandoned(lab: &S3Lab, key: &str, mut step: impl AsyncFnMut(&mut Upload<'_>)) -> Outcome {
    let store = location().open(None).await?;
    let never = futures::stream::iter((0..12).map(|_| Ok(noise(PIECE)))).chain(futures::stream::pending());
    let mut upload: Upload<'_> = Box::pin(store.write(key, never.boxed()));
    let begun = wait::until("the upload's begin", Duration::from_secs(30), async || {
        step(&mut upload).await;
        Ok::<_, LabError>((lab.s3().unfinished_uploads(key).await? > 0).then_some(()))
    });
    begun.await?;
    drop(upload);
    let gone = wait::until("the upload's end", Duration::from_secs(30), async || {
        let left = lab.s3().unfinished_uploads(key).await?;
        Ok::<_, LabError>((left == 0).then_some(()))
    });
    gone.await?;
    assert_eq!(store.head(key).await?, None);
    Ok(())
}

async fn a_slow_line_is_waited_for(_: &S3Lab) -> Outcome {
    // 2 MiB/s: each way takes longer than the silence that would end it.
    let line = Proxy::start(S3::ENDPOINT, Manner::Slow(Duration::from_millis(8))).await?;
    let patience = Patience { silence: Duration::from_secs(2), ..Patience::default() };
    let store = Location { patience, ..with(&[("s3Url", &line.url())]) }.open(None).await?;
    let content = noise(6 << 20);
    assert_eq!(store.create_from("slow", whole(content.clone())).await?, Creation::Created);
    let pieces: Vec<Bytes> = store.read("slow").await?.ok_or("gone")?.content.try_collect().await?;
    assert!(pieces.concat() == content, "it came back changed");
    Ok(())
}

async fn a_silent_server_ends_a_read(lab: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    store.put("silent", Bytes::new()).await?;
    let impatient = impatient().open(None).await?;
    lab.s3().pause()?;
    let failed = fault(impatient.get("silent").await);
    lab.s3().resume()?;
    let failed = failed?;
    assert!(matches!(failed, Fault::TimedOut { .. }), "{failed:?}");
    assert!(failed.to_string().contains("was silent for 0.3 s"), "{failed}");
    assert_eq!(store.get("silent").await?, Some(Bytes::new()));
    Ok(())
}

async fn a_server_that_falls_silent_ends_an_upload(lab: &S3Lab) -> Outcome {
    let store = impatient().open(None).await?;
    let content = interrupted(40, 12, || as_io(lab.s3().pause()));
    let failed = fault(store.write("stalled", content).await);
    lab.s3().resume()?;
    let failed = failed?;
    assert!(matches!(failed, Fault::TimedOut { .. }), "{failed:?}");
    assert_eq!(location().open(None).await?.head("stalled").await?, None);
    Ok(())
}

async fn a_read_goes_on_where_the_line_broke(_: &S3Lab) -> Result<(), Box<dyn Error>> {
    let content = noise(8 << 20);
    location().open(None).await?.write("broken/line", whole(content.clone())).await?;
    let line = Proxy::start(S3::ENDPOINT, Manner::CutOnce(3 << 20)).await?;
    let store = with(&[("s3Url", &line.url())]).open(None).await?;
    let pieces: Vec<Bytes> = store.read("broken/line").await?.ok_or("gone")?.content.try_collect().await?;
    assert!(pieces.concat() == content, "it came back changed");
    Ok(())
}
