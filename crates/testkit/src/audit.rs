//! What an API server of the lab was asked by Kurator under its own name, that is with the rights of `examples/rbac`.

use serde_json::Value;

/// Whose requests are noted: those of administrators, which all others are, would only cost time.
pub(crate) const POLICY: &str = r#"
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: ["system:serviceaccounts:kurator"]
  - level: None
"#;

/// The requests of the service accounts in namespace `kurator`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many there were.
    pub requests: usize,
    /// Those that they lack the right for: verb and path, and why.
    pub refused: Vec<String>,
}

impl Audit {
    /// Reads an audit log, which has an event on each line. A last line that is being written does not count.
    pub(crate) fn read(log: &str) -> Self {
        let mut audit = Self::default();
        for event in log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            audit.requests += 1;
            let said = |of: &str| event["annotations"][format!("authorization.k8s.io/{of}")].as_str();
            if said("decision") == Some("forbid") {
                let word = |of: &str| event[of].as_str().unwrap_or_default();
                let why = event["responseStatus"]["message"].as_str().or(said("reason")).unwrap_or_default();
                audit.refused.push(format!("{} {}: {why}", word("verb"), word("requestURI")));
            }
        }
        audit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rbac_refused_is_told_with_verb_and_path() {
        let log = concat!(
            r#"{"verb":"list","requestURI":"/api/v1/secrets","annotations":{"authorization.k8s.io/decision":"allow"}}"#,
            "\n",
            r#"{"verb":"get","requestURI":"/api/v1/nodes","annotations":{"authorization.k8s.io/decision":"forbid"},"#,
            r#""responseStatus":{"code":403,"message":"nodes is forbidden"}}"#,
            "\n{\"verb\":",
        );
        let refused = vec!["get /api/v1/nodes: nodes is forbidden".to_owned()];
        assert_eq!(Audit::read(log), Audit { requests: 2, refused });
    }
}
