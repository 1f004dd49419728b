//! What an operator can measure of the controllers. Labels are kinds and outcomes, never object names.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Labels of a reconcile.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reconcile {
    pub(crate) kind: &'static str,
    /// `ok`, `conflict` or `error`.
    pub(crate) outcome: &'static str,
}

/// Labels of what is counted per kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
}

/// Metrics of the controllers.
#[derive(Clone)]
pub struct Metrics {
    pub(crate) reconciles: Family<Reconcile, Counter>,
    pub(crate) reconcile_time: Family<Kind, Histogram>,
    pub(crate) members_connected: Arc<Gauge>,
    pub(crate) members_alive: Arc<Gauge>,
}

impl Metrics {
    /// Registers everything under the given registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            reconcile_time: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.001, 2.0, 14))
            }),
            members_connected: Arc::default(),
            members_alive: Arc::default(),
        };
        registry.register("reconciles", "Passes over an object, by outcome", metrics.reconciles.clone());
        registry.register_with_unit(
            "reconcile_time",
            "Time of one pass over an object",
            Unit::Seconds,
            metrics.reconcile_time.clone(),
        );
        registry.register(
            "members_connected",
            "Members that a connection is kept to",
            Gauge::clone(&metrics.members_connected),
        );
        registry.register("members_alive", "Members that answer", Gauge::clone(&metrics.members_alive));
        metrics
    }
}
