use super::*;

fn filtered(text: &str) -> Filters {
    Filters { policy: read_policy(text), ..nothing_said() }
}

#[test]
fn a_filter_of_a_cluster_scoped_type_replaces_the_selector_and_counts_names() {
    let policy = "clusterScopedFilterPolicy: {resourceFilters: [{kinds: [ClusterRole], labelSelector: {matchLabels: {x: y}}, names: ['app-*'], excludedNames: [app-old]}, {kinds: [pv]}]}";
    let types = scoped(&["*"], &[], &[], &[]);
    let filters = Filters { types, selectors: vec![selector("a=b")], ..filtered(policy) };
    let query = |text: &str| (None, Some(text.to_owned()));
    let roles = "clusterroles.rbac.authorization.k8s.io";
    assert_eq!(lists(&filters, roles), [query("x=y")]);
    assert_eq!(lists(&filters, "persistentvolumes"), [(None, None)]);
    assert_eq!(lists(&filters, "customresourcedefinitions.apiextensions.k8s.io"), [query("a=b")]);
    let selection = select(&filters);
    for (name, takes) in [("app-1", true), ("app-old", false), ("other", false)] {
        assert_eq!(selection.takes_item(&api(roles), &item("", name)), takes, "{name}");
        assert_eq!(selection.related(&api(roles), &item("", name)), takes, "{name}");
    }
}

const NAMESPACED: &str = "namespacedFilterPolicies: [{namespaces: [ns-1], resourceFilters: [{kinds: [cm], names: [x]}]}, {namespaces: ['ns-*'], resourceFilters: [{kinds: [Secret], labelSelector: {matchLabels: {x: y}}}, {kinds: []}]}, {namespaces: ['ns-[23]'], resourceFilters: [{kinds: [events]}]}]";

#[test]
fn a_filter_of_a_namespace_is_all_that_is_taken_from_it() {
    let selection = select(&filtered(NAMESPACED));
    let takes = |namespace, name, kind: &str| selection.takes_item(&api(kind), &item(namespace, name));
    assert!(takes("ns-1", "x", "configmaps") && !takes("ns-1", "y", "configmaps"));
    assert!(!takes("ns-1", "x", "secrets"), "the filter by name counts before that by glob");
    assert!(takes("ns-2", "x", "pods"), "the first glob counts, and its filter of all other types");
    assert!(!takes("ns-2", "x", "secrets"), "the label is missing");
    assert!(takes("a", "x", "secrets"), "no filter speaks of it");
    let labels = BTreeMap::from([("x", "y")]);
    let secret = Item { labels: &labels, ..item("ns-2", "x") };
    assert!(selection.takes_item(&api("secrets"), &secret));
    assert!(
        selection.related(&api("secrets"), &item("ns-2", "x")),
        "labels don't matter for what is brought"
    );
    assert!(selection.related(&api("secrets"), &item("ns-1", "x")), "nor does the list of types");
    assert!(!selection.related(&api("configmaps"), &item("ns-1", "y")), "but names do");
    assert!(selection.narrows());
}

#[test]
fn a_filter_of_a_namespace_replaces_the_selector_where_it_is_listed_on_its_own() {
    let here = |filters: Filters| Filters { selectors: vec![selector("a=b")], ..filters };
    let listed = here(Filters { include_namespaces: globs(&["a", "ns-1", "ns-2"]), ..filtered(NAMESPACED) });
    let with = |namespace: &str, query: &str| (Some(namespace.to_owned()), Some(query.to_owned()));
    assert_eq!(lists(&listed, "secrets"), [with("a", "a=b"), with("ns-2", "x=y")]);
    assert_eq!(lists(&listed, "configmaps"), [with("a", "a=b"), of("ns-1"), of("ns-2")]);
    let all = here(filtered(NAMESPACED));
    assert_eq!(lists(&all, "secrets"), [(None, Some("a=b".to_owned()))]);
    let any = "namespacedFilterPolicies: [{namespaces: ['*'], resourceFilters: [{kinds: [cm]}]}]";
    assert_eq!(lists(&here(filtered(any)), "configmaps"), [(None, None)]);
    assert_eq!(lists(&here(filtered(any)), "secrets"), []);
}

#[test]
fn filters_without_effect_are_warnings() {
    let text = "clusterScopedFilterPolicy: {resourceFilters: [{kinds: [pods, gizmos]}]}\nnamespacedFilterPolicies: [{namespaces: [a], resourceFilters: [{kinds: [clusterroles, secrets]}]}]";
    let filters = Filters { types: scoped(&[], &[], &[], &["secrets"]), ..filtered(text) };
    assert_eq!(
        select(&filters).warnings(),
        [
            "the resource policy filters `pods` where it has no effect: it is namespaced, so its filter belongs to namespacedFilterPolicies",
            "the resource policy filters `gizmos`, which the cluster doesn't serve",
            "the resource policy filters `clusterroles` where it has no effect: it is cluster-scoped, so its filter belongs to clusterScopedFilterPolicy",
            "the resource policy filters `secrets` by namespace, which has no effect: the type is excluded",
        ]
    );
}
