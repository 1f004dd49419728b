//! `kurator backup create`, `restore create`, `migrate create`.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use kube::ResourceExt as _;
use kube::api::{Api, DynamicObject, PostParams};
use kurator_api::backup::{Backup, BackupPolicy, BackupSpec, DeletionPolicy};
use kurator_api::cluster::ClusterReference;
use kurator_api::duration::GoDuration;
use kurator_api::migrate::{Migrate, MigratePolicy, MigrateSpec};
use kurator_api::restore::{Restore, RestorePolicy, RestoreSpec};
use kurator_member::clock::{Clock as _, SystemClock};

use super::hub::HubFlags;
use super::output::{Output, documents, full_name, print};
use super::spec::{
    FilterFlags, IntoFlags, KEY_VALUE, WhereFlags, cluster, duration, ordered_resources, pair,
};
use super::wait::{Runs, wait};
use crate::failure::Failure;

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
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = pair(KEY_VALUE))]
    labels: Vec<(String, String)>,

    /// Annotations of the object
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = pair(KEY_VALUE))]
    annotations: Vec<(String, String)>,

    /// Wait until it has ended, telling how far it is
    #[arg(long, short)]
    wait: bool,

    /// Longest time to wait, such as `30m`; it goes on without you
    #[arg(long, value_name = "DURATION", requires = "wait")]
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

/// Options of `backup create`.
#[derive(Args)]
pub(crate) struct BackupFlags {
    /// Name of the Backup
    #[arg(value_name = "NAME")]
    name: String,

    /// Fleet that is backed up
    #[arg(long, value_name = "NAME")]
    fleet: String,

    #[command(flatten)]
    clusters: WhereFlags,

    #[command(flatten)]
    filter: FilterFlags,

    /// When it is repeated, as a cron expression in UTC; once and now if it is left out
    #[arg(long, value_name = "CRON", conflicts_with = "wait", help_heading = "How")]
    schedule: Option<String>,

    /// How long what is stored is kept, such as `72h`; 30 days if it is left out
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "How")]
    ttl: Option<String>,

    /// Objects that are stored in this order, such as `pods=ns/a,ns/b;persistentvolumes=v`
    #[arg(long, value_name = "RESOURCE=NAMES", value_parser = ordered_resources, help_heading = "How")]
    ordered_resources: Option<std::collections::BTreeMap<String, String>>,

    /// What happens to what is stored when the Backup is deleted
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "How")]
    deletion_policy: Option<DeletionFlag>,

    #[command(flatten)]
    create: CreateFlags,
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

/// Options of `restore create`.
#[derive(Args)]
pub(crate) struct RestoreFlags {
    /// Name of the Restore; the Backup's and the time if it is left out
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Backup whose content is restored; of a schedule, the last good run of each cluster
    #[arg(long, value_name = "NAME")]
    from_backup: String,

    /// A certain run, by its name in the cluster, as `kurator describe backup` shows it
    #[arg(long, value_name = "NAME", requires = "fleet")]
    from_run: Option<String>,

    /// Fleet that is restored into; the Backup's clusters if it is left out
    #[arg(long, value_name = "NAME")]
    fleet: Option<String>,

    #[command(flatten)]
    clusters: WhereFlags,

    #[command(flatten)]
    filter: FilterFlags,

    #[command(flatten)]
    into: IntoFlags,

    #[command(flatten)]
    create: CreateFlags,
}

/// Options of `migrate create`.
#[derive(Args)]
pub(crate) struct MigrateFlags {
    /// Name of the Migrate
    #[arg(value_name = "NAME")]
    name: String,

    /// Fleet of the clusters
    #[arg(long, value_name = "NAME")]
    fleet: String,

    /// Cluster to copy from, an AttachedCluster's name or KIND/NAME
    #[arg(long, value_name = "CLUSTER", value_parser = cluster)]
    from: ClusterReference,

    /// Clusters to copy into
    #[arg(long, value_name = "CLUSTER", value_delimiter = ',', value_parser = cluster, required = true)]
    to: Vec<ClusterReference>,

    #[command(flatten)]
    filter: FilterFlags,

    #[command(flatten)]
    into: IntoFlags,

    /// Go on although the backup of the source is incomplete
    #[arg(long, help_heading = "How")]
    allow_partially_failed: bool,

    /// How long the backup of the source is kept, such as `72h`; 30 days if it is left out
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "How")]
    ttl: Option<String>,

    /// What happens to the backup of the source when the Migrate is deleted
    #[arg(long, value_enum, value_name = "POLICY", help_heading = "How")]
    deletion_policy: Option<DeletionFlag>,

    #[command(flatten)]
    create: CreateFlags,
}

impl CreateFlags {
    fn on(self, before: HubFlags) -> Self {
        Self { hub: self.hub.or(before), ..self }
    }
}

pub(crate) async fn backup(
    BackupCommand::Create(flags): BackupCommand,
    before: HubFlags,
) -> Result<(), Failure> {
    let flags = *flags;
    let policy = BackupPolicy {
        resource_filter: flags.filter.filter().map_err(Failure::usage)?,
        ttl: flags.ttl,
        ordered_resources: flags.ordered_resources.unwrap_or_default(),
    };
    let spec = BackupSpec {
        schedule: flags.schedule,
        destination: flags.clusters.of(flags.fleet),
        policy: (policy != BackupPolicy::default()).then_some(policy),
        paused: None,
        deletion_policy: flags.deletion_policy.map(DeletionPolicy::from),
    };
    create(Backup::new(&flags.name, spec), flags.create.on(before)).await
}

pub(crate) async fn restore(
    RestoreCommand::Create(flags): RestoreCommand,
    before: HubFlags,
) -> Result<(), Failure> {
    let flags = *flags;
    if flags.fleet.is_none() && !flags.clusters.is_empty() {
        let why = "--clusters and --cluster-selector need --fleet, whose clusters they are";
        return Err(Failure::usage(why.to_owned()));
    }
    let policy = RestorePolicy {
        resource_filter: flags.filter.filter().map_err(Failure::usage)?,
        namespace_mapping: flags.into.namespace_mapping(),
        preserve_node_ports: flags.into.preserve_node_ports(),
        preserve_status: flags.into.preserve_status(),
    };
    let time = SystemClock.now().strftime("%Y%m%d%H%M%S").to_string();
    let name = flags.name.unwrap_or_else(|| format!("{}-{time}", flags.from_backup));
    let spec = RestoreSpec {
        backup_name: flags.from_backup,
        backup_name_in_cluster: flags.from_run,
        destination: flags.fleet.map(|fleet| flags.clusters.of(fleet)),
        policy: (policy != RestorePolicy::default()).then_some(policy),
    };
    create(Restore::new(&name, spec), flags.create.on(before)).await
}

pub(crate) async fn migrate(
    MigrateCommand::Create(flags): MigrateCommand,
    before: HubFlags,
) -> Result<(), Failure> {
    let flags = *flags;
    let policy = MigratePolicy {
        resource_filter: flags.filter.filter().map_err(Failure::usage)?,
        namespace_mapping: flags.into.namespace_mapping(),
        preserve_node_ports: flags.into.preserve_node_ports(),
        migrate_status: flags.into.preserve_status(),
        allow_partially_failed: flags.allow_partially_failed.then_some(true),
        ttl: flags.ttl,
        deletion_policy: flags.deletion_policy.map(DeletionPolicy::from),
        ..MigratePolicy::default()
    };
    let clusters = |clusters| kurator_api::backup::Destination {
        fleet: flags.fleet.clone(),
        clusters,
        cluster_selector: None,
    };
    let spec = MigrateSpec {
        source_cluster: clusters(vec![flags.from]),
        target_cluster: clusters(flags.to),
        policy: (policy != MigratePolicy::default()).then_some(policy),
    };
    create(Migrate::new(&flags.name, spec), flags.create.on(before)).await
}

async fn create<K: Runs>(mut object: K, flags: CreateFlags) -> Result<(), Failure> {
    let name = object.name_any();
    // An empty map would be printed.
    if !flags.labels.is_empty() {
        object.labels_mut().extend(flags.labels.iter().cloned());
    }
    if !flags.annotations.is_empty() {
        object.annotations_mut().extend(flags.annotations.iter().cloned());
    }
    if flags.dry_run == DryRun::Client {
        object.meta_mut().namespace = flags.hub.namespace().map(str::to_owned);
        return Ok(print(&told(&flags, &object)?)?);
    }
    let hub = flags.hub.connect().await?;
    let params = PostParams { dry_run: flags.dry_run == DryRun::Server, ..PostParams::default() };
    let api = Api::<K>::namespaced(hub.client.clone(), &hub.namespace);
    let created = api.create(&params, &object).await;
    let created = created.map_err(|error| hub.failure(&format!("{} `{name}`", K::NOUN), error))?;
    print(&told(&flags, &created)?)?;
    if !flags.wait {
        return Ok(());
    }
    let timeout = flags.timeout.map(Duration::from);
    wait::<K>(&hub, &name, created.meta().uid.as_deref(), timeout).await
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
