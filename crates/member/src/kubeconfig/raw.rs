//! The kubeconfig as it is written, read within limits.
//!
//! Unknown fields mean nothing here, as they mean nothing to any client. The fields that are refused are listed,
//! so that they can be refused by name.

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::{Error as YamlError, Options};

use super::error::{KubeconfigError, Shown};

/// Longest kubeconfig that is read, in bytes: no Secret can hold more.
pub(super) const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
pub(super) struct Kubeconfig {
    #[serde(default)]
    pub(super) kind: Option<String>,
    #[serde(default, rename = "current-context")]
    pub(super) current_context: Option<String>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
}

#[derive(Deserialize)]
struct NamedContext {
    #[serde(default)]
    name: String,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Deserialize)]
struct NamedCluster {
    #[serde(default)]
    name: String,
    #[serde(default)]
    cluster: Option<Cluster>,
}

#[derive(Deserialize)]
struct NamedUser {
    #[serde(default)]
    name: String,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Deserialize)]
pub(super) struct Context {
    #[serde(default)]
    pub(super) cluster: Option<String>,
    #[serde(default)]
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) namespace: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cluster {
    #[serde(default)]
    pub(super) server: Option<String>,
    #[serde(default)]
    pub(super) tls_server_name: Option<String>,
    #[serde(default)]
    pub(super) certificate_authority_data: Option<String>,
    #[serde(default)]
    pub(super) certificate_authority: Option<String>,
    #[serde(default)]
    pub(super) insecure_skip_tls_verify: Option<bool>,
    #[serde(default)]
    pub(super) proxy_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(default)]
    pub(super) token: Option<String>,
    #[serde(default)]
    pub(super) client_certificate_data: Option<String>,
    #[serde(default)]
    pub(super) client_key_data: Option<String>,
    #[serde(default)]
    pub(super) exec: Option<Value>,
    #[serde(default)]
    pub(super) auth_provider: Option<Value>,
    #[serde(default, rename = "tokenFile")]
    pub(super) token_file: Option<String>,
    #[serde(default)]
    pub(super) client_certificate: Option<String>,
    #[serde(default)]
    pub(super) client_key: Option<String>,
    #[serde(default, rename = "as")]
    pub(super) impersonate: Option<Value>,
    #[serde(default, rename = "as-uid")]
    pub(super) impersonate_uid: Option<Value>,
    #[serde(default, rename = "as-groups")]
    pub(super) impersonate_groups: Option<Value>,
    #[serde(default, rename = "as-user-extra")]
    pub(super) impersonate_extra: Option<Value>,
    #[serde(default)]
    pub(super) username: Option<String>,
    #[serde(default)]
    pub(super) password: Option<String>,
}

impl Kubeconfig {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, KubeconfigError> {
        if bytes.len() > MAX_BYTES {
            return Err(whole(
                format!("it has {} bytes, more than {MAX_BYTES}", bytes.len()),
                "keep the one context that is used",
            ));
        }
        if bytes.trim_ascii().is_empty() {
            return Err(whole("it is empty".to_owned(), "store the kubeconfig under this key"));
        }
        serde_saphyr::from_slice_with_options(bytes, limits()).map_err(|error| explain(&error))
    }

    pub(super) fn context(&self, name: &str) -> Result<Option<&Context>, KubeconfigError> {
        let entries = self.contexts.iter().flatten().filter(|entry| entry.name == name);
        Ok(only("contexts", name, entries)?.and_then(|entry| entry.context.as_ref()))
    }

    pub(super) fn cluster(&self, name: &str) -> Result<Option<&Cluster>, KubeconfigError> {
        let entries = self.clusters.iter().flatten().filter(|entry| entry.name == name);
        Ok(only("clusters", name, entries)?.and_then(|entry| entry.cluster.as_ref()))
    }

    pub(super) fn user(&self, name: &str) -> Result<Option<&User>, KubeconfigError> {
        let entries = self.users.iter().flatten().filter(|entry| entry.name == name);
        Ok(only("users", name, entries)?.and_then(|entry| entry.user.as_ref()))
    }
}

/// Two entries of one name are refused: clients differ in which of them they take.
fn only<T>(
    list: &str,
    name: &str,
    mut entries: impl Iterator<Item = T>,
) -> Result<Option<T>, KubeconfigError> {
    let first = entries.next();
    if entries.next().is_some() {
        return Err(KubeconfigError::Malformed {
            field: list.to_owned(),
            value: Shown::value(name),
            why: "two entries have this name".to_owned(),
            remedy: "keep one of them",
        });
    }
    Ok(first)
}

/// Far above any real kubeconfig, far below what would take noticeable time or stack.
fn limits() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 2,
            max_depth: 32,
            flow_nesting_limit: 32,
            max_events: 100_000,
            max_nodes: 100_000,
            max_aliases: 100,
            max_anchors: 100,
            max_merge_keys: 100,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: MAX_BYTES,
            max_total_scalar_bytes: 2 * MAX_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
            max_alias_expansions_per_anchor: 100,
        },
        // Snippets and values of the text would put credentials into an error.
        with_snippet: false,
    }
}

/// Where and roughly what: the parser's own words may quote the text, which holds credentials.
fn explain(error: &YamlError) -> KubeconfigError {
    let place = error
        .location()
        .map_or_else(String::new, |at| format!(" (line {}, column {})", at.line(), at.column()));
    match error.without_snippet() {
        YamlError::MultipleDocuments { .. } => {
            whole(format!("it holds several YAML documents{place}"), "keep one document")
        }
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. } => {
            whole(format!("it is nested too deeply or expands too far{place}"), "write it out plainly")
        }
        YamlError::InvalidUtf8Input => whole("it is not UTF-8 text".to_owned(), "store it as plain YAML"),
        _ => whole(
            format!("it is not YAML of the expected shape{place}"),
            "check it with `kubectl config view --kubeconfig FILE`",
        ),
    }
}

fn whole(why: String, remedy: &'static str) -> KubeconfigError {
    KubeconfigError::Malformed { field: ".".to_owned(), value: Shown::hidden(), why, remedy }
}
