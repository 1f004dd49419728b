//! Why something is as it is: the closed set of reasons in conditions, rows and events.
//!
//! One table: the variant is the name in the API, its text is the meaning in the documentation. Beside it, which of them
//! wait for somebody.

macro_rules! reasons {
    ($($Reason:ident: $meaning:literal,)+) => {
        /// A reason, as it stands in `reason` of conditions, rows and events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $(#[doc = $meaning] $Reason,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$Reason,)+];

            /// The name in the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$Reason => stringify!($Reason),)+ }
            }

            /// What it means, in one sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$Reason => $meaning,)+ }
            }
        }
    };
}

reasons! {
    Connected: "The member's API server answers and its credential is accepted.",
    Connecting: "The first connection to the member is being made; nothing is known yet.",
    Unreachable: "The member's API server does not answer; what is known of it may be old.",
    Unauthorized: "The member's API server does not accept the credential of the kubeconfig.",
    KubeconfigSecretMissing: "The Secret named in `spec.kubeconfig` does not exist.",
    KubeconfigKeyMissing: "The kubeconfig Secret has no such key.",
    KubeconfigInvalid: "The kubeconfig cannot be read as one.",
    KubeconfigRefused: "The kubeconfig asks for something that an untrusted one may not: a command, a local file, a proxy, no TLS verification or a forbidden address.",
    AsExpected: "Everything is as the spec asks.",
    NoClusters: "No cluster is selected.",
    ClusterNotFound: "A listed cluster object does not exist.",
    ClusterInAnotherFleet: "Another Fleet, which listed the cluster first, keeps it.",
    SameCluster: "Two cluster objects lead to one and the same cluster, where a backup plugin needs them apart.",
    NotManaged: "The spec asks for a feature that this project accepts but does not manage.",
    InvalidSpec: "A field of the spec has a value that cannot be meant; the message names it.",
    UnsupportedProvider: "The object store's provider is not supported.",
    UnsupportedInstaller: "The installer asked for is not supported.",
    CredentialSecretMissing: "The object store's credential Secret does not exist.",
    CredentialKeyMissing: "The credential Secret lacks a key that is needed.",
    CredentialInvalid: "The credential has a value that cannot be used, such as one with a line break.",
    VeleroMissing: "A type of velero.io or namespace `velero` is missing in the member, or its objects may not be read; the message says which, and what helps.",
    VeleroSilent: "Velero's objects can be created in the member but no server acts on them.",
    ServedByAnother: "Another server, such as Velero, executes the velero.io objects of the member, so the built-in engine leaves them alone.",
    LocationUnavailable: "Velero in the member cannot use the storage location.",
    LocationPending: "The member has no storage location yet, or Velero has not checked it.",
    LocationConflict: "A storage location of that name exists in the member and is somebody else's.",
    PrefixTaken: "The prefix in the bucket belongs to another cluster; it is mounted read-only.",
    OwnerUnverified: "The object store is out of the hub's reach, so the owner of the prefix could not be checked.",
    LayoutAdopted: "The bucket was already in use with everything at its root, and stays that way.",
    FleetNotFound: "The Fleet named in the destination does not exist in this namespace.",
    ClusterNotInFleet: "A cluster named in the destination is not a member of the Fleet.",
    ClusterNotInBackup: "A cluster named in the destination is not covered by the Backup.",
    BackupNotFound: "The Backup referred to does not exist in this namespace.",
    BackupNotFinished: "The Backup referred to has not finished in this cluster yet.",
    BackupFailed: "The Backup referred to failed in this cluster, so there is nothing to restore.",
    BackupObjectMissing: "The Backup's run is no longer known in the member: expired, deleted or never synced.",
    NotSupported: "The spec asks for something that this version does not do.",
    AlreadyExists: "An object of the name that is needed exists in the member and belongs to somebody else.",
    ChildGone: "The object in the member was removed by somebody else; a finished run is not repeated.",
    Forbidden: "The credential lacks a permission that is needed.",
    MemberRefused: "The member's API server refused the object; the message holds its words.",
    Waiting: "Waiting for something that a condition or row names.",
    InProgress: "The work is under way.",
    Completed: "Done in full.",
    PartiallyFailed: "Done in part; the rows tell what is missing.",
    Failed: "Not done.",
    Paused: "Not started, because `spec.paused` is set.",
    Enabled: "The schedule is in force.",
    ScheduleRefused: "Velero in the member refused the schedule; the message holds its words.",
    RunFailed: "The newest run of the schedule is not complete everywhere; the rows tell where.",
    NoCompleteRun: "The schedule has no complete run in this cluster yet.",
    BackupExpired: "The run referred to has expired: it is not restored any more.",
    SourcePartiallyFailed: "The backup of the source is incomplete, and the policy does not allow to go on with it.",
    SourceUnreadable: "The target has no way to the place where the source's backup is stored.",
    VolumesWithoutData: "The engine stored the objects of volume claims without the data of their volumes; the message counts them.",
    DeletionRefused: "What is stored was not deleted; the message says why, in Velero's words if they are its.",
    MembersUnready: "Not all members are ready; the message names them.",
    MemberCleanupPending: "Something of ours is still in a member that is to be left; the message says what it waits for.",
}

impl Reason {
    /// The reason of this name, if there is one.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
    }

    /// Whether it lasts until somebody changes something. What may come right by itself, such as a server that does not
    /// answer, is not among them.
    #[must_use]
    pub const fn waits_for_somebody(self) -> bool {
        matches!(
            self,
            Self::Unauthorized
                | Self::KubeconfigSecretMissing
                | Self::KubeconfigKeyMissing
                | Self::KubeconfigInvalid
                | Self::KubeconfigRefused
                | Self::NoClusters
                | Self::ClusterNotFound
                | Self::ClusterInAnotherFleet
                | Self::SameCluster
                | Self::InvalidSpec
                | Self::UnsupportedProvider
                | Self::UnsupportedInstaller
                | Self::CredentialSecretMissing
                | Self::CredentialKeyMissing
                | Self::CredentialInvalid
                | Self::ServedByAnother
                | Self::LocationConflict
                | Self::PrefixTaken
                | Self::FleetNotFound
                | Self::ClusterNotInFleet
                | Self::ClusterNotInBackup
                | Self::BackupNotFound
                | Self::NotSupported
                | Self::AlreadyExists
                | Self::Forbidden
                | Self::MemberRefused
                | Self::Paused
                | Self::ScheduleRefused
                | Self::SourcePartiallyFailed
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The page `docs/reasons.md`.
#[must_use]
pub fn render() -> String {
    let mut page = String::from(
        "# Reasons\n\n\
         What stands in `reason` of a condition, a row of a status or an event. The set is closed.\n\
         Generated by `cargo xtask crds` from the table in `crates/api/src/reason.rs`.\n\n\
         What waits for somebody lasts until something is changed; everything else may come right by itself, or is the end.\n\
         The condition `Stalled` holds with it, except while what is named, such as a Fleet, may just not be applied yet.\n\n\
         | reason | meaning | waits for somebody |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let waits = if reason.waits_for_somebody() { "yes" } else { "" };
        page.push_str(&format!("| `{reason}` | {} | {waits} |\n", reason.meaning()));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_fit_a_kubernetes_condition() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        assert!(names.iter().all(|name| name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphabetic())));
    }

    #[test]
    fn a_server_that_does_not_answer_may_come_back_and_a_credential_that_is_refused_does_not_mend_itself() {
        let waits = |name: &str| Reason::of(name).map(Reason::waits_for_somebody);
        assert_eq!(
            [waits("Unreachable"), waits("Unauthorized"), waits("nope")],
            [Some(false), Some(true), None]
        );
    }

    #[test]
    fn the_documentation_lists_every_reason_with_its_meaning() {
        let page = include_str!("../../../docs/reasons.md");
        assert_eq!(page, render(), "docs/reasons.md is stale: run `cargo xtask crds`");
    }
}
