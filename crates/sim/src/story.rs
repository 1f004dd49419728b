//! What users do, and what must hold at the end whatever happened on the way.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kurator_store::Store as _;
use serde_json::{Value, json};

use crate::hub::Hub;
use crate::life::{Last, Life};
use crate::manifests::{self, BUCKET, SHOP, WARES, on_hub};
use crate::observer::Observer;
use crate::tales::Tale;
use crate::user::User;
use crate::world::{HUB, MEMBERS, World};

/// Longest time of bad weather.
const STORM: Duration = Duration::from_secs(120);
/// Longest time that anything may take in fair weather.
pub(crate) const CALM: Duration = Duration::from_secs(300);
/// Until what a storm has left is looked at again: locations are once a minute.
pub(crate) const SETTLED: Duration = Duration::from_secs(90);
/// Most deaths of the hub's process.
const DEATHS: u64 = 4;
/// What users do one after the other: they set up, back up and restore twice, migrate and clean up.
const CHAPTERS: u64 = 7;
/// Last write in or after the beginning of a chapter at which a process may die.
const LAST_WRITE: u64 = 60;
/// And the last where only the first of each step is counted.
const LAST_STEP: u64 = 15;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

/// What a story came to.
pub struct Told {
    /// `Err`: what was not kept.
    pub outcome: Result<(), Broken>,
    /// All that happened.
    pub history: Vec<String>,
    /// How often what.
    pub counts: BTreeMap<String, u64>,
    /// The same whenever the story is the same in every byte.
    pub digest: u64,
}

/// Tells the story of a seed.
///
/// # Errors
/// The machine has no room for temporary files.
pub async fn tell(seed: u64) -> std::io::Result<Told> {
    fastrand::seed(seed);
    let world = World::new(seed, STORM)?;
    let story = Story::new(world.clone());
    let outcome = tokio::select! {
        biased;
        outcome = story.all() => outcome,
        broken = hubs(world.clone()) => Err(broken),
    };
    let history = &world.history;
    Ok(Told { outcome, history: history.told(), counts: history.counts(), digest: history.digest() })
}

/// One hub after the other, as they die.
///
/// Ends with what no hub may come to.
async fn hubs(world: World) -> Broken {
    let chance = world.chance;
    let deaths = (0..chance.below(DEATHS + 1, "deaths")).map(|number| {
        let of_each = chance.per_mille(500, ("of each", number));
        let longest = if of_each { LAST_STEP } else { LAST_WRITE };
        Last {
            chapter: chance.below(CHAPTERS, ("chapter", number)),
            write: 1 + chance.below(longest, ("last write", number)),
            of_each,
            counts: chance.per_mille(500, ("counts", number)),
        }
    });
    let mut deaths: Vec<_> = deaths.collect();
    deaths.sort_by_key(|last| last.chapter);
    let mut deaths = deaths.into_iter().peekable();
    let mut number = 0;
    loop {
        let life = Life::new(&world.chapter, deaths.peek().copied());
        let mut hub = Hub::start(&world, life.clone());
        if let Err(why) = hub.until_dead().await {
            return Broken(format!("the hub {why}"));
        }
        world.history.note("the hub is dead");
        // One that did not begin has not died.
        deaths.next_if(|_| life.over().is_cancelled());
        hub.end().await;
        tokio::time::sleep(Duration::from_secs(chance.below(40, ("pause", number)))).await;
        number += 1;
    }
}

pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) hub: User,
    pub(crate) members: Vec<User>,
}

impl Story {
    fn new(world: World) -> Self {
        let user = |place: &str| User::new(place, world.user(place));
        let (hub, members) = (user(HUB), MEMBERS.map(user).into());
        Self { world, hub, members }
    }

    async fn all(&self) -> Result<(), Broken> {
        self.prepare().await?;
        let observers = self.observers();
        for number in 0..2 {
            self.backup_and_restore(number).await?;
        }
        self.tell_tale().await?;
        self.migrate().await?;
        self.clean_up().await?;
        let wrong: Vec<_> = observers.into_iter().flat_map(Observer::end).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Broken(wrong.join("; "))) }
    }

    /// Somebody for each kind of object that runs, and for the Leases by which engines take turns.
    fn observers(&self) -> Vec<Observer> {
        const ON_HUB: [(&str, &str, &str); 3] = [
            ("backup.kurator.dev/v1alpha1", "Backup", "default"),
            ("backup.kurator.dev/v1alpha1", "Restore", "default"),
            ("backup.kurator.dev/v1alpha1", "Migrate", "default"),
        ];
        const IN_MEMBER: [(&str, &str, &str); 3] = [
            ("velero.io/v1", "Backup", "velero"),
            ("velero.io/v1", "Restore", "velero"),
            ("coordination.k8s.io/v1", "Lease", "velero"),
        ];
        let members = self.members.iter().zip(MEMBERS).map(|(user, place)| (user, place, IN_MEMBER));
        let mut all = Vec::new();
        for (user, place, kinds) in std::iter::once((&self.hub, HUB, ON_HUB)).chain(members) {
            for (version, kind, namespace) in kinds {
                let like = json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace}});
                all.push(Observer::start(user, place, &like, Arc::clone(&self.world.history)));
            }
        }
        all
    }

    async fn prepare(&self) -> Result<(), Broken> {
        for crd in kurator_api::crds::all() {
            let mut crd = serde_json::to_value(&crd).map_err(|error| Broken(error.to_string()))?;
            crd["apiVersion"] = "apiextensions.k8s.io/v1".into();
            crd["kind"] = "CustomResourceDefinition".into();
            self.hub.create(crd).await?;
        }
        for (user, name) in self.members.iter().zip(MEMBERS) {
            for object in manifests::app(SHOP) {
                user.create(object).await?;
            }
            for object in manifests::member(name) {
                self.hub.create(object).await?;
            }
        }
        for object in manifests::app(WARES) {
            self.members[0].create(object).await?;
        }
        for object in manifests::fleet(&MEMBERS) {
            self.hub.create(object).await?;
        }
        Ok(())
    }

    /// Longest time until something has ended that began now.
    fn patience(&self) -> Duration {
        self.world.weather.ends().duration_since(tokio::time::Instant::now()) + CALM
    }

    fn is_calm(&self) -> bool {
        self.world.weather.ends() + SETTLED <= tokio::time::Instant::now()
    }

    pub(crate) async fn ended(&self, like: &Value) -> Result<String, Broken> {
        let began_calm = self.is_calm();
        let (phase, status) = self.ended_somehow(like).await?;
        if began_calm && phase != "Completed" {
            return Err(Broken(format!("in fair weather {} is {status}", like["metadata"]["name"])));
        }
        Ok(phase)
    }

    /// The last phase of a run that may fail whatever the weather is, and its status.
    pub(crate) async fn ended_somehow(&self, like: &Value) -> Result<(String, Value), Broken> {
        const ENDS: [&str; 4] = ["Completed", "PartiallyFailed", "Failed", "FailedValidation"];
        let phase =
            |object: &DynamicObject| object.data["status"]["phase"].as_str().unwrap_or_default().to_owned();
        let is = |object: Option<&DynamicObject>| {
            object.is_some_and(|object| ENDS.contains(&phase(object).as_str()))
        };
        let ended = self.hub.until(like, self.patience(), is).await?;
        let ended = ended.ok_or_else(|| Broken(format!("{like} is gone")))?;
        self.world.history.note(&format!("{} {} is {}", like["kind"], ended.name_any(), phase(&ended)));
        Ok((phase(&ended), ended.data["status"].clone()))
    }

    async fn backup_and_restore(&self, number: u64) -> Result<(), Broken> {
        self.world.chapter.begin(1 + 2 * number);
        let mut backup = manifests::backup(&format!("backup{number}"));
        if number == 1 && self.tale() == Tale::Deletion {
            backup["spec"]["deletionPolicy"] = "Delete".into();
        }
        self.hub.create(backup.clone()).await?;
        let phase = self.ended(&backup).await?;
        if phase != "Completed" {
            return self.wait_for_calm().await;
        }
        for (user, place) in self.members.iter().zip(MEMBERS) {
            self.is_stored(user, place).await?;
        }
        let before = self.members[0].contents(SHOP).await?;
        let shop = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SHOP}});
        self.members[0].delete(&shop).await?;
        self.members[0].until(&shop, CALM, |found| found.is_none()).await?;

        self.world.chapter.begin(2 + 2 * number);
        let restore = manifests::restore(&format!("restore{number}"), &format!("backup{number}"));
        self.hub.create(restore.clone()).await?;
        if self.ended(&restore).await? == "Completed" {
            same(&before, &self.members[0].contents(SHOP).await?, "what was restored")?;
        } else if self.members[0].contents(SHOP).await? != before {
            self.set_up_again().await?;
        }
        self.wait_for_calm().await
    }

    /// What a storm left of a restore is completed by hand.
    async fn set_up_again(&self) -> Result<(), Broken> {
        for object in manifests::app(SHOP) {
            // What is there already stays.
            let _there = self.members[0].create(object).await;
        }
        Ok(())
    }

    async fn wait_for_calm(&self) -> Result<(), Broken> {
        tokio::time::sleep_until(self.world.weather.ends() + SETTLED).await;
        Ok(())
    }

    /// Every backup that is called complete lies in the store, sealed.
    pub(crate) async fn is_stored(&self, user: &User, place: &str) -> Result<(), Broken> {
        let like =
            json!({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"namespace": "velero"}});
        let bucket = self.world.buckets.bucket(BUCKET);
        let all = user.all(&like).await?;
        let complete: Vec<_> =
            all.iter().filter(|backup| backup.data["status"]["phase"] == "Completed").collect();
        if complete.is_empty() {
            return Err(Broken(format!("the Backup is Completed, but {place} has no complete one")));
        }
        for backup in complete {
            let name = backup.name_any();
            for file in ["velero-backup.json".to_owned(), format!("{name}.tar.gz")] {
                let key = format!("clusters/default/attachedcluster/{place}/backups/{name}/{file}");
                if !matches!(bucket.head(&key).await, Ok(Some(_))) {
                    return Err(Broken(format!(
                        "Backup {name} in {place} is Completed, but there is no {key}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The files of all backups, with their sizes.
    pub(crate) async fn stored(&self) -> Result<BTreeMap<String, u64>, Broken> {
        let bucket = self.world.buckets.bucket(BUCKET);
        let files = bucket.list_all("").try_filter(|file| ready(file.key.contains("/backups/")));
        let files = files.map_ok(|file| (file.key, file.size)).try_collect().await;
        files.map_err(|error| Broken(error.to_string()))
    }

    async fn migrate(&self) -> Result<(), Broken> {
        self.world.chapter.begin(5);
        let migrate = manifests::migrate("migrate", MEMBERS[0], MEMBERS[1]);
        self.hub.create(migrate.clone()).await?;
        self.ended(&migrate).await?;
        if self.members[0].contents(WARES).await?.is_empty() {
            return Err(Broken("the wares are gone from where they were".to_owned()));
        }
        same(
            &self.members[0].contents(WARES).await?,
            &self.members[1].contents(WARES).await?,
            "what was migrated",
        )
    }

    /// Deletes everything on the hub: nothing of ours stays in the members, and nothing else goes.
    async fn clean_up(&self) -> Result<(), Broken> {
        self.world.chapter.begin(6);
        let before = [self.members[0].contents(SHOP).await?, self.members[1].contents(SHOP).await?];
        let stored = self.stored().await?;
        for kind in ["Migrate", "Restore", "Backup", "Fleet", "AttachedCluster"] {
            let objects = self.hub.all(&on_hub(kind, "")).await?;
            let objects: Vec<_> = objects.iter().map(|object| on_hub(kind, &object.name_any())).collect();
            for object in &objects {
                self.hub.delete(object).await?;
            }
            for object in &objects {
                self.hub.until(object, CALM, |found| found.is_none()).await?;
            }
        }
        for (user, place) in self.members.iter().zip(MEMBERS) {
            // Backups are kept unless somebody says otherwise.
            for kind in ["Restore", "Schedule", "BackupStorageLocation"] {
                let like =
                    json!({"apiVersion": "velero.io/v1", "kind": kind, "metadata": {"namespace": "velero"}});
                // With the last of them the types may have gone.
                let left = user.all(&like).await.unwrap_or_default();
                if let Some(left) = left.first() {
                    return Err(Broken(format!("{kind} {} is left in {place}", left.name_any())));
                }
            }
        }
        if self.stored().await? != stored {
            return Err(Broken("what was stored is not what it was".to_owned()));
        }
        let after = [self.members[0].contents(SHOP).await?, self.members[1].contents(SHOP).await?];
        for (before, after) in before.iter().zip(&after) {
            same(before, after, "the members' own")?;
        }
        Ok(())
    }
}

fn same(before: &[Value], after: &[Value], what: &str) -> Result<(), Broken> {
    if before == after {
        return Ok(());
    }
    Err(Broken(format!("{what} is not what it was: {} and now {}", json!(before), json!(after))))
}

impl User {
    /// What is in a namespace, without what servers and restores add.
    async fn contents(&self, namespace: &str) -> Result<Vec<Value>, Broken> {
        let mut all = Vec::new();
        for (version, kind) in [("v1", "ConfigMap"), ("v1", "Secret"), ("apps/v1", "Deployment")] {
            let like = json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": namespace}});
            all.extend(self.all(&like).await?.into_iter().map(|object| {
                json!({"kind": kind, "name": object.name_any(), "app": object.labels().get("app"),
                       "data": object.data["data"], "spec": object.data["spec"]})
            }));
        }
        Ok(all)
    }
}
