//! Tasks that have died: each is begun again after a pause, a run a few times at most.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::Instant;

use super::rounds::Job;

/// How often a run is begun, at most.
const MOST: u32 = 3;
/// Pause before what has died is begun again; doubles with each further time.
const PAUSE: Duration = Duration::from_secs(5);

/// What has died, until it is done.
#[derive(Default)]
pub(super) struct Faults(HashMap<Job, Fault>);

struct Fault {
    times: u32,
    why: String,
    again: Instant,
}

impl Faults {
    /// Notes that a task has died.
    pub(super) fn note(&mut self, job: Job, died: JoinError) {
        let fault = self.0.entry(job).or_insert_with(|| Fault {
            times: 0,
            why: String::new(),
            again: Instant::now(),
        });
        fault.times += 1;
        fault.why = words(died);
        fault.again = Instant::now() + PAUSE * 2_u32.saturating_pow(fault.times.min(MOST) - 1);
    }

    /// How long it is to be left alone.
    pub(super) fn rest(&self, job: &Job) -> Option<Duration> {
        let again = self.0.get(job)?.again;
        Some(again.saturating_duration_since(Instant::now())).filter(|rest| !rest.is_zero())
    }

    /// Why a run is begun no more.
    pub(super) fn given_up(&self, job: &Job) -> Option<String> {
        let fault = self.0.get(job).filter(|fault| fault.times >= MOST)?;
        Some(format!(
            "the engine broke down {} times in the middle of it, the last time with: {}; this is a defect of kurator {}: \
             please report it with its log",
            fault.times,
            fault.why,
            env!("CARGO_PKG_VERSION")
        ))
    }

    /// Forgets all but what is `left`.
    pub(super) fn retain(&mut self, left: impl Fn(&Job) -> bool) {
        self.0.retain(|job, _| left(job));
    }
}

fn words(died: JoinError) -> String {
    let told = died.to_string();
    let Ok(panic) = died.try_into_panic() else { return told };
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinSet;

    #[tokio::test(start_paused = true)]
    async fn what_died_rests_longer_each_time_and_is_given_up_after_the_third() {
        let mut faults = Faults::default();
        let job = Job::Backup("uid".to_owned());
        assert_eq!(faults.rest(&job), None);
        for seconds in [5, 10, 20] {
            assert_eq!(faults.given_up(&job), None);
            let mut task = JoinSet::new();
            task.spawn(async { panic!("no such luck") });
            let died = task.join_next().await.unwrap().unwrap_err();
            faults.note(job.clone(), died);
            assert_eq!(faults.rest(&job), Some(Duration::from_secs(seconds)));
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(faults.rest(&job), None);
        }
        let why = faults.given_up(&job).unwrap();
        assert!(why.contains("3 times") && why.contains("no such luck"), "{why}");
        faults.retain(|left| *left != job);
        assert_eq!(faults.given_up(&job), None);
    }
}
