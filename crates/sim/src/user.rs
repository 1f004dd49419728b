//! Somebody with kubectl, on a cluster, whom no storm reaches.

use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::story::Broken;

/// The user of one cluster.
pub struct User {
    place: String,
    client: Client,
}

impl User {
    /// Of this cluster.
    #[must_use]
    pub fn new(place: &str, client: Client) -> Self {
        Self { place: place.to_owned(), client }
    }

    /// Creates an object from its manifest.
    ///
    /// # Errors
    /// The server refuses it.
    pub async fn create(&self, manifest: Value) -> Result<(), Broken> {
        let (api, name) = (self.api(&manifest), manifest["metadata"]["name"].clone());
        let object: DynamicObject = serde_json::from_value(manifest)
            .map_err(|error| Broken(format!("{name} is no object: {error}")))?;
        api.create(&PostParams::default(), &object)
            .await
            .map(drop)
            .map_err(|error| self.broken(&name, &error))
    }

    /// Waits until an object is as `is` wants it; `None`: it is gone.
    ///
    /// # Errors
    /// It did not become so in time.
    pub async fn until(
        &self,
        like: &Value,
        within: Duration,
        is: impl Fn(Option<&DynamicObject>) -> bool,
    ) -> Result<Option<DynamicObject>, Broken> {
        let (api, name) = (self.api(like), like["metadata"]["name"].as_str().unwrap_or_default());
        let waited = await_condition(api.clone(), name, |object: Option<&DynamicObject>| is(object));
        match tokio::time::timeout(within, waited).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(error)) => Err(self.broken(&json!(name), &error)),
            Err(_) => {
                let now = api.get_opt(name).await.map_err(|error| self.broken(&json!(name), &error))?;
                let now = now.map(|object| object.data["status"].to_string());
                Err(Broken(format!(
                    "{} {name} on {} is after {within:?} still {now:?}",
                    like["kind"], self.place
                )))
            }
        }
    }

    /// All objects like this one, in its namespace or everywhere.
    ///
    /// # Errors
    /// The server does not list them.
    pub async fn all(&self, like: &Value) -> Result<Vec<DynamicObject>, Broken> {
        let listed = self.api(like).list(&ListParams::default()).await;
        let mut all = listed.map_err(|error| self.broken(&like["kind"], &error))?.items;
        all.sort_by_key(ResourceExt::name_any);
        Ok(all)
    }

    /// Changes an object to what its manifest says, and leaves the rest of it.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn change(&self, manifest: &Value) -> Result<(), Broken> {
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let changed = self.api(manifest).patch(name, &PatchParams::default(), &Patch::Merge(manifest)).await;
        changed.map(drop).map_err(|error| self.broken(&json!(name), &error))
    }

    /// Asks for an object's deletion.
    ///
    /// # Errors
    /// The server refuses.
    pub async fn delete(&self, like: &Value) -> Result<(), Broken> {
        let name = like["metadata"]["name"].as_str().unwrap_or_default();
        let deleted = self.api(like).delete(name, &DeleteParams::default()).await;
        deleted.map(drop).map_err(|error| self.broken(&json!(name), &error))
    }

    /// The API of the objects like this one.
    #[must_use]
    pub fn api(&self, like: &Value) -> Api<DynamicObject> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (group, version) = match like["apiVersion"].as_str().unwrap_or_default() {
            version if !version.contains('/') => (String::new(), version.to_owned()),
            both => both
                .split_once('/')
                .map(|(group, version)| (group.to_owned(), version.to_owned()))
                .unwrap_or_default(),
        };
        let resource = ApiResource::from_gvk(&GroupVersionKind { group, version, kind: text(&like["kind"]) });
        match like["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    fn broken(&self, name: &Value, error: &dyn std::fmt::Display) -> Broken {
        Broken(format!("{}: {name}: {error}", self.place))
    }
}
