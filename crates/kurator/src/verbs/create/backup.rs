//! `kurator backup create`.

use std::collections::BTreeMap;

use clap::Args;
use kurator_api::backup::{Backup, BackupPolicy, BackupSpec, DeletionPolicy};

use super::super::spec::{FilterFlags, WhereFlags};
use super::super::words;
use super::named::{Named, Retention};
use super::{Asked, CreateFlags, DeletionFlag};

/// Options of `backup create`.
#[derive(Args)]
pub(crate) struct BackupFlags {
    /// Name of the Backup
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: String,

    /// Fleet that is backed up
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    fleet: String,

    #[command(flatten)]
    clusters: WhereFlags,

    #[command(flatten)]
    filter: FilterFlags,

    /// When it is repeated, as a cron expression in UTC; once and now if it is left out
    #[arg(long, value_name = "CRON", value_parser = words::schedule, help_heading = "How")]
    schedule: Option<String>,

    /// How long what is stored is kept, such as `72h`; 30 days if it is left out. After that engine Builtin does not restore
    /// it any more, but deletes nothing yet
    #[arg(long, value_name = "DURATION", value_parser = words::ttl, allow_hyphen_values = true, help_heading = "How")]
    ttl: Option<String>,

    /// Objects that are stored in this order, such as `pods=ns/a,ns/b;persistentvolumes=v`
    #[arg(long, value_name = "RESOURCE=NAMES", value_parser = words::ordered_resources, help_heading = "How")]
    ordered_resources: Option<BTreeMap<String, String>>,

    /// What happens to what is stored when the Backup is deleted
    #[arg(long, value_enum, ignore_case = true, value_name = "POLICY", help_heading = "How")]
    deletion_policy: Option<DeletionFlag>,

    #[command(flatten)]
    create: CreateFlags,
}

impl BackupFlags {
    pub(super) fn asked(self) -> Result<Asked<Backup>, String> {
        if self.schedule.is_some() && self.create.wait {
            let why = format!(
                "--wait waits for the end of a run, and a --schedule has none; leave one of them out: `kurator get backups \
                 {} --watch` shows what becomes of a schedule",
                self.name
            );
            return Err(why);
        }
        let deletion_policy = self.deletion_policy.map(DeletionPolicy::from);
        let named = Named {
            clusters: self.clusters.names("--clusters"),
            retention: Retention::of(self.ttl.as_deref(), deletion_policy),
            schedule: self.schedule.clone(),
            ..Named::of_fleet(&self.fleet)
        };
        let policy = BackupPolicy {
            resource_filter: self.filter.filter()?,
            ttl: self.ttl,
            ordered_resources: self.ordered_resources.unwrap_or_default(),
        };
        let spec = BackupSpec {
            schedule: self.schedule,
            destination: self.clusters.of(self.fleet),
            policy: (policy != BackupPolicy::default()).then_some(policy),
            paused: None,
            deletion_policy,
        };
        Ok(Asked { object: Backup::new(&self.name, spec), named, create: self.create })
    }
}
