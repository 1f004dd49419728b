use k8s_openapi::api::core::v1::ConfigMap;
use proptest::prelude::*;
use serde_json::json;

use super::super::testing::{context, made, prepared_with};
use super::super::transform::Context;
use super::*;

fn config(data: &[&str]) -> ConfigMap {
    let data: serde_json::Map<String, Value> =
        data.iter().enumerate().map(|(number, text)| (number.to_string(), (*text).into())).collect();
    serde_json::from_value(json!({"metadata": {"name": "m", "namespace": "velero"}, "data": data})).unwrap()
}

fn rules(text: &str) -> String {
    format!("version: v1\nresourceModifierRules:\n{text}")
}

fn read(text: &str) -> Modifiers {
    parse(&config(&[text])).unwrap()
}

/// What is made of a Deployment, with what went wrong.
fn patched(text: &str) -> (Value, Vec<String>) {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web-1", "namespace": "a", "labels": {"app": "x"}},
        "spec": {"replicas": 1, "paused": true},
    });
    let errors = read(&rules(text)).apply(&mut object, "deployments.apps");
    (object["spec"].take(), errors)
}

fn json_rule(conditions: &str, operation: &str, path: &str, value: &str) -> String {
    format!(
        "- conditions:\n    groupResource: deployments.apps\n{conditions}  patches:\n  - operation: {operation}\n    \
         path: {path}\n    value: {value}\n"
    )
}

#[test]
fn a_value_is_what_velero_reads_in_its_text() {
    // As addQuotes of internal/resourcemodifiers, Velero 1.18.
    for (value, read) in [
        ("\"3\"", json!(3)),
        ("3", json!(3)),
        ("'\"3\"'", json!("3")),
        ("1.5", json!(1.5)),
        ("007x", json!("007x")),
        ("true", json!(true)),
        ("'\"true\"'", json!("true")),
        ("\"null\"", json!(null)),
        ("plain", json!("plain")),
        ("'{\"a\": [1]}'", json!({"a": [1]})),
        ("'[\"a\"]'", json!(["a"])),
        ("'a\\tb'", json!("a\tb")),
        ("'a\"b'", json!("a\"b")),
        ("\"\"", json!("")),
    ] {
        let (spec, errors) = patched(&json_rule("", "replace", "/spec/replicas", value));
        assert_eq!((&spec["replicas"], errors.len()), (&read, 0), "{value}");
    }
}

#[test]
fn each_condition_has_to_hold() {
    for (conditions, applied) in [
        ("", true),
        ("    namespaces: [a, b]\n", true),
        ("    namespaces: [\"a*\"]\n", true),
        ("    namespaces: [b]\n", false),
        ("    resourceNameRegex: '^web-[0-9]$'\n", true),
        ("    resourceNameRegex: '^web$'\n", false),
        ("    labelSelector: {matchLabels: {app: x}}\n", true),
        ("    labelSelector: {matchLabels: {app: z}}\n", false),
        ("    matches: [{path: /spec/replicas, value: 1}, {path: /spec/paused, value: true}]\n", true),
        ("    matches: [{path: /spec/replicas, value: '\"1\"'}]\n", false),
        ("    matches: [{path: /spec/nothing/at/all, value: x}]\n", false),
        ("    matches: [{path: /spec/nothing, value: 'null'}]\n", true),
    ] {
        let (spec, _) = patched(&json_rule(conditions, "replace", "/spec/replicas", "7"));
        assert_eq!(spec["replicas"] == json!(7), applied, "{conditions}");
    }
}

#[test]
fn a_group_resource_is_a_pattern_that_stops_at_dots() {
    for (pattern, applied) in
        [("\"*.apps\"", true), ("\"*\"", false), ("\"**\"", true), ("deployments", false)]
    {
        let text = rules(&format!(
            "- conditions: {{groupResource: {pattern}}}\n  mergePatches: [{{patchData: '{{\"spec\": {{\"replicas\": 7}}}}'}}]\n"
        ));
        let mut object =
            json!({"apiVersion": "apps/v1", "kind": "D", "metadata": {}, "spec": {"replicas": 1}});
        assert_eq!(read(&text).apply(&mut object, "deployments.apps"), [""; 0]);
        assert_eq!(object["spec"]["replicas"] == json!(7), applied, "{pattern}");
    }
}

#[test]
fn conditions_are_asked_of_the_object_as_it_came() {
    let both = json_rule("", "replace", "/spec/replicas", "2")
        + &json_rule("    matches: [{path: /spec/replicas, value: 1}]\n", "replace", "/spec/paused", "false");
    assert_eq!(patched(&both).0, json!({"replicas": 2, "paused": false}));
}

#[test]
fn a_test_that_fails_leaves_the_object_as_it_is_without_an_error() {
    let text = json_rule("", "replace", "/spec/replicas", "2")
        + "  - operation: test\n    path: /spec/paused\n    value: false\n";
    assert_eq!(patched(&text), (json!({"replicas": 1, "paused": true}), Vec::new()));
}

#[test]
fn a_patch_that_does_not_fit_is_an_error_and_the_other_rules_apply() {
    let text = json_rule("", "remove", "/spec/nothing", "")
        + "- conditions: {groupResource: deployments.apps}\n  mergePatches:\n  - patchData: |\n      kind: null\n"
        + &json_rule("", "replace", "/spec/replicas", "2");
    assert_eq!(
        patched(&text),
        (
            json!({"replicas": 2, "paused": true}),
            vec![
                "error in applying patch error in applying JSON Patch remove operation does not apply: doc is missing \
                 path: \"/spec/nothing\""
                    .to_owned(),
                "error in applying patch: the result has no kind, apiVersion or metadata; a patch may not remove them"
                    .to_owned(),
            ]
        )
    );
}

#[test]
fn merge_and_strategic_patches_are_yaml() {
    for kind in ["mergePatches", "strategicPatches"] {
        let text = format!(
            "- conditions: {{groupResource: deployments.apps}}\n  {kind}:\n  - patchData: |\n      spec:\n        \
             paused: null\n        strategy: {{type: Recreate}}\n"
        );
        let (spec, errors) = patched(&text);
        assert_eq!(
            (spec, errors.len()),
            (json!({"replicas": 1, "strategy": {"type": "Recreate"}}), 0),
            "{kind}"
        );
    }
}

#[test]
fn each_fault_of_the_config_map_has_its_sentence() {
    const PARSING: &str = "Error in parsing resource modifiers provided in configmap velero/m: ";
    const INVALID: &str = "Validation error in resource modifiers provided in configmap velero/m: ";
    let rule = |rest: &str| rules(&format!("- conditions: {{groupResource: pods}}\n{rest}"));
    for (text, start, sentence) in [
        ("version: v2".to_owned(), INVALID, "unsupported resource modifier version v2"),
        ("version: V1".to_owned(), INVALID, "resource modifier rules cannot be empty"),
        (rules("- conditions: {}\n"), INVALID, "resourceModifierRules[0]: groupResource cannot be empty"),
        (rule(""), INVALID, "resourceModifierRules[0]: no patch data found"),
        (
            rule("  patches: [{operation: add, path: /a}]\n  mergePatches: [{patchData: '{}'}]\n"),
            INVALID,
            "resourceModifierRules[0]: only one of patches, mergePatches, strategicPatches can be specified",
        ),
        (rule("  patches: [{path: /a}]\n"), INVALID, "resourceModifierRules[0]: operation cannot be empty"),
        (
            rule("  patches: [{operation: set, path: /a}]\n"),
            INVALID,
            "resourceModifierRules[0]: unsupported operation set",
        ),
        (rule("  patches: [{operation: add}]\n"), INVALID, "resourceModifierRules[0]: path cannot be empty"),
        (
            rule("  patches: [{operation: add, path: a}]\n"),
            INVALID,
            "resourceModifierRules[0]: the path \"a\" does not begin with /",
        ),
        (
            rule("  patches: [{operation: add, path: /a, value: '{x'}]\n"),
            INVALID,
            "resourceModifierRules[0]: a value is not JSON: line 1 column 2",
        ),
        (
            rule("  mergePatches: [{patchData: 'a'}]\n"),
            INVALID,
            "resourceModifierRules[0]: patchData is not an object; write the fields to change",
        ),
        (
            rule("  strategicPatches: [{patchData: '{\"$setElementOrder/a\": []}'}]\n"),
            INVALID,
            "resourceModifierRules[0]: strategicPatches: the directive $setElementOrder/ is not supported; leave it out",
        ),
        (
            rules("- conditions: {groupResource: pods, resourceNameRegex: '('}\n"),
            INVALID,
            "resourceModifierRules[0]: resourceNameRegex: \"(\" is not a regular expression, or is too large",
        ),
        (
            rules("- conditions: {groupResource: 'a['}\n"),
            INVALID,
            "resourceModifierRules[0]: groupResource: the pattern `a[` opens a bracket `[` that nothing closes",
        ),
        (
            rules("- conditions: {groupResource: pods, matches: [{value: x}]}\n"),
            INVALID,
            "resourceModifierRules[0]: path is required for match rule",
        ),
        (
            "version: v1\nrules: []".to_owned(),
            PARSING,
            "failed to decode yaml data into resource modifiers, err: ",
        ),
    ] {
        let faults = parse(&config(&[&text])).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        if sentence.ends_with(": ") {
            assert!(faults[0].starts_with(&format!("{start}{sentence}")), "{faults:?}");
            assert!(faults[0].contains("rules"), "{faults:?}");
        } else {
            assert_eq!(faults[0], format!("{start}{sentence}"), "{text}");
        }
    }
    assert_eq!(
        parse(&config(&["", ""])).unwrap_err(),
        [format!("{PARSING}illegal resource modifiers velero/m configmap")]
    );
}

#[test]
fn a_restore_names_its_config_map() {
    let spec = |kind: &str| json!({"resourceModifier": {"kind": kind, "name": "m"}});
    assert_eq!(
        prepared_with(spec("configmap"), None).unwrap_err(),
        ["failed to get resource modifiers configmap velero/m"]
    );
    assert_eq!(
        prepared_with(spec("Secret"), None).unwrap_err(),
        ["spec.resourceModifier.kind is \"Secret\"; the only kind is ConfigMap"]
    );
    let text = rules(&json_rule("    namespaces: [a]\n", "replace", "/spec/replicas", "7"));
    let mut spec = spec("ConfigMap");
    spec["namespaceMapping"] = json!({"a": "b"});
    let plan = prepared_with(spec, Some(&config(&[&text]))).unwrap().plan;
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": "a"},
        "spec": {"replicas": 1},
    });
    let made = made(object, "deployments.apps", &Context { plan, ..context(json!({})) });
    assert_eq!(
        (&made.object["spec"], &made.object["metadata"]["namespace"]),
        (&json!({"replicas": 7}), &json!("b"))
    );
}

proptest! {
    #[test]
    fn any_text_is_modifiers_or_an_error(text in "(version: v1\nresourceModifierRules:\n)?[-a-zA-Z:{}\\[\\]\"'&*! \n]{0,80}") {
        let _ = parse(&config(&[&text]));
    }
}
