//! What is said of volumes whose data is not in a backup: by who made it, and by who restores it.

use kube::ResourceExt;
use kurator_api::cluster::ClusterKey;
use kurator_api::condition::{self, Condition};
use kurator_api::names;
use kurator_api::reason::Reason;
use kurator_member::knowledge::Knowledge;

use crate::ctx::Ctx;
use crate::text;

/// How many clusters a message names.
const NAMES_SHOWN: usize = 5;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Teller {
    /// Who makes the backups.
    Backup,
    /// Who restores them.
    Restore,
}

/// Says in a condition which of these Velero Backups, each with the cluster that has it, lack the data of volumes. What
/// was said stays while that cannot be seen.
pub(crate) fn say_volumes(
    ctx: &Ctx,
    teller: Teller,
    runs: impl Iterator<Item = (ClusterKey, String)>,
    conditions: &mut Vec<Condition>,
) {
    let mut lacking = Vec::new();
    let mut all_seen = true;
    for (cluster, name) in runs {
        match ctx.members.get(&cluster).map(|member| member.backups().get(&name)) {
            Some(Knowledge::Present(backup)) => {
                lacking.extend(without_data(&*backup).map(|count| (cluster.name, count)));
            }
            _ => all_seen = false,
        }
    }
    match message(teller, &lacking) {
        Some(message) => {
            let now = ctx.clock.now();
            let said =
                Condition::new(condition::VOLUME_DATA, false, Reason::VolumesWithoutData, message, now);
            condition::set(conditions, said);
        }
        None if all_seen => conditions.retain(|condition| condition.type_ != condition::VOLUME_DATA),
        None => {}
    }
}

/// How many volume claims a Velero Backup says that it has without their data.
pub(crate) fn without_data(backup: &impl ResourceExt) -> Option<u32> {
    backup.annotations().get(names::WITHOUT_DATA_ANNOTATION)?.parse().ok().filter(|count| *count > 0)
}

/// The annotation by which a copy of that Velero Backup says so.
pub(crate) fn annotation(without_data: Option<u32>) -> Option<(String, String)> {
    Some((names::WITHOUT_DATA_ANNOTATION.to_owned(), without_data?.to_string()))
}

fn message(teller: Teller, lacking: &[(String, u32)]) -> Option<String> {
    let named: Vec<_> = lacking.iter().map(|(cluster, count)| format!("{count} of {cluster}")).collect();
    let what_to_do = match teller {
        Teller::Backup => "the built-in engine stores objects alone, use engine Velero for the data",
        Teller::Restore => "the backup has their objects alone, so bring the data in from elsewhere",
    };
    (!named.is_empty()).then(|| {
        let named = text::some_of(&named, NAMES_SHOWN);
        format!("volume claims without the data of their volumes: {named}; {what_to_do}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kurator_api::velero;
    use serde_json::json;

    #[test]
    fn the_message_names_each_cluster_how_many_claims_lack_their_data_and_what_to_do() {
        let lacking = [("m1".to_owned(), 3), ("m2".to_owned(), 1)];
        let said = |teller| message(teller, &lacking).unwrap();
        let claims = "volume claims without the data of their volumes: 3 of m1, 1 of m2; ";
        assert_eq!(
            said(Teller::Backup),
            format!("{claims}the built-in engine stores objects alone, use engine Velero for the data")
        );
        assert_eq!(
            said(Teller::Restore),
            format!("{claims}the backup has their objects alone, so bring the data in from elsewhere")
        );
        assert_eq!(message(Teller::Restore, &[]), None);
    }

    #[test]
    fn the_count_is_the_engines_own_and_nothing_else_counts() {
        let of = |text: Option<&str>| {
            let annotations = text.map(|text| json!({names::WITHOUT_DATA_ANNOTATION: text}));
            let backup = json!({"metadata": {"name": "b", "annotations": annotations}, "spec": {}});
            without_data(&serde_json::from_value::<velero::Backup>(backup).unwrap())
        };
        assert_eq!([of(Some("2")), of(Some("0")), of(Some("many")), of(None)], [Some(2), None, None, None]);
    }
}
