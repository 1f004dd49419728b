//! HTTP clients that many stores share: each has connections of its own, and reads all certificates that this machine
//! trusts when it is made.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::StoreError;

/// Most clients that are kept; of more, the one goes that was used the longest time ago.
const KEPT: usize = 16;

/// Clients by whom they trust.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients(Arc<Mutex<Vec<(Trust, reqwest::Client)>>>);

/// Whom a client trusts, and how long it waits for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trust {
    /// Whether every request must go over TLS.
    pub(crate) tls_only: bool,
    /// Certificates in PEM to trust besides the machine's.
    pub(crate) ca: Option<Vec<u8>>,
    /// Whether any certificate will do.
    pub(crate) insecure: bool,
    pub(crate) connect: Duration,
}

impl Clients {
    /// The client that trusts so: one that is kept, or a new one.
    pub(crate) fn get(
        &self,
        trust: Trust,
        make: impl FnOnce(&Trust) -> Result<reqwest::Client, StoreError>,
    ) -> Result<reqwest::Client, StoreError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match kept.iter().position(|(known, _)| *known == trust) {
            Some(at) => kept.remove(at),
            None => {
                let client = make(&trust)?;
                if kept.len() >= KEPT {
                    kept.remove(0);
                }
                (trust, client)
            }
        };
        let client = found.1.clone();
        // The last is the one that was used last.
        kept.push(found);
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(seconds: usize) -> Trust {
        let connect = Duration::from_secs(u64::try_from(seconds).unwrap());
        Trust { tls_only: true, ca: None, insecure: false, connect }
    }

    /// Whether a client had to be made.
    fn is_new(clients: &Clients, trust: Trust) -> bool {
        let mut made = false;
        let make = |_: &Trust| {
            made = true;
            Ok(reqwest::Client::new())
        };
        clients.get(trust, make).unwrap();
        made
    }

    #[test]
    fn who_trusts_the_same_has_the_same_client_and_nobody_else() {
        let clients = Clients::default();
        assert!(is_new(&clients, trust(5)));
        assert!(!is_new(&clients.clone(), trust(5)));
        let others = [
            trust(6),
            Trust { tls_only: false, ..trust(5) },
            Trust { insecure: true, ..trust(5) },
            Trust { ca: Some(b"pem".to_vec()), ..trust(5) },
        ];
        for other in others {
            assert!(is_new(&clients, other.clone()), "{other:?}");
        }
    }

    #[test]
    fn of_too_many_the_one_goes_that_was_used_the_longest_time_ago() {
        let clients = Clients::default();
        for seconds in 0..KEPT {
            assert!(is_new(&clients, trust(seconds)));
        }
        assert!(!is_new(&clients, trust(0)));
        assert!(is_new(&clients, trust(KEPT)));
        assert_eq!(clients.0.lock().unwrap().len(), KEPT);
        assert!(!is_new(&clients, trust(0)));
        assert!(is_new(&clients, trust(1)));
    }

    #[test]
    fn one_that_cannot_be_made_is_not_kept() {
        let clients = Clients::default();
        let fails = |_: &Trust| Err(StoreError::settings("caCert", "holds no certificate"));
        assert!(clients.get(trust(5), fails).is_err());
        assert!(is_new(&clients, trust(5)));
    }
}
