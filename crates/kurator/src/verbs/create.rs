//! `kurator backup create`, `restore create`, `migrate create`.

mod backup;
mod migrate;
mod named;
mod restore;
mod schedule;

use clap::{Args, Subcommand, ValueEnum};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kurator_api::backup::DeletionPolicy;
use kurator_api::duration::GoDuration;

use super::hub::HubFlags;
use super::output::{Output, documents, full_name, print};
use super::wait::{Runs, wait};
use super::words;
use crate::failure::Failure;
use backup::BackupFlags;
use migrate::MigrateFlags;
use named::Named;
use restore::RestoreFlags;

/// `kurator backup …`
#[derive(Subcommand)]
pub(crate) enum BackupCommand {
    /// Back clusters up, now or by a schedule
    Create(Box<BackupFlags>),
}

/// `kurator restore …`
#[derive(Subcommand)]
pub(crate) enum RestoreCommand {
    /// Bring back what a Backup has stored
    Create(Box<RestoreFlags>),
}

/// `kurator migrate …`
#[derive(Subcommand)]
pub(crate) enum MigrateCommand {
    /// Copy workloads from one cluster into others
    Create(Box<MigrateFlags>),
}

/// What every creation can be told.
#[derive(Args)]
#[command(next_help_heading = None)]
pub(crate) struct CreateFlags {
    /// Labels of the object
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = words::label)]
    labels: Vec<(String, String)>,

    /// Annotations of the object
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = words::annotation)]
    annotations: Vec<(String, String)>,

    /// Wait until it has ended, telling how far it is
    #[arg(long, short)]
    wait: bool,

    /// Longest time to wait, such as `30m`; it goes on without you
    #[arg(long, value_name = "DURATION", value_parser = words::timeout, allow_hyphen_values = true, requires = "wait")]
    timeout: Option<GoDuration>,

    /// Only show what would be created: `client` asks nobody, `server` lets the hub check it
    #[arg(long, value_enum, default_value_t, conflicts_with = "wait")]
    dry_run: DryRun,

    /// Format
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,

    #[command(flatten)]
    hub: HubFlags,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// Create it
    #[default]
    None,
    /// Ask nobody
    Client,
    /// Let the hub check it
    Server,
}

#[derive(Clone, Copy, ValueEnum)]
enum DeletionFlag {
    /// It stays
    Retain,
    /// It is deleted too
    Delete,
}

impl From<DeletionFlag> for DeletionPolicy {
    fn from(flag: DeletionFlag) -> Self {
        match flag {
            DeletionFlag::Retain => Self::Retain,
            DeletionFlag::Delete => Self::Delete,
        }
    }
}

/// What is to be created, what of the hub it names, and how.
struct Asked<K> {
    object: K,
    named: Named,
    create: CreateFlags,
}

pub(crate) async fn backup(
    BackupCommand::Create(flags): BackupCommand,
    before: HubFlags,
) -> Result<(), Failure> {
    create(flags.asked().map_err(Failure::usage)?, before).await
}

pub(crate) async fn restore(
    RestoreCommand::Create(flags): RestoreCommand,
    before: HubFlags,
) -> Result<(), Failure> {
    create(flags.asked().map_err(Failure::usage)?, before).await
}

pub(crate) async fn migrate(
    MigrateCommand::Create(flags): MigrateCommand,
    before: HubFlags,
) -> Result<(), Failure> {
    create(flags.asked().map_err(Failure::usage)?, before).await
}

async fn create<K: Runs>(asked: Asked<K>, before: HubFlags) -> Result<(), Failure> {
    let Asked { mut object, named, create: mut flags } = asked;
    let name = object.name_any();
    let place = std::mem::take(&mut flags.hub).or(before);
    // An empty map would be printed.
    if !flags.labels.is_empty() {
        object.labels_mut().extend(flags.labels.iter().cloned());
    }
    if !flags.annotations.is_empty() {
        object.annotations_mut().extend(flags.annotations.iter().cloned());
    }
    if flags.dry_run == DryRun::Client {
        object.meta_mut().namespace = place.namespace().map(str::to_owned);
        return Ok(print(&told(&flags, &object)?)?);
    }
    let hub = place.connect().await?;
    named.look_up::<K>(&hub).await?;
    let params = PostParams { dry_run: flags.dry_run == DryRun::Server, ..PostParams::default() };
    let api = Api::<K>::namespaced(hub.client.clone(), &hub.namespace);
    let created = api.create(&params, &object).await;
    let created = created.map_err(|error| hub.failure(&format!("{} `{name}`", K::NOUN), error))?;
    print(&told(&flags, &created)?)?;
    if !flags.wait {
        return Ok(());
    }
    wait::<K>(&hub, &name, created.meta().uid.as_deref(), flags.timeout).await
}

/// What is printed of an object that was created.
fn told<K: Runs>(flags: &CreateFlags, object: &K) -> anyhow::Result<String> {
    let object: DynamicObject = serde_json::from_value(serde_json::to_value(object)?)?;
    Ok(match flags.output {
        Output::Json | Output::Yaml => documents(flags.output, &[object], false)?,
        Output::Name => full_name(&object) + "\n",
        Output::Table | Output::Wide => {
            let dry = match flags.dry_run {
                DryRun::None => "",
                DryRun::Client => " (dry run)",
                DryRun::Server => " (server dry run)",
            };
            format!("{} created{dry}\n", full_name(&object))
        }
    })
}
