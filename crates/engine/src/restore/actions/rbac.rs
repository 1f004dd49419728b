//! RoleBindings and ClusterRoleBindings: subjects in namespaces that are mapped.

use serde_json::Value;

use super::super::object;
use super::{ActionError, Work};

/// `velero.io/role-bindings` and `velero.io/cluster-role-bindings`: the namespace of each subject is mapped.
pub(super) fn map_subjects(work: &mut Work<'_>) -> Result<(), ActionError> {
    let plan = &work.context.plan;
    for subject in object::list_mut(&mut work.made.object, &["subjects"]).into_iter().flatten() {
        if let Some(namespace) = subject.get_mut("namespace")
            && let Some(other) = namespace.as_str().and_then(|name| plan.mapping.get(name))
        {
            *namespace = Value::String(other.clone());
        }
    }
    Ok(())
}
