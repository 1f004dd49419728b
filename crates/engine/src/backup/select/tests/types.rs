use super::*;

#[test]
fn without_filters_all_namespaced_types_are_taken_and_of_the_others_namespaces() {
    let taken = taken(&nothing_said());
    assert!(taken.iter().any(|name| name == "pods") && taken.iter().any(|name| name == "events"));
    assert!(!taken.iter().any(|name| name.contains("volumesnapshot")), "{taken:?}");
    assert_eq!(cluster_scoped(&nothing_said()), ["namespaces"]);
}

#[test]
fn types_that_cannot_be_restored_are_not_taken() {
    let all = taken(&typed(global(&[], &[], Some(true))));
    assert!(!all.iter().any(|name| name.contains("nodemetrics")), "{all:?}");
}

#[test]
fn old_filters_take_types_by_list_scope_and_namespaces() {
    let cases: [(TypeFilter, &[&str]); 7] = [
        (
            global(&["po", "Deployment", "clusterroles"], &[], Some(true)),
            &["pods", "deployments.extensions", "clusterroles.rbac.authorization.k8s.io"],
        ),
        (global(&["pods", "clusterroles"], &[], Some(false)), &["pods"]),
        (global(&["pods", "clusterroles"], &[], None), &["pods", "clusterroles.rbac.authorization.k8s.io"]),
        (
            global(&["deployments.apps", "*.example.com"], &[], None),
            &["deployments.apps", "widgets.example.com"],
        ),
        (global(&["not-served"], &[], Some(true)), &[]),
        (global(&["po*", "secrets"], &["pods"], None), &["secrets"]),
        (global(&["namespaces"], &[], Some(false)), &[]),
    ];
    for (types, expected) in cases {
        assert_eq!(taken(&typed(types.clone())), expected, "{types:?}");
    }
}

#[test]
fn old_filters_take_cluster_scoped_types_by_themselves_only_with_all_namespaces() {
    // Included and excluded namespaces, and whether they count as all of them.
    let cases: [(&[&str], &[&str], bool); 7] = [
        (&["*"], &[], true),
        (&["*"], &["a"], false),
        (&["a"], &[], false),
        (&["a", "ns-1", "ns-2", "ns-3", "going"], &[], true),
        (&["?*"], &[], true),
        (&["no-*"], &[], true),
        (&["ns-*"], &["no-*"], false),
    ];
    for (include, exclude, all) in cases {
        let filters = Filters { types: global(&[], &[], None), ..named(include, exclude) };
        let expected: &[&str] = if all { &CLUSTER_SCOPED } else { &["namespaces"] };
        let mut taken = cluster_scoped(&filters);
        taken.retain(|name| !name.starts_with("volumesnapshot"));
        assert_eq!(taken, expected, "{include:?} without {exclude:?}");
    }
}

#[test]
fn new_filters_take_types_by_the_list_of_their_scope() {
    let roles = "clusterroles.rbac.authorization.k8s.io";
    let cases: [(TypeFilter, &[&str]); 6] = [
        (scoped(&["*"], &[], &["po"], &[]), &[&CLUSTER_SCOPED[..], &["pods"]].concat()),
        (scoped(&["clusterroles"], &[], &["po"], &[]), &["namespaces", "pods", roles]),
        (scoped(&["cluster*"], &[], &[], &["*"]), &["namespaces", roles]),
        (scoped(&[], &["ns"], &["cm"], &[]), &["configmaps"]),
        (scoped(&[], &["*"], &["cm", "wd"], &["wd"]), &["configmaps"]),
        (scoped(&[], &[], &["*.example.com"], &[]), &["namespaces", "widgets.example.com"]),
    ];
    for (types, expected) in cases {
        let mut found = taken(&typed(types.clone()));
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{types:?}");
    }
}

#[test]
fn a_backup_that_leaves_nothing_out_would_be_a_full_one() {
    let unprepared = TypeFilter::Scoped {
        include_cluster: Vec::new(),
        exclude_cluster: Vec::new(),
        include_namespaced: globs(&["*"]),
        exclude_namespaced: Vec::new(),
    };
    assert!(cluster_scoped(&typed(unprepared)).len() > 1);
}

#[test]
fn a_type_in_the_list_of_the_other_scope_is_dropped_with_a_warning() {
    let selection = select(&typed(scoped(&["pods"], &[], &["clusterroles"], &[])));
    assert!(selection.takes_type(&api("secrets")), "the list is empty then, and means all");
    assert_eq!(
        selection.warnings(),
        [
            "`pods` stands in a list of cluster-scoped types, where it has no effect: `pods` is namespaced",
            "`clusterroles` stands in a list of namespaced types, where it has no effect: `clusterroles.rbac.authorization.k8s.io` is cluster-scoped",
        ]
    );
}

#[test]
fn a_type_to_take_that_the_cluster_has_not_is_told() {
    let include = globs(&["pods", "unicorns", "uni*"]);
    let old = TypeFilter::Global { include, exclude: globs(&["griffins"]), cluster: None };
    assert_eq!(
        select(&typed(old)).warnings(),
        ["spec.includedResources: `unicorns` is no type of the cluster"]
    );
    assert_eq!(
        select(&typed(scoped(&["unicorns"], &[], &["griffins"], &[]))).warnings(),
        [
            "spec.includedClusterScopedResources: `unicorns` is no type of the cluster",
            "spec.includedNamespaceScopedResources: `griffins` is no type of the cluster",
        ]
    );
}

#[test]
fn a_policy_adds_to_the_lists_of_the_backup_which_win() {
    let policy = read_policy(
        "includeExcludePolicy: {excludedNamespaceScopedResources: [secrets, events], includedNamespaceScopedResources: [configmaps], includedClusterScopedResources: [clusterroles], excludedClusterScopedResources: [ns]}",
    );
    let with = |types| Filters { policy: policy.clone(), ..typed(types) };
    assert_eq!(
        taken(&with(scoped(&[], &[], &[], &[]))),
        ["configmaps", "clusterroles.rbac.authorization.k8s.io"]
    );
    let mut own = taken(&with(scoped(&["ns"], &[], &["secrets"], &["cm"])));
    own.sort();
    assert_eq!(own, ["clusterroles.rbac.authorization.k8s.io", "namespaces", "secrets"]);
}

#[test]
fn types_come_in_the_order_of_velero_and_twins_once() {
    let catalog = catalog();
    let selection = select(&typed(scoped(&["*"], &[], &[], &[])));
    let order: Vec<String> = selection.visit(&catalog).into_iter().map(ApiType::group_resource).collect();
    assert_eq!(
        order,
        [
            "pods",
            "persistentvolumeclaims",
            "persistentvolumes",
            "namespaces",
            "secrets",
            "configmaps",
            "events",
            "deployments.apps",
            "clusterroles.rbac.authorization.k8s.io",
            "customresourcedefinitions.apiextensions.k8s.io",
            "widgets.example.com",
            "networkpolicies.networking.k8s.io",
        ]
    );
    let only = select(&typed(global(&["deployments.extensions"], &[], None)));
    assert_eq!(only.visit(&catalog).len(), 1, "of twins, the one that is asked for");
}
