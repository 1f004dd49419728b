//! What a cluster serves: its types, as discovery tells them.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A type that a cluster serves, in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiType {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, such as `v1`.
    pub version: String,
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Resource, the plural in paths, such as `deployments`.
    pub resource: String,
    /// Singular name; may be empty.
    pub singular: String,
    /// Short names, such as `deploy`.
    pub short_names: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// What can be done with it, such as `list`.
    pub verbs: Vec<String>,
}

impl ApiType {
    /// `deployments.apps`; of the core group, only `pods`.
    #[must_use]
    pub fn group_resource(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }

    /// `apps/v1`; of the core group, only `v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Path of the collection of its objects: in `namespace`, or in the whole cluster.
    #[must_use]
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let scope = namespace.map_or_else(String::new, |name| format!("/namespaces/{}", segment(name)));
        let group = if self.group.is_empty() { String::new() } else { format!("{}/", segment(&self.group)) };
        format!("{root}/{group}{}{scope}/{}", segment(&self.version), segment(&self.resource))
    }

    /// Path of one object.
    #[must_use]
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.path(namespace), segment(name))
    }

    /// Whether the cluster says that it can do `verb`.
    #[must_use]
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }
}

/// A name as a segment of a path: those of RBAC objects have blanks, colons and more.
fn segment(name: &str) -> impl fmt::Display {
    const PLAIN: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
    utf8_percent_encode(name, PLAIN)
}

/// The types of a cluster, each in the version that it prefers, in the order of its discovery.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Types, without subresources.
    pub types: Vec<ApiType>,
    /// Groups that could not be discovered (an aggregated API that is down), with the reason.
    pub failed: Vec<(String, String)>,
}

impl Catalog {
    /// The type that a user means by `name`: a resource, singular, kind or short name, perhaps with a group, such as
    /// `deploy.apps`; case does not matter. As in Velero 1.18 full names count before short ones, a group that is
    /// only begun (`storageclasses.storage`) after all others, and among equals the first in discovery order.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ApiType> {
        let name = name.to_ascii_lowercase();
        let (resource, group) = name.split_once('.').unwrap_or((&name, ""));
        let full = |known: &&ApiType| {
            known.resource == resource
                || known.singular == resource
                || known.kind.eq_ignore_ascii_case(resource)
        };
        let short = |known: &&ApiType| known.short_names.iter().any(|short| short == resource);
        let of_group = || self.types.iter().filter(|known| group.is_empty() || known.group == group);
        let of_begun_group = || self.types.iter().filter(|known| known.group.starts_with(group));
        of_group()
            .find(full)
            .or_else(|| of_group().find(short))
            .or_else(|| of_begun_group().find(full))
            .or_else(|| of_begun_group().find(short))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let deployments = ApiType {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            singular: "deployment".into(),
            short_names: vec!["deploy".into()],
            namespaced: true,
            verbs: vec!["list".into()],
        };
        Catalog { types: vec![deployments], failed: Vec::new() }
    }

    #[test]
    fn a_type_is_found_by_each_of_its_names() {
        let catalog = catalog();
        for name in ["deployments", "deployments.apps", "deploy", "Deployment", "deploy.apps"] {
            assert_eq!(
                catalog.find(name).map(ApiType::group_resource).as_deref(),
                Some("deployments.apps"),
                "{name}"
            );
        }
        assert_eq!(catalog.find("deployments.batch"), None);
    }

    #[test]
    fn paths_hold_every_name_as_one_segment() {
        let catalog = catalog();
        let deployments = catalog.find("deploy").unwrap();
        assert_eq!(deployments.path(None), "/apis/apps/v1/deployments");
        assert_eq!(
            deployments.object_path(Some("a"), "system:b c/d%"),
            "/apis/apps/v1/namespaces/a/deployments/system:b%20c%2Fd%25"
        );
        let pods = ApiType { version: "v1".into(), resource: "pods".into(), ..ApiType::default() };
        assert_eq!(pods.path(Some("a")), "/api/v1/namespaces/a/pods");
    }

    #[test]
    fn full_names_count_before_short_ones() {
        let mut catalog = catalog();
        let other = ApiType {
            group: "example.com".into(),
            resource: "rollouts".into(),
            short_names: vec!["deployment".into()],
            ..ApiType::default()
        };
        catalog.types.insert(0, other);
        assert_eq!(catalog.find("deployment").map(|api| api.resource.as_str()), Some("deployments"));
        assert_eq!(catalog.find("deployment.example").map(|api| api.resource.as_str()), Some("rollouts"));
    }

    #[test]
    fn a_group_may_be_begun() {
        let catalog = catalog();
        assert!(catalog.find("deployments.ap").is_some() && catalog.find("deploy.ap").is_some());
        assert!(catalog.find("deployments.pps").is_none());
    }
}
