//! Questions to the object store and to members, asked beside the reconcile and remembered until the question changes.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::writes::retry_delay;

/// What is known of an answer.
#[derive(Clone, Debug)]
pub(crate) enum Probe<T> {
    /// Being asked.
    Running,
    Known(T),
    /// There was no answer; it is asked again at this time.
    Failed {
        why: String,
        retry_at: Instant,
    },
}

/// Answers to one kind of question, by what it was asked about.
pub(crate) struct Answers<T> {
    answers: Mutex<HashMap<String, Asked<T>>>,
    tasks: TaskTracker,
}

struct Asked<T> {
    /// Everything that the answer depends on.
    question: String,
    attempts: u32,
    probe: Probe<T>,
}

impl<T: Clone + Send + 'static> Answers<T> {
    pub(crate) fn new(tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::default(), tasks })
    }

    /// The answer to `question` about `subject`; asks if it was never asked or is due again.
    pub(crate) fn ask<F, W>(
        self: &Arc<Self>,
        subject: &str,
        question: String,
        ask: impl FnOnce() -> F,
        wake: W,
    ) -> Probe<T>
    where
        F: Future<Output = Result<T, String>> + Send + 'static,
        W: FnOnce() + Send + 'static,
    {
        let attempts = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            let before = answers.get(subject).filter(|asked| asked.question == question);
            let attempts = match before {
                None => 0,
                Some(Asked { probe: Probe::Failed { retry_at, .. }, attempts, .. })
                    if *retry_at <= Instant::now() =>
                {
                    *attempts
                }
                Some(asked) => return asked.probe.clone(),
            };
            let asked = Asked { question: question.clone(), attempts, probe: Probe::Running };
            answers.insert(subject.to_owned(), asked);
            attempts
        };
        let (answers, subject, asking) = (Arc::clone(self), subject.to_owned(), ask());
        self.tasks.spawn(async move {
            let answer = asking.await;
            answers.answered(&subject, &question, attempts, answer);
            wake();
        });
        Probe::Running
    }

    fn answered(&self, subject: &str, question: &str, attempts: u32, answer: Result<T, String>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(asked) = answers.get_mut(subject).filter(|asked| asked.question == question) else { return };
        asked.attempts = attempts.saturating_add(1);
        asked.probe = match answer {
            Ok(answer) => Probe::Known(answer),
            Err(why) => Probe::Failed { why, retry_at: Instant::now() + retry_delay(asked.attempts) },
        };
    }
}

/// Everything this process asked so.
pub(crate) struct Probes {
    pub(super) roots: Arc<Answers<super::layout::RootFinding>>,
    pub(super) owners: Arc<Answers<super::layout::Owner>>,
    pub(super) servers: Arc<Answers<super::server::Installed>>,
}

impl Probes {
    pub(crate) fn new(tasks: &TaskTracker) -> Self {
        Self {
            roots: Answers::new(tasks.clone()),
            owners: Answers::new(tasks.clone()),
            servers: Answers::new(tasks.clone()),
        }
    }
}
