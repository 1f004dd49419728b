//! Warnings and errors of a backup or a restore.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metadata::shape::null_is_empty;

/// The file `…-results.gz`. Go writes the two in the order of the alphabet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    /// What failed.
    #[serde(deserialize_with = "null_is_empty")]
    pub errors: Messages,
    /// What is worth knowing.
    #[serde(deserialize_with = "null_is_empty")]
    pub warnings: Messages,
}

/// Messages by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Messages {
    /// About the run itself: the store, the archive.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub velero: Vec<String>,
    /// About objects of the whole cluster.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub cluster: Vec<String>,
    /// About objects in a namespace, by namespace.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, Vec<String>>,
}

impl Messages {
    /// Adds a message about an object of `namespace`, or of the whole cluster.
    pub fn add(&mut self, namespace: Option<&str>, message: String) {
        match namespace {
            None => self.cluster.push(message),
            Some(namespace) => self.namespaces.entry(namespace.to_owned()).or_default().push(message),
        }
    }

    /// How many messages there are, for `status.errors` and `status.warnings`.
    pub fn count(&self) -> usize {
        self.velero.len() + self.cluster.len() + self.namespaces.values().map(Vec::len).sum::<usize>()
    }

    /// Adds those of `other` behind these.
    pub fn merge(&mut self, other: Self) {
        let Self { velero, cluster, namespaces } = other;
        self.velero.extend(velero);
        self.cluster.extend(cluster);
        for (namespace, messages) in namespaces {
            self.namespaces.entry(namespace).or_default().extend(messages);
        }
    }
}
