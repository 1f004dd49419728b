//! The decision, without a clock and without a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// What the API server just said of the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed<'a> {
    /// There is none.
    Absent,
    /// There is one.
    Lease {
        /// Who holds it; `None` when it was released.
        holder: Option<&'a str>,
        /// Changes with every renewal, as does the renewal time in it, which is not looked at.
        resource_version: &'a str,
        /// How long the holder asked to be believed.
        duration: Option<Duration>,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// Create it with this process as holder.
    Create,
    /// Overwrite the holder: it was released, or has not moved for its whole duration.
    Take,
    /// Write it again: this process holds it.
    Renew,
    /// Somebody else holds it.
    Wait {
        /// Who.
        holder: String,
        /// When it may be taken, if it does not move until then.
        until: Instant,
    },
    /// This process held it and somebody else does now, or took it away: stop for good.
    StepDown,
}

/// Processes of which one follows the other, because each has to lead elsewhere before it contends for this Lease.
///
/// Whoever of them leads there knows that the earlier ones do not any more. It need not wait until what they hold here
/// has run out, provided that they stop with the end of their leadership, however long they hold this Lease.
///
/// That is so once. After this process has held the Lease, whoever else of the line holds it came later, and so lives:
/// where the cluster that they lead in was copied there are two who call the line their own. Clones share this.
#[derive(Clone, Debug)]
pub struct Succession {
    line: String,
    process: String,
    followed: Arc<AtomicBool>,
}

impl Succession {
    /// `line` is where they lead, which nobody else may call so; `process` is this one among them.
    #[must_use]
    pub fn new(line: impl AsRef<str>, process: impl AsRef<str>) -> Self {
        let line = format!("{}/", line.as_ref());
        Self { process: format!("{line}{}/", process.as_ref()), line, followed: Arc::default() }
    }

    /// Who somebody of this process is, as holder of a Lease.
    #[must_use]
    pub fn identity(&self, of_process: &str) -> String {
        format!("{}{of_process}", self.process)
    }

    /// Whether this is one of the line that this process follows.
    fn precedes(&self, holder: &str) -> bool {
        !self.followed.load(Relaxed) && holder.starts_with(&self.line) && !holder.starts_with(&self.process)
    }
}

/// What one process remembers between two looks at the Lease.
#[derive(Clone, Debug)]
pub struct LeaseState {
    identity: String,
    succession: Option<Succession>,
    fallback_duration: Duration,
    /// The version of a rival's lease that was seen last, and when it was seen first.
    rival: Option<(Version, Instant)>,
    held: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    holder: String,
    resource_version: String,
}

impl LeaseState {
    /// A process that has not looked yet. `identity` must be new with every start of a process;
    /// `fallback_duration` stands in for a lease that states none. Who precedes it in a `succession` is not waited for.
    #[must_use]
    pub fn new(identity: String, fallback_duration: Duration, succession: Option<Succession>) -> Self {
        Self { identity, succession, fallback_duration, rival: None, held: false }
    }

    /// Decides what to do about what was `observed` at `now`.
    pub fn step(&mut self, now: Instant, observed: Observed<'_>) -> LeaseAction {
        let Observed::Lease { holder, resource_version, duration } = observed else {
            // Whoever deletes a Lease by hand wants a new election.
            return if self.held { LeaseAction::StepDown } else { LeaseAction::Create };
        };
        match holder {
            Some(holder) if holder == self.identity => LeaseAction::Renew,
            _ if self.held => LeaseAction::StepDown,
            None => LeaseAction::Take,
            Some(holder) if self.succession.as_ref().is_some_and(|line| line.precedes(holder)) => {
                LeaseAction::Take
            }
            Some(holder) => {
                let version =
                    Version { holder: holder.to_owned(), resource_version: resource_version.to_owned() };
                let since = match &self.rival {
                    Some((seen, since)) if *seen == version => *since,
                    _ => now,
                };
                self.rival = Some((version, since));
                let until = since + duration.unwrap_or(self.fallback_duration);
                if now < until {
                    LeaseAction::Wait { holder: holder.to_owned(), until }
                } else {
                    LeaseAction::Take
                }
            }
        }
    }

    /// The server accepted a `Create`, `Take` or `Renew`.
    pub fn written(&mut self) {
        self.held = true;
        if let Some(line) = &self.succession {
            line.followed.store(true, Relaxed);
        }
        self.rival = None;
    }

    /// Held by this process as far as it knows.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(15);

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn by<'a>(holder: &'a str, version: &'a str) -> Observed<'a> {
        let holder = (!holder.is_empty()).then_some(holder);
        Observed::Lease { holder, resource_version: version, duration: Some(TERM) }
    }

    /// Looks of process `me` at the lease, each so many seconds after the start, with the expected action.
    fn play(looks: &[(u64, Observed<'_>, &str)]) {
        let start = Instant::now();
        let mut state = LeaseState::new("me".to_owned(), TERM, None);
        for (at, observed, expected) in looks {
            let action = state.step(start + seconds(*at), *observed);
            if matches!(action, LeaseAction::Create | LeaseAction::Take | LeaseAction::Renew) {
                state.written();
            }
            let shown = match action {
                LeaseAction::Wait { holder, until } => {
                    format!("wait for {holder} until {}", (until - start).as_secs())
                }
                other => format!("{other:?}").to_lowercase(),
            };
            assert_eq!(&shown, expected, "at {at} s, having seen {observed:?}");
        }
    }

    #[test]
    fn the_first_one_creates_the_lease_and_renews_it() {
        play(&[(0, Observed::Absent, "create"), (2, by("me", "1"), "renew"), (4, by("me", "2"), "renew")]);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        play(&[
            (0, by("other", "1"), "wait for other until 15"),
            (2, by("", "2"), "take"),
            (4, by("me", "3"), "renew"),
        ]);
    }

    #[test]
    fn a_lease_that_moves_is_never_taken() {
        play(&[
            (0, by("other", "1"), "wait for other until 15"),
            (14, by("other", "2"), "wait for other until 29"),
            (28, by("other", "3"), "wait for other until 43"),
        ]);
    }

    #[test]
    fn a_lease_that_stands_still_is_taken_after_its_duration_from_the_first_look() {
        play(&[
            (100, by("other", "1"), "wait for other until 115"),
            (114, by("other", "1"), "wait for other until 115"),
            (115, by("other", "1"), "take"),
        ]);
    }

    #[test]
    fn another_holder_starts_the_wait_anew() {
        play(&[
            (0, by("a", "1"), "wait for a until 15"),
            (14, by("b", "2"), "wait for b until 29"),
            (16, by("b", "2"), "wait for b until 29"),
        ]);
    }

    #[test]
    fn the_holders_own_duration_is_believed() {
        let long = Observed::Lease { holder: Some("a"), resource_version: "1", duration: Some(seconds(60)) };
        let none = Observed::Lease { holder: Some("b"), resource_version: "2", duration: None };
        play(&[(0, long, "wait for a until 60"), (1, none, "wait for b until 16")]);
    }

    #[test]
    fn whoever_held_it_and_sees_another_stops_for_good() {
        for taken in [by("other", "2"), by("", "2"), Observed::Absent] {
            play(&[(0, Observed::Absent, "create"), (2, taken, "stepdown")]);
        }
    }

    #[test]
    fn who_precedes_this_process_in_its_line_is_followed_at_once_and_nobody_else() {
        let line = Succession::new("hub-1/default/kurator", "second");
        for (holder, takes) in [
            ("hub-1/default/kurator/first/a", true),
            // Another engine of this process lives.
            ("hub-1/default/kurator/second/a", false),
            ("hub-1/other/kurator/first/a", false),
            ("hub-2/default/kurator/first/a", false),
            ("hub-1/default/kurator-2/first/a", false),
            ("hub-1/default/kurator", false),
            ("first", false),
        ] {
            let mut state = LeaseState::new(line.identity("me"), TERM, Some(line.clone()));
            let action = state.step(Instant::now(), by(holder, "1"));
            assert_eq!(action == LeaseAction::Take, takes, "{holder}");
        }
        let mut state = LeaseState::new(line.identity("me"), TERM, Some(line.clone()));
        assert_eq!(state.step(Instant::now(), by(&line.identity("me"), "1")), LeaseAction::Renew);
    }

    #[test]
    fn a_process_of_the_line_that_lost_the_lease_to_the_next_one_does_not_take_it_back() {
        let line = Succession::new("hub", "first");
        let mut state = LeaseState::new(line.identity("me"), TERM, Some(line));
        state.written();
        assert_eq!(state.step(Instant::now(), by("hub/second/x", "2")), LeaseAction::StepDown);
    }

    #[test]
    fn of_two_that_call_one_line_their_own_each_takes_the_lease_from_the_other_once() {
        let lines = ["one", "other"].map(|process| Succession::new("hub", process));
        let contend = |line: &Succession, holder: &Succession| {
            let mut state = LeaseState::new(line.identity("x"), TERM, Some(line.clone()));
            let action = state.step(Instant::now(), by(&holder.identity("x"), "1"));
            if action == LeaseAction::Take {
                state.written();
            }
            action == LeaseAction::Take
        };
        let [one, other] = &lines;
        let taken = [(one, other), (other, one), (one, other), (other, one)].map(|(a, b)| contend(a, b));
        assert_eq!(taken, [true, true, false, false]);
    }

    #[test]
    fn a_take_that_the_server_refused_is_no_leadership() {
        let start = Instant::now();
        let mut state = LeaseState::new("me".to_owned(), TERM, None);
        assert_eq!(state.step(start, Observed::Absent), LeaseAction::Create);
        assert!(!state.is_held());
        assert!(matches!(state.step(start, by("faster", "1")), LeaseAction::Wait { .. }));
    }
}
