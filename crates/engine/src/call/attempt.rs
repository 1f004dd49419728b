//! What becomes of one attempt at a request, and whether there is another.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use kurator_member::causes::chain;
use kurator_member::connect::was_never_sent;

use super::{CallError, Pace, webhooks};

/// How often a request is sent, at most.
pub(super) const ATTEMPTS: u32 = 8;
/// Wait before the second attempt; doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest pause that a server is granted.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One attempt that failed.
#[derive(Debug)]
pub(crate) struct Failed {
    error: CallError,
    again: Again,
    /// Where a list that has grown too old goes on.
    next: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Never.
    No,
    /// After this time or our own, whichever is longer; the server asked for fewer requests.
    Throttled(Option<Duration>),
    /// The server had a bad moment, or was not there at all.
    Unwell,
    /// Nobody knows what became of it.
    Unanswered,
}

impl Failed {
    pub(crate) fn last(error: CallError) -> Self {
        Self { error, again: Again::No, next: String::new() }
    }

    pub(crate) fn unanswered(error: &(dyn std::error::Error + 'static)) -> Self {
        let again = if was_never_sent(error) { Again::Unwell } else { Again::Unanswered };
        Self { error: CallError::Unreachable(chain(error)), again, next: String::new() }
    }

    pub(super) fn refused(code: StatusCode, asked: Option<Duration>, error: CallError, next: String) -> Self {
        let again = match code {
            StatusCode::TOO_MANY_REQUESTS => Again::Throttled(asked),
            // The server's word for a health check port that is in use; asking again changes nothing.
            StatusCode::INTERNAL_SERVER_ERROR if error.is_of_taken_ports() => Again::No,
            StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Again::Unwell,
            _ => Again::No,
        };
        Self { error, again, next }
    }

    /// Whether nobody knows what became of it.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.again == Again::Unanswered
    }

    /// The admission webhook that the server could not ask, if that is what was wrong.
    pub(super) fn webhook(&self) -> Option<&str> {
        match &self.error {
            CallError::Refused { message, .. } if self.again == Again::Unwell => webhooks::named(message),
            _ => None,
        }
    }

    /// The same, not to be repeated.
    pub(super) fn for_good(self) -> Self {
        Self { again: Again::No, ..self }
    }

    /// Where to go on, if the pages of a list became too old.
    pub(crate) fn goes_on_at(&self) -> Option<&str> {
        (self.error.is(StatusCode::GONE) && !self.next.is_empty()).then_some(self.next.as_str())
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl From<kube::Error> for Failed {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let asked = status.details.as_ref().map(|details| details.retry_after_seconds);
                let asked =
                    asked.filter(|seconds| *seconds > 0).map(|seconds| Duration::from_secs(seconds.into()));
                let kube::core::Status { code, reason, message, details, .. } = *status;
                let causes = details.map(|details| details.causes).unwrap_or_default();
                let causes = causes.into_iter().map(|cause| cause.message).collect();
                let refused = CallError::Refused { code, reason, message, causes };
                let code = StatusCode::from_u16(code).unwrap_or_default();
                Self::refused(code, asked, refused, String::new())
            }
            error @ (kube::Error::Service(_) | kube::Error::HyperError(_)) => Self::unanswered(&error),
            error => Self::last(CallError::Unusable(chain(&error))),
        }
    }
}

/// Counts the attempts of one request.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    failed: u32,
    unanswered: bool,
}

impl Attempt {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// What failed, if it is not to be repeated.
    pub(crate) async fn after(&mut self, failed: Failed, pace: &Pace) -> Result<(), CallError> {
        self.failed += 1;
        let own = FIRST_WAIT * 2_u32.saturating_pow(self.failed - 1);
        match failed.again {
            Again::No => {
                return Err(match failed.error {
                    CallError::Refused { reason, message, .. }
                        if self.unanswered && reason == "AlreadyExists" =>
                    {
                        CallError::PerhapsCreated(message)
                    }
                    error => error,
                });
            }
            _ if self.failed >= ATTEMPTS => return Err(failed.error),
            Again::Throttled(asked) => {
                pace.throttled(asked.unwrap_or(own).min(LONGEST_WAIT));
                return Ok(());
            }
            Again::Unwell => {}
            Again::Unanswered => self.unanswered = true,
        }
        tokio::time::sleep(own.min(LONGEST_WAIT)).await;
        Ok(())
    }
}
