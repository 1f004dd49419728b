//! The walk: the story of the documentation, step by step, each with a check that it did what it says.

use anyhow::anyhow;
use kurator_api::backup::Backup;
use kurator_api::cluster::AttachedCluster;
use kurator_api::fleet::{Fleet, FleetPhase};
use kurator_api::migrate::Migrate;
use kurator_api::names::RUN_NOW_ANNOTATION;
use kurator_api::restore::Restore;

use super::content::Content;
use super::manifests::{self, Manifest};
use super::screen::Screen;
use super::stage::{Seen, Stage, content, seen};
use super::world::{Cluster, World};
use crate::failure::Failure;
use crate::terminal::rows::Row;
use crate::verbs::run::Run;

/// Where the workload lives.
const LOST: &str = "kurator-backup";
const STEPS: usize = 9;

/// What a step has to say when it is done.
type Told = Result<Vec<String>, Failure>;

/// Walks through all steps, up to the first that fails.
pub(super) async fn walk(world: &World, screen: &mut Screen) -> Result<(), Failure> {
    let mut walk = Walk { stage: Stage::new(world, screen), number: 0 };
    walk.step(
        "Attach the clusters",
        "A kubeconfig in a Secret, and an AttachedCluster that names it.",
        attach,
    )
    .await?;
    walk.step(
        "Make a fleet that backs up",
        "The Fleet names the clusters and the object store. `engine: Builtin`: the hub does the work, nothing is \
         installed in the members.",
        fleet,
    )
    .await?;
    walk.step(
        "Back up, now",
        "First a workload in each member: a Deployment, a Service, a ConfigMap and a Secret. They are objects here; \
         nothing runs in an embedded cluster. Then a Backup of their namespace.",
        backup,
    )
    .await?;
    walk.step("A disaster", "The namespace is deleted in every member.", disaster).await?;
    walk.step("Restore", "A Restore names the Backup; each cluster gets its own content back.", restore)
        .await?;
    walk.step(
        "Back up by a schedule",
        "Every five minutes, in the second member. The annotation kurator.dev/run-now asks for a run at once.",
        schedule,
    )
    .await?;
    walk.step(
        "Restore a part from the schedule",
        "A Deployment is lost; the newest complete run has it. Of all that is in there, only one label is wanted.",
        restore_schedule,
    )
    .await?;
    walk.step("Back up by label", "Whatever carries app=busybox, in every cluster of the fleet.", by_label)
        .await?;
    walk.step(
        "Migrate",
        "What carries the label goes from the first member into the second, which has just lost it.",
        migrate,
    )
    .await
}

struct Walk<'a> {
    stage: Stage<'a>,
    number: usize,
}

impl Walk<'_> {
    async fn step(
        &mut self,
        title: &str,
        text: &str,
        act: impl AsyncFnOnce(&mut Stage<'_>) -> Told,
    ) -> Result<(), Failure> {
        self.number += 1;
        self.stage.screen.begin(self.number, STEPS, title, text).await;
        let told = act(&mut self.stage).await;
        self.stage.screen.end(told.as_deref().map_err(|_| ()));
        told.map(drop)?;
        Ok(self.stage.screen.written()?)
    }
}

async fn attach(stage: &mut Stage<'_>) -> Told {
    let world = stage.world;
    for member in &world.members {
        stage.apply(&manifests::attach(member)).await?;
    }
    for (before, member) in world.members.iter().enumerate() {
        let seen = stage.follow::<AttachedCluster>(&member.name, |cluster| {
            let status = cluster.status.clone().unwrap_or_default();
            let is_ready = status.ready;
            let phase = if is_ready { "Ready" } else { "Connecting" };
            let ready = world.members.iter().take(before).map(|member| row(&member.name, "Ready"));
            Seen {
                rows: ready.chain([row(&member.name, phase)]).collect(),
                said: phase.to_owned(),
                end: is_ready.then_some(true),
            }
        });
        seen.await?;
    }
    Ok(Vec::new())
}

async fn fleet(stage: &mut Stage<'_>) -> Told {
    let world = stage.world;
    stage.apply(&manifests::fleet(&world.members, &world.store)).await?;
    let seen = stage.follow::<Fleet>("quickstart", |fleet| {
        let status = fleet.status.clone().unwrap_or_default();
        let rows = status.clusters.iter().map(|cluster| {
            let backup = cluster.backup.clone().unwrap_or_default();
            row(
                &cluster.name,
                if backup.ready { "Ready" } else { backup.reason.as_deref().unwrap_or("Waiting") },
            )
        });
        let waits = status.clusters.iter().filter_map(|cluster| cluster.backup.as_ref()?.message.clone());
        let said = waits.collect::<Vec<_>>().join("; ");
        let is_ready = status.phase == Some(FleetPhase::Ready);
        Seen { rows: rows.collect(), said, end: is_ready.then_some(true) }
    });
    seen.await?;
    Ok(Vec::new())
}

async fn backup(stage: &mut Stage<'_>) -> Told {
    let world = stage.world;
    stage.apply_in_members(&manifests::workload()).await?;
    for member in &world.members {
        stage.remember(member, LOST).await?;
    }
    stage.apply(&manifests::BACKUP.into()).await?;
    let seen = stage.run::<Backup>("specific-ns").await?;
    Ok(vec![seen.said])
}

async fn disaster(stage: &mut Stage<'_>) -> Told {
    let world = stage.world;
    let mut rows = Vec::new();
    for member in &world.members {
        stage.lose(member, LOST).await?;
        rows.push(row(&member.name, "namespace gone"));
        stage.screen.progress(&rows);
    }
    Ok(Vec::new())
}

async fn restore(stage: &mut Stage<'_>) -> Told {
    let world = stage.world;
    stage.apply(&manifests::RESTORE.into()).await?;
    let seen = stage.run::<Restore>("specific-ns").await?;
    let mut there = String::new();
    for member in &world.members {
        there = stage.ensure_back(member, LOST).await?.names();
    }
    Ok(vec![seen.said, format!("each member has them again, as they were: {there}")])
}

async fn schedule(stage: &mut Stage<'_>) -> Told {
    let mut objects = Manifest::from(manifests::SCHEDULES).objects()?;
    objects.retain(|object| object.metadata.name.as_deref() == Some("schedule"));
    let object = objects.first_mut().ok_or_else(|| anyhow!("no schedule in the examples"))?;
    object.metadata.annotations = Some([(RUN_NOW_ANNOTATION.to_owned(), "quickstart".to_owned())].into());
    let text = serde_saphyr::to_string(&object)?;
    stage.apply(&text.as_str().into()).await?;
    let root = stage.world.store.root.clone();
    let seen = stage.follow::<Backup>("schedule", |backup| {
        let has_run = backup.status.as_ref().is_some_and(|status| status.last_success.is_some());
        Seen { end: has_run.then_some(true), ..seen(&Run::from(backup), &root) }
    });
    Ok(vec![seen.await?.said])
}

async fn restore_schedule(stage: &mut Stage<'_>) -> Told {
    let second = second(stage.world)?;
    stage.lose_deployment(second, LOST, "busybox").await?;
    stage.apply(&manifests::RESTORE_SCHEDULE.into()).await?;
    let seen = stage.run::<Restore>("schedule").await?;
    stage.ensure_back(second, LOST).await?;
    Ok(vec![seen.said, "deployment/busybox is there again; what was there was left as it is".to_owned()])
}

async fn by_label(stage: &mut Stage<'_>) -> Told {
    let world = stage.world;
    stage.apply(&manifests::BY_LABEL.into()).await?;
    let seen = stage.run::<Backup>("select-labels").await?;
    for member in &world.members {
        let archive = stage.archive("select-labels", member).await?;
        let wanted = content(member, LOST).await?.labelled("app", "busybox");
        Content::stored(&archive, LOST)?.ensure_is(&wanted, &format!("the backup of {}", member.name))?;
    }
    Ok(vec![seen.said])
}

async fn migrate(stage: &mut Stage<'_>) -> Told {
    let (first, second) = (first(stage.world)?, second(stage.world)?);
    stage.lose(second, LOST).await?;
    stage.apply(&manifests::MIGRATE.into()).await?;
    let seen = stage.run::<Migrate>("select-labels").await?;
    let there = content(second, LOST).await?;
    there.ensure_is(&content(first, LOST).await?.labelled("app", "busybox"), &second.name)?;
    Ok(vec![seen.said, format!("{} has {} of {}", second.name, there.names(), first.name)])
}

fn first(world: &World) -> anyhow::Result<&Cluster> {
    world.members.first().ok_or_else(|| anyhow!("the walk needs two members"))
}

fn second(world: &World) -> anyhow::Result<&Cluster> {
    world.members.get(1).ok_or_else(|| anyhow!("the walk needs two members"))
}

fn row(name: &str, phase: &str) -> Row {
    Row { name: name.to_owned(), phase: phase.to_owned(), objects: None, bytes: None }
}
