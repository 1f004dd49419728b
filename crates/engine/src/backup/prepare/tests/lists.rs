use super::*;

#[test]
fn the_lists_of_a_spec_are_checked() {
    let old = "Invalid included/excluded resource lists: ";
    let cluster = "Invalid cluster-scoped included/excluded resource lists: ";
    let namespaced = "Invalid namespace-scoped included/excluded resource lists: ";
    let names = "Invalid included/excluded namespace lists: ";
    let only = |list: &str| format!("{list} list must either contain '*' only, or a non-empty list of items");
    let both = "excludes list cannot contain an item in the includes list: a";
    let no_star = "excludes list cannot contain '*'";
    let star = "when exclude is '*', include cannot have value";
    let cases = [
        (json!({ "includedResources": ["*", "a"] }), vec![format!("{old}{}", only("includes"))]),
        (json!({ "excludedResources": ["*"] }), vec![format!("{old}{no_star}")]),
        (json!({ "includedResources": ["a"], "excludedResources": ["a"] }), vec![format!("{old}{both}")]),
        (
            json!({ "includedClusterScopedResources": ["*", "a"] }),
            vec![format!("{cluster}{}", only("includes"))],
        ),
        (
            json!({ "excludedClusterScopedResources": ["*", "a"] }),
            vec![format!("{cluster}{}", only("excludes"))],
        ),
        (
            json!({ "includedNamespaceScopedResources": ["a"], "excludedNamespaceScopedResources": ["*"] }),
            vec![format!("{namespaced}{star}")],
        ),
        (
            json!({ "includedNamespaceScopedResources": ["a"], "excludedNamespaceScopedResources": ["a"] }),
            vec![format!("{namespaced}{both}")],
        ),
        (json!({ "includedNamespaces": ["*", "a"] }), vec![format!("{names}{}", only("includes"))]),
        (
            json!({ "includedNamespaces": ["a"], "excludedNamespaces": ["*"] }),
            vec![format!("{names}{no_star}")],
        ),
        (json!({ "includedNamespaces": ["a"], "excludedNamespaces": ["a"] }), vec![format!("{names}{both}")]),
        (
            json!({ "includedNamespaces": ["a**"] }),
            vec![format!("{names}wildcard pattern contains consecutive asterisks (only single * allowed)")],
        ),
        (
            json!({ "excludedNamespaces": ["{a,b}"] }),
            vec![format!("{names}wildcard pattern contains unsupported characters: |, (, ), !, {{, }}, ,")],
        ),
        (
            json!({ "includedResources": ["a["] }),
            vec!["spec.includedResources: `a[` is not a pattern: a bracket is not closed".to_owned()],
        ),
        (
            json!({ "excludedClusterScopedResources": ["a["] }),
            vec![
                "spec.excludedClusterScopedResources: `a[` is not a pattern: a bracket is not closed"
                    .to_owned(),
            ],
        ),
    ];
    for (spec, told) in cases {
        assert_eq!(reasons(spec.clone()), told, "{spec}");
    }
}

#[test]
fn lists_that_velero_takes_are_taken() {
    let right = [
        json!({ "excludedClusterScopedResources": ["*"], "includedNamespaceScopedResources": ["*"] }),
        json!({ "includedResources": ["*"], "excludedResources": ["pods"], "includeClusterResources": true }),
        json!({ "includedNamespaces": ["team-*", ""], "excludedNamespaces": ["team-[ab]"] }),
    ];
    for spec in right {
        assert!(World::new().prepare(spec.clone()).is_ok(), "{spec}");
    }
}

#[test]
fn styles_of_filters_are_not_mixed() {
    let old = [
        json!({ "includedResources": ["a"] }),
        json!({ "excludedResources": ["a"] }),
        json!({ "includeClusterResources": false }),
    ];
    let new = [
        "includedClusterScopedResources",
        "excludedClusterScopedResources",
        "includedNamespaceScopedResources",
        "excludedNamespaceScopedResources",
    ];
    for old in &old {
        for new in new {
            let mut spec = old.clone();
            spec[new] = json!(["b"]);
            let reasons = reasons(spec);
            assert!(
                reasons.len() == 1 && reasons[0].ends_with("They cannot be used together"),
                "{old} and {new}: {reasons:?}"
            );
        }
    }
}

#[test]
fn volume_snapshots_are_never_asked_for() {
    let snapshots = "volumesnapshots.snapshot.storage.k8s.io";
    let prepared = World::new().prepare(json!({ "includedNamespaceScopedResources": [snapshots] })).unwrap();
    let TypeFilter::Scoped { include_namespaced, exclude_namespaced, .. } = &prepared.filters.types else {
        panic!("new style")
    };
    assert_eq!((names(include_namespaced), names(exclude_namespaced)), (vec![], vec![snapshots]));
    assert_eq!(
        prepared.warnings,
        [
            "spec.includedNamespaceScopedResources names only volume snapshots, which are never taken for themselves; the list is empty without them, as if it weren't set"
        ]
    );
}

#[test]
fn namespaces_with_the_exclude_label_are_left_out() {
    let mut world = World::new();
    world.excluded_namespaces = vec!["hidden".into()];
    let prepared = world.prepare(json!({ "excludedNamespaces": ["hidden", "b"] })).unwrap();
    assert_eq!(prepared.backup.spec.excluded_namespaces, ["hidden", "b"]);
    assert_eq!(names(&prepared.filters.exclude_namespaces), ["b", "hidden"]);
    assert_eq!(
        world.reasons(json!({ "includedNamespaces": ["hidden"] })),
        [
            "Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes list: hidden"
        ]
    );
}

#[test]
fn selectors_are_one_kind_and_right() {
    let web = json!({ "matchLabels": { "app": "web" } });
    let wrong = json!({ "matchExpressions": [{ "key": "a", "operator": "Is" }] });
    assert_eq!(
        reasons(json!({ "labelSelector": web, "orLabelSelectors": [web] })),
        ["encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"]
    );
    let told = "matchExpressions[0].operator `Is` is none of `In`, `NotIn`, `Exists` and `DoesNotExist`";
    assert_eq!(reasons(json!({ "labelSelector": wrong })), [format!("spec.labelSelector.{told}")]);
    assert_eq!(
        reasons(json!({ "orLabelSelectors": [web, wrong] })),
        [format!("spec.orLabelSelectors[1].{told}")]
    );
    let queries = |spec| {
        let selectors = World::new().prepare(spec).unwrap().filters.selectors;
        selectors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        queries(json!({ "orLabelSelectors": [web, { "matchLabels": { "a": "b" } }] })),
        ["app=web", "a=b"]
    );
    assert_eq!(queries(json!({ "labelSelector": {} })), [""]);
    assert!(queries(json!({})).is_empty());
}

#[test]
fn objects_are_put_in_order() {
    let prepared = World::new()
        .prepare(json!({ "orderedResources": { "pods": "a/x, b/y", "persistentvolumes": "v", "secrets": "a/b/c,/x" } }))
        .unwrap();
    let object = |namespace: Option<&str>, name: &str| Ordered {
        namespace: namespace.map(str::to_owned),
        name: name.into(),
    };
    assert_eq!(prepared.filters.ordered["pods"], [object(Some("a"), "x"), object(Some("b"), "y")]);
    assert_eq!(prepared.filters.ordered["persistentvolumes"], [object(None, "v")]);
    assert_eq!(
        prepared.warnings,
        ["a/b/c", "/x"].map(|text| format!("spec.orderedResources.secrets: `{text}` has no effect: write `namespace/name`, or `name` for cluster-scoped objects"))
    );
}
