//! Flags that say what is backed up or restored and where, named as velero's where they mean the same.

use std::collections::BTreeMap;

use clap::{ArgAction, Args};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kurator_api::backup::{Destination, PreserveStatus, ResourceFilter};
use kurator_api::cluster::ClusterReference;

use super::selector;
use super::words;

/// Which resources of a cluster.
#[derive(Args)]
#[command(next_help_heading = "What")]
pub(crate) struct FilterFlags {
    /// Namespaces, with `*` as a placeholder; all if it is left out
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', value_parser = words::element)]
    include_namespaces: Vec<String>,

    /// Namespaces that are left out
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', value_parser = words::element)]
    exclude_namespaces: Vec<String>,

    /// Resources, such as `deployments.apps`; all if it is left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    include_resources: Vec<String>,

    /// Resources that are left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    exclude_resources: Vec<String>,

    /// Whether resources outside of namespaces are included
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    include_cluster_resources: Option<bool>,

    /// Resources outside of namespaces
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    include_cluster_scoped_resources: Vec<String>,

    /// Resources outside of namespaces that are left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    exclude_cluster_scoped_resources: Vec<String>,

    /// Resources in namespaces
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    include_namespace_scoped_resources: Vec<String>,

    /// Resources in namespaces that are left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    exclude_namespace_scoped_resources: Vec<String>,

    /// Only objects whose labels match, such as `app=shop,tier in (front,back)`
    #[arg(long, short = 'l', value_name = "SELECTOR", value_parser = selector::parse)]
    selector: Option<LabelSelector>,

    /// Only objects whose labels match one of these, such as `app=shop or app=till`; may be given several times
    #[arg(long, value_name = "SELECTORS", value_parser = selectors, conflicts_with = "selector", action = ArgAction::Append)]
    or_selector: Vec<Vec<LabelSelector>>,
}

impl FilterFlags {
    /// The filter, or `None` for everything.
    ///
    /// # Errors
    /// What of it cannot be meant.
    pub(crate) fn filter(self) -> Result<Option<ResourceFilter>, String> {
        let filter = ResourceFilter {
            included_namespaces: self.include_namespaces,
            excluded_namespaces: self.exclude_namespaces,
            included_resources: self.include_resources,
            excluded_resources: self.exclude_resources,
            include_cluster_resources: self.include_cluster_resources,
            included_cluster_scoped_resources: self.include_cluster_scoped_resources,
            excluded_cluster_scoped_resources: self.exclude_cluster_scoped_resources,
            included_namespace_scoped_resources: self.include_namespace_scoped_resources,
            excluded_namespace_scoped_resources: self.exclude_namespace_scoped_resources,
            label_selector: self.selector,
            or_label_selectors: self.or_selector.into_iter().flatten().collect(),
        };
        refused(&filter.problems())?;
        Ok((filter != ResourceFilter::default()).then_some(filter))
    }

    /// The same, for a restore, in which Velero cannot choose everything that it can in a backup.
    ///
    /// # Errors
    /// What of it cannot be meant.
    pub(crate) fn of_restore(self) -> Result<Option<ResourceFilter>, String> {
        let filter = self.filter()?;
        refused(&filter.as_ref().map(kurator_fleet::restore_problems).unwrap_or_default())?;
        Ok(filter)
    }
}

/// The fields of a filter, and the flags that fill them.
const FLAGS: [(&str, &str); 9] = [
    ("includedNamespaces", "--include-namespaces"),
    ("excludedNamespaces", "--exclude-namespaces"),
    ("includedResources", "--include-resources"),
    ("excludedResources", "--exclude-resources"),
    ("includeClusterResources", "--include-cluster-resources"),
    ("includedClusterScopedResources", "--include-cluster-scoped-resources"),
    ("excludedClusterScopedResources", "--exclude-cluster-scoped-resources"),
    ("includedNamespaceScopedResources", "--include-namespace-scoped-resources"),
    ("excludedNamespaceScopedResources", "--exclude-namespace-scoped-resources"),
];

/// What the hub says of fields, for somebody who has typed flags.
fn refused(problems: &[String]) -> Result<(), String> {
    if problems.is_empty() {
        return Ok(());
    }
    let said =
        problems.join("; ").replace("spec.policy.resourceFilter.", "").replace("the fields", "the flags");
    Err(FLAGS.iter().fold(said, |said, (field, flag)| said.replace(field, flag)))
}

/// What is changed on the way into a cluster.
#[derive(Args)]
#[command(next_help_heading = "How")]
pub(crate) struct IntoFlags {
    /// Namespaces that get another name, such as `shop:shop-copy`
    #[arg(long, value_name = "FROM:TO", value_delimiter = ',', value_parser = words::namespace_mapping)]
    namespace_mappings: Vec<(String, String)>,

    /// Whether services keep their node ports
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    preserve_nodeports: Option<bool>,

    /// Resources whose status is restored too
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    status_include_resources: Vec<String>,

    /// Resources whose status is not restored
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',', value_parser = words::element)]
    status_exclude_resources: Vec<String>,
}

impl IntoFlags {
    /// # Errors
    /// A namespace that is to have two names.
    pub(crate) fn namespace_mapping(&self) -> Result<BTreeMap<String, String>, String> {
        let mut all = BTreeMap::new();
        for (from, to) in &self.namespace_mappings {
            if let Some(other) = all.insert(from.clone(), to.clone()).filter(|other| other != to) {
                return Err(format!(
                    "--namespace-mappings: `{from}` is to become `{other}` and `{to}`; choose one, and restore once more \
                     for the other"
                ));
            }
        }
        Ok(all)
    }

    pub(crate) fn preserve_node_ports(&self) -> Option<bool> {
        self.preserve_nodeports
    }

    pub(crate) fn preserve_status(self) -> Option<PreserveStatus> {
        let status = PreserveStatus {
            included_resources: self.status_include_resources,
            excluded_resources: self.status_exclude_resources,
        };
        (status != PreserveStatus::default()).then_some(status)
    }
}

/// `app=shop or app=till`, as velero's flag of several selectors.
fn selectors(text: &str) -> Result<Vec<LabelSelector>, String> {
    text.split(" or ").map(selector::parse).collect()
}

/// Which clusters of which fleet.
#[derive(Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct WhereFlags {
    /// Clusters of the fleet, an AttachedCluster's name or KIND/NAME; all if it is left out
    #[arg(long, value_name = "CLUSTER", value_delimiter = ',', value_parser = words::cluster)]
    clusters: Vec<ClusterReference>,

    /// Clusters of the fleet whose labels match
    #[arg(long, value_name = "SELECTOR", value_parser = selector::parse)]
    cluster_selector: Option<LabelSelector>,
}

impl WhereFlags {
    pub(crate) fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.cluster_selector.is_none()
    }

    /// The clusters that are named, each with the flag that does so.
    pub(crate) fn names(&self, flag: &'static str) -> Vec<(&'static str, ClusterReference)> {
        self.clusters.iter().map(|cluster| (flag, cluster.clone())).collect()
    }

    pub(crate) fn of(self, fleet: String) -> Destination {
        Destination { fleet, clusters: self.clusters, cluster_selector: self.cluster_selector }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_told_apart_as_velero_tells_them() {
        let read = selectors("app=shop or tier in (front,back) or a=b,c=d").unwrap();
        let alone = ["app=shop", "tier in (front,back)", "a=b,c=d"].map(|one| selector::parse(one).unwrap());
        assert_eq!(read, alone);
        assert!(selectors("app=shop or ").is_err());
    }

    #[derive(clap::Parser)]
    struct Typed {
        #[command(flatten)]
        filter: FilterFlags,
    }

    fn typed(flags: &str) -> FilterFlags {
        let words = ["x"].into_iter().chain(flags.split(' '));
        <Typed as clap::Parser>::try_parse_from(words).unwrap().filter
    }

    #[test]
    fn what_cannot_be_meant_is_told_by_its_flags() {
        let refused = [
            ("--include-namespaces Shop", "--include-namespaces: `Shop` is no name of a namespace; use "),
            (
                "--include-namespaces a --exclude-namespaces a",
                "--exclude-namespaces: `a` stands in --include-namespaces too; take it off one list",
            ),
            (
                "--include-resources pods --exclude-cluster-scoped-resources nodes",
                "--include-resources, --exclude-resources and --include-cluster-resources can't be combined with the flags",
            ),
        ];
        for (flags, why) in refused {
            let said = typed(flags).filter().unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }

    #[test]
    fn what_a_restore_cannot_choose_is_told_before_the_hub_is_asked() {
        let flags = "--include-namespace-scoped-resources pods";
        assert!(typed(flags).filter().is_ok());
        let said = typed(flags).of_restore().unwrap_err();
        let expected = "--include-namespace-scoped-resources: Velero's restores have one list for all scopes; name the \
                        cluster-scoped types in --include-cluster-scoped-resources, or";
        assert!(said.starts_with(expected), "{said}");
    }
}
