//! What a member has answered that it does not have, or does not show, of what the plugin works with.

use kurator_member::cache::Refusal;
use kurator_member::member::Member;

use crate::text;

/// How many types a message names.
const TYPES_SHOWN: usize = 3;
/// Types of Velero's that are watched: a member without all of them has nothing of Velero.
const WATCHED: usize = 6;

/// What is lacking.
#[derive(Clone, Debug)]
pub(in crate::fleet) struct Lack {
    /// Names of the types that the member does not have.
    pub(in crate::fleet) types: Vec<&'static str>,
    /// Why others can't be seen, a sentence each.
    pub(in crate::fleet) hidden: Vec<String>,
}

impl Lack {
    /// What this member lacks; nothing while it has not said so.
    pub(in crate::fleet) fn of(member: &Member) -> Option<Self> {
        let mut lack = Self { types: Vec::new(), hidden: Vec::new() };
        for (kind, refusal, why) in member.refused() {
            match refusal {
                Refusal::NoSuchType => lack.types.push(kind.type_name()),
                Refusal::Forbidden => lack.hidden.push(why),
            }
        }
        (!lack.types.is_empty() || !lack.hidden.is_empty()).then_some(lack)
    }

    /// Whether nothing of Velero is there.
    pub(in crate::fleet) fn is_all(&self) -> bool {
        self.types.len() == WATCHED
    }

    /// The types, as in `the cluster has no type`.
    pub(in crate::fleet) fn told(&self) -> String {
        if self.is_all() {
            return "the cluster has no velero.io types".to_owned();
        }
        let names: Vec<_> = self.types.iter().map(|name| format!("`{name}`")).collect();
        let noun = if names.len() == 1 { "type" } else { "types" };
        format!("the cluster has no {noun} {}", text::some_of(&names, TYPES_SHOWN))
    }
}
