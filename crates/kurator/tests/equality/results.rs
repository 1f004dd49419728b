//! What the results of two runs say, without what only one of them is meant to say.

use std::collections::BTreeMap;

use serde_json::Value;

/// Messages of the engine that Velero has not: of decision 8, each by a fragment.
const OF_THE_ENGINE: &[&str] = &[
    // "Volume data is not stored", and the same of a restore.
    "is not in the backup; this engine stores objects and no volume data",
    "is restored without the data of volume",
    "have no effect: the objects of volumes are kept, their data is not",
    // "A pattern without effect is a warning".
    "matches no namespace",
    "spec.includedNamespaces: nothing is taken",
    // "So is a type that a Backup or Restore names and nobody knows, a namespace …, and a mapping …".
    "is no type of the cluster",
    "names neither a type of the cluster nor one of the backup",
    "the backup holds nothing of namespace",
    "all go to",
    // "`orderedResources` for a resource that the cluster does not have".
    "has no effect: the cluster has no resource of that name",
];

/// Velero's words for an object that differs. Of one that differs in managed fields alone the engine says nothing.
const DIFFERS: &str = "already exists. Warning: ";

/// As much of a message as is compared, in characters: some go on with whole objects.
const COMPARED: usize = 100;

/// Messages by level and scope, sorted.
pub(crate) type Messages = BTreeMap<String, Vec<String>>;

/// The messages of a results file, without those of the engine alone and those that depend on when a controller comes.
pub(crate) fn messages(results: &Value) -> Messages {
    let mut messages = Messages::new();
    for level in ["warnings", "errors"] {
        let of = &results[level];
        let fixed = ["velero", "cluster"].map(|scope| (scope.to_owned(), &of[scope]));
        let namespaces = of["namespaces"].as_object().into_iter().flatten();
        let namespaces = namespaces.map(|(name, told)| (format!("namespace {name}"), told));
        for (scope, told) in fixed.into_iter().chain(namespaces) {
            let told = told.as_array().into_iter().flatten().filter_map(Value::as_str);
            let mut told: Vec<_> = told.filter(|told| !is_apart(told)).map(str::to_owned).collect();
            told.sort();
            if !told.is_empty() {
                messages.insert(format!("{level} of {scope}"), told);
            }
        }
    }
    messages
}

/// The messages as they are compared: some go on with whole objects.
pub(crate) fn cut(messages: Messages) -> Value {
    let cut = |told: String| -> String { told.chars().take(COMPARED).collect() };
    let cut = messages.into_iter().map(|(scope, told)| (scope, told.into_iter().map(cut).collect::<Value>()));
    cut.collect()
}

fn is_apart(told: &str) -> bool {
    // Made by controllers, before the restore or after it.
    let is_moving =
        ["kube-root-ca.crt", "endpointslice", "EndpointSlice"].iter().any(|name| told.contains(name));
    is_moving || OF_THE_ENGINE.iter().any(|fragment| told.contains(fragment))
}

/// How many messages there are of a level, at all.
pub(crate) fn count(results: &Value, level: &str) -> usize {
    let of = &results[level];
    let namespaces = of["namespaces"].as_object().into_iter().flatten().map(|(_, told)| told);
    let all = [&of["velero"], &of["cluster"]].into_iter().chain(namespaces);
    all.filter_map(Value::as_array).map(Vec::len).sum()
}

/// Takes out what only Velero says: that objects differ which the engine found to be the same but for managed fields.
pub(crate) fn drop_of_managed_fields(velero: &mut Messages, engine: &Messages) {
    for (scope, told) in &mut *velero {
        let engine = engine.get(scope);
        told.retain(|told| {
            let is_of_both = engine.is_some_and(|engine| engine.contains(told));
            is_of_both || !told.contains(DIFFERS)
        });
    }
    velero.retain(|_, told| !told.is_empty());
}
