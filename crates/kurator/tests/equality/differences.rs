//! What two values differ in, line by line.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The longest text of a value in a line, in characters.
const SHOWN: usize = 400;

/// Where what Velero made differs from what the engine made.
#[derive(Debug, Default)]
pub(crate) struct Differences(Vec<String>);

impl Differences {
    /// Compares two values that both have.
    pub(crate) fn compare(&mut self, at: &str, velero: &Value, engine: &Value) {
        match (velero, engine) {
            (Value::Object(velero), Value::Object(engine)) => {
                for key in velero.keys().chain(engine.keys()).collect::<BTreeSet<_>>() {
                    let of =
                        |side: &serde_json::Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                    self.compare(&format!("{at}.{key}"), &of(velero), &of(engine));
                }
            }
            (Value::Array(velero), Value::Array(engine)) if velero.len() == engine.len() => {
                for (i, (velero, engine)) in velero.iter().zip(engine).enumerate() {
                    self.compare(&format!("{at}[{i}]"), velero, engine);
                }
            }
            _ if velero == engine || is_nothing(velero) && is_nothing(engine) => {}
            _ => self.0.push(format!("{at}: Velero {}, the engine {}", shown(velero), shown(engine))),
        }
    }

    /// Compares what either has by name.
    pub(crate) fn compare_all(&mut self, velero: &BTreeMap<String, Value>, engine: &BTreeMap<String, Value>) {
        for name in velero.keys().chain(engine.keys()).collect::<BTreeSet<_>>() {
            match (velero.get(name), engine.get(name)) {
                (Some(velero), Some(engine)) => self.compare(name, velero, engine),
                (Some(_), None) => self.0.push(format!("{name}: only Velero has it")),
                (None, _) => self.0.push(format!("{name}: only the engine has it")),
            }
        }
    }

    /// Fails if there are any.
    pub(crate) fn none(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
        Ok(())
    }
}

/// Whether a value is as good as none, as it is for whoever reads JSON into a struct.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.values().all(is_nothing),
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN { text } else { text.chars().take(SHOWN).chain("…".chars()).collect() }
}
