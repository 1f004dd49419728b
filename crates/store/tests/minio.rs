//! The S3 store against a real server, which some tests stop.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all};
use kurator_store::{Creation, Fault, Listing, Location, Replacement, Store};
use kurator_testkit::{Lab, LabSpec, S3 as Minio};

type Outcome = Result<(), Box<dyn Error>>;

fn location() -> Location {
    let config = [("s3Url", Minio::ENDPOINT), ("region", Minio::REGION), ("s3ForcePathStyle", "true")];
    Location {
        provider: "aws".to_owned(),
        bucket: Minio::BUCKET.to_owned(),
        config: config.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        credential: Some(credential(Minio::ACCESS_KEY, Minio::SECRET_KEY)),
        ..Location::default()
    }
}

fn credential(access_key: &str, secret_key: &str) -> Vec<u8> {
    format!("[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n").into_bytes()
}

/// One test at a time: some stop the server.
fn in_turn(test: impl AsyncFnOnce(&'static Lab, Arc<dyn Store>) -> Outcome) -> Outcome {
    static TURN: Mutex<()> = Mutex::new(());
    let _mine = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = Lab::shared(LabSpec { members: 0, velero: false, s3: true })?;
    lab.run(async { test(lab, location().open(None).await?).await })
}

/// Bytes that differ from one another.
fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// All that an error says, sources included.
fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| (*error).source()).map(|error| format!("{error}\n")).collect()
}

#[test]
fn an_object_is_created_once_and_stays_as_it_was() -> Outcome {
    in_turn(async |_, store| {
        assert_eq!(store.get("once").await?, None);
        assert_eq!(store.create("once", Bytes::from_static(b"first")).await?, Creation::Created);
        assert_eq!(store.create("once", Bytes::from_static(b"second")).await?, Creation::AlreadyExists);
        assert_eq!(store.get("once").await?, Some(Bytes::from_static(b"first")));
        Ok(())
    })
}

#[test]
fn of_many_that_race_for_a_key_one_gets_it() -> Outcome {
    in_turn(async |_, store| {
        let race = (0..16).map(|i| store.create("raced/for", Bytes::from(format!("writer {i}"))));
        let outcomes = join_all(race).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let winners: Vec<_> = (0..16).filter(|i| outcomes[*i] == Creation::Created).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert_eq!(store.get("raced/for").await?, Some(Bytes::from(format!("writer {}", winners[0]))));
        Ok(())
    })
}

#[test]
fn an_object_is_replaced_only_while_it_holds_what_was_read() -> Outcome {
    in_turn(async |_, store| {
        let [first, second, third] = ["first", "second", "third"].map(Bytes::from);
        assert_eq!(store.replace("over", &first, second.clone()).await?, Replacement::Changed);
        store.create("over", first.clone()).await?;
        assert_eq!(store.replace("over", &first, second.clone()).await?, Replacement::Replaced);
        assert_eq!(store.replace("over", &first, third).await?, Replacement::Changed);
        assert_eq!(store.get("over").await?, Some(second));
        Ok(())
    })
}

#[test]
fn of_many_that_race_to_replace_an_object_one_does() -> Outcome {
    in_turn(async |_, store| {
        let old = Bytes::from_static(b"old");
        store.create("raced/over", old.clone()).await?;
        let race = (0..16).map(|i| store.replace("raced/over", &old, Bytes::from(format!("writer {i}"))));
        let outcomes = join_all(race).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let winners: Vec<_> = (0..16).filter(|i| outcomes[*i] == Replacement::Replaced).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert_eq!(store.get("raced/over").await?, Some(Bytes::from(format!("writer {}", winners[0]))));
        Ok(())
    })
}

#[test]
fn a_listing_shows_one_level() -> Outcome {
    in_turn(async |_, store| {
        for key in
            ["listed/a.json", "listed/folder/b", "listed/folder/deeper/c", "listed/other/d", "listed-not/e"]
        {
            store.create(key, Bytes::new()).await?;
        }
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let expected = Listing { folders: names(&["folder", "other"]), objects: names(&["a.json"]) };
        assert_eq!(store.list("listed").await?, expected);
        assert_eq!(store.list("nothing/here").await?, Listing::default());
        assert!(store.list("").await?.folders.contains(&"listed".to_owned()));
        Ok(())
    })
}

#[test]
fn refused_keys_are_told_without_the_secret() -> Outcome {
    in_turn(async |_, _| {
        let secret_key = "not-the-secret-of-this-server".to_owned();
        let credential = Some(credential(Minio::ACCESS_KEY, &secret_key));
        let store = Location { credential, ..location() }.open(None).await?;
        let said = chain(&store.get("refused").await.unwrap_err());
        assert!(said.starts_with("cannot read `refused` in bucket `velero`\n"), "{said}");
        assert!(!said.contains(&secret_key), "{said}");
        Ok(())
    })
}

#[test]
fn a_missing_bucket_is_an_error_and_not_an_empty_one() -> Outcome {
    in_turn(async |_, _| {
        let store = Location { bucket: "missing".to_owned(), ..location() }.open(None).await?;
        assert!(store.list("").await.is_err());
        assert!(store.create("marker", Bytes::new()).await.is_err());
        Ok(())
    })
}

#[test]
fn a_stopped_server_is_an_error_that_names_it_and_the_same_store_works_when_it_is_back() -> Outcome {
    in_turn(async |lab, store| {
        store.create("kept", Bytes::from_static(b"bytes")).await?;
        lab.s3().stop()?;
        let failed = store.get("kept").await;
        lab.s3().start()?;
        let said = chain(&failed.unwrap_err());
        assert!(said.contains(Minio::ENDPOINT), "{said}");
        assert_eq!(store.get("kept").await?, Some(Bytes::from_static(b"bytes")));
        Ok(())
    })
}

#[test]
fn a_large_object_comes_back_as_it_was_written() -> Outcome {
    in_turn(async |_, store| {
        let content = noise(20 << 20);
        let pieces: Vec<_> = content.chunks(1 << 20).map(|piece| Ok(content.slice_ref(piece))).collect();
        let written = store.write("large/object", futures::stream::iter(pieces).boxed()).await?;
        assert_eq!(written, 20 << 20);
        assert_eq!(store.head("large/object").await?, Some(20 << 20));
        let object = store.read("large/object").await?.ok_or("gone")?;
        assert_eq!(object.size, 20 << 20);
        let pieces: Vec<Bytes> = object.content.try_collect().await?;
        assert!(pieces.concat() == content, "it came back changed");
        let Err(large) = store.get("large/object").await else { return Err("20 MiB are small".into()) };
        assert!(matches!(large.fault(), Some(Fault::TooLarge { .. })), "{large:?}");
        Ok(())
    })
}

#[test]
fn what_is_deleted_is_gone_and_may_be_deleted_again() -> Outcome {
    in_turn(async |_, store| {
        store.put("deleted/empty", Bytes::new()).await?;
        assert_eq!(store.head("deleted/empty").await?, Some(0));
        store.delete("deleted/empty").await?;
        assert_eq!(store.head("deleted/empty").await?, None);
        assert_eq!(store.get("deleted/empty").await?, None);
        store.delete("deleted/empty").await?;
        Ok(())
    })
}
