//! What can go wrong with a lab.

use std::path::PathBuf;

use crate::{Missing, binaries::BinariesError};

/// Why a lab could not be started, or why a fault could not be injected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The machine lacks something that no lab can do without.
    #[error(transparent)]
    Missing(#[from] Missing),

    /// The components could not be built or found.
    #[error(transparent)]
    Binaries(#[from] BinariesError),

    /// The lab's own folder could not be made or locked.
    #[error("cannot claim `{}` as the lab's folder", path.display())]
    Slot {
        /// Folder that was to be claimed.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },

    /// A lab with this name is owned by a living process.
    #[error("the lab `{name}` is already up; end it first")]
    AlreadyUp {
        /// Name of the lab, which is the name of its folder.
        name: String,
    },

    /// A file of the lab could not be written or read.
    #[error("cannot use the lab's file `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        #[source]
        source: std::io::Error,
    },

    /// The kernel or a system tool refused a step of building the private network.
    #[error("cannot {step} of the lab's network: {said}")]
    Network {
        /// The step, as a verb phrase.
        step: String,
        /// What the tool or the kernel answered.
        said: String,
    },

    /// A process could not be started inside the lab.
    #[error("cannot start `{component}` in the lab")]
    Spawn {
        /// Name of the component or program.
        component: String,
        /// What the kernel said.
        #[source]
        source: std::io::Error,
    },

    /// A component did not answer in time, or ended while it was waited for.
    #[error("`{component}` is not ready: {why}; the end of its log:\n{tail}")]
    NotReady {
        /// Name of the component.
        component: String,
        /// Last observation.
        why: String,
        /// Last 20 lines of its log.
        tail: String,
    },

    /// A fault was asked of something this lab does not have.
    #[error("this lab has no {what}; ask for it in the `LabSpec`")]
    Absent {
        /// What was asked for.
        what: String,
    },

    /// A process could not be signalled.
    #[error("cannot signal `{component}`")]
    Signal {
        /// Name of the component.
        component: String,
        /// What the kernel said.
        #[source]
        source: nix::errno::Errno,
    },

    /// A certificate or key could not be made.
    #[error("cannot make the certificates of `{cluster}`")]
    Certificates {
        /// Name of the cluster.
        cluster: String,
        /// What the certificate library said.
        #[source]
        source: rcgen::Error,
    },

    /// A client could not be built from the lab's own kubeconfig.
    #[error("cannot make a client for `{cluster}`: {why}")]
    Client {
        /// Name of the cluster.
        cluster: String,
        /// What kube said.
        why: String,
    },

    /// A cluster refused what the lab has to create in it.
    #[error("cannot create {object} in `{cluster}`")]
    Seed {
        /// Name of the cluster.
        cluster: String,
        /// The object.
        object: String,
        /// The API server's answer.
        #[source]
        source: kube::Error,
    },

    /// The object store did not answer a listing.
    #[error("cannot list `{prefix}` in the lab's bucket")]
    List {
        /// Prefix that was listed.
        prefix: String,
        /// The store's answer.
        #[source]
        source: object_store::Error,
    },

    /// The object store did not give or take an object.
    #[error("cannot read or write `{key}` in the lab's bucket")]
    Object {
        /// Key of the object.
        key: String,
        /// The store's answer.
        #[source]
        source: object_store::Error,
    },

    /// The lab of this test binary runs with another spec than the one asked for.
    #[error(
        "the shared lab was started as {running:?}, now {asked:?} is asked for; use one spec per test binary"
    )]
    OtherSpec {
        /// What the shared lab is.
        running: crate::LabSpec,
        /// What this caller wanted.
        asked: crate::LabSpec,
    },

    /// The shared lab failed to start earlier in this process.
    #[error("the shared lab of this test binary did not start")]
    Shared(#[source] std::sync::Arc<LabError>),
}
