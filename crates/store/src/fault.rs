//! From what a client library reports to what a user is told.

use std::error::Error;

use http::StatusCode;

use crate::Fault;
use crate::transport::NoAnswer;
use crate::words::Secrets;

/// Codes with which stores refuse who asks; each as its own documentation spells it.
const CREDENTIAL: [&str; 13] = [
    // S3
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "InvalidClientTokenId",
    "RequestTimeTooSkewed",
    "InvalidSecurity",
    // versitygw with a single user
    "XAdminUserNotFound",
    // Azure
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    // Token services
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
];
/// Codes for a bucket that is not there.
const NO_BUCKET: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];
/// Codes for a store without room.
const FULL: [&str; 6] = [
    "QuotaExceeded",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "InsufficientStorage",
    "InsufficientStorageCapacity",
    "AccountLimitExceeded",
];
/// Codes of a request signed for, or sent to, another region.
const REGION: [&str; 3] =
    ["AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException"];

/// Whether asking again cannot help, although the status says that it might.
pub(crate) fn is_final(code: &str) -> bool {
    FULL.contains(&code)
}

/// The answer, or the lack of one, that an error is about.
pub(crate) fn no_answer(error: &object_store::Error) -> Option<&NoAnswer> {
    let first: &(dyn Error + 'static) = error;
    std::iter::successors(Some(first), |error| (*error).source()).find_map(|error| error.downcast_ref())
}

/// The status that the server answered with, if that is what went wrong.
pub(crate) fn status(error: &object_store::Error) -> Option<StatusCode> {
    match no_answer(error)? {
        NoAnswer::Refused { status, .. } => Some(*status),
        NoAnswer::Silent(_) | NoAnswer::Unreachable(_) | NoAnswer::TooLong(_) => None,
    }
}

/// Whether it only says that there is no such object.
pub(crate) fn is_absence(error: &object_store::Error) -> bool {
    match no_answer(error) {
        Some(NoAnswer::Refused { status, code, .. }) => {
            *status == StatusCode::NOT_FOUND && !NO_BUCKET.contains(&code.as_str())
        }
        Some(_) => false,
        // One of several deletions in one request is answered within it.
        None => matches!(error, object_store::Error::NotFound { .. }),
    }
}

/// Whether it only says that there is an object already, or another one by now.
pub(crate) fn is_conflict(error: &object_store::Error) -> bool {
    matches!(status(error), Some(StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT))
}

/// What the user is told.
pub(crate) fn of(endpoint: &str, error: &object_store::Error) -> Fault {
    let endpoint = endpoint.to_owned();
    let Some(answer) = no_answer(error) else {
        return Fault::Answer { endpoint, said: Secrets::default().clean(&error.to_string()) };
    };
    match answer {
        NoAnswer::Silent(after) => Fault::TimedOut { endpoint, after: *after },
        NoAnswer::Unreachable(why) => Fault::OutOfReach { endpoint, why: why.clone() },
        NoAnswer::TooLong(limit) => Fault::TooLarge { limit: *limit, unit: "bytes" },
        NoAnswer::Refused { status, code, said } => {
            let (code, said) = (code.as_str(), said.clone());
            match *status {
                _ if CREDENTIAL.contains(&code) => Fault::CredentialRefused { endpoint, said },
                _ if REGION.contains(&code) => Fault::WrongRegion { endpoint, said },
                _ if FULL.contains(&code) => Fault::Full { endpoint, said },
                StatusCode::NOT_FOUND if NO_BUCKET.contains(&code) => Fault::BucketMissing { endpoint },
                StatusCode::NOT_FOUND => Fault::NotFound { endpoint, said },
                StatusCode::UNAUTHORIZED => Fault::CredentialRefused { endpoint, said },
                StatusCode::FORBIDDEN => Fault::Denied { endpoint, said },
                StatusCode::MOVED_PERMANENTLY => Fault::WrongRegion { endpoint, said },
                StatusCode::INSUFFICIENT_STORAGE => Fault::Full { endpoint, said },
                _ => Fault::Answer { endpoint, said },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::client::{HttpError, HttpErrorKind};

    use super::*;

    fn refused(status: u16, code: &str) -> object_store::Error {
        let refusal = NoAnswer::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            code: code.to_owned(),
            said: "words".to_owned(),
        };
        let source = Box::new(HttpError::new(HttpErrorKind::Unknown, refusal));
        object_store::Error::Generic { store: "S3", source }
    }

    #[test]
    fn answers_become_what_the_user_is_told() {
        let cases = [
            (
                403,
                "SignatureDoesNotMatch",
                "`http://s3` refuses the credential; check its keys, and this machine's clock (words)",
            ),
            (401, "", "`http://s3` refuses the credential; check its keys, and this machine's clock (words)"),
            (403, "AccessDenied", "`http://s3` denies this (words); grant it to the credential"),
            (404, "NoSuchBucket", "`http://s3` has no such bucket; create it or correct its name"),
            (404, "NoSuchUpload", "`http://s3` does not find it (words)"),
            (
                400,
                "AuthorizationHeaderMalformed",
                "`http://s3` expects another region (words); set config.region",
            ),
            (301, "", "`http://s3` expects another region (words); set config.region"),
            (507, "", "`http://s3` is full (words); make room or raise its quota"),
            (500, "XMinioStorageFull", "`http://s3` is full (words); make room or raise its quota"),
            (500, "InternalError", "`http://s3` answers: words"),
        ];
        for (status, code, told) in cases {
            assert_eq!(of("http://s3", &refused(status, code)).to_string(), told, "{status} {code}");
        }
    }

    #[test]
    fn a_missing_bucket_is_no_absent_object() {
        assert!(is_absence(&refused(404, "NoSuchKey")));
        assert!(is_absence(&refused(404, "")));
        assert!(!is_absence(&refused(404, "NoSuchBucket")));
        assert!(!is_absence(&refused(403, "AccessDenied")));
    }
}
