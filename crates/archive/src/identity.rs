//! Whether an object is the one that its path says.

use std::borrow::Cow;

use serde::Deserialize;

use crate::item::ItemPath;
use crate::shown::shown;

/// Checks that `json` is an object with the name and the namespace of `path`, without looking at the rest.
///
/// Velero goes by the object alone. In an archive that nobody has touched they agree, and what is selected by the path
/// must not turn out to be something else.
///
/// # Errors
/// [`IdentityError`]
pub fn check_identity(path: &ItemPath, json: &[u8]) -> Result<(), IdentityError> {
    let object: Object<'_> = serde_json::from_slice(json)
        .map_err(|source| IdentityError::Unreadable { path: path.to_string(), source })?;
    let Metadata { name, namespace } = object.metadata;
    let namespace = namespace.unwrap_or_default();
    if name != path.name() || namespace != path.namespace().unwrap_or_default() {
        let found = if namespace.is_empty() { name.into_owned() } else { format!("{namespace}/{name}") };
        return Err(IdentityError::Other { path: path.to_string(), found: shown(found.as_bytes()) });
    }
    Ok(())
}

/// Why a file is not the object that its path says.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No JSON object with a name.
    #[error("`{path}` in the archive is no object with a name; restore it from another backup")]
    Unreadable {
        /// Where it lies.
        path: String,
        /// What the parser says; it repeats no values.
        #[source]
        source: serde_json::Error,
    },
    /// Another object.
    #[error(
        "`{path}` in the archive holds the object `{found}`; it is forged, restore it from another backup"
    )]
    Other {
        /// Where it lies.
        path: String,
        /// What it is, escaped and cut.
        found: String,
    },
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(namespace: Option<&str>) -> ItemPath {
        ItemPath::new("pods".parse().unwrap(), namespace, "p").unwrap()
    }

    #[test]
    fn an_object_is_known_by_name_and_namespace() {
        for (namespace, json) in [
            (
                Some("a"),
                r#"{"kind":"Pod","metadata":{"labels":{"name":"x"},"namespace":"a","name":"p"},"spec":{}}"#,
            ),
            (Some("a"), r#"{"metadata":{"name":"\u0070","namespace":"a"}}"#),
            (None, r#"{"metadata":{"name":"p"}}"#),
            (None, r#"{"metadata":{"name":"p","namespace":""}}"#),
            (None, r#"{"metadata":{"name":"p","namespace":null}}"#),
        ] {
            check_identity(&path(namespace), json.as_bytes())
                .unwrap_or_else(|error| panic!("{json}: {error}"));
        }
    }

    #[test]
    fn another_object_is_refused() {
        for (namespace, json) in [
            (Some("a"), r#"{"metadata":{"name":"q","namespace":"a"}}"#),
            (Some("a"), r#"{"metadata":{"name":"p","namespace":"b"}}"#),
            (Some("a"), r#"{"metadata":{"name":"p"}}"#),
            (None, r#"{"metadata":{"name":"p","namespace":"a"}}"#),
        ] {
            let refused = check_identity(&path(namespace), json.as_bytes());
            assert!(matches!(refused, Err(IdentityError::Other { .. })), "{json}");
        }
        let refused = check_identity(&path(None), br#"{"metadata":{"name":"q\n","namespace":"a"}}"#);
        assert_eq!(
            refused.unwrap_err().to_string(),
            r"`resources/pods/cluster/p.json` in the archive holds the object `a/q\n`; it is forged, restore it from another backup"
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"metadata":null}"#,
            r#"{"metadata":{}}"#,
            r#"{"metadata":{"name":1}}"#,
            r#"{"metadata":{"name":"p"}} x"#,
            r#"{"metadata":{"name":"p"},"metadata":{"name":"q"}}"#,
            r#"{"metadata":{"name":"p","name":"q"}}"#,
        ] {
            let refused = check_identity(&path(None), json.as_bytes());
            assert!(matches!(refused, Err(IdentityError::Unreadable { .. })), "{json}");
        }
    }
}
