//! Label selectors, and objects that come first.

use std::collections::BTreeMap;

use kurator_api::velero::BackupSpec;

use crate::backup::select::Ordered;
use crate::labels::Selector;

use super::Notes;

/// The selectors of which one has to match. An empty `labelSelector` selects everything, as everywhere in Kubernetes;
/// Velero sends it to the API server as `<none>`, which refuses it.
pub(super) fn selectors(spec: &BackupSpec, notes: &mut Notes) -> Vec<Selector> {
    if spec.label_selector.is_some() && !spec.or_label_selectors.is_empty() {
        notes.error(
            "encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified",
        );
    }
    let own = spec.label_selector.iter().map(|selector| ("spec.labelSelector".to_owned(), selector));
    let others = spec.or_label_selectors.iter().enumerate();
    let others = others.map(|(index, selector)| (format!("spec.orLabelSelectors[{index}]"), selector));
    let mut parse = |(path, selector)| {
        Selector::parse(selector).map_err(|error| notes.error(format!("{path}.{error}"))).ok()
    };
    own.chain(others).filter_map(&mut parse).collect()
}

/// The objects that come first. Velero takes what it can't read for the name of an object that doesn't exist, and
/// warns; so it is left out here with a warning.
pub(super) fn ordered(spec: &BackupSpec, notes: &mut Notes) -> BTreeMap<String, Vec<Ordered>> {
    let mut ordered = BTreeMap::new();
    for (resource, names) in &spec.ordered_resources {
        let mut objects = Vec::new();
        for text in names.split(',').map(str::trim) {
            let mut parts = text.split('/');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(name), None, None) if !name.is_empty() => {
                    objects.push(Ordered { namespace: None, name: name.to_owned() });
                }
                (Some(namespace), Some(name), None) if !namespace.is_empty() && !name.is_empty() => {
                    objects.push(Ordered { namespace: Some(namespace.to_owned()), name: name.to_owned() });
                }
                _ => notes.warnings.push(format!(
                    "spec.orderedResources.{resource}: `{text}` has no effect: write `namespace/name`, or `name` for cluster-scoped objects"
                )),
            }
        }
        ordered.insert(resource.clone(), objects);
    }
    ordered
}
