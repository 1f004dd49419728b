//! One object into the cluster: create first, look only where it is there already.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kurator_archive::identity::check_identity;
use kurator_archive::metadata::resource_list::Action;
use kurator_archive::{ItemPath, SpooledItem};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::earlier::Earlier;
use super::hooks::Waiting;
use super::listed::Listed;
use super::load;
use super::namespaces::Namespaces;
use super::status;
use crate::budget::Budget;
use crate::call::{CallError, Caller, Content};
use crate::report::{About, Report};
use crate::restore::reset::RESTORE_NAME_LABEL;
use crate::restore::{Conflict, Context, Made, Transformed, object, resolve, transform};
use crate::types::ApiType;

const MERGE: &str = "application/merge-patch+json";
/// Fields that a type does not know are dropped either way. That the server does not tell of them, which nobody would
/// read, spares it a twentieth of its work.
const AS_IT_IS: &str = "fieldValidation=Ignore";
/// Pauses until admission is asked again about an object that names another one.
const UNTIL_KNOWN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1500)];

/// Makes objects.
pub(super) struct Maker<'a> {
    pub(super) caller: &'a Caller,
    pub(super) context: &'a Context,
    pub(super) namespaces: &'a Namespaces<'a>,
    pub(super) report: &'a Report,
    /// What of that which is there already is its own.
    pub(super) earlier: &'a Earlier,
    /// Takes the pods that were created, with their hooks.
    pub(super) hooked: mpsc::UnboundedSender<Waiting>,
    /// What became of each.
    pub(super) listed: &'a Listed<'a>,
    /// For what is compared with objects of the cluster.
    pub(super) compared: Budget,
}

impl Maker<'_> {
    /// Restores one object of the type `api`; whether it was created. `is_related`: another one brings it in, so that
    /// its labels don't matter.
    pub(super) async fn make(
        &self,
        api: &ApiType,
        resource: &str,
        item: &SpooledItem,
        is_related: bool,
    ) -> bool {
        let source = item.namespace.as_deref();
        let plan = &self.context.plan;
        let target = source.map(|namespace| plan.target(namespace));
        let about = About::from(target);
        let object = match read(resource, item) {
            Ok(object) => object,
            Err(problem) => {
                self.report.error(about, problem);
                return false;
            }
        };
        if !is_related && !plan.selects(resource, source, &object) {
            return false;
        }
        if resource == "namespaces" {
            // Never made as it is stored: its name may be mapped, and it may not be wanted.
            if plan.takes_related(resource, Some(&item.name)).is_ok() {
                // What keeps it from being there is told by whoever asks first.
                let _told = self.namespaces.ready(&item.name, plan.target(&item.name)).await;
            }
            return false;
        }
        let made = match transform(object, resource, self.context) {
            Ok(Made::Create(made)) => made,
            Ok(Made::Skip(skip)) => {
                if skip.is_listed() {
                    self.listed(api, target, &item.name, Action::Skipped);
                }
                return false;
            }
            Err(error) => {
                self.report.error(about, error);
                self.listed(api, target, &item.name, Action::Failed);
                return false;
            }
        };
        if let (Some(source), Some(target)) = (source, target)
            && !self.namespaces.ready(source, target).await
        {
            self.listed(api, Some(target), &item.name, Action::Failed);
            return false;
        }
        for warning in &made.warnings {
            self.report.warning(about, warning);
        }
        for error in &made.errors {
            self.report.error(about, error);
        }
        // A modifier may have given it another one.
        let name = object::name(&made.object).to_owned();
        let action = self.put(api, resource, target, &item.name, *made).await;
        self.listed(api, target, &name, action);
        action == Action::Created
    }

    async fn put(
        &self,
        api: &ApiType,
        resource: &str,
        target: Option<&str>,
        name: &str,
        made: Transformed,
    ) -> Action {
        let about = About::from(target);
        let shown = target.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
        let failed = |what: &str, error: CallError| {
            self.report.error(about, format!("error {what} {resource}/{shown}: {error}"));
            Action::Failed
        };
        let api = match in_version_of(api, &made.object) {
            Ok(api) => api,
            Err(why) => return failed("restoring", CallError::Unusable(why)),
        };
        let name = object::name(&made.object);
        let body = match serde_json::to_vec(&made.object) {
            Ok(body) => Bytes::from(body),
            Err(error) => return failed("restoring", CallError::Unusable(error.to_string())),
        };
        let path = format!("{}?{AS_IT_IS}", api.path(target));
        match self.create(&path, body).await {
            Ok(created) => {
                self.after(&api, target, name, &made, &created, &shown, resource).await;
                Action::Created
            }
            Err(error) => {
                // As Velero 1.18 asks: a Service that is there may be refused for the ports that it has itself.
                let is_of_ports = resource == "services" && error.is_of_taken_ports();
                if !error.is_there_already() && !is_of_ports {
                    return failed("restoring", error);
                }
                let path = api.object_path(target, name);
                let found = match self.caller.get(&path).await {
                    Ok(Some(found)) => found,
                    Ok(None) => return failed("restoring", error),
                    Err(error) => return failed("restoring", error),
                };
                if self.is_ours(&error, &found, &made) {
                    self.after(&api, target, name, &made, &found, &shown, resource).await;
                    return Action::Created;
                }
                match self.conflict(&path, resource, about, &found, &made).await {
                    Ok(action) => action,
                    Err(error) => failed("restoring", error),
                }
            }
        }
    }

    /// Creates an object, and asks again where it names what was restored just before it.
    async fn create(&self, path: &str, body: Bytes) -> Result<Bytes, CallError> {
        for pause in UNTIL_KNOWN {
            match self.caller.create(path, body.clone()).await {
                Err(error) if error.is_of_what_may_be_new() => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        self.caller.create(path, body).await
    }

    /// What is written once an object is there: its status, and whose fields are whose.
    #[expect(clippy::too_many_arguments, reason = "one object under all its names")]
    async fn after(
        &self,
        api: &ApiType,
        target: Option<&str>,
        name: &str,
        made: &Transformed,
        created: &[u8],
        shown: &str,
        resource: &str,
    ) {
        let about = About::from(target);
        if let Some(left_out) = &made.data_left_out {
            self.report.warning(about, left_out);
        }
        if let Some(namespace) = target.filter(|_| !made.hooks.is_empty()) {
            let (namespace, name) = (namespace.to_owned(), name.to_owned());
            // They are taken until the last object is restored.
            let _ = self.hooked.send(Waiting { namespace, name, hooks: made.hooks.clone() });
        }
        let path = api.object_path(target, name);
        if let Some(status) = &made.status {
            let written = status::write(self.caller, &path, created, status).await;
            if let Err(error) = written {
                self.report
                    .warning(about, format!("cannot restore the status of {resource}/{shown}: {error}"));
            }
        }
        if let Some(fields) = &made.managed_fields {
            let patch = json!({"metadata": {"managedFields": fields}});
            if let Err(error) = self.patch(&path, &patch).await {
                let problem = format!("cannot restore the managed fields of {resource}/{shown}: {error}");
                self.report.error(about, problem);
            }
        }
    }

    /// Whether the object was made by this Restore before, and has its label. Controllers may have changed it since.
    fn is_ours(&self, refusal: &CallError, found: &[u8], made: &Transformed) -> bool {
        const LABEL: &str = "/metadata/labels/velero.io~1restore-name";
        let Ok(Found { metadata }) = serde_json::from_slice(found) else { return false };
        let label = metadata.labels.as_ref().and_then(|labels| labels.get(RESTORE_NAME_LABEL));
        label.is_some()
            && label.map(String::as_str) == made.object.pointer(LABEL).and_then(Value::as_str)
            && self.earlier.may_have_made(refusal, metadata.creation_timestamp.as_deref())
    }

    async fn conflict(
        &self,
        path: &str,
        resource: &str,
        about: About<'_>,
        found: &[u8],
        made: &Transformed,
    ) -> Result<Action, CallError> {
        let _held = self.compared.hold(load::of_found(found).map_err(CallError::Unusable)?).await;
        let found: Value =
            serde_json::from_slice(found).map_err(|error| CallError::Unusable(error.to_string()))?;
        match resolve(&made.object, found, resource, &self.context.plan) {
            Conflict::Same { labels } => {
                if let Some(labels) = labels {
                    self.patch(path, &labels).await?;
                }
                Ok(Action::Skipped)
            }
            Conflict::Different { warning } => {
                self.report.warning(about, warning);
                Ok(Action::Failed)
            }
            Conflict::Patch { patch, labels } => match (self.patch(path, &patch).await, labels) {
                (Ok(()), _) => Ok(Action::Updated),
                (Err(error), None) => {
                    self.report.warning(about, error);
                    Ok(Action::Failed)
                }
                (Err(error), Some(labels)) => {
                    self.report.warning(about, error);
                    self.patch(path, &labels).await?;
                    Ok(Action::Failed)
                }
            },
        }
    }

    async fn patch(&self, path: &str, patch: &Value) -> Result<(), CallError> {
        let body = serde_json::to_vec(patch).map_err(|error| CallError::Unusable(error.to_string()))?;
        self.caller.patch(path, Content { kind: MERGE, body: body.into() }).await.map(drop)
    }

    /// The type's own kind: what an object calls itself need not be true.
    fn listed(&self, api: &ApiType, namespace: Option<&str>, name: &str, action: Action) {
        self.listed.add(&api.api_version(), &api.kind, namespace, name, action);
    }
}

fn read(resource: &str, item: &SpooledItem) -> Result<Value, String> {
    let path = resource.parse().and_then(|of| ItemPath::new(of, item.namespace.as_deref(), &item.name));
    let path = path.map_err(|error| error.to_string())?;
    check_identity(&path, &item.json).map_err(|error| error.to_string())?;
    serde_json::from_slice(&item.json).map_err(|error| format!("cannot read {path}: {error}"))
}

/// The type in the version that the object names: backups of other clusters hold others than this one prefers.
///
/// # Errors
/// It names none. What it names becomes part of a path, so it may lead nowhere else.
fn in_version_of(api: &ApiType, object: &Value) -> Result<ApiType, String> {
    let stored = object["apiVersion"].as_str().unwrap_or_default();
    let version = stored.rsplit_once('/').map_or(stored, |(_, version)| version);
    if version.is_empty() {
        return Ok(api.clone());
    }
    let is_version =
        version.len() <= 63 && version.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_version {
        let shown: String = stored.chars().take(80).collect();
        return Err(format!(
            "its apiVersion {shown:?} names no version; it is forged or was changed by a modifier"
        ));
    }
    Ok(ApiType { version: version.to_owned(), ..api.clone() })
}

/// As much of an object of the cluster as tells who made it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Found {
    metadata: FoundMeta,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FoundMeta {
    creation_timestamp: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_leads_to_no_other_path() {
        let api = ApiType { version: "v1".into(), resource: "configmaps".into(), ..ApiType::default() };
        let version =
            |stored: &str| in_version_of(&api, &json!({"apiVersion": stored})).map(|api| api.version);
        for (stored, version_of) in [("v1", "v1"), ("apps/v1beta2", "v1beta2"), ("", "v1")] {
            assert_eq!(version(stored).as_deref(), Ok(version_of));
        }
        for stored in [
            "v1%2Fnamespaces%2Fkube-system%2Fservices%2Fvictim:9000%2Fproxy%2Fpwned?x=",
            "../../x/v9#",
            "apps/..",
            "v1?dryRun=All",
            "V1",
        ] {
            assert_eq!(
                version(stored),
                Err(format!(
                    "its apiVersion {stored:?} names no version; it is forged or was changed by a modifier"
                ))
            );
        }
    }
}
