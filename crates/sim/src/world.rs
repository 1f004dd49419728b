//! One world: a hub and its members, their stores, the weather between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kube::Client;
use kurator_apiserver::{ApiServer, Seeded};
use tempfile::TempDir;

use crate::chance::Chance;
use crate::clock::SimClock;
use crate::history::History;
use crate::life::{Chapter, Life};
use crate::stores::{Buckets, PLACE};
use crate::weather::Weather;
use crate::wire::{Connection, Wire};

/// Name of the hub's cluster.
pub const HUB: &str = "hub";
/// Names of the members.
pub const MEMBERS: [&str; 2] = ["member1", "member2"];

/// A world. Clones are the same world.
#[derive(Clone)]
pub struct World {
    /// What is accidental in it.
    pub chance: Chance,
    /// Its time.
    pub clock: SimClock,
    /// Its stores.
    pub buckets: Buckets,
    /// The weather for processes.
    pub weather: Arc<Weather>,
    /// What happened.
    pub history: Arc<History>,
    /// How far the story has come.
    pub chapter: Chapter,
    /// For temporary files.
    pub folder: Arc<TempDir>,
    clusters: Arc<BTreeMap<String, Router>>,
}

impl World {
    /// The world of a seed, with a storm of this length at most.
    ///
    /// # Errors
    /// There is no folder for temporary files.
    pub fn new(seed: u64, storm: Duration) -> std::io::Result<Self> {
        let chance = Chance::new(seed);
        let clock = SimClock::start();
        let cluster = |name: &str| {
            let numbers = Seeded::new(chance.number(("uids", name)));
            (name.to_owned(), ApiServer::new(Arc::new(clock), Arc::new(numbers)).router())
        };
        let clusters = std::iter::once(HUB).chain(MEMBERS).map(cluster).collect();
        let weather = Weather::storm(chance, storm, &[HUB, MEMBERS[0], MEMBERS[1], PLACE]);
        Ok(Self {
            chance,
            clock,
            buckets: Buckets::default(),
            weather: Arc::new(weather),
            history: Arc::new(History::start()),
            chapter: Chapter::default(),
            folder: Arc::new(TempDir::with_prefix("kurator-sim-")?),
            clusters: Arc::new(clusters),
        })
    }

    /// A client over the way of a process.
    #[must_use]
    pub fn wire(&self, place: &str, life: &Life) -> Client {
        self.client_in(place, life, Arc::clone(&self.weather))
    }

    /// A client of somebody whom no weather reaches.
    #[must_use]
    pub fn user(&self, place: &str) -> Client {
        self.client_in(place, &Life::new(&self.chapter, None), Arc::new(Weather::fair(self.chance)))
    }

    fn client_in(&self, place: &str, life: &Life, weather: Arc<Weather>) -> Client {
        let wire = Wire {
            place: place.into(),
            router: self.clusters.get(place).cloned().unwrap_or_default(),
            life: life.clone(),
            weather,
            history: Arc::clone(&self.history),
            connection: Connection::default(),
        };
        wire.client()
    }
}
