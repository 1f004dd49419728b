//! What is in a namespace, to be compared: the objects and what they say, without what clusters and restores add.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use kurator_archive::Reader;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// Labels that a restore adds begin with it.
const ADDED: &str = "velero.io/";

/// Objects as `deployment/x`, and what they say.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Content(BTreeMap<String, Value>);

impl Content {
    /// Of the kinds that the walk's workload has.
    ///
    /// # Errors
    /// The member does not answer.
    pub(super) async fn of(member: &Client, namespace: &str) -> anyhow::Result<Self> {
        let mut all = Self::default();
        all.list::<Deployment>(member, namespace).await?;
        all.list::<Service>(member, namespace).await?;
        all.list::<ConfigMap>(member, namespace).await?;
        all.list::<Secret>(member, namespace).await?;
        Ok(all)
    }

    /// What a backup has stored of a namespace.
    ///
    /// # Errors
    /// The file can't be read as an archive.
    pub(super) fn stored(archive: &Path, namespace: &str) -> anyhow::Result<Self> {
        let mut all = Self::default();
        let read = || format!("cannot read {}", archive.display());
        let mut reader = Reader::new(File::open(archive).with_context(read)?, Default::default());
        while let Some(item) = reader.next_item().with_context(read)? {
            if item.path.namespace() == Some(namespace) {
                all.insert(serde_json::from_slice(item.json).with_context(read)?);
            }
        }
        Ok(all)
    }

    async fn list<K>(&mut self, member: &Client, namespace: &str) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned
            + serde::Serialize,
    {
        let api = Api::<K>::namespaced(member.clone(), namespace);
        let kind = K::kind(&());
        let listed = api.list(&ListParams::default()).await;
        for object in listed.with_context(|| format!("cannot list {}s", kind.to_lowercase()))? {
            let mut object = serde_json::to_value(object)?;
            object["kind"] = json!(kind);
            self.insert(object);
        }
        Ok(())
    }

    fn insert(&mut self, mut object: Value) {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let name = format!("{}/{}", text("/kind").to_lowercase(), text("/metadata/name"));
        let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
        let labels = labels.filter(|(label, _)| !label.starts_with(ADDED));
        let labels: Map<_, _> = labels.map(|(label, value)| (label.clone(), value.clone())).collect();
        if let Some(fields) = object.as_object_mut() {
            for of_the_cluster in ["apiVersion", "kind", "metadata", "status"] {
                fields.remove(of_the_cluster);
            }
        }
        object["labels"] = labels.into();
        self.0.insert(name, object);
    }

    /// Only what carries the label.
    pub(super) fn labelled(mut self, label: &str, value: &str) -> Self {
        self.0.retain(|_, object| object["labels"][label] == value);
        self
    }

    /// The names, for people.
    pub(super) fn names(&self) -> String {
        self.0.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Whether it is what it should be; `place` is who has it.
    ///
    /// # Errors
    /// What is missing, or there in vain, or another than it was.
    pub(super) fn ensure_is(&self, wanted: &Self, place: &str) -> anyhow::Result<()> {
        let names = self.0.keys().chain(wanted.0.keys().filter(|name| !self.0.contains_key(*name)));
        let wrong = names.filter_map(|name| match (self.0.get(name), wanted.0.get(name)) {
            (Some(there), Some(wanted)) if there == wanted => None,
            (Some(_), Some(_)) => Some(format!("{name} is not what it was")),
            (None, _) => Some(format!("{name} is missing")),
            (_, None) => Some(format!("{name} should not be there")),
        });
        let wrong: Vec<_> = wrong.collect();
        ensure!(wrong.is_empty(), "{place}: {}", wrong.join(", "));
        ensure!(!wanted.0.is_empty(), "{place}: there is nothing to compare with");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(objects: impl IntoIterator<Item = Value>) -> Content {
        let mut all = Content::default();
        objects.into_iter().for_each(|object| all.insert(object));
        all
    }

    fn map(name: &str, greeting: &str, metadata: Value) -> Value {
        let mut object = json!({"kind": "ConfigMap", "data": {"greeting": greeting}});
        object["metadata"] = metadata;
        object["metadata"]["name"] = json!(name);
        object
    }

    #[test]
    fn what_clusters_and_restores_add_makes_no_difference() {
        let before = content([map("a", "hello", json!({"uid": "1", "labels": {"app": "x"}}))]);
        let labels = json!({"app": "x", "velero.io/restore-name": "r"});
        let after = content([map("a", "hello", json!({"uid": "2", "labels": labels}))]);
        after.ensure_is(&before, "m").unwrap();
        let bare = content([map("a", "hello", json!({}))]);
        let labelled = content([map("a", "hello", json!({"labels": {"velero.io/backup-name": "b"}}))]);
        labelled.ensure_is(&bare, "m").unwrap();
    }

    #[test]
    fn what_is_not_as_it_was_is_named() {
        let wanted = content([map("a", "hello", json!({})), map("b", "hello", json!({}))]);
        let there = content([map("a", "good bye", json!({})), map("c", "hello", json!({}))]);
        let told = there.ensure_is(&wanted, "m").unwrap_err().to_string();
        assert_eq!(
            told,
            "m: configmap/a is not what it was, configmap/c should not be there, configmap/b is missing"
        );
    }

    #[test]
    fn nothing_is_not_taken_for_everything() {
        assert!(Content::default().ensure_is(&Content::default(), "m").is_err());
    }
}
