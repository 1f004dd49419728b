//! Resource modifiers: patches that a ConfigMap asks for on restored objects, as Velero 1.18.
//!
//! What Velero would find wrong object by object (a bad expression, a patch that is no YAML, a rule without
//! patches) is found when the Restore is looked at: [`parse`].

mod glob;
mod json_patch;
mod parse;
mod strategic;

use serde_json::Value;

use crate::labels::Selector;

use super::conflict::merge;
use super::object;
use super::patterns::Patterns;

use glob::Glob;
use json_patch::{Operation, PatchError};

pub(crate) use parse::parse;

/// Rules in the order of their application.
#[derive(Clone, Debug)]
pub(crate) struct Modifiers(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    namespaces: Patterns,
    resource: Glob,
    name: Option<regex::Regex>,
    selector: Option<Selector>,
    /// Tests that all have to hold.
    matches: Vec<Operation>,
    patches: Patches,
}

#[derive(Clone, Debug)]
enum Patches {
    Json(Vec<Operation>),
    Merge(Vec<Value>),
    Strategic(Vec<Value>),
}

/// Why a rule could not be applied to an object. In Velero's words where it has some; never with values of the
/// object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum ModifierError {
    #[error("error in applying patch error in applying JSON Patch {0}")]
    Json(PatchError),
    #[error("error in applying patch error in applying Strategic Patch {0}")]
    Strategic(strategic::StrategicError),
    #[error(
        "error in applying patch: the result has no kind, apiVersion or metadata; a patch may not remove them"
    )]
    NotAnObject,
}

impl Modifiers {
    /// Applies all rules that match the object as it came, still in the namespace of the backup. What goes wrong
    /// is told, and the object goes on without that rule, as in Velero.
    pub(crate) fn apply(&self, object: &mut Value, resource: &str) -> Vec<String> {
        // All conditions are asked of the object as it was before the first rule.
        let matching: Vec<&Rule> = self.0.iter().filter(|rule| rule.matches(object, resource)).collect();
        matching.into_iter().filter_map(|rule| rule.apply(object).err()).map(|why| why.to_string()).collect()
    }
}

impl Rule {
    fn matches(&self, object: &Value, resource: &str) -> bool {
        object::namespace(object).is_none_or(|namespace| self.namespaces.takes(namespace))
            && self.resource.matches(resource)
            && self.name.as_ref().is_none_or(|name| name.is_match(object::name(object)))
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&object::labels(object)))
            && self.matches.iter().all(|test| test.holds(object))
    }

    /// Applies the patches, all or none.
    fn apply(&self, object: &mut Value) -> Result<(), ModifierError> {
        let mut patched = object.clone();
        match &self.patches {
            Patches::Json(operations) => match json_patch::apply(operations, &mut patched) {
                // A test that fails leaves the object as it is, and is no error.
                Err(PatchError::TestFailed) => return Ok(()),
                done => done.map_err(ModifierError::Json)?,
            },
            Patches::Merge(patches) => {
                patches.iter().for_each(|patch| merge(&mut patched, patch.clone()));
            }
            Patches::Strategic(patches) => patches
                .iter()
                .try_for_each(|patch| strategic::apply(&mut patched, patch))
                .map_err(ModifierError::Strategic)?,
        }
        let is_set = |field| object::text(&patched, &[field]).is_some_and(|text| !text.is_empty());
        if !(is_set("kind") && is_set("apiVersion") && patched.get("metadata").is_some_and(Value::is_object))
        {
            return Err(ModifierError::NotAnObject);
        }
        *object = patched;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
