//! Real clusters, Velero and object storage for tests, in network namespaces that vanish with them.
//!
//! A [`Lab`] is one hub, any number of members and one S3 server, each a host of its own on a private network.
//! Nothing in it is imitated, unless its name says so ([`StandInKubelet`]): etcd, kube-apiserver,
//! kube-controller-manager, Velero and MinIO are built once from pinned Go modules by [`binaries`]. Start with [`Lab::shared`] (one lab for a test binary) or [`Lab::start`], and
//! put the code that talks to the clusters inside [`Lab::run`]:
//!
//! ```no_run
//! use kurator_testkit::{Lab, LabSpec};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lab = Lab::start(LabSpec { members: 2, velero: true, s3: true })?;
//! let client = || lab.member(1).client();
//! let version = lab.run(async { Ok::<_, Box<dyn std::error::Error>>(client()?.apiserver_version().await?) })?;
//! assert_eq!(version.minor, "36");
//! # Ok(())
//! # }
//! ```
//!
//! An [`S3Lab`] is an object store alone, of either make and with or without TLS.
//!
//! What the lab needs from the machine is said by [`requirements`], in sentences a test runner can print.

pub mod binaries;
pub mod conformance;
pub mod fixtures;
pub mod guide;
pub mod plain_http;
pub mod wait;
pub mod walkthrough;

mod audit;
mod cage;
mod cluster;
mod component;
mod death;
mod ended;
mod error;
mod guest;
mod lab;
mod pki;
mod proxy;
mod requirements;
mod s3;
mod s3_lab;
mod serving;
mod slot;
mod stand_in_kubelet;
mod state;
mod velero;

pub use audit::Audit;
pub use cluster::Cluster;
pub use death::Death;
pub use error::LabError;
pub use guest::Guest;
pub use lab::{Lab, LabSpec};
pub use proxy::{Held, Manner, Proxy};
pub use requirements::{Missing, requirements};
pub use s3::{S3, S3Server, S3Spec};
pub use s3_lab::S3Lab;
pub use serving::{Serving, start_engine};
pub use stand_in_kubelet::{Ran, StandInKubelet};
pub use state::{ClusterState, ComponentState, LabState};
