//! Reading the ConfigMap with resource modifiers: strictly, and as far as possible before any object is patched.

use std::fmt;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{labels::Selector, yaml};

use super::super::patterns::Patterns;
use super::glob::Glob;
use super::json_patch::{Operation, Pointer};
use super::strategic::SET_ORDER;
use super::{Modifiers, Patches, Rule};

/// What one expression may cost when compiled, in bytes.
const MAX_COMPILED: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawModifiers {
    #[serde(default)]
    version: Text,
    #[serde(default)]
    resource_modifier_rules: Option<Vec<RawRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawRule {
    #[serde(default)]
    conditions: RawConditions,
    #[serde(default)]
    patches: Option<Vec<RawJsonPatch>>,
    #[serde(default)]
    merge_patches: Option<Vec<RawPatch>>,
    #[serde(default)]
    strategic_patches: Option<Vec<RawPatch>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct RawConditions {
    namespaces: Option<Vec<Text>>,
    group_resource: Text,
    resource_name_regex: Text,
    label_selector: Option<LabelSelector>,
    matches: Option<Vec<RawMatch>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawMatch {
    path: Text,
    value: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawJsonPatch {
    operation: Text,
    from: Text,
    path: Text,
    value: Text,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct RawPatch {
    patch_data: Text,
}

/// A text, for which Velero takes any plain value of YAML: `3` and `true` too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Plain;
        impl Visitor<'_> for Plain {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Text, E> {
                Ok(Text::default())
            }
        }
        deserializer.deserialize_any(Plain)
    }
}

/// Reads the ConfigMap that a Restore names.
///
/// # Errors
///
/// What is wrong with it, in Velero's words where it has some. All rules are looked at, each up to its first fault.
pub(crate) fn parse(config: &ConfigMap) -> Result<Modifiers, Vec<String>> {
    let id = format!(
        "{}/{}",
        config.metadata.namespace.as_deref().unwrap_or_default(),
        config.metadata.name.as_deref().unwrap_or_default()
    );
    let in_parsing =
        |why: String| vec![format!("Error in parsing resource modifiers provided in configmap {id}: {why}")];
    let values: Vec<&String> = config.data.iter().flatten().map(|(_, value)| value).collect();
    let [text] = values[..] else {
        return Err(in_parsing(format!("illegal resource modifiers {id} configmap")));
    };
    let raw: RawModifiers = yaml::read(text).map_err(|why| {
        in_parsing(format!("failed to decode yaml data into resource modifiers, err: {why}"))
    })?;
    let invalid =
        |why: String| format!("Validation error in resource modifiers provided in configmap {id}: {why}");
    if !raw.version.0.eq_ignore_ascii_case("v1") {
        return Err(vec![invalid(format!("unsupported resource modifier version {}", raw.version.0))]);
    }
    let rules = raw.resource_modifier_rules.unwrap_or_default();
    if rules.is_empty() {
        return Err(vec![invalid("resource modifier rules cannot be empty".to_owned())]);
    }
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for (number, raw) in rules.into_iter().enumerate() {
        match rule(raw) {
            Ok(rule) => good.push(rule),
            Err(why) => faults.push(invalid(format!("resourceModifierRules[{number}]: {why}"))),
        }
    }
    if faults.is_empty() { Ok(Modifiers(good)) } else { Err(faults) }
}

fn rule(raw: RawRule) -> Result<Rule, String> {
    let RawRule { conditions, patches, merge_patches, strategic_patches } = raw;
    let RawConditions { namespaces, group_resource, resource_name_regex, label_selector, matches } =
        conditions;
    if group_resource.0.is_empty() {
        return Err("groupResource cannot be empty".to_owned());
    }
    let namespaces = namespaces.unwrap_or_default();
    let namespaces = Patterns::new(namespaces.iter().map(|text| text.0.as_str()), []);
    let name = Some(resource_name_regex.0).filter(|text| !text.is_empty());
    let name = name.map(|text| expression(&text)).transpose()?;
    let label_selector = label_selector.as_ref().map(Selector::parse).transpose();
    Ok(Rule {
        namespaces: namespaces.map_err(|why| format!("namespaces: {why}"))?,
        resource: Glob::parse(&group_resource.0).map_err(|why| format!("groupResource: {why}"))?,
        name,
        selector: label_selector.map_err(|why| format!("labelSelector: {why}"))?,
        matches: matches.iter().flatten().map(condition).collect::<Result<_, _>>()?,
        patches: patches_of(
            patches.as_deref().unwrap_or_default(),
            merge_patches.as_deref().unwrap_or_default(),
            strategic_patches.as_deref().unwrap_or_default(),
        )?,
    })
}

/// Go's expressions and those of this language differ in nothing that a name needs.
fn expression(text: &str) -> Result<regex::Regex, String> {
    let built = regex::RegexBuilder::new(text).size_limit(MAX_COMPILED).build();
    built.map_err(|_| format!("resourceNameRegex: {text:?} is not a regular expression, or is too large"))
}

fn condition(raw: &RawMatch) -> Result<Operation, String> {
    if raw.path.0.is_empty() {
        return Err("path is required for match rule".to_owned());
    }
    Ok(Operation::Test(pointer(&raw.path)?, value(&raw.value.0)?))
}

fn patches_of(
    patches: &[RawJsonPatch],
    merge: &[RawPatch],
    strategic: &[RawPatch],
) -> Result<Patches, String> {
    match (patches.is_empty(), merge.is_empty(), strategic.is_empty()) {
        (false, true, true) => patches.iter().map(operation).collect::<Result<_, _>>().map(Patches::Json),
        (true, false, true) => merge.iter().map(patch).collect::<Result<_, _>>().map(Patches::Merge),
        (true, true, false) => {
            let read: Vec<Value> = strategic.iter().map(patch).collect::<Result<_, _>>()?;
            if read.iter().any(orders) {
                return Err(format!(
                    "strategicPatches: the directive {SET_ORDER} is not supported; leave it out"
                ));
            }
            Ok(Patches::Strategic(read))
        }
        (true, true, true) => Err("no patch data found".to_owned()),
        _ => Err("only one of patches, mergePatches, strategicPatches can be specified".to_owned()),
    }
}

fn operation(raw: &RawJsonPatch) -> Result<Operation, String> {
    let RawJsonPatch { operation, from, path, value: text } = raw;
    if operation.0.is_empty() {
        return Err("operation cannot be empty".to_owned());
    }
    if path.0.is_empty() {
        return Err("path cannot be empty".to_owned());
    }
    let path = pointer(path)?;
    match operation.0.to_lowercase().as_str() {
        "add" => Ok(Operation::Add(path, value(&text.0)?)),
        "remove" => Ok(Operation::Remove(path)),
        "replace" => Ok(Operation::Replace(path, value(&text.0)?)),
        "move" => Ok(Operation::Move { from: pointer(from)?, to: path }),
        "copy" => Ok(Operation::Copy { from: pointer(from)?, to: path }),
        "test" => Ok(Operation::Test(path, value(&text.0)?)),
        other => Err(format!("unsupported operation {other}")),
    }
}

fn pointer(text: &Text) -> Result<Pointer, String> {
    Pointer::parse(&text.0).ok_or_else(|| format!("the path {:?} does not begin with /", text.0))
}

/// A value as Velero reads the text of it: in quotes a text, else null, true, false, a number, an object or a list if
/// it is one, else a text. Escapes of JSON in a text mean what they mean there.
fn value(text: &str) -> Result<Value, String> {
    let quoted = |text: &str| {
        serde_json::from_str(&format!("\"{text}\"")).unwrap_or_else(|_| Value::String(text.to_owned()))
    };
    if text.len() > 1
        && let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
    {
        return Ok(quoted(inner));
    }
    if text.starts_with(['{', '[']) {
        return serde_json::from_str(text)
            .map_err(|why| format!("a value is not JSON: line {} column {}", why.line(), why.column()));
    }
    match text.to_lowercase().as_str() {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        _ if text == "null" => Ok(Value::Null),
        _ => Ok(text.parse().ok().map(Value::Number).unwrap_or_else(|| quoted(text))),
    }
}

fn patch(raw: &RawPatch) -> Result<Value, String> {
    let read: Value = yaml::read(&raw.patch_data.0).map_err(|why| format!("patchData is not YAML: {why}"))?;
    if read.is_object() {
        Ok(read)
    } else {
        Err("patchData is not an object; write the fields to change".to_owned())
    }
}

/// Whether a patch uses the directive for the order of elements.
fn orders(patch: &Value) -> bool {
    match patch {
        Value::Object(map) => map.iter().any(|(key, value)| key.starts_with(SET_ORDER) || orders(value)),
        Value::Array(list) => list.iter().any(orders),
        _ => false,
    }
}
