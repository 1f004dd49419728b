//! From a raw Fleet to one that can be planned. After this, nobody looks at the raw spec.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::fleet::{BackupPlugin, Engine, Fleet, Installer, Layout, Plugins};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_store::Location;

use super::observe::Credential;
use crate::ctx::Options;
use crate::destination::clusters_of;

/// Options that say how a bucket is reached. What else Velero's plugin is told is not for the hub's few small objects.
const REACH: [&str; 4] = ["region", "s3Url", "s3ForcePathStyle", "insecureSkipTLSVerify"];

/// A Fleet whose members can be planned, whatever is wrong with its plugin.
pub(super) struct ValidFleet {
    pub(super) uid: String,
    pub(super) name: String,
    pub(super) clusters: Vec<ClusterKey>,
    /// Entries that name no cluster.
    pub(super) problems: Vec<Problem>,
    pub(super) plugin: Plugin,
    /// Parts of the spec that are accepted and left alone.
    pub(super) not_managed: Vec<String>,
}

/// Something that somebody must edit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    pub(super) reason: Reason,
    pub(super) message: String,
}

pub(super) enum Plugin {
    Off,
    /// Wanted, but not possible as it is written; what is in the members stays as it is.
    Faulty(Vec<Problem>),
    On(Box<ValidPlugin>),
}

/// A backup plugin that can be rendered.
pub(super) struct ValidPlugin {
    /// Who executes backups in the members.
    pub(super) engine: Engine,
    /// Velero's name of the provider.
    pub(super) provider: &'static str,
    pub(super) bucket: String,
    /// Folder in the bucket below which everything lies; no slashes at the ends, may be empty.
    pub(super) root: String,
    pub(super) layout: Option<Layout>,
    /// Options of the storage location, as Velero's plugin reads them.
    pub(super) config: BTreeMap<String, String>,
    pub(super) secret: String,
    /// The credentials file that goes into the members.
    pub(super) cloud: String,
    /// URL of the service.
    pub(super) endpoint: String,
    /// How the hub itself reaches the bucket.
    pub(super) store: Location,
}

impl std::fmt::Debug for ValidPlugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidPlugin")
            .field("bucket", &self.bucket)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

pub(super) fn validate(fleet: &Fleet, credential: Option<&Credential>, defaults: Defaults) -> ValidFleet {
    let mut not_managed = Vec::new();
    if fleet.annotations().contains_key(names::CONTROL_PLANE_ANNOTATION) {
        not_managed.push(format!("metadata.annotations[{}]", names::CONTROL_PLANE_ANNOTATION));
    }
    let plugins = fleet.spec.plugin.as_ref();
    not_managed.extend(plugins.map(foreign_plugins).unwrap_or_default());
    let backup = plugins.and_then(|plugins| plugins.backup.as_ref());
    not_managed.extend(backup.map(|plugin| left_alone(plugin, defaults)).unwrap_or_default());
    ValidFleet {
        uid: fleet.uid().unwrap_or_default(),
        name: fleet.name_any(),
        clusters: clusters_of(fleet),
        problems: reference_problems(fleet),
        plugin: plugin(fleet, credential, defaults),
        not_managed,
    }
}

/// The plugin alone, for who works on one of thousands of clusters.
pub(super) fn plugin(fleet: &Fleet, credential: Option<&Credential>, defaults: Defaults) -> Plugin {
    let Some(plugin) = fleet.spec.plugin.as_ref().and_then(|plugins| plugins.backup.as_ref()) else {
        return Plugin::Off;
    };
    match valid_plugin(fleet, plugin, credential, defaults) {
        Ok(plugin) => Plugin::On(Box::new(plugin)),
        Err(problems) => Plugin::Faulty(problems),
    }
}

/// What holds where a Fleet says nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    pub(super) engine: Engine,
    pub(super) installer: Installer,
}

impl From<&Options> for Defaults {
    fn from(options: &Options) -> Self {
        Self { engine: options.default_engine, installer: options.default_installer }
    }
}

fn foreign_plugins(plugins: &Plugins) -> Vec<String> {
    let Plugins { backup: _, distributed_storage, metric, grafana, policy, flagger, submariner } = plugins;
    [
        ("distributedStorage", distributed_storage.is_some()),
        ("metric", metric.is_some()),
        ("grafana", grafana.is_some()),
        ("policy", policy.is_some()),
        ("flagger", flagger.is_some()),
        ("submariner", submariner.is_some()),
    ]
    .into_iter()
    .filter(|(_, given)| *given)
    .map(|(name, _)| format!("spec.plugin.{name}"))
    .collect()
}

/// What says how Velero is installed, where it is not wanted.
fn left_alone(plugin: &BackupPlugin, defaults: Defaults) -> Vec<String> {
    let by_hub = plugin.engine.unwrap_or(defaults.engine) == Engine::Builtin;
    [("chart", plugin.chart.is_some()), ("extraArgs", plugin.extra_args.is_some())]
        .into_iter()
        .filter(|(_, given)| by_hub && *given)
        .map(|(name, _)| format!("spec.plugin.backup.{name}"))
        .collect()
}

fn reference_problems(fleet: &Fleet) -> Vec<Problem> {
    let invalid = |message| Problem { reason: Reason::InvalidSpec, message };
    let mut problems = Vec::new();
    for (index, reference) in fleet.spec.clusters.iter().enumerate() {
        match reference.key("") {
            Err(error) => problems.push(invalid(format!("spec.clusters[{index}]: {error}"))),
            Ok(key) if key.name.is_empty() => {
                problems
                    .push(invalid(format!("spec.clusters[{index}].name: is empty; name a cluster object")));
            }
            Ok(_) => {}
        }
    }
    problems
}

fn valid_plugin(
    fleet: &Fleet,
    plugin: &BackupPlugin,
    credential: Option<&Credential>,
    defaults: Defaults,
) -> Result<ValidPlugin, Vec<Problem>> {
    const AT: &str = "spec.plugin.backup";
    let mut problems = Vec::new();
    let mut problem = |reason, message: String| problems.push(Problem { reason, message });
    let location = &plugin.storage.location;

    let engine = plugin.engine.unwrap_or(defaults.engine);
    match (plugin.installer, plugin.installer.unwrap_or(defaults.installer)) {
        (_, Installer::None) | (None, _) if engine == Engine::Builtin => {}
        (Some(given), _) if engine == Engine::Builtin => problem(
            Reason::UnsupportedInstaller,
            format!(
                "{AT}.installer: `{given:?}` would install Velero, and with engine `Builtin` nothing is installed; take \
                 the installer away, or set {AT}.engine to `Velero`"
            ),
        ),
        (_, Installer::None) => {}
        (Some(given), _) => problem(
            Reason::UnsupportedInstaller,
            format!(
                "{AT}.installer: `{given:?}` is not supported by this version; install Velero yourself and set `None`, \
                 or set {AT}.engine to `Builtin`, which needs nothing installed"
            ),
        ),
        (None, default) => problem(
            Reason::UnsupportedInstaller,
            format!(
                "{AT}.installer: is not set, and the hub's default `{default:?}` is not supported by this version; \
                 set {AT}.engine to `Builtin`, which needs nothing installed, or install Velero yourself and set `None`, \
                 here or with `kurator serve --default-installer none`"
            ),
        ),
    }
    let suffix = match location.provider.as_str() {
        "aws" => "s3",
        "huaweicloud" => "obs",
        other => {
            problem(
                Reason::UnsupportedProvider,
                format!(
                    "{AT}.storage.location.provider: `{other}` is not supported; use `aws` or `huaweicloud`"
                ),
            );
            "s3"
        }
    };
    let mut config = BTreeMap::from([
        ("s3Url".to_owned(), location.endpoint.clone()),
        ("s3ForcePathStyle".to_owned(), "true".to_owned()),
    ]);
    if location.provider == "huaweicloud" {
        config.insert("checksumAlgorithm".to_owned(), String::new());
    }
    config.extend(
        location
            .region
            .clone()
            .filter(|region| !region.is_empty())
            .map(|region| ("region".to_owned(), region)),
    );
    config.extend(location.config.clone());
    if location.bucket.is_empty() || location.bucket.contains('/') {
        problem(
            Reason::InvalidSpec,
            format!(
                "{AT}.storage.location.bucket: `{}` is no bucket name; a folder goes into prefix",
                location.bucket
            ),
        );
    }
    let endpoint = config.get("s3Url").cloned().unwrap_or_default();
    if !(endpoint.starts_with("http://") || endpoint.starts_with("https://")) {
        problem(
            Reason::InvalidSpec,
            format!(
                "{AT}.storage.location.endpoint: `{endpoint}` is no URL; begin it with http:// or https://"
            ),
        );
    }
    let keys = match credential {
        Some(Credential::Keys { access_key, secret_key, session_token }) => {
            Some((access_key.clone(), secret_key.clone(), session_token.clone()))
        }
        Some(Credential::Faulty(faults)) => {
            for fault in faults {
                problem(fault.reason, format!("{AT}.storage.secretName: {}", fault.message));
            }
            None
        }
        None => None,
    };
    let Some((access_key, secret_key, session_token)) = keys.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    let mut cloud =
        format!("[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n");
    if let Some(token) = &session_token {
        cloud.push_str(&format!("aws_session_token={token}\n"));
    }
    Ok(ValidPlugin {
        engine,
        provider: "aws",
        bucket: location.bucket.clone(),
        root: location.prefix.as_deref().unwrap_or_default().trim_matches('/').to_owned(),
        layout: plugin.storage.layout,
        endpoint,
        store: Location {
            provider: "aws".to_owned(),
            bucket: location.bucket.clone(),
            config: REACH
                .iter()
                .filter_map(|key| Some(((*key).to_owned(), config.get(*key)?.clone())))
                .collect(),
            credential: Some(cloud.clone().into_bytes()),
            ..Location::default()
        },
        config,
        secret: names::label_value(&format!("{}-velero-{suffix}", fleet.name_any())),
        cloud,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What becomes of a plugin that says this besides its store, on a hub with this default engine.
    fn judged(said: &Value, default: Engine) -> ValidFleet {
        let mut plugin = json!({"storage": {
            "location": {"bucket": "velero", "provider": "aws", "endpoint": "http://s3"}, "secretName": "s",
        }});
        for (key, value) in said.as_object().unwrap() {
            plugin[key] = value.clone();
        }
        let fleet =
            json!({"metadata": {"name": "f"}, "spec": {"clusters": [], "plugin": {"backup": plugin}}});
        let keys =
            Credential::Keys { access_key: "a".to_owned(), secret_key: "s".to_owned(), session_token: None };
        let defaults = Defaults { engine: default, installer: Installer::Helm };
        validate(&serde_json::from_value(fleet).unwrap(), Some(&keys), defaults)
    }

    #[test]
    fn the_fleet_says_who_executes_backups_and_else_the_hub() {
        let engine = |said: &Value, default| match judged(said, default).plugin {
            Plugin::On(plugin) => plugin.engine,
            Plugin::Off | Plugin::Faulty(_) => panic!("{said}"),
        };
        let none = json!({"installer": "None"});
        assert_eq!(engine(&none, Engine::Velero), Engine::Velero);
        assert_eq!(engine(&none, Engine::Builtin), Engine::Builtin);
        assert_eq!(engine(&json!({"engine": "Builtin"}), Engine::Velero), Engine::Builtin);
        let velero = json!({"engine": "Velero", "installer": "None"});
        assert_eq!(engine(&velero, Engine::Builtin), Engine::Velero);
    }

    #[test]
    fn an_installer_beside_the_built_in_engine_is_refused() {
        for (said, default) in [
            (json!({"engine": "Builtin", "installer": "Helm"}), Engine::Velero),
            (json!({"installer": "Helm"}), Engine::Builtin),
        ] {
            let Plugin::Faulty(problems) = judged(&said, default).plugin else { panic!("{said}") };
            let expected = "spec.plugin.backup.installer: `Helm` would install Velero, and with engine `Builtin` nothing is \
                            installed; take the installer away, or set spec.plugin.backup.engine to `Velero`";
            let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
            assert_eq!(messages, [expected]);
        }
    }

    #[test]
    fn the_chart_of_a_velero_that_is_not_installed_is_left_alone_and_named() {
        let said = json!({"engine": "Builtin", "chart": {"version": "1"}, "extraArgs": {}});
        let expected = ["spec.plugin.backup.chart", "spec.plugin.backup.extraArgs"];
        assert_eq!(judged(&said, Engine::Velero).not_managed, expected);
        let velero = json!({"chart": {"version": "1"}});
        assert!(judged(&velero, Engine::Velero).not_managed.is_empty());
    }
}
