//! A Kubernetes API server inside a process: in memory, without etcd, agents or pods.
//!
//! For trying out, tests and simulation. [`ApiServer::router`] is a transport of `kube::Client` as it is, and can be
//! served over TCP:
//!
//! ```
//! use std::sync::Arc;
//! use kurator_apiserver::{ApiServer, Seeded};
//!
//! let clock = || jiff::Timestamp::UNIX_EPOCH;
//! let server = ApiServer::new(Arc::new(clock), Arc::new(Seeded::new(1)));
//! let router: axum::Router = server.router();
//! ```
//!
//! # Rooms
//!
//! | module | what it knows |
//! |---|---|
//! | `store` | objects under keys, one revision, the window of past events |
//! | `registry` | the types: core kinds from one table of facts, custom ones from CRDs |
//! | `schema` | the shape of objects: pruning, defaults, validation, CEL rules |
//! | `meta`, `kinds` | the rules for metadata, and for single core kinds |
//! | `verbs` | create, read, update, patch, delete: the rules of the API |
//! | `garbage` | owners, finalizers, namespaces and definitions that go |
//! | `watch` | events as they happen |
//! | `discovery`, `table` | what there is, and how people see it |
//! | `http` | paths, queries, bodies, forms of answers |
//! | `front` | several clusters behind one TLS listener: certificates, tokens, connections |
//!
//! But for the front, it takes neither time nor randomness from the machine, only from the [`Clock`] and [`Numbers`] it is handed, and
//! does at once what a real cluster's controllers do in time: with the same requests in the same order, it gives the
//! same answers.
//!
//! # What it lacks
//!
//! Answered with 404, 405, 406, 415 or 501:
//! - `scale` and all other subresources but `status`;
//! - OpenAPI documents; bodies in YAML or protobuf; `/watch/` paths;
//! - versions of core groups that are not stable, and kinds that are questions, such as SubjectAccessReview.
//!
//! Done in a simpler way than kube-apiserver:
//! - nobody is authenticated, authorized or limited; admission is that of namespaces;
//! - of core kinds the types of fields are checked, not their values, and few defaults are filled in; nothing is
//!   scheduled, run, bound or allocated, and a pod goes at once when it is deleted;
//! - `events` and `events.k8s.io` are two lists; objects of a CRD with several versions are not converted;
//! - a strategic merge patch puts new elements behind all others unless it brings an order; a change of a list from atomic
//!   to granular is not reconciled in `managedFields`, and updates by many managers are not drawn together;
//! - tables have the columns of a CRD, or name and age; a wrong type in a JSON patch of a core kind is a 400;
//! - an object has 100 levels at the most;
//! - definitions are checked in part: not whether their schemas are structural, what their CEL rules may cost, or that a
//!   pattern compiles; old objects are held to a new schema at once.

mod cluster;
mod discovery;
mod error;
mod fields;
mod front;
mod garbage;
mod http;
mod kinds;
mod meta;
mod registry;
mod schema;
mod select;
mod source;
mod store;
mod table;
mod verbs;
mod watch;

use std::sync::Arc;

use axum::Router;

use cluster::Cluster;
pub use front::{Front, FrontError};
pub use source::{Clock, Numbers, Seeded};

/// One cluster.
#[derive(Clone)]
pub struct ApiServer {
    cluster: Arc<Cluster>,
}

impl ApiServer {
    /// A cluster with nothing but its four namespaces.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, numbers: Arc<dyn Numbers>) -> Self {
        Self { cluster: Arc::new(Cluster::new(clock, numbers)) }
    }

    /// The cluster's API. All routers of one server lead to the same cluster.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.cluster))
    }
}
