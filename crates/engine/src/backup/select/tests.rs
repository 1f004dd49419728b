//! The rules of types, namespaces and items. Facts from Velero 1.18.3: `pkg/util/collections/includes_excludes.go`,
//! `pkg/backup/item_collector.go`, `item_backupper.go`.

use super::*;
use crate::labels::Labels;

/// `group/resource`, kind, whether namespaced, short name.
const TYPES: [(&str, &str, &str, bool, &str); 16] = [
    ("", "namespaces", "Namespace", false, "ns"),
    ("", "secrets", "Secret", true, ""),
    ("", "configmaps", "ConfigMap", true, "cm"),
    ("", "persistentvolumes", "PersistentVolume", false, "pv"),
    ("", "persistentvolumeclaims", "PersistentVolumeClaim", true, "pvc"),
    ("", "pods", "Pod", true, "po"),
    ("", "events", "Event", true, "ev"),
    ("extensions", "deployments", "Deployment", true, "deploy"),
    ("apps", "deployments", "Deployment", true, "deploy"),
    ("events.k8s.io", "events", "Event", true, "ev"),
    ("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false, ""),
    ("apiextensions.k8s.io", "customresourcedefinitions", "CustomResourceDefinition", false, "crd"),
    ("snapshot.storage.k8s.io", "volumesnapshots", "VolumeSnapshot", true, "vs"),
    ("snapshot.storage.k8s.io", "volumesnapshotcontents", "VolumeSnapshotContent", false, "vsc"),
    ("example.com", "widgets", "Widget", true, "wd"),
    ("networking.k8s.io", "networkpolicies", "NetworkPolicy", true, "netpol"),
];

fn catalog() -> Catalog {
    let verbs = || ["list", "create", "get", "delete"].map(str::to_owned).to_vec();
    let mut types: Vec<ApiType> = TYPES
        .iter()
        .map(|(group, resource, kind, namespaced, short)| ApiType {
            group: (*group).into(),
            version: "v1".into(),
            kind: (*kind).into(),
            resource: (*resource).into(),
            singular: kind.to_ascii_lowercase(),
            short_names: if short.is_empty() { Vec::new() } else { vec![(*short).into()] },
            namespaced: *namespaced,
            verbs: verbs(),
        })
        .collect();
    types.push(ApiType {
        group: "metrics.k8s.io".into(),
        resource: "nodemetrics".into(),
        verbs: vec!["list".into(), "get".into()],
        ..ApiType::default()
    });
    Catalog { types, failed: Vec::new() }
}

fn api(name: &str) -> ApiType {
    catalog().types.into_iter().find(|api| api.group_resource() == name).unwrap()
}

fn globs(names: &[&str]) -> Vec<Glob> {
    names.iter().map(|name| Glob::parse(name).unwrap()).collect()
}

/// What `prepare` makes of a spec without filters.
fn nothing_said() -> Filters {
    Filters {
        include_namespaces: globs(&["*"]),
        exclude_namespaces: Vec::new(),
        types: scoped(&[], &[], &[], &[]),
        selectors: Vec::new(),
        policy: Policy::default(),
        ordered: BTreeMap::new(),
    }
}

fn scoped(
    cluster: &[&str],
    not_cluster: &[&str],
    namespaced: &[&str],
    not_namespaced: &[&str],
) -> TypeFilter {
    let with = |names: &[&str], never: &str| globs(&[names, &[never]].concat());
    TypeFilter::Scoped {
        include_cluster: globs(cluster),
        exclude_cluster: with(not_cluster, "volumesnapshotcontents.snapshot.storage.k8s.io"),
        include_namespaced: globs(namespaced),
        exclude_namespaced: with(not_namespaced, "volumesnapshots.snapshot.storage.k8s.io"),
    }
}

fn global(include: &[&str], exclude: &[&str], cluster: Option<bool>) -> TypeFilter {
    TypeFilter::Global { include: globs(include), exclude: globs(exclude), cluster }
}

fn typed(types: TypeFilter) -> Filters {
    Filters { types, ..nothing_said() }
}

fn named(include: &[&str], exclude: &[&str]) -> Filters {
    Filters { include_namespaces: globs(include), exclude_namespaces: globs(exclude), ..nothing_said() }
}

fn labelled(queries: &[&str]) -> Filters {
    Filters { selectors: queries.iter().map(|query| selector(query)).collect(), ..nothing_said() }
}

/// `key=value` or nothing.
fn selector(query: &str) -> Selector {
    let labels = query.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    let raw = k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector {
        match_labels: Some(labels.into_iter().collect()),
        ..Default::default()
    };
    Selector::parse(&raw).unwrap()
}

fn policy(text: &str) -> Policy {
    let text = format!("version: v1\n{text}");
    Policy::parse(&BTreeMap::from([("policy".to_owned(), text)])).unwrap()
}

fn existing() -> Vec<NamespaceFact> {
    let active = ["a", "ns-1", "ns-2", "ns-3"].map(|name| NamespaceFact {
        name: name.into(),
        labels: BTreeMap::from([("team".to_owned(), name.to_owned())]),
        active: true,
    });
    let going = NamespaceFact { name: "going".into(), labels: BTreeMap::new(), active: false };
    active.into_iter().chain([going]).collect()
}

fn select(filters: &Filters) -> Selection {
    Selection::new(filters, &catalog(), &existing())
}

fn taken(filters: &Filters) -> Vec<String> {
    let selection = select(filters);
    let catalog = catalog();
    let taken = catalog.types.iter().filter(|api| selection.takes_type(api));
    taken.map(ApiType::group_resource).collect()
}

const CLUSTER_SCOPED: [&str; 4] = [
    "namespaces",
    "persistentvolumes",
    "clusterroles.rbac.authorization.k8s.io",
    "customresourcedefinitions.apiextensions.k8s.io",
];

/// Which cluster-scoped types are taken.
fn cluster_scoped(filters: &Filters) -> Vec<String> {
    let mut taken = taken(filters);
    taken
        .retain(|name| CLUSTER_SCOPED.contains(&name.as_str()) || name.starts_with("volumesnapshotcontents"));
    taken
}

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
fn a_policy_adds_to_the_lists_of_the_backup_which_win() {
    let policy = policy(
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

fn lists(filters: &Filters, name: &str) -> Vec<(Option<String>, Option<String>)> {
    let listings = select(filters).lists(&api(name));
    listings.into_iter().map(|listing| (listing.namespace, listing.label_selector)).collect()
}

fn of(namespace: &str) -> (Option<String>, Option<String>) {
    (Some(namespace.into()), None)
}

#[test]
fn all_namespaces_are_one_list_and_named_ones_one_each() {
    assert_eq!(lists(&nothing_said(), "pods"), [(None, None)]);
    assert_eq!(lists(&named(&["*"], &["a", "ns-*"]), "pods"), [(None, None)]);
    assert_eq!(lists(&named(&["ns-2", "a"], &[]), "pods"), [of("a"), of("ns-2")]);
    assert_eq!(lists(&named(&["ns-[12]", "gone"], &["ns-2"]), "pods"), [of("gone"), of("ns-1")]);
    assert_eq!(lists(&named(&["no-*"], &[]), "pods"), []);
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

struct NoLabels;

impl Labels for NoLabels {
    fn value(&self, _: &str) -> Option<&str> {
        None
    }
}

fn item<'a>(namespace: &'a str, name: &'a str) -> Item<'a> {
    let namespace = if namespace.is_empty() { None } else { Some(namespace) };
    Item { namespace, name, labels: &NoLabels, deleting: false }
}

#[test]
fn namespaces_are_taken_by_name_and_glob() {
    // Included, excluded, taken, not taken.
    type Names = &'static [&'static str];
    let cases: [(Names, Names, Names, Names); 6] = [
        (&["*"], &[], &["a", "later"], &[]),
        (&["*"], &["ns-*"], &["a"], &["ns-1", "ns-9"]),
        (&["ns-[!1]"], &[], &["ns-2"], &["ns-1", "a", "ns-9"]),
        (&["ns-?", "later"], &["ns-2"], &["ns-1", "later"], &["ns-2", "ns-9"]),
        (&["no-*"], &[], &[], &["a", "no-1", ""]),
        (&["a"], &["a*"], &[], &["a"]),
    ];
    for (include, exclude, yes, no) in cases {
        let selection = select(&named(include, exclude));
        for name in yes {
            assert!(selection.takes_namespace(name), "{include:?} without {exclude:?}: {name}");
            assert!(selection.takes_item(&api("pods"), &item(name, "x")));
        }
        for name in no {
            assert!(!selection.takes_namespace(name), "{include:?} without {exclude:?}: {name}");
        }
    }
}

#[test]
fn an_item_is_left_out_for_its_label_or_its_deletion() {
    let selection = select(&nothing_said());
    let takes = |labels: &dyn Labels, deleting| {
        let item = Item { labels, deleting, ..item("a", "x") };
        let pods = api("pods");
        assert_eq!(selection.takes_item(&pods, &item), selection.related(&pods, &item));
        selection.takes_item(&pods, &item)
    };
    assert!(takes(&NoLabels, false));
    assert!(!takes(&NoLabels, true));
    assert!(!takes(&BTreeMap::from([(EXCLUDE_LABEL, "true")]), false));
    assert!(takes(&BTreeMap::from([(EXCLUDE_LABEL, "yes")]), false));
}

#[test]
fn related_cluster_scoped_objects_come_in_unless_their_type_is_excluded() {
    let (pv, roles) = ("persistentvolumes", "clusterroles.rbac.authorization.k8s.io");
    let cases = [
        (scoped(&[], &[], &[], &[]), true),
        (scoped(&["clusterroles"], &[], &["pods"], &[]), true),
        (scoped(&[], &["pv"], &[], &[]), false),
        (scoped(&[], &["*"], &[], &[]), false),
        (global(&[], &[], None), true),
        (global(&["pods"], &[], None), false),
        (global(&["pods"], &[], Some(true)), true),
        (global(&[], &[], Some(false)), false),
        (global(&[], &["pv"], Some(true)), false),
    ];
    for (types, comes) in cases {
        let selection = select(&Filters { types: types.clone(), ..named(&["a"], &[]) });
        assert_eq!(selection.related(&api(pv), &item("", "volume")), comes, "{types:?}");
        assert!(!selection.takes_item(&api(pv), &item("", "volume")) || selection.takes_type(&api(pv)));
    }
    let selection = select(&typed(scoped(&[], &["pv"], &[], &[])));
    assert!(selection.related(&api(roles), &item("", "role")), "another type than the excluded one");
}

#[test]
fn related_namespaced_objects_need_their_type_and_namespace() {
    let selection = select(&Filters { types: scoped(&[], &[], &["po"], &[]), ..named(&["a"], &[]) });
    assert!(selection.related(&api("pods"), &item("a", "x")));
    assert!(!selection.related(&api("pods"), &item("ns-1", "x")));
    assert!(!selection.related(&api("secrets"), &item("a", "x")));
}

#[test]
fn definitions_are_added_if_nothing_is_said_about_them() {
    let cases = [
        (scoped(&[], &[], &[], &[]), true),
        (scoped(&["*"], &[], &[], &[]), false),
        (scoped(&[], &["crd"], &[], &[]), false),
        (global(&["wd"], &[], None), false),
        (global(&["wd"], &[], Some(true)), true),
    ];
    for (types, adds) in cases {
        assert_eq!(select(&typed(types.clone())).adds_definitions(), adds, "{types:?}");
    }
}

fn tracked(filters: &Filters) -> Vec<String> {
    let selection = select(filters);
    existing().into_iter().map(|one| one.name).filter(|name| selection.tracks_namespace(name)).collect()
}

#[test]
fn namespaces_are_tracked_for_their_labels_or_their_names() {
    assert_eq!(tracked(&nothing_said()), ["a", "ns-1", "ns-2", "ns-3"], "`going` is not active");
    assert_eq!(tracked(&named(&["ns-*"], &["ns-2"])), ["ns-1", "ns-3"]);
    assert_eq!(
        tracked(&labelled(&["team=a"])),
        ["a"],
        "names that are not asked for don't count beside labels"
    );
    assert_eq!(tracked(&labelled(&["team=a", "team=ns-1"])), ["a", "ns-1"]);
    assert_eq!(tracked(&labelled(&["team=nobody"])), Vec::<String>::new());
    let both = Filters { selectors: vec![selector("team=a")], ..named(&["ns-1"], &[]) };
    assert_eq!(tracked(&both), ["a", "ns-1"], "either is enough");
}

#[test]
fn a_named_namespace_that_does_not_exist_is_an_error() {
    let told = |filters: &Filters| select(filters).missing_namespaces().collect::<Vec<_>>();
    assert_eq!(
        told(&named(&["a", "gone", "no-*"], &[])),
        ["fail to get the namespace gone specified in backup.Spec.IncludedNamespaces"]
    );
    assert_eq!(told(&nothing_said()), Vec::<String>::new());
    let pods = Filters { types: global(&["pods"], &[], None), ..named(&["gone"], &[]) };
    assert_eq!(told(&pods), Vec::<String>::new(), "namespaces are not collected");
}

#[test]
fn a_glob_that_matches_nothing_is_a_warning() {
    assert_eq!(
        select(&named(&["a", "no-*"], &["x?"])).warnings(),
        [
            "the pattern `no-*` matches no namespace of the cluster",
            "the pattern `x?` matches no namespace of the cluster"
        ]
    );
    assert_eq!(
        select(&named(&["no-*"], &[])).warnings()[1],
        "no namespace matches spec.includedNamespaces: nothing is taken from any namespace"
    );
}

#[test]
fn a_namespace_that_argo_cd_manages_is_a_warning() {
    let mut existing = existing();
    existing[0].labels.insert(ARGO_CD_LABEL.to_owned(), "argocd".to_owned());
    let told = |filters: &Filters| Selection::new(filters, &catalog(), &existing).warnings().to_vec();
    assert_eq!(
        told(&nothing_said()),
        ["the namespaces a are managed by Argo CD: what is restored of them, Argo CD may change or remove"]
    );
    assert_eq!(told(&named(&["ns-1"], &[])), Vec::<String>::new());
}

fn filtered(text: &str) -> Filters {
    Filters { policy: policy(text), ..nothing_said() }
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

#[test]
fn ordered_objects_go_by_resource() {
    let first = Ordered { namespace: Some("a".into()), name: "x".into() };
    let ordered = BTreeMap::from([("pods".to_owned(), vec![first.clone()])]);
    let selection = select(&Filters { ordered, ..nothing_said() });
    assert_eq!(selection.ordered(&api("pods")), [first]);
    assert_eq!(selection.ordered(&api("secrets")), []);
}

#[test]
fn patterns_of_namespaces_are_checked_as_in_velero() {
    let right = ["", "a", "*", "a-*", "?", "ns-[abc]", "ns-[1-3]", "a*b*c", "[ab]-[cd]"];
    for pattern in right {
        assert!(check_namespace_name(pattern).is_ok(), "{pattern}");
    }
    let unsupported = "wildcard pattern contains unsupported characters: |, (, ), !, {, }, ,";
    let label = |name: &str| {
        format!(
            "invalid namespace {name:?}: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
        )
    };
    let long = "a".repeat(64);
    let wrong = [
        ("a**", "wildcard pattern contains consecutive asterisks (only single * allowed)".to_owned()),
        ("{a,b}", unsupported.to_owned()),
        ("ns-[!a]", unsupported.to_owned()),
        ("a|b", unsupported.to_owned()),
        ("[]", "wildcard pattern contains empty bracket pattern '[]'".to_owned()),
        ("a[b", "wildcard pattern contains unclosed bracket '['".to_owned()),
        ("a]b", "wildcard pattern contains unmatched closing bracket ']'".to_owned()),
        ("[a]]", "wildcard pattern contains unmatched closing bracket ']'".to_owned()),
        (
            "[a-z0-9]",
            "`[a-z0-9]` is not a pattern: a bracket holds one range or a list of characters, not both"
                .to_owned(),
        ),
        ("-a", label("-a")),
        ("A", label("A")),
        ("a.b", label("a.b")),
        (&long, format!("invalid namespace {long:?}: must be no more than 63 characters")),
    ];
    for (pattern, told) in wrong {
        assert_eq!(check_namespace_name(pattern).unwrap_err(), told);
    }
}
