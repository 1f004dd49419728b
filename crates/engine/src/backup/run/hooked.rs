//! Pods with hooks: in which order they are taken, and which of them at once.
//!
//! As Velero 1.18 with its one worker: pods that share a claim, and those that `orderedResources` names, make a block
//! each; the others one alone. All hooks before the backup of a block run before any of its pods is stored, and all
//! after it when all of it is. Blocks follow each other: a hook may hold a database still, and to do that to two
//! replicas at once would be an outage.

use std::collections::{BTreeMap, BTreeSet};

use kurator_archive::{ItemPath, Slip};

use crate::backup::related::Reference;
use crate::backup::select::Ordered;
use crate::object::TypeOf;

/// A pod that waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hooked {
    pub(super) path: ItemPath,
    pub(super) kind: TypeOf,
    /// Its JSON.
    pub(super) slip: Slip,
    /// Its claims, of its own namespace.
    pub(super) claims: Vec<String>,
}

impl Hooked {
    fn is(&self, ordered: &Ordered) -> bool {
        self.path.namespace() == ordered.namespace.as_deref() && self.path.name() == ordered.name
    }
}

/// The names of the claims among what a pod brings in.
pub(super) fn claims(brought: &[Reference]) -> Vec<String> {
    let claims =
        brought.iter().filter(|one| one.group.is_empty() && one.resource == "persistentvolumeclaims");
    claims.map(|one| one.name.clone()).collect()
}

/// The pods in the order of their turns, those of one block together.
pub(super) fn blocks(mut pods: Vec<Hooked>, order: &[Ordered]) -> Vec<Vec<Hooked>> {
    let place = |pod: &Hooked| order.iter().position(|ordered| pod.is(ordered)).unwrap_or(order.len());
    // Lists come in any order.
    pods.sort_by_cached_key(|pod| (place(pod), pod.path.clone()));
    // The block of each pod is the first pod of it.
    let mut first_of: Vec<usize> = (0..pods.len()).collect();
    let mut users: BTreeMap<(Option<&str>, &str), usize> = BTreeMap::new();
    let mut ordered = None;
    for (at, pod) in pods.iter().enumerate() {
        let mut mates = BTreeSet::new();
        if place(pod) < order.len() {
            mates.insert(*ordered.get_or_insert(at));
        }
        for claim in &pod.claims {
            mates.insert(*users.entry((pod.path.namespace(), claim)).or_insert(at));
        }
        for mate in mates {
            let (one, other) = (first_of[mate], first_of[at]);
            let (first, later) = (one.min(other), one.max(other));
            if first != later {
                first_of.iter_mut().filter(|of| **of == later).for_each(|of| *of = first);
            }
        }
    }
    let mut blocks: BTreeMap<usize, Vec<Hooked>> = BTreeMap::new();
    for (first, pod) in first_of.into_iter().zip(pods) {
        blocks.entry(first).or_default().push(pod);
    }
    blocks.into_values().collect()
}

#[cfg(test)]
mod tests {
    use kurator_archive::Shelf;

    use super::*;

    fn pod(namespace: &str, name: &str, claims: &[&str]) -> Hooked {
        Hooked {
            path: ItemPath::new("pods".parse().unwrap(), Some(namespace), name).unwrap(),
            kind: TypeOf { has_version: false, has_kind: false },
            slip: Shelf::new(&std::env::temp_dir()).put(b"").unwrap(),
            claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        }
    }

    fn names(pods: Vec<Hooked>, order: &[&str]) -> Vec<String> {
        let order: Vec<Ordered> = order
            .iter()
            .map(|name| Ordered { namespace: Some("a".to_owned()), name: (*name).to_owned() })
            .collect();
        let of = |block: &Vec<Hooked>| {
            let names: Vec<_> = block.iter().map(|pod| pod.path.name().to_owned()).collect();
            names.join("+")
        };
        blocks(pods, &order).iter().map(of).collect()
    }

    #[test]
    fn each_pod_has_its_turn_in_the_order_of_names() {
        let pods = vec![pod("b", "a", &[]), pod("a", "z", &[]), pod("a", "b", &["own"])];
        assert_eq!(names(pods, &[]), ["b", "z", "a"]);
    }

    #[test]
    fn pods_that_share_a_claim_have_their_turn_together() {
        let pods = vec![
            pod("a", "p1", &["x"]),
            pod("a", "p2", &["y"]),
            pod("a", "p3", &["x", "z"]),
            pod("a", "p4", &["z"]),
            pod("b", "p5", &["x"]),
        ];
        assert_eq!(names(pods, &[]), ["p1+p3+p4", "p2", "p5"]);
    }

    #[test]
    fn two_blocks_become_one_by_a_pod_that_shares_with_both() {
        let pods = vec![pod("a", "p1", &["x"]), pod("a", "p2", &["y"]), pod("a", "p3", &["x", "y"])];
        assert_eq!(names(pods, &[]), ["p1+p2+p3"]);
    }

    #[test]
    fn ordered_pods_come_first_as_they_are_ordered_and_together() {
        let pods =
            || vec![pod("a", "p1", &[]), pod("a", "p2", &["x"]), pod("a", "p3", &[]), pod("a", "p4", &["x"])];
        assert_eq!(names(pods(), &["p3", "gone", "p2"]), ["p3+p2+p4", "p1"]);
        assert_eq!(names(pods(), &["gone"]), ["p1", "p2+p4", "p3"]);
    }
}
