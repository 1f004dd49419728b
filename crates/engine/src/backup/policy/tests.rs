use super::*;

fn read(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&BTreeMap::from([("policy".to_owned(), text.to_owned())]))
}

#[test]
fn a_full_policy_is_read() {
    let policy = read(
        r#"
version: v1
volumePolicies:
- conditions:
    capacity: "0,100Gi"
    storageClass: [gp2]
    nfs: {}
    csi: {driver: ebs, volumeAttributes: {a: b}}
    volumeTypes: [emptyDir]
    pvcLabels: {a: b}
    pvcPhase: [Pending]
    pvcVolumeMode: Block
    pvcAccessModes: [ReadWriteOnce]
  action: {type: skip, parameters: {a: 1, b: [x]}}
includeExcludePolicy:
  includedClusterScopedResources: [clusterroles]
  excludedNamespaceScopedResources: [events, "*.example.com"]
clusterScopedFilterPolicy:
  resourceFilters:
  - kinds: [ClusterRole]
    names: ["app-*"]
    excludedNames: [app-old]
namespacedFilterPolicies:
- namespaces: [prod, "team-*"]
  resourceFilters:
  - kinds: [Secret, configmaps]
    labelSelector: {matchLabels: {app: web}}
  - kinds: ["*"]
    orLabelSelectors: [{matchLabels: {a: b}}, {}, {matchExpressions: [{key: c, operator: Exists}]}]
"#,
    )
    .unwrap();
    assert_eq!(policy.volume_rules, 1);
    let types = policy.types.as_ref().unwrap();
    assert_eq!(types.include_cluster.iter().map(Glob::as_str).collect::<Vec<_>>(), ["clusterroles"]);
    assert_eq!(
        types.exclude_namespaced.iter().map(Glob::as_str).collect::<Vec<_>>(),
        ["events", "*.example.com"]
    );
    let [roles] = &policy.cluster[..] else { panic!("one filter") };
    assert!(roles.names.matches("app-new") && roles.excluded_names.matches("app-old"));
    let [namespaces] = &policy.namespaces[..] else { panic!("one policy") };
    assert_eq!(namespaces.namespaces.iter().map(Glob::as_str).collect::<Vec<_>>(), ["prod", "team-*"]);
    let queries =
        |at: usize| namespaces.filters[at].selectors.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((queries(0), queries(1)), (vec!["app=web".into()], vec!["a=b".into(), "c".into()]));
    assert!(namespaces.filters[1].kinds.is_empty(), "`*` alone is the filter of all other types");
    assert!(policy.has_filters());
}

#[test]
fn a_policy_may_say_nothing() {
    assert_eq!(read("version: v1"), Ok(Policy::default()));
    assert_eq!(read("version: v1\nvolumePolicies:\nnamespacedFilterPolicies: []"), Ok(Policy::default()));
}

#[test]
fn a_config_map_has_one_key() {
    let data = BTreeMap::from([("a".to_owned(), String::new()), ("b".to_owned(), String::new())]);
    for (data, keys) in [(data, 2), (BTreeMap::new(), 0)] {
        let told = format!("it has {keys} keys: a ConfigMap with resource policies has exactly one");
        assert_eq!(Policy::parse(&data).unwrap_err().to_string(), told);
    }
}

#[test]
fn what_velero_refuses_is_refused() {
    let cluster = "clusterScopedFilterPolicy: {resourceFilters: ";
    let prod = "namespacedFilterPolicies: [{namespaces: [prod], resourceFilters: ";
    let cases = [
        ("volumePolicies: [{conditions: {}, action: {type: copy}}]".to_owned(), "volumePolicies[0].action.type: invalid action type `copy`: take one of skip, snapshot, fs-backup, custom"),
        ("volumePolicies: [{conditions: {capacity: 10Gi}, action: {type: skip}}]".to_owned(), "volumePolicies[0].conditions.capacity: wrong format of Capacity `10Gi`: write two quantities and a comma between them, such as `1Gi,10Gi` or `10Gi,`"),
        ("volumePolicies: [{conditions: {csi: {volumeAttributes: {a: b}}}, action: {type: skip}}]".to_owned(), "volumePolicies[0].conditions.csi: csi driver should not be empty when filtering by volume attributes"),
        ("includeExcludePolicy: {includedClusterScopedResources: ['*']}".to_owned(), "includeExcludePolicy.includedClusterScopedResources: cannot use '*' in includes or excludes filters in the policy"),
        ("includeExcludePolicy: {includedNamespaceScopedResources: [a], excludedNamespaceScopedResources: [a]}".to_owned(), "includeExcludePolicy.excludedNamespaceScopedResources: excludes list cannot contain an item in the includes list: a"),
        ("clusterScopedFilterPolicy: {}".to_owned(), "clusterScopedFilterPolicy: resourceFilters cannot be empty; remove the policy block entirely if it is not needed"),
        (format!("{cluster}[{{names: []}}]}}"), "clusterScopedFilterPolicy.resourceFilters[0]: kinds must be specified (catch-all is not supported)"),
        (format!("{cluster}[{{kinds: [a]}}, {{kinds: [b, a]}}]}}"), "clusterScopedFilterPolicy: kind \"a\" appears in both resourceFilters[0] and resourceFilters[1]"),
        (format!("{cluster}[{{kinds: [a], names: ['[']}}]}}"), "clusterScopedFilterPolicy.resourceFilters[0].names[0]: invalid glob pattern: `[` is not a pattern: a bracket is not closed"),
        ("namespacedFilterPolicies: [{resourceFilters: [{kinds: [a]}]}]".to_owned(), "namespacedFilterPolicies[0]: at least one namespace must be specified"),
        ("namespacedFilterPolicies: [{namespaces: [a]}]".to_owned(), "namespacedFilterPolicies[0]: at least one resourceFilter must be specified"),
        (format!("{prod}[{{}}, {{kinds: ['*']}}]}}]"), "namespacedFilterPolicies[0]: only one catch-all resource filter is allowed"),
        (format!("{prod}[{{names: [a]}}]}}]"), "namespacedFilterPolicies[0].resourceFilters[0]: names or excludedNames cannot be specified for catch-all filters"),
        (format!("{prod}[{{kinds: [a], labelSelector: {{matchLabels: {{a: b}}}}, orLabelSelectors: [{{}}]}}]}}]"), "namespacedFilterPolicies[0].resourceFilters[0]: labelSelector and orLabelSelectors cannot co-exist"),
        (format!("{prod}[{{kinds: [a], labelSelector: {{matchExpressions: [{{key: a, operator: Is}}]}}}}]}}]"), "namespacedFilterPolicies[0].resourceFilters[0].labelSelector: invalid label selector: matchExpressions[0].operator `Is` is none of `In`, `NotIn`, `Exists` and `DoesNotExist`"),
        ("namespacedFilterPolicies: [{namespaces: [a, 'b**'], resourceFilters: [{}]}]".to_owned(), "namespacedFilterPolicies[0].namespaces[1]: wildcard pattern contains consecutive asterisks (only single * allowed)"),
        ("namespacedFilterPolicies: [{namespaces: [a], resourceFilters: [{}]}, {namespaces: [a], resourceFilters: [{}]}]".to_owned(), "namespacedFilterPolicies[1].namespaces[0]: duplicate namespace pattern 'a': keep one of them"),
    ];
    for (text, told) in cases {
        let refused = read(&format!("version: v1\n{text}")).unwrap_err().to_string();
        assert_eq!(refused, told, "{text}");
    }
    assert_eq!(
        read("version: v2").unwrap_err().to_string(),
        "incompatible version number `v2` with supported version v1"
    );
}

#[test]
fn what_it_does_not_know_is_refused() {
    let unknown = [
        "version: v1\nother: 1",
        "version: v1\nincludeExcludePolicy: {includedResources: [a]}",
        "version: v1\nvolumePolicies: [{conditions: {size: 1}, action: {type: skip}}]",
        "version: v1\nclusterScopedFilterPolicy: {resourceFilters: [{kinds: [a], labelSelector: {labels: {a: b}}}]}",
        "version: v1\n---\nversion: v1",
        "- a",
        ": {",
    ];
    for text in unknown {
        let refused = read(text).unwrap_err().to_string();
        assert!(
            refused.starts_with("failed to decode yaml data into resource policies: "),
            "{text}: {refused}"
        );
    }
}
