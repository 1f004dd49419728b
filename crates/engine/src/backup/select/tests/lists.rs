use super::*;

#[test]
fn all_namespaces_are_one_list_and_named_ones_one_each() {
    assert_eq!(lists(&nothing_said(), "pods"), [(None, None)]);
    assert_eq!(lists(&named(&["*"], &["a", "ns-*"]), "pods"), [(None, None)]);
    assert_eq!(lists(&named(&["ns-2", "a"], &[]), "pods"), [of("a"), of("ns-2")]);
    assert_eq!(lists(&named(&["ns-[12]", "gone"], &["ns-2"]), "pods"), [of("gone"), of("ns-1")]);
    assert_eq!(lists(&named(&["no-*"], &[]), "pods"), []);
    assert_eq!(lists(&named(&[""], &[]), "pods"), [], "no namespace is not all");
    let types = typed(global(&[], &[], Some(true))).types;
    assert_eq!(
        lists(&Filters { types, ..named(&["a"], &[]) }, "clusterroles.rbac.authorization.k8s.io"),
        [(None, None)]
    );
    assert_eq!(
        lists(&named(&["a"], &[]), "clusterroles.rbac.authorization.k8s.io"),
        [],
        "a type that isn't taken"
    );
}

#[test]
fn each_selector_is_a_list_of_its_own() {
    let query = |text: &str| (None, Some(text.to_owned()));
    assert_eq!(lists(&labelled(&["a=b"]), "pods"), [query("a=b")]);
    assert_eq!(lists(&labelled(&["a=b", "c=d", "a=b"]), "pods"), [query("a=b"), query("c=d")]);
    assert_eq!(lists(&labelled(&["a=b", ""]), "pods"), [(None, None)]);
}

#[test]
fn ordered_objects_go_by_resource() {
    let first = Ordered { namespace: Some("a".into()), name: "x".into() };
    let ordered = BTreeMap::from([("pods".to_owned(), vec![first.clone()])]);
    let selection = select(&Filters { ordered, ..nothing_said() });
    assert_eq!(selection.ordered(&api("pods")), [first]);
    assert_eq!(selection.ordered(&api("secrets")), []);
}

#[test]
fn an_order_for_a_resource_that_the_cluster_does_not_have_is_told() {
    let ordered = BTreeMap::from([("pods".to_owned(), vec![]), ("Pod".to_owned(), vec![])]);
    let selection = select(&Filters { ordered, ..nothing_said() });
    let warnings: Vec<_> = selection.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "spec.orderedResources.Pod has no effect: the cluster has no resource of that name; write the plural, such \
             as `pods`"
        ]
    );
}
