//! What is left to do in one member for a Backup that is being deleted. Pure.

use std::sync::Arc;

use kube::ResourceExt;
use kurator_api::names;
use kurator_api::velero;
use kurator_member::knowledge::Knowledge;
use tokio::time::Instant;

use crate::run::child::Contact;
use crate::writes::Unsettled;

/// What the deletion is to reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// The data goes, too.
    pub(super) delete: bool,
    /// There are schedules in the members, or may be.
    pub(super) scheduled: bool,
}

/// What is known of one member.
pub(super) struct Seen {
    /// The cluster object is on the hub.
    pub(super) exists: bool,
    pub(super) contact: Contact,
    /// It leads to another cluster than the one the Backup ran in.
    pub(super) another: bool,
    /// Ours.
    pub(super) schedules: Knowledge<Vec<Arc<velero::Schedule>>>,
    /// Ours, runs of the schedule included.
    pub(super) backups: Knowledge<Vec<Arc<velero::Backup>>>,
    /// Writes from before the deletion.
    pub(super) others: Unsettled,
}

impl Seen {
    /// A member that can't be asked.
    pub(super) fn nothing(exists: bool, contact: Contact) -> Self {
        let (schedules, backups) = (Knowledge::Absent, Knowledge::Absent);
        Self { exists, contact, another: false, schedules, backups, others: Unsettled::No }
    }

    /// Whether what the Backup itself makes is to be seen, so that no write is waited for any longer.
    pub(super) fn shows_what_was_made(&self, goal: Goal) -> bool {
        if goal.scheduled {
            matches!(&self.schedules, Knowledge::Present(some) if !some.is_empty())
        } else {
            matches!(&self.backups, Knowledge::Present(some) if !some.is_empty())
        }
    }
}

/// What is left to do in one member.
#[derive(Debug, PartialEq)]
pub(super) enum Left {
    Nothing,
    Wait {
        why: String,
        until: Option<Instant>,
    },
    /// Something may be left and the member is out of reach.
    Away(String),
    /// As [`Left::Away`], and there is no way back.
    Lost,
    /// These schedules are to go first.
    Unschedule(Vec<String>),
    /// These backups are to say that they have no owner any more.
    Mark(Vec<String>),
    /// These backups are to go with their data.
    Erase(Vec<Arc<velero::Backup>>),
}

pub(super) fn left(seen: &Seen, goal: Goal) -> Left {
    let away = |why: &str| match (goal, seen.exists) {
        (Goal { delete: false, scheduled: false }, _) => Left::Nothing,
        (_, true) => Left::Away(why.to_owned()),
        (_, false) => Left::Lost,
    };
    let uid = match &seen.contact {
        Contact::Lost { why, .. } => return away(why),
        Contact::NotYet(until) => {
            return Left::Wait { why: "being connected to".to_owned(), until: *until };
        }
        Contact::Live { uid } => uid,
    };
    match seen.others {
        Unsettled::InFlight => {
            return Left::Wait { why: "a write is under way".to_owned(), until: None };
        }
        Unsettled::Until(until) => {
            let why = "the end of the last write is not to be seen yet";
            return Left::Wait { why: why.to_owned(), until: Some(until) };
        }
        Unsettled::No => {}
    }
    match &seen.schedules {
        Knowledge::Unknown { why, .. } if goal.scheduled => return away(why),
        Knowledge::Present(schedules) if !schedules.is_empty() => {
            return Left::Unschedule(schedules.iter().map(|schedule| schedule.name_any()).collect());
        }
        Knowledge::Unknown { .. } | Knowledge::Absent | Knowledge::Present(_) => {}
    }
    let backups = match &seen.backups {
        Knowledge::Unknown { why, .. } if goal.delete => return away(why),
        Knowledge::Present(backups) => backups.as_slice(),
        Knowledge::Unknown { .. } | Knowledge::Absent => &[],
    };
    match (goal.delete, backups) {
        (true, []) if seen.another => away(&format!("leads to another cluster now (UID {uid})")),
        // Whatever ran by the schedule ran in a cluster that nobody can reach by this name.
        (false, []) if seen.another && goal.scheduled => Left::Lost,
        (true, []) => Left::Nothing,
        (true, all) => Left::Erase(all.to_vec()),
        (false, all) => {
            let unmarked: Vec<_> =
                all.iter().filter(|backup| is_unmarked(backup)).map(|b| b.name_any()).collect();
            if unmarked.is_empty() { Left::Nothing } else { Left::Mark(unmarked) }
        }
    }
}

fn is_unmarked(backup: &velero::Backup) -> bool {
    backup.metadata.deletion_timestamp.is_none()
        && !backup.annotations().contains_key(names::RELEASED_ANNOTATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use kurator_api::reason::Reason;
    use serde_json::json;

    const RETAIN: Goal = Goal { delete: false, scheduled: false };
    const RETAIN_SCHEDULE: Goal = Goal { delete: false, scheduled: true };
    const DELETE: Goal = Goal { delete: true, scheduled: false };
    const DELETE_SCHEDULE: Goal = Goal { delete: true, scheduled: true };
    const ALL: [Goal; 4] = [RETAIN, RETAIN_SCHEDULE, DELETE, DELETE_SCHEDULE];

    fn object<K: serde::de::DeserializeOwned>(annotations: &serde_json::Value) -> Arc<K> {
        let object = json!({"metadata": {"name": "x", "annotations": annotations}, "spec": {}});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn live() -> Seen {
        let contact = Contact::Live { uid: "uid".into() };
        Seen { schedules: Knowledge::Present(vec![]), ..Seen::nothing(true, contact) }
    }

    fn away(exists: bool) -> Seen {
        Seen::nothing(exists, Contact::Lost { reason: Reason::Unreachable, why: "no route".into() })
    }

    fn with_backup(annotations: &serde_json::Value) -> Seen {
        Seen { backups: Knowledge::Present(vec![object(annotations)]), ..live() }
    }

    fn unknown<T>() -> Knowledge<T> {
        Knowledge::Unknown { since: Timestamp::UNIX_EPOCH, why: "no such type".into() }
    }

    #[test]
    fn k45_a_member_out_of_reach_is_waited_for_only_if_something_must_go_from_it() {
        assert_eq!(left(&away(true), RETAIN), Left::Nothing);
        for goal in [RETAIN_SCHEDULE, DELETE, DELETE_SCHEDULE] {
            assert_eq!(left(&away(true), goal), Left::Away("no route".into()), "{goal:?}");
        }
    }

    #[test]
    fn k45_a_cluster_object_that_is_gone_is_not_waited_for() {
        assert_eq!(left(&away(false), RETAIN), Left::Nothing);
        for goal in [RETAIN_SCHEDULE, DELETE, DELETE_SCHEDULE] {
            assert_eq!(left(&away(false), goal), Left::Lost, "{goal:?}");
        }
    }

    #[test]
    fn n07_schedules_go_before_any_backup() {
        let seen =
            Seen { schedules: Knowledge::Present(vec![object(&json!({}))]), ..with_backup(&json!({})) };
        for goal in ALL {
            assert_eq!(left(&seen, goal), Left::Unschedule(vec!["x".into()]), "{goal:?}");
        }
    }

    #[test]
    fn k05_backups_are_deleted_or_marked_once() {
        for goal in [DELETE, DELETE_SCHEDULE] {
            assert!(matches!(left(&with_backup(&json!({})), goal), Left::Erase(_)));
            assert_eq!(left(&live(), goal), Left::Nothing);
        }
        let marked = with_backup(&json!({"kurator.dev/released": "2026-01-01T00:00:00Z"}));
        for goal in [RETAIN, RETAIN_SCHEDULE] {
            assert_eq!(left(&with_backup(&json!({})), goal), Left::Mark(vec!["x".into()]));
            assert_eq!(left(&marked, goal), Left::Nothing);
        }
        assert!(matches!(left(&marked, DELETE), Left::Erase(_)));
    }

    #[test]
    fn k45_nothing_is_finished_while_a_write_may_still_make_something() {
        let until = Instant::now();
        for goal in ALL {
            for (others, expected) in [(Unsettled::InFlight, None), (Unsettled::Until(until), Some(until))] {
                let Left::Wait { until, .. } = left(&Seen { others, ..live() }, goal) else {
                    panic!("{others:?} {goal:?}")
                };
                assert_eq!(until, expected);
            }
        }
    }

    #[test]
    fn what_velero_has_must_be_known_for_what_must_go() {
        let blind = || Seen { schedules: unknown(), backups: unknown(), ..live() };
        assert_eq!(left(&blind(), RETAIN), Left::Nothing);
        for goal in [RETAIN_SCHEDULE, DELETE, DELETE_SCHEDULE] {
            assert_eq!(left(&blind(), goal), Left::Away("no such type".into()), "{goal:?}");
        }
    }

    #[test]
    fn data_of_a_cluster_that_was_replaced_is_waited_for() {
        let replaced = || Seen { another: true, ..live() };
        assert_eq!(left(&replaced(), RETAIN), Left::Nothing);
        assert_eq!(left(&replaced(), RETAIN_SCHEDULE), Left::Lost);
        assert!(matches!(left(&replaced(), DELETE), Left::Away(_)));
        assert!(matches!(left(&Seen { exists: false, ..replaced() }, DELETE), Left::Lost));
        let synced = Seen { another: true, ..with_backup(&json!({})) };
        assert!(matches!(left(&synced, DELETE), Left::Erase(_)));
    }
}
