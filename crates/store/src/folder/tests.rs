use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;

use super::*;
use crate::whole;

/// A folder that goes with the test; `velero` in it is the bucket.
struct Ground(PathBuf);

impl Ground {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("kurator-folder-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("allowed/velero")).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn allowed(&self) -> PathBuf {
        self.0.join("allowed")
    }

    fn location(&self) -> Location {
        let path = self.allowed().display().to_string();
        Location {
            provider: "kurator.dev/local".to_owned(),
            bucket: "velero".to_owned(),
            prefix: "/team/".to_owned(),
            config: [("path".to_owned(), path)].into(),
            ..Location::default()
        }
    }

    async fn store(&self) -> Arc<dyn Store> {
        self.location().open(Some(&self.allowed())).await.unwrap()
    }

    fn bucket(&self, path: &str) -> PathBuf {
        self.allowed().join("velero").join(path)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn keys(store: &dyn Store, folder: &str) -> Vec<String> {
    let mut keys: Vec<_> = store.list_all(folder).map_ok(|entry| entry.key).try_collect().await.unwrap();
    keys.sort_unstable();
    keys
}

async fn refusal(location: &Location, allowed: Option<&Path>) -> String {
    match location.open(allowed).await {
        Ok(_) => panic!("opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn what_is_written_comes_back() {
    let ground = Ground::new();
    let store = ground.store().await;
    let large = Bytes::from(vec![7; 1 << 20]);
    assert_eq!(store.write("a/large", whole(large.clone())).await.unwrap(), 1 << 20);
    store.put("a/b/small", Bytes::from_static(b"small")).await.unwrap();
    assert_eq!(store.get("a/large").await.unwrap(), Some(large));
    assert_eq!(store.head("a/b/small").await.unwrap(), Some(5));
    assert_eq!(store.get("a").await.unwrap(), None, "a folder is no object");
    assert_eq!(store.get("a/large/below").await.unwrap(), None);
    let listing = store.list("a").await.unwrap();
    assert_eq!((listing.folders, listing.objects), (vec!["b".to_owned()], vec!["large".to_owned()]));
    assert_eq!(keys(&*store, "").await, ["a/b/small", "a/large"]);
    assert_eq!(keys(&*store, "a/b").await, ["a/b/small"]);
    assert!(ground.bucket("team/a/large").is_file(), "the prefix is a folder");
}

#[tokio::test]
async fn a_deletion_takes_the_empty_folders_with_it_and_may_be_repeated() {
    let ground = Ground::new();
    let store = ground.store().await;
    store.put("a/b/c", Bytes::new()).await.unwrap();
    store.put("a/d", Bytes::new()).await.unwrap();
    store.delete("a/b/c").await.unwrap();
    store.delete("a/b/c").await.unwrap();
    assert_eq!(store.list("a").await.unwrap().folders, Vec::<String>::new());
    assert_eq!(store.head("a/d").await.unwrap(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_race_for_a_key_one_gets_it() {
    let ground = Ground::new();
    let store = ground.store().await;
    let race = (0..16).map(|i| store.create("raced/for", Bytes::from(format!("writer {i}"))));
    let outcomes: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
    let winners: Vec<_> = (0..16).filter(|i| outcomes[*i] == Creation::Created).collect();
    assert_eq!(winners.len(), 1);
    let content = Bytes::from(format!("writer {}", winners[0]));
    assert_eq!(store.get("raced/for").await.unwrap(), Some(content));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_race_to_replace_an_object_one_does() {
    let ground = Ground::new();
    let store = ground.store().await;
    let old = Bytes::from_static(b"old");
    assert_eq!(store.replace("k", &old, old.clone()).await.unwrap(), Replacement::Changed);
    store.create("k", old.clone()).await.unwrap();
    let race = (0..16).map(|i| store.replace("k", &old, Bytes::from(format!("writer {i}"))));
    let outcomes: Vec<_> = join_all(race).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Replacement::Replaced).count(), 1);
}

#[tokio::test]
async fn content_that_fails_leaves_nothing() {
    let ground = Ground::new();
    let store = ground.store().await;
    let pieces = [Ok(Bytes::from_static(b"half")), Err(io::Error::other("no more"))];
    let failed = store.write("half", futures::stream::iter(pieces).boxed()).await.unwrap_err();
    assert!(matches!(failed.fault(), Some(Fault::Content(_))), "{failed:?}");
    assert_eq!(keys(&*store, "").await, Vec::<String>::new());
    assert_eq!(fs::read_dir(ground.bucket(".kurator-staging")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_dead_process_left_half_written_is_swept_away() {
    let ground = Ground::new();
    fs::create_dir(ground.bucket(".kurator-staging")).unwrap();
    fs::write(ground.bucket(".kurator-staging/1-0"), b"half").unwrap();
    let store = ground.store().await;
    assert_eq!(store.list("").await.unwrap(), Listing::default());
    assert!(!ground.bucket(".kurator-staging/1-0").exists());
}

#[tokio::test]
async fn no_link_leads_out() {
    let ground = Ground::new();
    fs::write(ground.0.join("secret"), b"hunter22").unwrap();
    let store = ground.store().await;
    store.put("kept", Bytes::new()).await.unwrap();
    symlink(&ground.0, ground.bucket("team/out")).unwrap();
    symlink(ground.0.join("secret"), ground.bucket("team/file")).unwrap();
    for key in ["out/secret", "file"] {
        for said in [
            store.get(key).await.unwrap_err(),
            store.put(key, Bytes::new()).await.unwrap_err(),
            store.delete(key).await.unwrap_err(),
        ] {
            let Some(fault) = said.fault() else { panic!("{said}") };
            assert!(fault.to_string().ends_with("is a symbolic link, and none is followed"), "{fault}");
        }
    }
    assert_eq!(keys(&*store, "").await, ["kept"]);
    assert_eq!(store.list("").await.unwrap().folders, Vec::<String>::new());
    assert_eq!(fs::read(ground.0.join("secret")).unwrap(), b"hunter22");
}

#[tokio::test]
async fn keys_that_lead_elsewhere_are_refused() {
    let ground = Ground::new();
    let store = ground.store().await;
    for key in ["", "..", "a/../b", "/a", "a/", "a//b", "a\0b", "./a"] {
        let failed = store.get(key).await.unwrap_err();
        assert!(matches!(failed.fault(), Some(Fault::Unsupported(_))), "{key:?}: {failed:?}");
    }
}

#[tokio::test]
async fn folders_and_prefixes_that_lead_elsewhere_are_refused() {
    let ground = Ground::new();
    let (store, out) = (ground.store().await, Location { prefix: "../..".to_owned(), ..ground.location() });
    let out = out.open(Some(&ground.allowed())).await.unwrap();
    for (store, folder) in [(&store, ".."), (&store, "a/../../.."), (&out, ""), (&out, "a")] {
        for failed in [
            store.list(folder).await.unwrap_err(),
            store.list_all(folder).try_collect::<Vec<_>>().await.unwrap_err(),
        ] {
            assert!(matches!(failed.fault(), Some(Fault::Unsupported(_))), "{folder:?}: {failed:?}");
        }
    }
    assert!(out.get("a").await.is_err());
}

#[tokio::test]
async fn a_folder_is_opened_only_where_it_is_allowed() {
    let ground = Ground::new();
    let (location, allowed) = (ground.location(), ground.allowed());
    let path = allowed.display();
    assert_eq!(
        refusal(&location, None).await,
        format!("config.path: `{path}` is not used: local folders are not allowed here")
    );
    let inner = allowed.join("velero");
    symlink(&ground.0, inner.join("velero")).unwrap();
    let linked =
        Location { config: [("path".to_owned(), inner.display().to_string())].into(), ..location.clone() };
    assert_eq!(
        refusal(&linked, Some(&inner)).await,
        format!(
            "config.path: `{}` with bucket `velero` lies outside `{}`; use a folder below it",
            inner.display(),
            inner.display()
        )
    );
    let missing = Location { bucket: "missing".to_owned(), ..location };
    assert_eq!(
        refusal(&missing, Some(&allowed)).await,
        format!(
            "config.path: `{path}/missing` cannot be used (No such file or directory (os error 2)); make the folder"
        )
    );
}
