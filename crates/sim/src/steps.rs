//! Names for the writes of a process, without what is different in each story: where it may die.

use http::Method;

/// A write to an API server, as in `PATCH member backups/status`.
pub(crate) fn of_request(place: &str, method: &Method, path: &str) -> String {
    let before = if path.starts_with("/apis/") { 4 } else { 3 };
    let mut parts: Vec<_> = path.split('/').skip(before).collect();
    if parts.len() > 2 && parts[0] == "namespaces" && !["status", "finalize"].contains(&parts[2]) {
        parts.drain(..2);
    }
    let subresource = parts.get(2).map(|part| format!("/{part}")).unwrap_or_default();
    let resource = parts.first().copied().unwrap_or_default();
    format!(
        "{method} {} {resource}{subresource}",
        place.trim_end_matches(|digit: char| digit.is_ascii_digit())
    )
}

/// A write to a store, as in `create -logs.gz`: without the name of the run.
pub(crate) fn of_key(action: &str, key: &str) -> String {
    let (folder, file) = key.rsplit_once('/').unwrap_or_default();
    let run = folder.rsplit('/').next().unwrap_or_default();
    let file =
        file.strip_prefix(run).or_else(|| file.strip_prefix(&format!("restore-{run}"))).unwrap_or(file);
    format!("{action} {file}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_named_without_namespaces_and_names() {
        for (place, path, step) in [
            ("hub", "/api/v1/namespaces/default/secrets", "PUT hub secrets"),
            ("member1", "/api/v1/namespaces/shop", "PUT member namespaces"),
            ("member1", "/api/v1/namespaces/shop/finalize", "PUT member namespaces/finalize"),
            (
                "member2",
                "/apis/velero.io/v1/namespaces/velero/backups/one/status",
                "PUT member backups/status",
            ),
            ("member2", "/apis/rbac.authorization.k8s.io/v1/clusterroles/one", "PUT member clusterroles"),
        ] {
            assert_eq!(of_request(place, &Method::PUT, path), step, "{path}");
        }
        assert_eq!(of_key("create", "a/backups/one/one-logs.gz"), "create -logs.gz");
        assert_eq!(of_key("create", "a/backups/one/velero-backup.json"), "create velero-backup.json");
        assert_eq!(of_key("create", "a/restores/two/restore-two-logs.gz"), "create -logs.gz");
    }
}
