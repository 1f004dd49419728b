//! What a store promises.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::join_all};
use kurator_store::{Creation, Entry, Fault, Listing, Location, Replacement, whole};
use kurator_testkit::{S3, S3Lab, S3Server};

use crate::labs::{against_both, credential, in_turn, location, with};
use crate::{Outcome, chain, fault, noise};

against_both! {
    an_object_is_created_once_and_stays_as_it_was,
    of_many_that_race_for_a_key_one_gets_it,
    of_two_that_race_with_large_objects_one_gets_the_key,
    an_object_is_replaced_only_while_it_holds_what_was_read,
    of_many_that_race_to_replace_an_object_one_does,
    a_listing_shows_one_level,
    more_objects_than_a_page_are_listed,
    a_large_object_comes_back_as_it_was_written,
    what_lies_elsewhere_in_the_bucket_is_out_of_sight,
    what_is_deleted_is_gone_and_may_be_deleted_again,
    keys_that_need_an_escape_are_kept_as_they_are,
    faulty_keys_are_refused,
    a_wrong_secret_is_told_without_showing_it,
    an_unknown_access_key_is_told,
    a_wrong_region_is_told,
    a_missing_bucket_is_an_error_and_not_an_empty_one,
}

async fn an_object_is_created_once_and_stays_as_it_was(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    assert_eq!(store.get("once").await?, None);
    assert_eq!(store.create("once", Bytes::from_static(b"first")).await?, Creation::Created);
    assert_eq!(store.create("once", Bytes::from_static(b"second")).await?, Creation::AlreadyExists);
    assert_eq!(store.get("once").await?, Some(Bytes::from_static(b"first")));
    Ok(())
}

async fn of_many_that_race_for_a_key_one_gets_it(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let race = (0..16).map(|i| store.create("raced/for", Bytes::from(format!("writer {i}"))));
    let outcomes = join_all(race).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let winners: Vec<_> = (0..16).filter(|i| outcomes[*i] == Creation::Created).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(store.get("raced/for").await?, Some(Bytes::from(format!("writer {}", winners[0]))));
    Ok(())
}

async fn of_two_that_race_with_large_objects_one_gets_the_key(lab: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let contents = [noise(6 << 20), noise(7 << 20)];
    let race = contents.iter().map(|content| store.create_from("raced/large", whole(content.clone())));
    let outcomes = join_all(race).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let winner = match outcomes[..] {
        [Creation::Created, Creation::AlreadyExists] => 0,
        [Creation::AlreadyExists, Creation::Created] => 1,
        _ => return Err(format!("{outcomes:?}").into()),
    };
    assert_eq!(store.head("raced/large").await?, Some(contents[winner].len() as u64));
    assert_eq!(lab.s3().unfinished_uploads("raced/large").await?, 0, "the loser's parts are gone");
    Ok(())
}

async fn an_object_is_replaced_only_while_it_holds_what_was_read(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let [first, second, third] = ["first", "second", "third"].map(Bytes::from);
    assert_eq!(store.replace("over", &first, second.clone()).await?, Replacement::Changed);
    store.create("over", first.clone()).await?;
    assert_eq!(store.replace("over", &first, second.clone()).await?, Replacement::Replaced);
    assert_eq!(store.replace("over", &first, third).await?, Replacement::Changed);
    assert_eq!(store.get("over").await?, Some(second));
    Ok(())
}

async fn of_many_that_race_to_replace_an_object_one_does(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let old = Bytes::from_static(b"old");
    store.create("raced/over", old.clone()).await?;
    let race = (0..16).map(|i| store.replace("raced/over", &old, Bytes::from(format!("writer {i}"))));
    let outcomes = join_all(race).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let winners: Vec<_> = (0..16).filter(|i| outcomes[*i] == Replacement::Replaced).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(store.get("raced/over").await?, Some(Bytes::from(format!("writer {}", winners[0]))));
    Ok(())
}

async fn a_listing_shows_one_level(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    for key in
        ["listed/a.json", "listed/folder/b", "listed/folder/deeper/c", "listed/other/d", "listed-not/e"]
    {
        store.create(key, Bytes::new()).await?;
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected = Listing { folders: names(&["folder", "other"]), objects: names(&["a.json"]) };
    assert_eq!(store.list("listed").await?, expected);
    assert_eq!(store.list("listed/").await?, expected);
    assert_eq!(store.list("nothing/here").await?, Listing::default());
    assert!(store.list("").await?.folders.contains(&"listed".to_owned()));
    Ok(())
}

async fn more_objects_than_a_page_are_listed(_: &S3Lab) -> Outcome {
    const COUNT: usize = 1_100;
    let store = Location { prefix: "many".to_owned(), ..location() }.open(None).await?;
    let put = |i: usize| {
        let store = &store;
        async move { store.put(&format!("in/{i:04}"), Bytes::from_static(b"x")).await }
    };
    futures::stream::iter(0..COUNT).map(put).buffer_unordered(16).try_collect::<()>().await?;
    let mut all: Vec<_> = store.list_all("in").try_collect().await?;
    all.sort_unstable();
    let expected: Vec<_> = (0..COUNT).map(|i| Entry { key: format!("in/{i:04}"), size: 1 }).collect();
    assert!(all == expected, "{} of {COUNT}", all.len());
    assert_eq!(store.list("in").await?.objects.len(), COUNT);
    Ok(())
}

async fn a_large_object_comes_back_as_it_was_written(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    let content = noise(20 << 20);
    let pieces: Vec<_> = content.chunks(1 << 20).map(|piece| Ok(content.slice_ref(piece))).collect();
    let written = store.write("large/object", futures::stream::iter(pieces).boxed()).await?;
    assert_eq!(written, 20 << 20);
    assert_eq!(store.head("large/object").await?, Some(20 << 20));
    let object = store.read("large/object").await?.ok_or("gone")?;
    assert_eq!(object.size, 20 << 20);
    let pieces: Vec<Bytes> = object.content.try_collect().await?;
    assert!(pieces.concat() == content, "it came back changed");
    let large = fault(store.get("large/object").await)?;
    assert!(matches!(large, Fault::TooLarge { .. }), "{large:?}");
    Ok(())
}

async fn what_lies_elsewhere_in_the_bucket_is_out_of_sight(_: &S3Lab) -> Outcome {
    let all = location().open(None).await?;
    let team = Location { prefix: "/team/a/".to_owned(), ..location() }.open(None).await?;
    team.put("backups/b/velero-backup.json", Bytes::from_static(b"{}")).await?;
    all.put("team/ab", Bytes::new()).await?;
    assert_eq!(team.list("").await?, Listing { folders: vec!["backups".to_owned()], objects: Vec::new() });
    let keys: Vec<_> = team.list_all("").map_ok(|entry| entry.key).try_collect().await?;
    assert_eq!(keys, ["backups/b/velero-backup.json"]);
    let key = "team/a/backups/b/velero-backup.json";
    assert_eq!(all.get(key).await?, Some(Bytes::from_static(b"{}")));
    Ok(())
}

async fn what_is_deleted_is_gone_and_may_be_deleted_again(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    store.put("deleted/empty", Bytes::new()).await?;
    assert_eq!(store.head("deleted/empty").await?, Some(0));
    assert_eq!(store.get("deleted/empty").await?, Some(Bytes::new()));
    store.delete("deleted/empty").await?;
    assert_eq!(store.head("deleted/empty").await?, None);
    assert_eq!(store.get("deleted/empty").await?, None);
    store.delete("deleted/empty").await?;
    Ok(())
}

async fn keys_that_need_an_escape_are_kept_as_they_are(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    for name in ["a b", "a%20b", "a+b", "ä", "a#b?c=d&e", "~a'(b)*"] {
        let key = format!("escaped/{name}");
        store.put(&key, Bytes::from(name)).await?;
        assert_eq!(store.get(&key).await?, Some(Bytes::from(name)), "{name}");
        assert!(store.list("escaped").await?.objects.contains(&name.to_owned()), "{name}");
    }
    Ok(())
}

async fn faulty_keys_are_refused(_: &S3Lab) -> Outcome {
    let store = location().open(None).await?;
    for key in ["", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\nb"] {
        let refused = fault(store.get(key).await)?;
        assert!(matches!(refused, Fault::Unsupported(_)), "{key:?}: {refused:?}");
    }
    let refused = fault(store.list("a/../b").await)?;
    assert!(matches!(refused, Fault::Unsupported(_)), "{refused:?}");
    Ok(())
}

async fn a_wrong_secret_is_told_without_showing_it(_: &S3Lab) -> Outcome {
    let secret_key = "not-the-secret-of-this-server";
    let wrong = Location { credential: Some(credential(S3::ACCESS_KEY, secret_key)), ..location() };
    assert!(!format!("{wrong:?}").contains(secret_key));
    let store = wrong.open(None).await?;
    let error = store.get("refused").await.err().ok_or("it succeeded")?;
    assert!(matches!(error.fault(), Some(Fault::CredentialRefused { .. })), "{error:?}");
    for said in [chain(&error), format!("{error:?}")] {
        assert!(!said.contains(secret_key), "{said}");
    }
    let said = chain(&error);
    assert!(said.starts_with("cannot read `refused` in bucket `velero`\n"), "{said}");
    assert!(said.contains(S3::ENDPOINT) && said.contains("check its keys"), "{said}");
    let refused = fault(store.write("refused", whole(noise(6 << 20))).await)?;
    assert!(matches!(refused, Fault::CredentialRefused { .. }), "{refused:?}");
    Ok(())
}

async fn an_unknown_access_key_is_told(_: &S3Lab) -> Outcome {
    let unknown = Location { credential: Some(credential("nobody", S3::SECRET_KEY)), ..location() };
    let refused = fault(unknown.open(None).await?.list("").await)?;
    assert!(matches!(refused, Fault::CredentialRefused { .. }), "{refused:?}");
    Ok(())
}

async fn a_wrong_region_is_told(_: &S3Lab) -> Outcome {
    let store = with(&[("region", "eu-west-1")]).open(None).await?;
    let refused = fault(store.get("refused").await)?;
    assert!(matches!(refused, Fault::WrongRegion { .. }), "{refused:?}");
    assert!(refused.to_string().contains(S3::REGION), "{refused}");
    Ok(())
}

async fn a_missing_bucket_is_an_error_and_not_an_empty_one(_: &S3Lab) -> Outcome {
    let store = Location { bucket: "missing".to_owned(), ..location() }.open(None).await?;
    for missing in [
        fault(store.list("").await)?,
        fault(store.get("a").await)?,
        fault(store.head("a").await)?,
        fault(store.create("a", Bytes::new()).await)?,
        fault(store.write("a", whole(noise(6 << 20))).await)?,
        fault(store.delete("a").await)?,
        fault(store.list_all("").try_collect::<Vec<_>>().await)?,
    ] {
        assert!(matches!(missing, Fault::BucketMissing { .. }), "{missing:?}");
    }
    Ok(())
}

#[test]
fn who_may_do_nothing_is_told_so() -> Outcome {
    let guest = credential(S3::GUEST_ACCESS_KEY, S3::GUEST_SECRET_KEY);
    let guest = Location { credential: Some(guest), ..location() };
    in_turn(S3Server::Versitygw, async |_| {
        let store = guest.open(None).await?;
        for denied in [
            fault(store.list("").await)?,
            fault(store.get("a").await)?,
            fault(store.create("a", Bytes::new()).await)?,
            fault(store.write("a", whole(noise(6 << 20))).await)?,
            fault(store.delete("a").await)?,
        ] {
            assert!(matches!(denied, Fault::Denied { .. }), "{denied:?}");
        }
        Ok(())
    })
}
