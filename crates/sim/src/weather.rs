//! What happens to requests: mostly nothing, while it storms anything.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::chance::Chance;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Passes,
    /// It is answered late.
    Late(Duration),
    /// The place is out of reach for a while.
    OutOfReach,
    /// It never arrives.
    Refused,
    /// It has its effect, but the answer is lost.
    Lost,
    /// It is answered with this status code and has no effect.
    Answered(u16),
    /// Its answer breaks off after so many pieces.
    Cut(u64),
}

impl Fate {
    /// Name of the fault that it is.
    #[must_use]
    pub fn fault(self) -> Option<&'static str> {
        match self {
            Self::Passes => None,
            Self::Late(_) => Some("late"),
            Self::OutOfReach => Some("out of reach"),
            Self::Refused => Some("refused"),
            Self::Lost => Some("lost"),
            Self::Answered(409) => Some("409"),
            Self::Answered(410) => Some("410"),
            Self::Answered(429) => Some("429"),
            Self::Answered(_) => Some("500"),
            Self::Cut(_) => Some("cut"),
        }
    }
}

/// A storm over the ways between the process and everything else.
#[derive(Debug)]
pub struct Weather {
    chance: Chance,
    /// How many in a thousand requests come to harm.
    harm: u64,
    ends: Instant,
    /// When a place cannot be reached at all.
    outages: Vec<Outage>,
    asked: Mutex<HashMap<(String, String), u64>>,
}

/// A time in which a place cannot be reached.
#[derive(Clone, Debug)]
struct Outage {
    place: String,
    from: Instant,
    to: Instant,
}

/// Longest time that an answer is late, in milliseconds.
const LATEST: u64 = 4_000;

impl Weather {
    /// Nothing happens.
    #[must_use]
    pub fn fair(chance: Chance) -> Self {
        Self { chance, harm: 0, ends: Instant::now(), outages: Vec::new(), asked: Mutex::default() }
    }

    /// A storm of `length` over `places`, as strong as chance will have it.
    #[must_use]
    pub fn storm(chance: Chance, length: Duration, places: &[&str]) -> Self {
        let now = Instant::now();
        let harm = [0, 5, 30, 120][usize::try_from(chance.below(4, "harm")).unwrap_or_default()];
        let seconds = length.as_secs();
        let outages = places.iter().filter(|place| chance.per_mille(300, ("outage", **place)));
        let outages = outages.map(|place| {
            let from = chance.below(seconds, ("from", *place));
            let to = from + chance.below(seconds - from, ("to", *place));
            let at = |second| now + Duration::from_secs(second);
            Outage { place: (*place).to_owned(), from: at(from), to: at(to) }
        });
        Self { chance, harm, ends: now + length, outages: outages.collect(), asked: Mutex::default() }
    }

    /// When it is over.
    #[must_use]
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// What becomes of a request to `place`; `what` names it, and `streams` says whether its answer has no end.
    #[must_use]
    pub fn fate(&self, place: &str, what: &str, streams: bool) -> Fate {
        if self.is_out(place) {
            return Fate::OutOfReach;
        }
        if self.harm == 0 || Instant::now() >= self.ends {
            return Fate::Passes;
        }
        let nth = {
            let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            let nth = asked.entry((place.to_owned(), what.to_owned())).or_default();
            *nth += 1;
            *nth
        };
        let about = |aspect| (aspect, place, what, nth);
        if streams {
            let cut = self.chance.per_mille(500, about("cut"));
            return if cut { Fate::Cut(self.chance.below(20, about("after"))) } else { Fate::Passes };
        }
        if !self.chance.per_mille(self.harm, about("harm")) {
            return Fate::Passes;
        }
        match self.chance.below(8, about("kind")) {
            0 => Fate::Refused,
            1 => Fate::Lost,
            2 => Fate::Answered(409),
            3 => Fate::Answered(410),
            4 => Fate::Answered(429),
            5 => Fate::Answered(500),
            6 => Fate::Cut(self.chance.below(3, about("after"))),
            _ => Fate::Late(Duration::from_millis(self.chance.below(LATEST, about("late")))),
        }
    }

    /// When `place` will be out of reach next, or is since.
    #[must_use]
    pub fn next_outage(&self, place: &str) -> Option<Instant> {
        let now = Instant::now();
        let ahead = self.outages.iter().filter(|outage| outage.place == place && outage.to > now);
        ahead.map(|outage| outage.from).min()
    }

    fn is_out(&self, place: &str) -> bool {
        self.next_outage(place).is_some_and(|from| from <= Instant::now())
    }
}
