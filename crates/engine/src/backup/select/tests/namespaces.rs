use proptest::prelude::*;

use super::*;

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

proptest! {
    #[test]
    fn a_namespace_is_listed_if_and_only_if_it_is_taken(
        include in prop::collection::vec("[an][s*?-]{0,3}[1-3]?", 0..4),
        exclude in prop::collection::vec("[an][s*?-]{0,3}[1-3]?", 0..3),
    ) {
        let texts = |names: &[String]| names.iter().filter_map(|name| Glob::parse(name).ok()).collect();
        let (include_namespaces, exclude_namespaces) = (texts(&include), texts(&exclude));
        let all = include.is_empty();
        let selection = select(&Filters { include_namespaces, exclude_namespaces, ..nothing_said() });
        let listed = selection.lists(&api("pods"));
        for NamespaceFact { name, .. } in existing() {
            let is_listed = listed.iter().any(|one| one.namespace.as_deref().is_none_or(|of| of == name));
            let is_taken = selection.takes_namespace(&name);
            prop_assert!(is_listed == is_taken || all && is_listed);
        }
    }
}
