//! How long the rules of a schema may run. An expression can't be stopped on its way, so one that might take too long is
//! not begun: what an expression does at most follows from its loops and from how large the object is.

use kube_cel::{
    CompiledSchema,
    cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue},
};
use serde_json::Value;

/// Most steps that all rules together may take for one object; the budget of kube-apiserver is as large, in units of its own.
const MOST: u64 = 10_000_000;
/// Functions that make a list of a text.
const SPLITTERS: [&str; 2] = ["split", "findAll"];

/// Whether the rules end soon for this object that was `old`.
pub(super) fn is_affordable(schema: &CompiledSchema, object: &Value, old: Option<&Value>) -> bool {
    cost(schema, object, old) <= MOST
}

/// Whether an expression has a part that can't be evaluated, a struct.
pub(super) fn has_struct(expression: &IdedExpr) -> bool {
    matches!(expression.expr, Expr::Struct(_)) || parts(&expression.expr).into_iter().any(has_struct)
}

/// Steps of all rules for a value, at most.
fn cost(schema: &CompiledSchema, value: &Value, old: Option<&Value>) -> u64 {
    let rules = schema.validations.iter().flatten();
    let programs = rules.flat_map(|rule| [Some(&rule.program), rule.message_program.as_ref()]).flatten();
    let own = programs.map(|program| steps(program.expression(), value, old));
    let branches = schema.all_of.iter().chain(&schema.one_of).chain(&schema.any_of);
    let here = own.chain(branches.map(|branch| cost(branch, value, old))).fold(0, u64::saturating_add);
    let below = |total: u64, cost: u64| total.saturating_add(cost);
    match value {
        Value::Object(fields) => fields.iter().fold(here, |total, (name, field)| {
            let of_field = schema.properties.get(name).or(schema.additional_properties.as_deref());
            let before = old.and_then(|old| old.get(name));
            of_field.map_or(total, |of_field| below(total, cost(of_field, field, before)))
        }),
        Value::Array(items) => items.iter().fold(here, |total, item| {
            // Which item it was before is not asked: none is larger than all of them.
            schema.items.as_deref().map_or(total, |of_item| below(total, cost(of_item, item, old)))
        }),
        _ => here,
    }
}

fn steps(expression: &IdedExpr, value: &Value, old: Option<&Value>) -> u64 {
    if !has_loop(expression) {
        return 1;
    }
    let splits = has_call(expression, &SPLITTERS);
    let size = largest(value, splits).max(old.map_or(0, |old| largest(old, splits)));
    Bounds { size, names: Vec::new() }.of(expression).steps
}

/// Size of the largest list or map in a value, or of the longest text if that counts.
fn largest(value: &Value, with_texts: bool) -> u64 {
    let below = |own: usize, values: &mut dyn Iterator<Item = &Value>| {
        values.fold(own as u64, |most, value| most.max(largest(value, with_texts)))
    };
    match value {
        Value::Object(fields) => below(fields.len(), &mut fields.values()),
        Value::Array(items) => below(items.len(), &mut items.iter()),
        Value::String(text) if with_texts => text.len() as u64,
        _ => 1,
    }
}

/// What an expression does and gives, at most.
#[derive(Clone, Copy)]
struct Bound {
    steps: u64,
    size: u64,
}

/// What is known about sizes.
struct Bounds<'a> {
    /// Of whatever is in the object.
    size: u64,
    /// Of what the loops around declare.
    names: Vec<(&'a str, u64)>,
}

impl<'a> Bounds<'a> {
    fn of(&mut self, expression: &'a IdedExpr) -> Bound {
        match &expression.expr {
            Expr::Comprehension(repeated) => {
                let over = self.of(&repeated.iter_range);
                let start = self.of(&repeated.accu_init);
                let known = self.names.len();
                let size = over.size.max(start.size);
                let names = [&repeated.iter_var, &repeated.accu_var].into_iter().chain(&repeated.iter_var2);
                self.names.extend(names.map(|name| (name.as_str(), size)));
                let (go_on, step) = (self.of(&repeated.loop_cond), self.of(&repeated.loop_step));
                let result = self.of(&repeated.result);
                self.names.truncate(known);
                let each = go_on.steps.saturating_add(step.steps);
                let before = over.steps.saturating_add(start.steps).saturating_add(result.steps);
                Bound {
                    steps: over.size.saturating_mul(each).saturating_add(before),
                    size: size.max(step.size).max(result.size),
                }
            }
            Expr::Ident(name) => {
                let declared = self.names.iter().rev().find(|(declared, _)| declared == name);
                Bound { steps: 1, size: declared.map_or(self.size, |(_, size)| *size) }
            }
            Expr::Literal(LiteralValue::String(text)) => Bound { steps: 1, size: text.inner().len() as u64 },
            Expr::Call(call) if call.func_name == "_+_" => {
                self.together(&expression.expr, 0, u64::saturating_add)
            }
            Expr::List(list) => self.together(&expression.expr, list.elements.len() as u64, u64::max),
            Expr::Map(map) => self.together(&expression.expr, map.entries.len() as u64, u64::max),
            _ => self.together(&expression.expr, 1, u64::max),
        }
    }

    /// Of what consists of parts.
    fn together(&mut self, expression: &'a Expr, own: u64, join: fn(u64, u64) -> u64) -> Bound {
        parts(expression).into_iter().fold(Bound { steps: 1, size: own }, |all, part| {
            let part = self.of(part);
            Bound { steps: all.steps.saturating_add(part.steps), size: join(all.size, part.size) }
        })
    }
}

fn has_loop(expression: &IdedExpr) -> bool {
    matches!(expression.expr, Expr::Comprehension(_)) || parts(&expression.expr).into_iter().any(has_loop)
}

fn has_call(expression: &IdedExpr, names: &[&str]) -> bool {
    let is_one = matches!(&expression.expr, Expr::Call(call) if names.contains(&&*call.func_name));
    is_one || parts(&expression.expr).into_iter().any(|part| has_call(part, names))
}

/// The expressions that an expression directly consists of.
fn parts(expression: &Expr) -> Vec<&IdedExpr> {
    fn entries(entries: &[IdedEntryExpr]) -> Vec<&IdedExpr> {
        let parts = entries.iter().flat_map(|entry| match &entry.expr {
            EntryExpr::StructField(field) => vec![&field.value],
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        });
        parts.collect()
    }
    match expression {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(repeated) => vec![
            &repeated.iter_range,
            &repeated.accu_init,
            &repeated.loop_cond,
            &repeated.loop_step,
            &repeated.result,
        ],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => entries(&map.entries),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(fields) => entries(&fields.entries),
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use kube_cel::compile_schema;
    use serde_json::json;

    use super::*;

    fn affordable(rule: &str, object: &Value) -> bool {
        is_affordable(&compile_schema(&json!({"x-kubernetes-validations": [{"rule": rule}]})), object, None)
    }

    fn list(length: usize) -> Value {
        json!({"a": vec![1; length], "text": "x".repeat(length)})
    }

    #[test]
    fn what_ends_soon_is_let_pass() {
        for rule in [
            "self.text == 'x'",
            "self.a.all(x, x > 0)",
            "self.a.filter(x, x > 0).map(x, x * 2).exists(x, x == 4)",
            "self.a.map(x, x)[0] == self.a.size() || self.text.split(',').all(x, x != '')",
        ] {
            assert!(affordable(rule, &list(10_000)), "{rule}");
        }
        assert!(affordable("self.a.all(x, self.a.exists_one(y, x == y))", &list(500)));
    }

    #[test]
    fn what_might_run_for_long_is_not_begun() {
        for rule in [
            "self.a.all(x, self.a.all(y, self.a.all(z, x + y + z > 0)))",
            "self.a.map(x, self.a.map(y, x + y)).all(x, x.all(y, self.a.all(z, z > y)))",
            "self.text.split('').all(x, self.text.split('').all(y, self.a.all(z, x == y)))",
            "[self.a].map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x).map(x, x + x)\
             .map(x, x + x).map(x, x + x).map(x, x + x).all(x, x.all(y, y > 0))",
        ] {
            assert!(!affordable(rule, &list(1_000)), "{rule}");
        }
    }

    #[test]
    fn many_small_rules_count_together() {
        let rule = json!({"x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x == y))"}]});
        let schema = compile_schema(&json!({"items": rule}));
        let of = |length| json!(vec![vec![1; 100]; length]);
        assert!(is_affordable(&schema, &of(10), None));
        assert!(!is_affordable(&schema, &of(1_000), None));
    }

    #[test]
    fn a_struct_is_found_wherever_it_is() {
        let found = |rule: &str| {
            let schema = compile_schema(&json!({"x-kubernetes-validations": [{"rule": rule}]}));
            schema.validations.iter().flatten().any(|rule| has_struct(rule.program.expression()))
        };
        assert!(found("self.a == [Some{a: 1}]"));
        assert!(!found("self.a == [{'a': 1}]"));
    }
}
