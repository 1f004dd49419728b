//! `kurator migrate create`.

use clap::Args;
use kurator_api::backup::{DeletionPolicy, Destination};
use kurator_api::cluster::ClusterReference;
use kurator_api::migrate::{Migrate, MigratePolicy, MigrateSpec};

use super::super::spec::{FilterFlags, IntoFlags};
use super::super::words;
use super::named::{Named, Retention};
use super::{Asked, CreateFlags, DeletionFlag};

/// Options of `migrate create`.
#[derive(Args)]
pub(crate) struct MigrateFlags {
    /// Name of the Migrate
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: String,

    /// Fleet of the clusters
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    fleet: String,

    /// Cluster to copy from, an AttachedCluster's name or KIND/NAME
    #[arg(long, value_name = "CLUSTER", value_parser = words::cluster)]
    from: ClusterReference,

    /// Clusters to copy into
    #[arg(long, value_name = "CLUSTER", value_delimiter = ',', value_parser = words::cluster, required = true)]
    to: Vec<ClusterReference>,

    #[command(flatten)]
    filter: FilterFlags,

    #[command(flatten)]
    into: IntoFlags,

    /// Go on although the backup of the source is incomplete
    #[arg(long, help_heading = "How")]
    allow_partially_failed: bool,

    /// How long the backup of the source is kept, such as `72h`; 30 days if it is left out. After that engine
    /// Builtin does not restore it any more, but deletes nothing yet
    #[arg(long, value_name = "DURATION", value_parser = words::ttl, allow_hyphen_values = true, help_heading = "How")]
    ttl: Option<String>,

    /// What happens to the backup of the source when the Migrate is deleted
    #[arg(long, value_enum, ignore_case = true, value_name = "POLICY", help_heading = "How")]
    deletion_policy: Option<DeletionFlag>,

    #[command(flatten)]
    create: CreateFlags,
}

impl MigrateFlags {
    pub(super) fn asked(self) -> Result<Asked<Migrate>, String> {
        if self.to.contains(&self.from) {
            return Err(format!("--to: `{}` is the source too; take it off the targets", self.from.name));
        }
        let deletion_policy = self.deletion_policy.map(DeletionPolicy::from);
        let targets = self.to.iter().map(|cluster| ("--to", cluster.clone()));
        let named = Named {
            clusters: [("--from", self.from.clone())].into_iter().chain(targets).collect(),
            retention: Retention::of(self.ttl.as_deref(), deletion_policy),
            ..Named::of_fleet(&self.fleet)
        };
        let policy = MigratePolicy {
            resource_filter: self.filter.filter()?,
            namespace_mapping: self.into.namespace_mapping()?,
            preserve_node_ports: self.into.preserve_node_ports(),
            migrate_status: self.into.preserve_status(),
            allow_partially_failed: self.allow_partially_failed.then_some(true),
            ttl: self.ttl,
            deletion_policy,
            ..MigratePolicy::default()
        };
        let clusters = |clusters| Destination { fleet: self.fleet.clone(), clusters, cluster_selector: None };
        let spec = MigrateSpec {
            source_cluster: clusters(vec![self.from]),
            target_cluster: clusters(self.to),
            policy: (policy != MigratePolicy::default()).then_some(policy),
        };
        Ok(Asked { object: Migrate::new(&self.name, spec), named, create: self.create })
    }
}
