//! Where an object lies in the tarball.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::shown::shown;

const RESOURCES: &str = "resources";
const NAMESPACES: &str = "namespaces";
const CLUSTER: &str = "cluster";
const PREFERRED: &str = "-preferredversion";
const JSON: &str = ".json";

/// The longest name of an object in bytes. Most kinds allow 253; RBAC sets no limit.
const LONGEST_NAME: usize = 1024;
/// The longest namespace, resource or version in bytes, a DNS label.
const LONGEST_LABEL: usize = 63;
/// The longest API group in bytes, a DNS name.
const LONGEST_GROUP: usize = 253;

/// A kind of objects as the folders of an archive call it: `pods`, `deployments.apps`.
///
/// The order is that of the text, which is the one in which Velero restores what has no priority.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupResource(Arc<str>);

impl GroupResource {
    /// The resource `resource`, a plural in lower case, of the API group `group`, which is empty for the core group.
    ///
    /// # Errors
    /// [`ItemError::Resource`] if they are none.
    pub fn new(resource: &str, group: &str) -> Result<Self, ItemError> {
        let text = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        if resource.contains('.') {
            return Err(ItemError::Resource(shown(text.as_bytes())));
        }
        text.parse()
    }

    /// The resource alone, such as `deployments`.
    pub fn resource(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(resource, _)| resource)
    }

    /// The API group, such as `apps`; empty for the core group.
    pub fn group(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, group)| group)
    }

    /// Both, such as `deployments.apps`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupResource {
    type Err = ItemError;

    fn from_str(text: &str) -> Result<Self, ItemError> {
        let (resource, group) = match text.split_once('.') {
            Some((resource, group)) => (resource, Some(group)),
            None => (text, None),
        };
        let is_group = |group: &str| group.len() <= LONGEST_GROUP && group.split('.').all(is_label);
        if !is_label(resource) || !group.is_none_or(is_group) {
            return Err(ItemError::Resource(shown(text.as_bytes())));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which object it is: resource, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemPath {
    resource: GroupResource,
    namespace: Option<String>,
    name: String,
}

impl ItemPath {
    /// The object `name` in `namespace`, or of the whole cluster without one.
    ///
    /// A name may hold whatever Kubernetes takes as a segment of a URL, except control characters: names of RBAC
    /// objects have colons, blanks and backslashes.
    ///
    /// # Errors
    /// [`ItemError`] if the namespace is no DNS label, or the name could not be one segment of a path.
    pub fn new(resource: GroupResource, namespace: Option<&str>, name: &str) -> Result<Self, ItemError> {
        if let Some(namespace) = namespace
            && !is_label(namespace)
        {
            return Err(ItemError::Namespace(shown(namespace.as_bytes())));
        }
        if !is_name(name) {
            return Err(ItemError::Name(shown(name.as_bytes())));
        }
        Ok(Self { resource, namespace: namespace.map(str::to_owned), name: name.to_owned() })
    }

    /// What kind of object it is.
    pub fn resource(&self) -> &GroupResource {
        &self.resource
    }

    /// Its namespace; none for an object of the whole cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The un-versioned path: the one that every Velero restores.
impl fmt::Display for ItemPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resource, namespace, name } = self;
        write!(f, "{RESOURCES}/{resource}/")?;
        write_scope(f, namespace.as_deref(), name)
    }
}

/// The path of a file in the tarball: an object, and in which copy.
///
/// Velero writes each object twice: below its resource, and once more below its version there. The second copy is
/// only for servers with the feature `EnableAPIGroupVersions`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredPath {
    /// The object.
    pub item: ItemPath,
    /// The version that this copy is in; none for the copy that every Velero restores.
    pub version: Option<StoredVersion>,
}

/// The version of a copy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoredVersion {
    /// Such as `v1beta1`.
    pub version: String,
    /// Whether it was the one that the source cluster preferred.
    pub preferred: bool,
}

impl FromStr for StoredPath {
    type Err = ItemError;

    fn from_str(path: &str) -> Result<Self, ItemError> {
        let none = || ItemError::Path(shown(path.as_bytes()));
        let rest = path.strip_prefix(RESOURCES).and_then(|rest| rest.strip_prefix('/')).ok_or_else(none)?;
        let (resource, rest) = rest.split_once('/').ok_or_else(none)?;
        let (folder, below) = rest.split_once('/').ok_or_else(none)?;
        let (version, scope) = match folder {
            NAMESPACES | CLUSTER => (None, rest),
            _ => (Some(StoredVersion::from_folder(folder).ok_or_else(none)?), below),
        };
        let (scope, below) = scope.split_once('/').ok_or_else(none)?;
        let (namespace, file) = match scope {
            CLUSTER => (None, below),
            NAMESPACES => below.split_once('/').map(|(ns, file)| (Some(ns), file)).ok_or_else(none)?,
            _ => return Err(none()),
        };
        let name = file.strip_suffix(JSON).ok_or_else(none)?;
        Ok(Self { item: ItemPath::new(resource.parse()?, namespace, name)?, version })
    }
}

impl fmt::Display for StoredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { item, version } = self;
        let Some(StoredVersion { version, preferred }) = version else {
            return item.fmt(f);
        };
        let suffix = if *preferred { PREFERRED } else { "" };
        write!(f, "{RESOURCES}/{}/{version}{suffix}/", item.resource)?;
        write_scope(f, item.namespace(), &item.name)
    }
}

impl StoredVersion {
    fn from_folder(folder: &str) -> Option<Self> {
        let (version, preferred) = match folder.strip_suffix(PREFERRED) {
            Some(version) => (version, true),
            None => (folder, false),
        };
        is_label(version).then(|| Self { version: version.to_owned(), preferred })
    }
}

/// Why something cannot name an object of an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Not a resource with an optional group.
    #[error("`{0}` is no resource of an API group; use one such as `pods` or `deployments.apps`")]
    Resource(String),
    /// Not a DNS label.
    #[error("`{0}` is no namespace; use at most 63 lower-case letters, digits and `-`")]
    Namespace(String),
    /// Not one segment of a path.
    #[error(
        "`{0}` cannot be the name of an object; use at most {LONGEST_NAME} bytes without `/`, `%` and control \
         characters, and not `.` or `..`"
    )]
    Name(String),
    /// A path that is not an object's.
    #[error("`{0}` is no path of an object; expected one such as `resources/pods/namespaces/a/p.json`")]
    Path(String),
}

fn write_scope(f: &mut fmt::Formatter<'_>, namespace: Option<&str>, name: &str) -> fmt::Result {
    match namespace {
        Some(namespace) => write!(f, "{NAMESPACES}/{namespace}/{name}{JSON}"),
        None => write!(f, "{CLUSTER}/{name}{JSON}"),
    }
}

/// Whether it is a DNS label, as resources, namespaces, versions and the parts of a group are.
fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= LONGEST_LABEL
        && bytes.iter().all(|b| inner(*b))
        && !bytes.starts_with(b"-")
        && !bytes.ends_with(b"-")
}

fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && !name.contains(|c: char| c == '/' || c == '%' || c.is_control())
        // A backslash may stand in the name of an RBAC object (`corp\alice`), but must not walk anywhere.
        && !name.split('\\').any(|part| matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(path: &str) -> StoredPath {
        path.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn veleros_paths_are_read() {
        for (path, resource, namespace, name, version) in [
            ("resources/pods/namespaces/a/p.json", "pods", Some("a"), "p", None),
            ("resources/deployments.apps/namespaces/a/d.x.json", "deployments.apps", Some("a"), "d.x", None),
            ("resources/namespaces/cluster/a.json", "namespaces", None, "a", None),
            ("resources/namespaces/v1/cluster/a.json", "namespaces", None, "a", Some(("v1", false))),
            (
                "resources/pods/v1-preferredversion/namespaces/a/p.json",
                "pods",
                Some("a"),
                "p",
                Some(("v1", true)),
            ),
            (
                "resources/clusterroles.rbac.authorization.k8s.io/cluster/system:a b\\c.json",
                "clusterroles.rbac.authorization.k8s.io",
                None,
                "system:a b\\c",
                None,
            ),
            ("resources/pods/namespaces/cluster/.json.json", "pods", Some("cluster"), ".json", None),
            ("resources/pods/namespaces/namespaces/p.json", "pods", Some("namespaces"), "p", None),
        ] {
            let stored = parsed(path);
            assert_eq!(stored.item.resource().as_str(), resource, "{path}");
            assert_eq!(stored.item.namespace(), namespace, "{path}");
            assert_eq!(stored.item.name(), name, "{path}");
            let found = stored.version.as_ref().map(|v| (v.version.as_str(), v.preferred));
            assert_eq!(found, version, "{path}");
            assert_eq!(stored.to_string(), path);
        }
    }

    #[test]
    fn what_is_no_path_of_an_object_is_refused() {
        for path in [
            "",
            "resources",
            "resources/",
            "resources/pods",
            "resources/pods/cluster",
            "resources/pods/cluster/",
            "resources/pods/cluster/p",
            "resources/pods/cluster/.json",
            "resources/pods/cluster/p.JSON",
            "resources/pods/cluster/a/p.json",
            "resources/pods/namespaces/p.json",
            "resources/pods/namespaces/a/b/p.json",
            "resources/pods/namespaces//p.json",
            "resources/pods/Cluster/p.json",
            "resources/pods/v1/p.json",
            "resources/pods/v1/v2/cluster/p.json",
            "resources/pods/-preferredversion/cluster/p.json",
            "resources/pods/V1/cluster/p.json",
            "resources//cluster/p.json",
            "resources/Pods/cluster/p.json",
            "resources/pods./cluster/p.json",
            "resources/.apps/cluster/p.json",
            "/resources/pods/cluster/p.json",
            "resource/pods/cluster/p.json",
            "resourcespods/cluster/p.json",
            "resources/pods/namespaces/A/p.json",
            "resources/pods/namespaces/../p.json",
            "resources/pods/cluster/...json/",
            "resources/pods/cluster/a%2fb.json",
            "resources/pods/cluster/..\\p.json",
            "resources/pods/cluster/\\p.json",
            "resources/pods/cluster/p\0.json",
        ] {
            assert!(path.parse::<StoredPath>().is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_resource_with_its_group_is_read_and_written() {
        let apps = GroupResource::new("deployments", "apps").unwrap();
        assert_eq!(
            (apps.resource(), apps.group(), apps.as_str()),
            ("deployments", "apps", "deployments.apps")
        );
        let core = GroupResource::new("pods", "").unwrap();
        assert_eq!((core.resource(), core.group(), core.to_string()), ("pods", "", "pods".to_owned()));
        assert_eq!("deployments.apps".parse(), Ok(apps));
        assert!(GroupResource::new("a.b", "c").is_err());
        assert!(GroupResource::new("a.b", "").is_err());
    }

    #[test]
    fn the_order_of_resources_is_that_of_their_text() {
        let mut sorted = ["a.b", "a-b", "a", "b"].map(|text| text.parse::<GroupResource>().unwrap());
        sorted.sort();
        assert_eq!(sorted.map(|resource| resource.to_string()), ["a", "a-b", "a.b", "b"]);
    }

    #[test]
    fn each_refusal_says_what_to_use() {
        let pods: GroupResource = "pods".parse().unwrap();
        let refusals = [
            (
                "Pods".parse::<GroupResource>().unwrap_err(),
                "`Pods` is no resource of an API group; use one such as `pods` or `deployments.apps`",
            ),
            (
                ItemPath::new(pods.clone(), Some("A"), "p").unwrap_err(),
                "`A` is no namespace; use at most 63 lower-case letters, digits and `-`",
            ),
            (
                ItemPath::new(pods, None, "a/b").unwrap_err(),
                "`a/b` cannot be the name of an object; use at most 1024 bytes without `/`, `%` and control characters, \
                 and not `.` or `..`",
            ),
            (
                "x".parse::<StoredPath>().unwrap_err(),
                "`x` is no path of an object; expected one such as `resources/pods/namespaces/a/p.json`",
            ),
        ];
        for (refusal, sentence) in refusals {
            assert_eq!(refusal.to_string(), sentence);
        }
    }

    fn label() -> impl Strategy<Value = String> {
        "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
    }

    proptest! {
        #[test]
        fn a_path_that_is_read_is_written_the_same(path in "[a-z./%\\\\:-]{0,60}|resources(/[a-z1.-]{1,8}){3,5}\\.json") {
            if let Ok(stored) = path.parse::<StoredPath>() {
                prop_assert_eq!(stored.to_string(), path);
            }
        }

        #[test]
        fn a_path_that_is_written_is_read_the_same(
            resource in label(),
            group in proptest::collection::vec(label(), 0..3),
            namespace in proptest::option::of(label()),
            name in "[^/%\\\\\\p{Cc}]{1,80}",
            version in proptest::option::of(("v[1-9](beta[1-9])?", any::<bool>())),
        ) {
            prop_assume!(name != "." && name != "..");
            let resource = GroupResource::new(&resource, &group.join(".")).unwrap();
            let item = ItemPath::new(resource, namespace.as_deref(), &name).unwrap();
            let version = version.map(|(version, preferred)| StoredVersion { version, preferred });
            let stored = StoredPath { item, version };
            prop_assert_eq!(stored.to_string().parse(), Ok(stored));
        }

        #[test]
        fn no_text_makes_the_parser_panic(path in any::<String>()) {
            let _ = path.parse::<StoredPath>();
            let _ = path.parse::<GroupResource>();
        }
    }
}
