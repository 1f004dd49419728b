//! Name resolution that refuses forbidden addresses.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

use crate::kubeconfig::{TrustPolicy, forbidden};

/// The system's resolver, whose answers are looked at before they are used.
///
/// This closes the gap between looking at a kubeconfig and connecting: a name that was harmless may resolve to
/// this machine or to the cloud's metadata service later. One forbidden address spoils the whole answer.
#[derive(Clone)]
pub(super) struct CheckedResolver {
    system: GaiResolver,
    /// `None`: every address is allowed.
    policy: Option<TrustPolicy>,
}

impl CheckedResolver {
    pub(super) fn new(policy: Option<TrustPolicy>) -> Self {
        Self { system: GaiResolver::new(), policy }
    }
}

/// A name led to an address that must not be connected to.
#[derive(Debug, thiserror::Error)]
#[error(
    "host `{host}` resolves to {address}, which is refused: {why}; use a name that leads to the server itself"
)]
pub(super) struct ForbiddenAddress {
    host: String,
    address: SocketAddr,
    why: &'static str,
}

impl Service<Name> for CheckedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.system.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let policy = self.policy;
        let host = name.as_str().to_owned();
        let answer = self.system.call(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = answer.await?.collect();
            if let Some(policy) = policy {
                check(&host, &addresses, policy).map_err(io::Error::other)?;
            }
            Ok(addresses.into_iter())
        })
    }
}

fn check(host: &str, addresses: &[SocketAddr], policy: TrustPolicy) -> Result<(), ForbiddenAddress> {
    for address in addresses {
        if let Some(why) = forbidden(address.ip(), policy) {
            return Err(ForbiddenAddress { host: host.to_owned(), address: *address, why });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    async fn resolve(host: &str, allow_loopback: bool) -> io::Result<usize> {
        let resolver = CheckedResolver::new(Some(TrustPolicy { allow_loopback }));
        resolver.oneshot(host.parse().unwrap()).await.map(Iterator::count)
    }

    #[tokio::test]
    async fn k51_a_name_that_leads_to_this_machine_is_refused_at_connect_time() {
        // The second is what a kubeconfig can write to get past a look at its text.
        for host in ["localhost", "127.1"] {
            let error = resolve(host, false).await.unwrap_err().to_string();
            assert!(error.contains(host) && error.contains("loopback"), "{error}");
            assert!(resolve(host, true).await.unwrap() > 0);
        }
    }

    #[test]
    fn one_forbidden_address_spoils_the_answer() {
        let good: SocketAddr = "192.0.2.1:0".parse().unwrap();
        let bad: SocketAddr = "169.254.169.254:0".parse().unwrap();
        let policy = TrustPolicy { allow_loopback: true };
        check("h", &[good], policy).unwrap();
        check("h", &[good, bad], policy).unwrap_err();
    }
}
