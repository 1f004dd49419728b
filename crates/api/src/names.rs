//! Everything that is spelled the same in two places: labels, annotations, finalizers, and the names of
//! objects in members.

use sha2::{Digest, Sha256};

/// Namespace of every Velero object in a member.
pub const VELERO_NAMESPACE: &str = "velero";

/// The Lease in [`VELERO_NAMESPACE`] of the built-in engine that works on the cluster.
pub const ENGINE_LEASE: &str = "kurator-engine";
/// Label: the Fleet, on cluster objects and on Velero objects in members.
pub const FLEET_NAME_LABEL: &str = "fleet.kurator.dev/fleet-name";
/// Label: the Fleet, on Flux objects. Kurator uses two keys.
pub const FLEET_LABEL: &str = "fleet.kurator.dev/name";
/// Label: the plugin that an object belongs to.
pub const PLUGIN_LABEL: &str = "fleet.kurator.dev/plugin";
/// Value of [`PLUGIN_LABEL`] for everything of backup, restore and migration.
pub const BACKUP_PLUGIN: &str = "backup";
/// Label: the component of a plugin, on Flux objects.
pub const COMPONENT_LABEL: &str = "fleet.kurator.dev/component";
/// Label: what manages a Flux object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "fleet-manager";
/// Label: the Backup that a Velero Backup or Schedule belongs to.
pub const BACKUP_NAME_LABEL: &str = "kurator.dev/backup-name";
/// Label: the Restore that a Velero Restore belongs to.
pub const RESTORE_NAME_LABEL: &str = "kurator.dev/restore-name";
/// Label: the Migrate that a Velero Backup or Restore belongs to.
pub const MIGRATE_NAME_LABEL: &str = "kurator.dev/migrate-name";
/// Label: UID of the hub object that an object in a member belongs to. It decides whose it is.
pub const OWNER_UID_LABEL: &str = "kurator.dev/owner-uid";

/// Annotation: the hub object that an object in a member belongs to, as [`owner`] writes it.
pub const OWNER_ANNOTATION: &str = "kurator.dev/owner";
/// Annotation: the cluster that an object in a member was made for, as
/// [`ClusterKey`](crate::cluster::ClusterKey) displays it.
pub const CLUSTER_ANNOTATION: &str = "kurator.dev/cluster";
/// Annotation: the name that had to be shortened, in full.
pub const FULL_NAME_ANNOTATION: &str = "kurator.dev/full-name";
/// Annotation on a cluster object: the kube-system UID whose prefix in the bucket is taken over.
pub const TAKE_OVER_PREFIX_ANNOTATION: &str = "kurator.dev/take-over-prefix";
/// Annotation: `"true"` gives up on members that are out of reach during deletion.
pub const FORCE_DELETE_ANNOTATION: &str = "kurator.dev/force-delete";
/// Annotation on a Restore or Migrate: runs once more beside an object of the same name.
pub const RUN_AGAIN_ANNOTATION: &str = "kurator.dev/run-again";
/// Annotation on a Restore or Migrate: takes an object of the same name as its own.
pub const ADOPT_ANNOTATION: &str = "kurator.dev/adopt";
/// Annotation on a scheduled Backup: runs it now, once per value.
pub const RUN_NOW_ANNOTATION: &str = "kurator.dev/run-now";
/// Annotation on an object in a member: UID of the hub's kube-system namespace, so that a hub that was built again
/// tells what it made before from what it made itself.
pub const HUB_ANNOTATION: &str = "kurator.dev/hub";
/// Annotation on a storage location: UID of the Fleet that asks whether the hub that wrote the location is gone. One that
/// lives takes it off.
pub const INHERITS_ANNOTATION: &str = "kurator.dev/inherits";
/// Annotation on an object in a member: its owner was deleted in order, so a new one of that name owes it nothing.
pub const RELEASED_ANNOTATION: &str = "kurator.dev/released";
/// Prefix of the names of read-only storage locations through which a cluster restores what another one stored.
pub const READ_ONLY_LOCATION_PREFIX: &str = "kurator-ro-";
/// Annotation on a copy of a Velero Backup: how many records of volumes came along, or `unknown`. Written last, so a
/// copy without it is not complete.
pub const VOLUMES_ANNOTATION: &str = "kurator.dev/volumes";
/// Annotation on a storage location: who serves it, if not Velero. Its credential is then on the hub alone.
pub const ENGINE_ANNOTATION: &str = "kurator.dev/engine";
/// Annotation on velero.io's CRDs and on the namespace of a member: the release that made them because they were
/// absent, so that they go with the last object.
pub const MADE_BY_ANNOTATION: &str = "kurator.dev/made-by";
/// Annotation on a Velero Backup of the built-in engine: how many claims it stored without the data of their volumes.
pub const WITHOUT_DATA_ANNOTATION: &str = "kurator.dev/volumes-without-data";
/// Annotation on a Velero Backup or Restore that the built-in engine has ended with errors or warnings: how many, where all
/// of them are in the object store, and the first.
pub const PROBLEMS_ANNOTATION: &str = "kurator.dev/problems";
/// Annotation on a Fleet: asks for a control plane. Accepted, not managed.
pub const CONTROL_PLANE_ANNOTATION: &str = "fleet.kurator.dev/controlplane";
/// Annotation on our CRDs: the release that wrote them, so that an older one does not overwrite them.
pub const CRD_VERSION_ANNOTATION: &str = "kurator.dev/crd-version";

/// Finalizer of an AttachedCluster, while a Fleet has it or something of ours is to be removed from the cluster.
pub const CLUSTER_FINALIZER: &str = "kurator.dev/clean-up";
/// Finalizer of a Fleet.
pub const FLEET_FINALIZER: &str = "fleet.kurator.dev";
/// Finalizer of a Backup.
pub const BACKUP_FINALIZER: &str = "backup.kurator.dev";
/// Finalizer of a Restore.
pub const RESTORE_FINALIZER: &str = "restore.kurator.dev";
/// Finalizer of a Migrate.
pub const MIGRATE_FINALIZER: &str = "migrate.kurator.dev";

/// Label that Velero puts on a Backup: the Schedule that made it.
pub const VELERO_SCHEDULE_NAME_LABEL: &str = "velero.io/schedule-name";
/// Label that Velero puts on a Backup: its storage location.
pub const VELERO_STORAGE_LOCATION_LABEL: &str = "velero.io/storage-location";
/// Label that Velero puts on everything that belongs to a Backup: its name.
pub const VELERO_BACKUP_NAME_LABEL: &str = "velero.io/backup-name";
/// Label that Velero puts on everything that belongs to a Backup: its UID.
pub const VELERO_BACKUP_UID_LABEL: &str = "velero.io/backup-uid";

/// The longest label value, in bytes.
pub const MAX_LABEL: usize = 63;

/// The longest name of an object, in bytes.
pub const MAX_SUBDOMAIN: usize = 253;

/// How many digits of a hash stand at the end of a shortened name, as in Velero's labels.
const HASH_DIGITS: usize = 6;

/// How many digits of a hash tell two requests to run now apart.
const RUN_NOW_DIGITS: usize = 8;

/// How much of a UID tells two owners of one name apart.
const UID_DIGITS: usize = 8;

/// The hub's kinds that have objects in members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChildKind {
    /// Of a Backup.
    Backup,
    /// Of a Restore.
    Restore,
    /// Of a Migrate.
    Migrate,
}

impl ChildKind {
    /// The kind as it stands in names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Restore => "restore",
            Self::Migrate => "migrate",
        }
    }

    /// The label that carries the hub object's name; shorten the value by [`label_value`].
    #[must_use]
    pub const fn name_label(self) -> &'static str {
        match self {
            Self::Backup => BACKUP_NAME_LABEL,
            Self::Restore => RESTORE_NAME_LABEL,
            Self::Migrate => MIGRATE_NAME_LABEL,
        }
    }
}

/// The first choice of a name in a member for the object of `namespace/name`: Kurator's, so that what it
/// left is found again, and shortened where that is no legal label value, because Velero uses it as one.
///
/// Not unique: the name of a cluster says nothing of its kind, and `a-backup-b-c-d` can be read in two
/// ways. Whose an object is, [`OWNER_UID_LABEL`] tells; for a name that is taken there is [`second_choice`].
#[must_use]
pub fn member_object_name(cluster: &str, kind: ChildKind, namespace: &str, name: &str) -> String {
    label_value(&full_name(cluster, kind, namespace, name))
}

/// The name before shortening; what [`FULL_NAME_ANNOTATION`] holds where the two differ.
#[must_use]
pub fn full_name(cluster: &str, kind: ChildKind, namespace: &str, name: &str) -> String {
    format!("{cluster}-{}-{namespace}-{name}", kind.as_str())
}

/// The name in a member when the first choice belongs to another owner: the first choice and the beginning
/// of the owner's UID, at most 63 characters.
#[must_use]
pub fn second_choice(first: &str, uid: &str) -> String {
    let uid = cut(uid, UID_DIGITS);
    let room = MAX_LABEL - UID_DIGITS - 1;
    // A cut may end behind a separator, and two of them in a row are no legal name.
    let first = cut(first, room).trim_end_matches(['-', '.']);
    format!("{first}-{uid}")
}

/// The name of the Velero Backup that [`RUN_NOW_ANNOTATION`] with this value asks a Schedule for: the Schedule's, and
/// the beginning of a hash of the value.
#[must_use]
pub fn run_now_name(schedule: &str, token: &str) -> String {
    format!("{schedule}-run-{}", hash(token, RUN_NOW_DIGITS))
}

/// The name of that Backup if another owner has the first: of a schedule that is gone, for example, and was asked by
/// the same value.
#[must_use]
pub fn second_run_now_name(schedule: &str, token: &str, uid: &str) -> String {
    format!("{}-{}", run_now_name(schedule, token), cut(uid, UID_DIGITS))
}

/// A legal label value for a text of legal characters: itself up to 63 bytes, else its first 57 and six
/// digits of its SHA-256, as Velero does.
#[must_use]
pub fn label_value(text: &str) -> String {
    if text.len() <= MAX_LABEL {
        return text.to_owned();
    }
    format!("{}{}", cut(text, MAX_LABEL - HASH_DIGITS), hash(text, HASH_DIGITS))
}

/// The first so many hexadecimal digits, an even number, of a text's SHA-256.
fn hash(text: &str, digits: usize) -> String {
    Sha256::digest(text).iter().take(digits / 2).map(|byte| format!("{byte:02x}")).collect()
}

/// What [`OWNER_ANNOTATION`] holds, such as `Backup default/specific-ns`.
#[must_use]
pub fn owner(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind} {namespace}/{name}")
}

/// Whether it is a DNS label, as namespaces are named.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= MAX_LABEL && is_dns_part(text)
}

/// Whether it is a DNS subdomain, as most objects are named.
#[must_use]
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN && text.split('.').all(is_dns_part)
}

/// Lower case letters, digits and dashes, which stand neither first nor last.
fn is_dns_part(text: &str) -> bool {
    let is_end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_end) && text.ends_with(is_end) && text.chars().all(|c| is_end(c) || c == '-')
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "4ac4eb1c-e2cf-48a2-b197-87397d72222a";
    const OTHER_UID: &str = "211a8aec-a8fa-4b73-a48c-ebe4ceb75e2f";

    fn is_dns_1123_subdomain(name: &str) -> bool {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        name.len() <= 253
            && name.split('.').all(|part| {
                part.starts_with(is_word)
                    && part.ends_with(is_word)
                    && part.chars().all(|c| is_word(c) || c == '-')
            })
    }

    #[test]
    fn short_names_are_those_of_kurator() {
        let name = |cluster, kind, object| member_object_name(cluster, kind, "default", object);
        assert_eq!(
            name("kurator-member1", ChildKind::Backup, "select-labels"),
            "kurator-member1-backup-default-select-labels"
        );
        assert_eq!(
            name("kurator-member1", ChildKind::Restore, "minimal"),
            "kurator-member1-restore-default-minimal"
        );
        assert_eq!(
            name("kurator-member2", ChildKind::Migrate, "select-labels"),
            "kurator-member2-migrate-default-select-labels"
        );
    }

    #[test]
    fn k38_two_objects_with_one_first_choice_have_two_second_choices() {
        let first = member_object_name("a", ChildKind::Backup, "b-c", "d");
        assert_eq!(first, member_object_name("a", ChildKind::Backup, "b", "c-d"));
        let (one, other) = (second_choice(&first, UID), second_choice(&first, OTHER_UID));
        assert_eq!(one, "a-backup-b-c-d-4ac4eb1c");
        assert_ne!(one, other);
    }

    #[test]
    fn k38_a_second_choice_of_the_longest_name_is_legal() {
        for length in 40..=63 {
            for tail in ["", "-x", ".x", "--x"] {
                let first = format!("{}{tail}", "a".repeat(length - tail.len()));
                let name = second_choice(&first, UID);
                assert!(name.len() <= MAX_LABEL, "{name}");
                assert!(is_dns_1123_subdomain(&name), "{name}");
            }
        }
    }

    #[test]
    fn k40_a_name_of_63_characters_stays_and_one_of_64_is_shortened() {
        let name_of =
            |length: usize| member_object_name("c", ChildKind::Backup, "n", &"x".repeat(length - 11));
        assert_eq!(name_of(63), full_name("c", ChildKind::Backup, "n", &"x".repeat(52)));
        let shortened = name_of(64);
        assert_eq!(shortened.len(), 63);
        assert!(shortened.starts_with("c-backup-n-xxx"));
    }

    #[test]
    fn k40_long_names_stay_legal_and_apart() {
        let cluster = "c".repeat(63);
        let (one, other) = (format!("{}.1", "n".repeat(251)), format!("{}.2", "n".repeat(251)));
        let names =
            [one, other].map(|name| member_object_name(&cluster, ChildKind::Restore, "default", &name));
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| name.len() == 63 && is_dns_1123_subdomain(name)));
    }

    #[test]
    fn k40_the_hash_is_the_one_that_velero_appends() {
        assert_eq!(
            label_value("this-is-a-very-long-label-value-that-will-not-fit-in-a-label-of-kubernetes"),
            "this-is-a-very-long-label-value-that-will-not-fit-in-a-la4549cb"
        );
    }

    #[test]
    fn a_run_asked_for_is_named_after_its_schedule_and_what_asked_for_it() {
        let name = run_now_name("a-backup-b-c", "before the upgrade");
        assert_eq!(name, run_now_name("a-backup-b-c", "before the upgrade"));
        assert_ne!(name, run_now_name("a-backup-b-c", "after it"));
        assert!(
            name.starts_with("a-backup-b-c-run-") && name.len() == "a-backup-b-c-run-".len() + 8,
            "{name}"
        );
        assert!(is_dns_1123_subdomain(&name));
        let second = second_run_now_name("a-backup-b-c", "before the upgrade", UID);
        assert_eq!(second, format!("{name}-4ac4eb1c"));
    }

    #[test]
    fn names_of_objects_and_of_namespaces_are_told_from_others() {
        let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
        for name in ["a", "a-1", "1", longest.as_str()] {
            assert!(is_dns_label(name) && is_dns_subdomain(name), "{name}");
        }
        for name in ["a.b", too_long.as_str()] {
            assert!(!is_dns_label(name) && is_dns_subdomain(name), "{name}");
        }
        for name in ["", "A", "a_b", "-a", "a-", "a..b", ".a", "ü", "a ", &"a".repeat(254)] {
            assert!(!is_dns_label(name) && !is_dns_subdomain(name), "{name}");
        }
    }

    #[test]
    fn an_owner_reads_as_kind_namespace_and_name() {
        assert_eq!(owner("Backup", "default", "specific-ns"), "Backup default/specific-ns");
    }
}
