//! The two servers that every test runs against.

use std::sync::{Mutex, OnceLock, PoisonError};

use kurator_store::Location;
use kurator_testkit::{LabError, S3, S3Lab, S3Server, S3Spec};

use crate::Outcome;

/// One test for each server.
macro_rules! against_both {
    ($($test:ident,)*) => {
        mod minio {
            $(#[test] fn $test() -> crate::Outcome {
                crate::labs::in_turn(kurator_testkit::S3Server::Minio, super::$test)
            })*
        }
        mod versitygw {
            $(#[test] fn $test() -> crate::Outcome {
                crate::labs::in_turn(kurator_testkit::S3Server::Versitygw, super::$test)
            })*
        }
    };
}
pub(crate) use against_both;

/// The one lab of this test binary with this server; one test at a time, because some stop it.
pub(crate) fn in_turn(server: S3Server, test: impl AsyncFnOnce(&'static S3Lab) -> Outcome) -> Outcome {
    static TURNS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    static LABS: [OnceLock<Result<S3Lab, LabError>>; 2] = [const { OnceLock::new() }; 2];
    let number = usize::from(server == S3Server::Versitygw);
    let _mine = TURNS[number].lock().unwrap_or_else(PoisonError::into_inner);
    let lab = LABS[number].get_or_init(|| S3Lab::start(S3Spec { server, tls: false }));
    let lab = lab.as_ref().map_err(|error| crate::chain(error))?;
    lab.run(test(lab))
}

/// The bucket of a lab.
pub(crate) fn location() -> Location {
    with(&[])
}

/// The bucket of a lab with more, or other, options.
pub(crate) fn with(options: &[(&str, &str)]) -> Location {
    let all = [("s3Url", S3::ENDPOINT), ("region", S3::REGION), ("s3ForcePathStyle", "true")];
    let all = all.iter().chain(options);
    Location {
        provider: "aws".to_owned(),
        bucket: S3::BUCKET.to_owned(),
        config: all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        credential: Some(credential(S3::ACCESS_KEY, S3::SECRET_KEY)),
        ..Location::default()
    }
}

/// A credentials file with one profile.
pub(crate) fn credential(access_key: &str, secret_key: &str) -> Vec<u8> {
    format!("[default]\naws_access_key_id={access_key}\naws_secret_access_key={secret_key}\n").into_bytes()
}
