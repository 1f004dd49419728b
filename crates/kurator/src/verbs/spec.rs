//! Flags that say what is backed up or restored and where, named as velero's where they mean the same.

use std::collections::BTreeMap;

use clap::{ArgAction, Args};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kurator_api::backup::{Destination, PreserveStatus, ResourceFilter};
use kurator_api::cluster::{ClusterKind, ClusterReference};
use kurator_api::duration::GoDuration;

use super::selector;

/// Which resources of a cluster.
#[derive(Args)]
#[command(next_help_heading = "What")]
pub(crate) struct FilterFlags {
    /// Namespaces, with `*` as a placeholder; all if it is left out
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    include_namespaces: Vec<String>,

    /// Namespaces that are left out
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    exclude_namespaces: Vec<String>,

    /// Resources, such as `deployments.apps`; all if it is left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    include_resources: Vec<String>,

    /// Resources that are left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    exclude_resources: Vec<String>,

    /// Whether resources outside of namespaces are included
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    include_cluster_resources: Option<bool>,

    /// Resources outside of namespaces
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    include_cluster_scoped_resources: Vec<String>,

    /// Resources outside of namespaces that are left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    exclude_cluster_scoped_resources: Vec<String>,

    /// Resources in namespaces
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    include_namespace_scoped_resources: Vec<String>,

    /// Resources in namespaces that are left out
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
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
    /// Which fields exclude each other.
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
        match filter.conflicts().as_slice() {
            [] => Ok((filter != ResourceFilter::default()).then_some(filter)),
            conflicts => Err(conflicts.join("; ")),
        }
    }
}

/// What is changed on the way into a cluster.
#[derive(Args)]
#[command(next_help_heading = "How")]
pub(crate) struct IntoFlags {
    /// Namespaces that get another name, such as `shop:shop-copy`
    #[arg(long, value_name = "FROM:TO", value_delimiter = ',', value_parser = pair(FROM_TO))]
    namespace_mappings: Vec<(String, String)>,

    /// Whether services keep their node ports
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    preserve_nodeports: Option<bool>,

    /// Resources whose status is restored too
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    status_include_resources: Vec<String>,

    /// Resources whose status is not restored
    #[arg(long, value_name = "RESOURCE", value_delimiter = ',')]
    status_exclude_resources: Vec<String>,
}

impl IntoFlags {
    pub(crate) fn namespace_mapping(&self) -> BTreeMap<String, String> {
        self.namespace_mappings.iter().cloned().collect()
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

/// Two words and what stands between them, as the help names them.
#[derive(Clone, Copy)]
pub(crate) struct Form(&'static str, char, &'static str);

/// A label or an annotation.
pub(crate) const KEY_VALUE: Form = Form("KEY", '=', "VALUE");
/// A namespace and its new name.
const FROM_TO: Form = Form("FROM", ':', "TO");
const RESOURCE_NAMES: Form = Form("RESOURCE", '=', "NAME,NAME");

/// Two words of this form.
pub(crate) fn pair(
    Form(first, separator, second): Form,
) -> impl Fn(&str) -> Result<(String, String), String> + Clone {
    move |text| match text.split_once(separator) {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("write {first}{separator}{second}")),
    }
}

/// `pods=ns1/a,ns1/b;persistentvolumes=v`, as velero's flag of this name.
pub(crate) fn ordered_resources(text: &str) -> Result<BTreeMap<String, String>, String> {
    let resource = pair(RESOURCE_NAMES);
    text.split(';')
        .map(|one| resource(one).map_err(|_| "write RESOURCE=NAME,NAME;RESOURCE=NAME".to_owned()))
        .collect()
}

/// A duration as Go writes it, such as `72h`.
pub(crate) fn duration(text: &str) -> Result<String, String> {
    match text.parse::<GoDuration>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A cluster: `NAME` of an AttachedCluster, or `KIND/NAME`.
pub(crate) fn cluster(text: &str) -> Result<ClusterReference, String> {
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (kind.parse::<ClusterKind>().map_err(|error| error.to_string())?, name),
        None => (ClusterKind::AttachedCluster, text),
    };
    if name.is_empty() {
        return Err("write NAME or KIND/NAME".to_owned());
    }
    Ok(ClusterReference::to(kind, name))
}

/// Which clusters of which fleet.
#[derive(Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct WhereFlags {
    /// Clusters of the fleet, an AttachedCluster's name or KIND/NAME; all if it is left out
    #[arg(long, value_name = "CLUSTER", value_delimiter = ',', value_parser = cluster)]
    clusters: Vec<ClusterReference>,

    /// Clusters of the fleet whose labels match
    #[arg(long, value_name = "SELECTOR", value_parser = selector::parse)]
    cluster_selector: Option<LabelSelector>,
}

impl WhereFlags {
    pub(crate) fn is_empty(&self) -> bool {
        self.clusters.is_empty() && self.cluster_selector.is_none()
    }

    pub(crate) fn of(self, fleet: String) -> Destination {
        Destination { fleet, clusters: self.clusters, cluster_selector: self.cluster_selector }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_attached_unless_its_kind_is_given() {
        assert_eq!(cluster("a").unwrap().kind.as_deref(), Some("AttachedCluster"));
        assert_eq!(cluster("Cluster/a").unwrap().kind.as_deref(), Some("Cluster"));
        assert_eq!(
            cluster("a/").unwrap_err(),
            "kind `a` is not a kind of cluster; use `AttachedCluster` or `Cluster`"
        );
    }

    #[test]
    fn what_is_no_pair_is_told_in_the_words_of_the_help() {
        assert_eq!(pair(FROM_TO)("foo").unwrap_err(), "write FROM:TO");
        assert_eq!(pair(KEY_VALUE)("a=").unwrap_err(), "write KEY=VALUE");
    }

    #[test]
    fn selectors_are_told_apart_as_velero_tells_them() {
        let read = selectors("app=shop or tier in (front,back) or a=b,c=d").unwrap();
        let alone = ["app=shop", "tier in (front,back)", "a=b,c=d"].map(|one| selector::parse(one).unwrap());
        assert_eq!(read, alone);
        assert!(selectors("app=shop or ").is_err());
    }

    #[test]
    fn ordered_resources_are_read_as_velero_reads_them() {
        let read = ordered_resources("pods=ns1/a,ns1/b;persistentvolumes=v").unwrap();
        let expected = [("persistentvolumes", "v"), ("pods", "ns1/a,ns1/b")];
        assert!(read.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
        assert_eq!(ordered_resources("pods").unwrap_err(), "write RESOURCE=NAME,NAME;RESOURCE=NAME");
    }
}
