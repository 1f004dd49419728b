//! What `kurator` must be allowed in which cluster: the manifests of `examples/rbac`, and whether a hub grants theirs.

use anyhow::Context as _;
use clap::ValueEnum;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::Value;

use crate::failure::Failure;
use crate::verbs::output;

const HUB: &str = include_str!("../../../examples/rbac/hub.yaml");
const MEMBER_VELERO: &str = include_str!("../../../examples/rbac/member-velero.yaml");
const MEMBER_BUILTIN: &str = include_str!("../../../examples/rbac/member-builtin.yaml");

/// Questions to the hub at the same time.
const AT_ONCE: usize = 8;

/// What a cluster is to Kurator.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Place {
    /// `kurator serve` looks after it
    Hub,
    /// A member in which Velero runs
    MemberVelero,
    /// A member that the hub, or `kurator engine`, serves itself
    MemberBuiltin,
}

impl Place {
    const fn manifest(self) -> &'static str {
        match self {
            Self::Hub => HUB,
            Self::MemberVelero => MEMBER_VELERO,
            Self::MemberBuiltin => MEMBER_BUILTIN,
        }
    }
}

/// Prints the manifest for such a cluster.
pub(crate) fn print(place: Place) -> Result<(), Failure> {
    Ok(output::print(place.manifest())?)
}

/// Says what `kurator serve` needs on the hub and may not do, before it fails at one thing after the other. The Lease is
/// not among it.
pub(crate) async fn check_hub(client: &Client, server: &str) -> Result<(), Failure> {
    let missing = match missing(client, rights(HUB)?).await {
        Ok(missing) => missing,
        // Who can't be told finds out by trying.
        Err(error) => {
            tracing::debug!(error = %error, "the hub does not say what this user may do");
            return Ok(());
        }
    };
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::with_hint(
        anyhow::anyhow!("the hub at {server} does not grant this user {}", told(&missing)),
        "`kurator rbac hub` prints all that is needed, for `kubectl apply -f -`",
    ))
}

/// Something that may be done, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    verb: String,
    group: String,
    /// With its subresource, as in a rule: `fleets/status`.
    resource: String,
    /// The only object of it that is meant.
    name: Option<String>,
}

impl Right {
    /// The type and object, as kubectl names them.
    fn object(&self) -> String {
        let (resource, below) = self.resource.split_once('/').unwrap_or((&self.resource, ""));
        let mut text = resource.to_owned();
        for (mark, part) in
            [(".", self.group.as_str()), ("/", below), (" ", self.name.as_deref().unwrap_or_default())]
        {
            if !part.is_empty() {
                text.push_str(mark);
                text.push_str(part);
            }
        }
        text
    }

    fn question(&self) -> SelfSubjectAccessReview {
        let (resource, below) = match self.resource.split_once('/') {
            Some((resource, below)) => (resource, Some(below)),
            None => (self.resource.as_str(), None),
        };
        let attributes = ResourceAttributes {
            verb: Some(self.verb.clone()),
            group: Some(self.group.clone()),
            resource: Some(resource.to_owned()),
            subresource: below.map(str::to_owned),
            name: self.name.clone(),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() }
    }
}

/// What the ClusterRoles of a manifest allow, one by one.
fn rights(manifest: &str) -> anyhow::Result<Vec<Right>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(manifest).context("cannot read a manifest")?;
    let mut rights = Vec::new();
    for document in documents.iter().filter(|document| document["kind"] == "ClusterRole") {
        let rules: Vec<PolicyRule> =
            serde_json::from_value(document["rules"].clone()).context("cannot read a rule")?;
        rules.into_iter().for_each(|rule| rights.append(&mut of_rule(&rule)));
    }
    Ok(rights)
}

fn of_rule(rule: &PolicyRule) -> Vec<Right> {
    let (groups, resources) = (rule.api_groups.as_deref(), rule.resources.as_deref());
    let names = match rule.resource_names.as_deref() {
        None | Some([]) => vec![None],
        Some(names) => names.iter().map(|name| Some(name.clone())).collect(),
    };
    let mut rights = Vec::new();
    for group in groups.unwrap_or_default() {
        for resource in resources.unwrap_or_default() {
            for name in &names {
                rights.extend(rule.verbs.iter().map(|verb| Right {
                    verb: verb.clone(),
                    group: group.clone(),
                    resource: resource.clone(),
                    name: name.clone(),
                }));
            }
        }
    }
    rights
}

/// Those of these rights that the user of a client does not have, in their order.
async fn missing(client: &Client, rights: Vec<Right>) -> kube::Result<Vec<Right>> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let asked = stream::iter(rights).map(|right| {
        let reviews = reviews.clone();
        async move {
            let answer = reviews.create(&PostParams::default(), &right.question()).await?;
            let is_allowed = answer.status.is_some_and(|status| status.allowed);
            kube::Result::Ok((!is_allowed).then_some(right))
        }
    });
    asked.buffered(AT_ONCE).try_filter_map(|right| std::future::ready(Ok(right))).try_collect().await
}

/// `list and watch of secrets; patch of fleets.fleet.kurator.dev/status`.
fn told(rights: &[Right]) -> String {
    let mut objects: Vec<(String, Vec<&str>)> = Vec::new();
    for right in rights {
        let object = right.object();
        match objects.last_mut().filter(|(last, _)| *last == object) {
            Some((_, verbs)) => verbs.push(&right.verb),
            None => objects.push((object, vec![&right.verb])),
        }
    }
    let each = objects.iter().map(|(object, verbs)| match verbs.as_slice() {
        [] => object.clone(),
        [one] => format!("{one} of {object}"),
        [most @ .., last] => format!("{} and {last} of {object}", most.join(", ")),
    });
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kube::ResourceExt;

    use super::*;

    /// The types that a manifest names among those it may use this verb on.
    fn types(manifest: &str, verb: &str) -> BTreeSet<String> {
        let rights = rights(manifest).unwrap();
        let of_types = rights.into_iter().filter(|right| right.resource == "customresourcedefinitions");
        of_types.filter(|right| right.verb == verb).filter_map(|right| right.name).collect()
    }

    #[test]
    fn the_hub_may_install_every_type_of_ours_and_an_engine_remove_every_one_of_veleros() {
        let ours = kurator_api::crds::all().iter().map(ResourceExt::name_any).collect();
        assert_eq!(types(HUB, "patch"), ours);
        let veleros = kurator_api::velero::crds().iter().map(ResourceExt::name_any).collect();
        assert_eq!(types(MEMBER_BUILTIN, "delete"), veleros);
    }

    #[test]
    fn only_a_member_that_is_served_may_be_changed_beyond_veleros_types() {
        for manifest in [HUB, MEMBER_VELERO] {
            let all = |right: &Right| right.verb == "*" || right.group == "*" || right.resource == "*";
            assert!(!rights(manifest).unwrap().iter().any(all), "{manifest}");
        }
        assert_eq!(rights(MEMBER_VELERO).unwrap().len(), 1, "the rest is a Role of Velero's namespace");
    }

    #[test]
    fn what_is_missing_is_told_by_type_and_verb() {
        let rule = |text: &str| of_rule(&serde_saphyr::from_str(text).unwrap());
        let rights = [
            rule("{apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}"),
            rule("{apiGroups: [fleet.kurator.dev], resources: [fleets/status], verbs: [patch]}"),
            rule("{apiGroups: [''], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}"),
        ];
        let expected = "get, list and watch of secrets; patch of fleets.fleet.kurator.dev/status; get of namespaces kube-system";
        assert_eq!(told(&rights.concat()), expected);
    }
}
