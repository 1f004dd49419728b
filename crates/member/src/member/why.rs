//! Faults of a member in one sentence, for a status.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use http::StatusCode;
use kube::{core::Status, runtime::watcher};
use kurator_api::condition::shorten;

use super::{Kind, liveness::Trouble};
use crate::cache::Refusal;

/// Longest sentence that goes into a status, in bytes.
const SENTENCE: usize = 400;
/// EMFILE, on every system that this runs on.
const NO_MORE_FILES: i32 = 24;

/// What went wrong with a request, in one sentence.
///
/// The layers of the client say only that something below them failed; the innermost says what. Between them
/// it matters whether there was a connection at all.
pub(super) fn explain(error: &kube::Error) -> String {
    if let kube::Error::Api(status) = error {
        return explain_status(status);
    }
    let mut innermost: &(dyn Error + 'static) = error;
    let mut connecting = false;
    let mut cut_off = false;
    let mut no_files = false;
    loop {
        connecting |= innermost.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect);
        if let Some(io) = innermost.downcast_ref::<io::Error>() {
            cut_off |= io.kind() == ErrorKind::UnexpectedEof;
            no_files |= io.raw_os_error() == Some(NO_MORE_FILES);
        }
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    let cause = match (no_files, cut_off) {
        (true, _) => {
            "this process has as many files open as it may have; raise its limit (`ulimit -n`, LimitNOFILE)"
                .to_owned()
        }
        (false, true) => "the server closed the connection".to_owned(),
        (false, false) => innermost.to_string(),
    };
    let sentence = if connecting { format!("cannot connect: {cause}") } else { cause };
    shorten(&sentence, SENTENCE)
}

/// What an attempt met with, from the error of its request.
pub(super) fn trouble(error: &kube::Error) -> Trouble {
    match error {
        kube::Error::Api(status) if status.code == 401 => Trouble::Unauthorized,
        kube::Error::Api(status) if status.code == 403 => Trouble::Forbidden(explain_status(status)),
        other => Trouble::NoAnswer(explain(other)),
    }
}

pub(super) fn explain_status(status: &Status) -> String {
    match status.code {
        401 => CREDENTIALS_REFUSED.to_owned(),
        code => shorten(&format!("{} ({code})", status.message), SENTENCE),
    }
}

pub(super) const CREDENTIALS_REFUSED: &str = "credentials refused (401)";

/// Why a watch of this kind is broken.
pub(super) fn explain_watch(kind: Kind, namespace: &str, error: &watcher::Error) -> String {
    let what = kind.what();
    let Some(status) = status_of(error) else {
        return match error {
            watcher::Error::InitialListFailed(source)
            | watcher::Error::WatchStartFailed(source)
            | watcher::Error::WatchFailed(source) => {
                format!("the watch of {what} broke: {}", explain(source))
            }
            watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => {
                format!("the watch of {what} broke: the server sent no version")
            }
        };
    };
    match StatusCode::from_u16(status.code) {
        Ok(StatusCode::NOT_FOUND) => format!(
            "the cluster has no type `{}`; with `engine: Builtin` the hub makes it, else Velero's installation does",
            kind.type_name()
        ),
        Ok(StatusCode::FORBIDDEN) => format!(
            "{what} in namespace `{namespace}` may not be watched with these credentials (403); grant get, list and watch"
        ),
        Ok(StatusCode::GONE) => format!("the watch of {what} fell behind (410) and starts anew"),
        _ => format!("the watch of {what} broke: {}", explain_status(status)),
    }
}

/// That the server does not serve what is watched, or refuses it to these credentials: it has answered, and will
/// not say otherwise by itself.
pub(super) fn refusal(error: &watcher::Error) -> Option<Refusal> {
    match status_of(error)?.code {
        403 => Some(Refusal::Forbidden),
        404 => Some(Refusal::NoSuchType),
        _ => None,
    }
}

/// Whether a broken watch says something about the member as a whole: no answer, or no valid credentials. A
/// server that answers "no" is alive.
pub(super) fn casts_doubt(error: &watcher::Error) -> bool {
    match (status_of(error), error) {
        (Some(status), _) => status.code == 401,
        (None, watcher::Error::NoResourceVersion) => false,
        (None, _) => true,
    }
}

fn status_of(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::WatchError(status) => Some(status),
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_without_free_files_is_said() {
        let error = io::Error::from_raw_os_error(NO_MORE_FILES);
        let said = explain(&kube::Error::Service(Box::new(error)));
        let expected =
            "this process has as many files open as it may have; raise its limit (`ulimit -n`, LimitNOFILE)";
        assert_eq!(said, expected);
    }
}
