//! From a Restore as somebody wrote it to what it means: every reason why not, or a [`Plan`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kurator_api::duration::GoDuration;
use kurator_api::names;
use kurator_api::velero::{
    Backup, BackupPhase, BackupStorageLocation, BackupStorageLocationPhase, Restore, RestoreSpec,
};
use serde_json::Value;

use crate::labels::Selector;
use crate::types::Catalog;

use super::hooks::{self, SpecHook};
use super::modifiers::{self, Modifiers};
use super::patterns::{Patterns, contradictions};
use super::plan::{Plan, Policy};
use super::policy;

/// Types that are never restored, appended to `excludedResources` as Velero 1.18 does.
pub const NEVER_RESTORED: [&str; 9] = [
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
];

/// What Velero waits for operations of plugins unless told otherwise (`--default-item-operation-timeout`).
const ITEM_OPERATION_TIMEOUT: &str = "4h0m0s";

/// What is known when a Restore is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The Backups in its namespace.
    pub backups: &'a [Backup],
    /// The storage locations in its namespace.
    pub locations: &'a [BackupStorageLocation],
    /// The ConfigMap that [`modifiers_named`] names, if it is there.
    pub modifiers: Option<&'a ConfigMap>,
    /// The ConfigMap that [`policy_named`](super::policy_named) names, if it is there.
    pub policy: Option<&'a ConfigMap>,
    /// The types of the cluster.
    pub catalog: &'a Catalog,
}

/// A Restore that can run.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The Restore as it is stored before it runs: the chosen Backup, its Schedule and the defaults filled in.
    pub restore: Restore,
    /// The chosen Backup.
    pub backup: Backup,
    /// The location that it is in.
    pub location: BackupStorageLocation,
    /// What it takes.
    pub plan: Plan,
    /// Warnings for its results.
    pub warnings: Vec<String>,
}

/// The name of the ConfigMap with resource modifiers that a Restore asks for, in its own namespace.
#[must_use]
pub fn modifiers_named(restore: &Restore) -> Option<&str> {
    restore.spec.other.get("resourceModifier")?.get("name")?.as_str()
}

/// Looks at a Restore.
///
/// # Errors
///
/// Every reason why it cannot run, for `status.validationErrors`, in Velero's words where it has some.
pub fn prepare(restore: &Restore, facts: &Facts<'_>) -> Result<Prepared, Vec<String>> {
    let mut faults = Vec::new();
    let filters = filters(&restore.spec, facts.catalog, &mut faults);
    let rest = rest(restore, facts, &mut faults);
    let mut warnings = merged(&restore.spec);
    let policy = kept(policy::read(restore, facts, &mut warnings), &mut faults);
    let source = source(restore, facts, &mut faults);
    let (Some(filters), Some(rest), Some(policy), Some((backup, location))) = (filters, rest, policy, source)
    else {
        return Err(faults);
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    let plan = Plan {
        restore: restore.metadata.name.clone().unwrap_or_default(),
        backup: backup.metadata.name.clone().unwrap_or_default(),
        types: filters.types,
        status: filters.status,
        namespaces: filters.namespaces,
        mapping: restore.spec.namespace_mapping.clone(),
        cluster_scoped: restore.spec.include_cluster_resources,
        selector: filters.selector,
        one_of: filters.one_of,
        filters: policy,
        policy: rest.policy,
        keep_node_ports: restore.spec.preserve_node_ports == Some(true),
        restore_volumes: restore.spec.restore_pvs != Some(false),
        hooks: rest.hooks,
        modifiers: rest.modifiers,
    };
    Ok(Prepared {
        restore: complete(restore, backup),
        backup: backup.clone(),
        location: location.clone(),
        plan,
        warnings,
    })
}

/// What decides which objects are taken.
struct Filters {
    types: Patterns,
    status: Option<Patterns>,
    namespaces: Patterns,
    selector: Selector,
    one_of: Vec<Selector>,
}

fn filters(spec: &RestoreSpec, catalog: &Catalog, faults: &mut Vec<String>) -> Option<Filters> {
    contradicting(spec, faults);
    let excluded = spec.excluded_resources.iter().map(String::as_str).chain(NEVER_RESTORED);
    let taken = types("included/excluded resource lists", &spec.included_resources, excluded, catalog);
    let status = spec.restore_status.as_ref().map(|status| {
        let excluded = status.excluded_resources.iter().map(String::as_str);
        types("restoreStatus", &status.included_resources, excluded, catalog)
    });
    let namespaces = Patterns::new(
        spec.included_namespaces.iter().map(String::as_str),
        spec.excluded_namespaces.iter().map(String::as_str),
    );
    let namespaces = namespaces.map_err(|why| format!("Invalid included/excluded namespace lists: {why}"));
    let one = spec.label_selector.as_ref().map(|own| selector("labelSelector", own)).transpose();
    let one_of = spec.or_label_selectors.iter().map(|own| selector("orLabelSelectors", own));
    let one_of: Result<Vec<_>, _> = one_of.collect();
    let (taken, status) = (kept(taken, faults), kept(status.transpose(), faults));
    let (namespaces, one) = (kept(namespaces, faults), kept(one, faults));
    let one_of = kept(one_of, faults);
    Some(Filters {
        types: taken?,
        status: status?,
        namespaces: namespaces?,
        selector: one?.unwrap_or_default(),
        one_of: one_of?,
    })
}

/// Lists that contradict themselves or one another.
fn contradicting(spec: &RestoreSpec, faults: &mut Vec<String>) {
    let asked = |never: &&&str| spec.included_resources.iter().any(|own| own == **never);
    faults.extend(
        NEVER_RESTORED.iter().filter(asked).map(|never| format!("{never} are non-restorable resources")),
    );
    for (lists, includes, excludes) in [
        ("resource", &spec.included_resources, &spec.excluded_resources),
        ("namespace", &spec.included_namespaces, &spec.excluded_namespaces),
    ] {
        let told = contradictions(includes, excludes).into_iter();
        faults.extend(told.map(|fault| format!("Invalid included/excluded {lists} lists: {fault}")));
    }
    if !spec.or_label_selectors.is_empty() && spec.label_selector.is_some() {
        faults.push(
            "encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified"
                .to_owned(),
        );
    }
}

/// Two lists of types. A name that the cluster doesn't know stays as it is, so that it takes no others.
fn types<'a>(
    lists: &str,
    includes: &[String],
    excludes: impl Iterator<Item = &'a str>,
    catalog: &Catalog,
) -> Result<Patterns, String> {
    let full = |name: &str| match name {
        "*" => name.to_owned(),
        name => catalog.find(name).map_or_else(|| name.to_owned(), |known| known.group_resource()),
    };
    let includes: Vec<String> = includes.iter().map(|name| full(name)).collect();
    let excludes: Vec<String> = excludes.map(full).collect();
    Patterns::new(includes.iter().map(String::as_str), excludes.iter().map(String::as_str))
        .map_err(|why| format!("Invalid {lists}: {why}"))
}

fn selector(field: &str, selector: &LabelSelector) -> Result<Selector, String> {
    Selector::parse(selector).map_err(|why| format!("Invalid {field}: {why}"))
}

/// The value, or its fault among the others.
fn kept<T>(value: Result<T, String>, faults: &mut Vec<String>) -> Option<T> {
    value.map_err(|fault| faults.push(fault)).ok()
}

/// What decides on how objects are restored.
struct Rest {
    policy: Option<Policy>,
    hooks: Vec<SpecHook>,
    modifiers: Option<Modifiers>,
}

fn rest(restore: &Restore, facts: &Facts<'_>, faults: &mut Vec<String>) -> Option<Rest> {
    let spec = &restore.spec;
    let policy = match spec.existing_resource_policy.as_deref() {
        None | Some("") => None,
        Some("none") => Some(Policy::None),
        Some("update") => Some(Policy::Update),
        Some(other) => {
            faults.push(format!("Invalid ExistingResourcePolicy: {other}"));
            None
        }
    };
    for (from, to) in &spec.namespace_mapping {
        let fault = match (is_namespace(from), is_namespace(to)) {
            (true, true) => continue,
            (false, _) => format!("{from:?} is not the name of a namespace; map each namespace by its name"),
            (true, false) => format!("{from:?} is mapped to {to:?}, which is not the name of a namespace"),
        };
        faults.push(format!("Invalid namespaceMapping: {fault}"));
    }
    // Velero waits for operations of plugins, the engine for nothing; but Velero could not read what it leaves.
    let timeout = spec.item_operation_timeout.as_deref().filter(|text| !text.is_empty());
    if let Some(Err(error)) = timeout.map(str::parse::<GoDuration>) {
        faults.push(format!("spec.itemOperationTimeout: {error}"));
    }
    let hooks = all(hooks::parse(spec.hooks.as_ref()), faults);
    let modifiers = all(modifiers(restore, facts), faults);
    Some(Rest { policy, hooks: hooks?, modifiers: modifiers? })
}

/// The value, or its faults among the others.
fn all<T>(value: Result<T, Vec<String>>, faults: &mut Vec<String>) -> Option<T> {
    value.map_err(|mut more| faults.append(&mut more)).ok()
}

fn modifiers(restore: &Restore, facts: &Facts<'_>) -> Result<Option<Modifiers>, Vec<String>> {
    let Some(reference) = restore.spec.other.get("resourceModifier").filter(|own| !own.is_null()) else {
        return Ok(None);
    };
    let kind = reference.get("kind").and_then(Value::as_str).unwrap_or_default();
    if !kind.eq_ignore_ascii_case("configmap") {
        return Err(vec![format!("spec.resourceModifier.kind is {kind:?}; the only kind is ConfigMap")]);
    }
    let missing = || {
        let namespace = restore.metadata.namespace.as_deref().unwrap_or_default();
        let name = modifiers_named(restore).unwrap_or_default();
        vec![format!("failed to get resource modifiers configmap {namespace}/{name}")]
    };
    modifiers::parse(facts.modifiers.ok_or_else(missing)?).map(Some)
}

/// Warnings of namespaces that become one.
fn merged(spec: &RestoreSpec) -> Vec<String> {
    let mut sources = BTreeMap::<_, Vec<_>>::new();
    for (from, to) in &spec.namespace_mapping {
        sources.entry(to).or_default().push(from.as_str());
    }
    let several = sources.into_iter().filter(|(_, from)| from.len() > 1);
    let told = several.map(|(to, from)| {
        format!(
            "spec.namespaceMapping: the namespaces {} all go to {to}; of objects with one name in several of them only one \
             is restored",
            from.join(", ")
        )
    });
    told.collect()
}

/// Whether a text is a DNS-1123 label.
fn is_namespace(name: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(word)
        && name.ends_with(word)
        && name.chars().all(|c| word(c) || c == '-')
}

/// The Backup to restore and the location that it is in.
fn source<'a>(
    restore: &Restore,
    facts: &Facts<'a>,
    faults: &mut Vec<String>,
) -> Option<(&'a Backup, &'a BackupStorageLocation)> {
    let backup = kept(backup(restore, facts), faults)?;
    let phase = backup.status.as_ref().and_then(|status| status.phase.as_ref());
    if !matches!(phase, Some(BackupPhase::Completed | BackupPhase::PartiallyFailed)) {
        let phase = phase.map_or("New", BackupPhase::as_str);
        faults.push(format!(
            "Error retrieving backup: backup {} is {phase}; only one that is Completed or PartiallyFailed can be \
             restored",
            backup.metadata.name.as_deref().unwrap_or_default(),
        ));
    }
    let name = backup.spec.storage_location.as_deref().unwrap_or_default();
    let Some(location) = facts.locations.iter().find(|known| known.metadata.name.as_deref() == Some(name))
    else {
        faults.push(format!("Error retrieving backup: BackupStorageLocation.velero.io {name:?} not found"));
        return None;
    };
    let available = Some(BackupStorageLocationPhase::Available);
    if location.status.as_ref().and_then(|status| status.phase.clone()) != available {
        faults.push(format!("The BSL {name} is unavailable, cannot retrieve the backup"));
    }
    Some((backup, location))
}

fn backup<'a>(restore: &Restore, facts: &Facts<'a>) -> Result<&'a Backup, String> {
    let spec = &restore.spec;
    let name = |name: &'_ Option<String>| name.clone().filter(|name| !name.is_empty());
    match (name(&spec.backup_name), name(&spec.schedule_name)) {
        (Some(name), None) => {
            let namespace = restore.metadata.namespace.as_deref().unwrap_or_default();
            let found = facts.backups.iter().find(|known| known.metadata.name.as_deref() == Some(&name));
            found.ok_or_else(|| {
                format!(
                    "Error retrieving backup: can't find backup {namespace}/{name}: Backup.velero.io {name:?} not \
                     found"
                )
            })
        }
        (None, Some(schedule)) => newest(facts.backups, &schedule),
        _ => Err("Either a backup or schedule must be specified as a source for the restore, but not both"
            .to_owned()),
    }
}

/// The newest Completed Backup of a Schedule, by when it was started.
fn newest<'a>(backups: &'a [Backup], schedule: &str) -> Result<&'a Backup, String> {
    let mut of_schedule = backups.iter().filter(|backup| schedule_of(backup) == Some(schedule)).peekable();
    if of_schedule.peek().is_none() {
        return Err("No backups found for schedule".to_owned());
    }
    let completed = of_schedule.filter_map(|backup| Some((backup.status.as_ref()?, backup)));
    let completed = completed.filter(|(status, _)| status.phase == Some(BackupPhase::Completed));
    let newest = completed.max_by_key(|(status, _)| status.start_timestamp);
    newest.map(|(_, backup)| backup).ok_or_else(|| "No completed backups found for schedule".to_owned())
}

fn schedule_of(backup: &Backup) -> Option<&str> {
    backup.metadata.labels.as_ref()?.get(names::VELERO_SCHEDULE_NAME_LABEL).map(String::as_str)
}

/// The Restore as Velero stores it before it runs.
fn complete(restore: &Restore, backup: &Backup) -> Restore {
    let mut restore = restore.clone();
    let spec = &mut restore.spec;
    for never in NEVER_RESTORED {
        if !spec.excluded_resources.iter().any(|own| own == never) {
            spec.excluded_resources.push(never.to_owned());
        }
    }
    spec.backup_name.clone_from(&backup.metadata.name);
    if spec.schedule_name.as_deref().unwrap_or_default().is_empty() {
        spec.schedule_name = schedule_of(backup).map(str::to_owned);
    }
    let unset = |text: &String| text.is_empty() || text == "0s";
    if spec.item_operation_timeout.as_ref().is_none_or(unset) {
        spec.item_operation_timeout = Some(ITEM_OPERATION_TIMEOUT.to_owned());
    }
    restore
}

#[cfg(test)]
mod tests;
