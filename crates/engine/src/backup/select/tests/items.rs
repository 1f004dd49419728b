use super::*;

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
