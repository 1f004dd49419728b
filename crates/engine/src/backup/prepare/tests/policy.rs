use super::*;

fn with(text: &str) -> Option<Result<BTreeMap<String, String>, String>> {
    Some(Ok(BTreeMap::from([("policy".to_owned(), format!("version: v1\n{text}"))])))
}

#[test]
fn a_policy_is_read_from_its_config_map() {
    let spec = |kind: &str| json!({ "resourcePolicy": { "kind": kind, "name": "p" } });
    let named = |spec: Value| policy_name(&serde_json::from_value(spec).unwrap()).map(str::to_owned);
    assert_eq!(
        (named(spec("ConfigMap")), named(spec("Secret")), named(json!({}))),
        (Some("p".into()), None, None)
    );
    let mut world = World::new();
    world.policy = with("volumePolicies: [{action: {type: skip}}]");
    assert_eq!(
        world.prepare(spec("configmap")).unwrap().warnings,
        [
            "the 1 volumePolicies of ConfigMap velero/p have no effect: the objects of volumes are kept, their data is not"
        ]
    );
    assert_eq!(
        world.prepare(spec("Secret")).unwrap().warnings,
        ["spec.resourcePolicy has no effect: its kind has to be `configmap`"]
    );
    world.policy = with("other: 1");
    let read = world.reasons(spec("configmap"));
    assert!(
        read[0].starts_with(
            "invalid resource policies: fail to read the ResourcePolicies from ConfigMap velero/p: "
        ),
        "{read:?}"
    );
    world.policy = Some(Err("not found".into()));
    assert_eq!(
        world.reasons(spec("configmap")),
        ["invalid resource policies: fail to get ResourcePolicies velero/p ConfigMap: not found"]
    );
}

#[test]
fn a_policy_of_types_or_filters_does_not_go_with_old_filters() {
    let spec =
        json!({ "resourcePolicy": { "kind": "configmap", "name": "p" }, "includedResources": ["pods"] });
    let mut world = World::new();
    let cases = [
        ("includeExcludePolicy: {}", "They cannot be used with include-exclude policies."),
        (
            "clusterScopedFilterPolicy: {resourceFilters: [{kinds: [a]}]}",
            "They cannot be used with namespace-scoped or fine-grained global filter policies.",
        ),
        (
            "namespacedFilterPolicies: [{namespaces: [a], resourceFilters: [{}]}]",
            "They cannot be used with namespace-scoped or fine-grained global filter policies.",
        ),
    ];
    for (text, told) in cases {
        world.policy = with(text);
        let reasons = world.reasons(spec.clone());
        assert!(reasons.len() == 1 && reasons[0].ends_with(told), "{text}: {reasons:?}");
    }
    world.policy = with("volumePolicies: []");
    assert!(world.prepare(spec).is_ok());
}
