//! What a path names.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// `/api`, `/apis`, `/apis/{group}`, `/api/v1`, `/apis/{group}/{version}`.
    CoreVersions,
    Groups,
    Group(String),
    Version {
        group: String,
        version: String,
    },
    /// A collection, an object, or a part of an object.
    Objects(Objects),
    OpenApi,
    OpenApiV2,
    OpenApiOf(String),
    ServerVersion,
    /// `/readyz`, `/livez`, `/healthz` and what is below.
    Health,
    Nothing,
}

/// Where objects are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Objects {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Path {
    pub(crate) fn parse(path: &str) -> Self {
        let decoded: Option<Vec<Cow<'_, str>>> = path
            .trim_start_matches('/')
            .trim_end_matches('/')
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8().ok())
            .collect();
        let Some(decoded) = decoded else { return Self::Nothing };
        let segments: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            ["api"] => Self::CoreVersions,
            ["apis"] => Self::Groups,
            ["version"] => Self::ServerVersion,
            ["readyz" | "livez" | "healthz", ..] => Self::Health,
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApi,
            ["openapi", "v3", rest @ ..] => Self::OpenApiOf(rest.join("/")),
            ["api", version] => Self::version("", version),
            ["apis", group] => Self::Group((*group).to_owned()),
            ["apis", group, version] => Self::version(group, version),
            ["api", version, rest @ ..] => Self::objects("", version, rest),
            ["apis", group, version, rest @ ..] => Self::objects(group, version, rest),
            _ => Self::Nothing,
        }
    }

    fn version(group: &str, version: &str) -> Self {
        Self::Version { group: group.to_owned(), version: version.to_owned() }
    }

    fn objects(group: &str, version: &str, rest: &[&str]) -> Self {
        if rest.iter().any(|segment| segment.is_empty()) {
            return Self::Nothing;
        }
        let own = |text: &&str| (*text).to_owned();
        let at = |namespace: Option<&&str>, rest: &[&str]| {
            let (plural, name, subresource) = match rest {
                [plural] => (plural, None, None),
                [plural, name] => (plural, Some(name), None),
                [plural, name, subresource] => (plural, Some(name), Some(subresource)),
                _ => return Self::Nothing,
            };
            Self::Objects(Objects {
                group: group.to_owned(),
                version: version.to_owned(),
                plural: own(plural),
                namespace: namespace.map(own),
                name: name.map(own),
                subresource: subresource.map(own),
            })
        };
        match rest {
            // These are parts of the namespace itself.
            ["namespaces", _, "status" | "finalize"] => at(None, rest),
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => at(Some(namespace), rest),
            rest => at(None, rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(namespace: Option<&str>, plural: &str, name: Option<&str>, subresource: Option<&str>) -> Path {
        Path::Objects(Objects {
            group: String::new(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }

    #[test]
    fn a_path_names_collections_objects_and_parts() {
        for (path, expected) in [
            ("/api/v1/pods", objects(None, "pods", None, None)),
            ("/api/v1/namespaces/a/pods", objects(Some("a"), "pods", None, None)),
            ("/api/v1/namespaces/a/pods/x/status", objects(Some("a"), "pods", Some("x"), Some("status"))),
            ("/api/v1/namespaces", objects(None, "namespaces", None, None)),
            ("/api/v1/namespaces/a", objects(None, "namespaces", Some("a"), None)),
            ("/api/v1/namespaces/a/status", objects(None, "namespaces", Some("a"), Some("status"))),
            ("/api/v1/namespaces/a%2Fb/pods", objects(Some("a/b"), "pods", None, None)),
            ("/api/v1/namespaces/a//pods", Path::Nothing),
            ("/api/v1/namespaces/a/pods/x/y/z", Path::Nothing),
            ("/api/v1/%ff", Path::Nothing),
            ("/apis/", Path::Groups),
            ("/readyz/ping", Path::Health),
            ("/else", Path::Nothing),
        ] {
            assert_eq!(Path::parse(path), expected, "{path}");
        }
    }
}
