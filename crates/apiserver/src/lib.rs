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
//! | `store` | objects under keys, one revision, one log of past events |
//! | `commit` | the one way into the store |
//! | `registry` | the types: core kinds from one table of facts, custom ones from definitions, which are checked here |
//! | `schema` | the shape of objects: decoding, pruning, defaults, validation, CEL rules |
//! | `meta`, `kinds` | the rules for metadata, and for single core kinds |
//! | `fields` | who manages which field, and server-side apply |
//! | `verbs` | read and delete; and `write`, the one way of everything that makes or changes an object |
//! | `garbage` | what follows: owners and dependents, finalizers, accounts of namespaces, namespaces and definitions that go |
//! | `watch` | events as they happen |
//! | `discovery`, `openapi`, `table`, `reviews` | what there is, what it looks like, and how people see it |
//! | `shared` | what many clusters of one process have in common |
//! | `http` | paths, queries, bodies, forms of answers |
//! | `front` | several clusters behind one TLS listener: certificates, tokens, connections |
//!
//! A request is decoded, planned and rendered without a lock; under it the store is only looked at and changed, and a
//! change is kept only if what it was planned on is still there. What follows from a change is done before the answer,
//! in bounded steps, where a real cluster's controllers come to it in time.
//!
//! But for the front, it takes neither time nor randomness from the machine, only from the [`Clock`] and [`Numbers`] it
//! is handed: with the same requests in the same order, it gives the same answers.
//!
//! # What it lacks
//!
//! Answered with 404, 405, 406, 415 or 501:
//! - all subresources but `status`, and `scale` of what has replicas, which can't be applied;
//! - answers in YAML; bodies in protobuf but of the few kinds that `kubectl create` makes by name, and all answers in it;
//!   `/watch/` paths;
//! - versions of core groups that are not stable, `autoscaling/v1`, and kinds that are questions, but for those about
//!   oneself.
//!
//! Done in a simpler way than kube-apiserver:
//! - nobody is authenticated, authorized or limited; admission is that of namespaces;
//! - of core kinds the types of fields are checked, not their values, and few defaults are filled in; nothing is
//!   scheduled, run, bound or allocated, and a pod goes at once when it is deleted;
//! - objects of a CRD with several versions are not converted; the document of OpenAPI v2 has no kinds;
//! - of what controllers make, a namespace has its ServiceAccount alone;
//! - a strategic merge patch puts new elements behind all others unless it brings an order; a change of a list from atomic
//!   to granular is not reconciled in `managedFields`, and updates by many managers are not drawn together;
//! - the documents of core kinds say nothing in words, and their tables' columns neither;
//! - an object has 100 levels at the most; of a key that stands in a body twice nobody is warned, the last one counts;
//! - rules of definitions are checked for what they say and which variables they use, not for their types;
//! - kube-apiserver reckons what rules could cost when their definition is made, and counts while they run, both in CEL's
//!   units. Here nothing is reckoned for a definition, and nothing counted: before the rules run, the steps that they can
//!   take at most on the values of this object are, and it is refused if these are too many. A definition that is refused
//!   there for its cost is taken here, and an object near the bound may be taken by one of both alone.

mod cluster;
mod commit;
mod discovery;
mod error;
mod fields;
mod front;
mod garbage;
mod http;
mod kinds;
mod meta;
mod openapi;
mod registry;
mod reviews;
mod schema;
mod select;
mod shared;
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
    /// A cluster with nothing but its four namespaces and their accounts.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, numbers: Arc<dyn Numbers>) -> Self {
        Self { cluster: Arc::new(Cluster::new(clock, numbers)) }
    }

    /// The cluster's API. All routers of one server lead to the same cluster.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.cluster))
    }
}
