//! Which proxy leads to a cluster, by the rules of kubectl: a kubeconfig's own is always taken; one of the environment
//! never leads to this machine, nor where `NO_PROXY` says.

use std::net::IpAddr;

use http::Uri;
use http::uri::Scheme;

/// The variables of the environment that speak of proxies.
pub(crate) struct Environment<'a>(pub(crate) &'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    /// URL of the proxy on the way to `server`; `None` for the direct way.
    pub(crate) fn proxy(&self, server: &Uri) -> Option<String> {
        let host = server.host()?.trim_start_matches('[').trim_end_matches(']').to_lowercase();
        let is_tls = server.scheme() != Some(&Scheme::HTTP);
        let port = server.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let proxy = if is_tls { self.either("HTTPS_PROXY") } else { self.either("HTTP_PROXY") }?;
        let excepted = self.either("NO_PROXY").unwrap_or_default();
        let is_direct = is_this_machine(&host) || excepted.split(',').any(|one| excepts(one, &host, port));
        // One without a scheme is reached over HTTP.
        let proxy = if proxy.contains("://") { proxy } else { format!("http://{proxy}") };
        (!is_direct).then_some(proxy)
    }

    /// A variable in capitals, else in small letters.
    fn either(&self, name: &str) -> Option<String> {
        let given = |name: &str| self.0(name).filter(|value| !value.trim().is_empty());
        given(name).or_else(|| given(&name.to_lowercase()))
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether one entry of `NO_PROXY` (`*`, an address, a network, a domain; but for `*` and a network with a port, if it has
/// one) is about this host. What is none of them is about nobody.
fn excepts(entry: &str, host: &str, port: u16) -> bool {
    let entry = entry.trim().to_lowercase();
    if entry == "*" {
        return true;
    }
    let address: Option<IpAddr> = host.parse().ok();
    if let Some((network, bits)) = entry.split_once('/') {
        let network = network.parse().ok().zip(bits.parse().ok());
        return address
            .zip(network)
            .is_some_and(|(address, (network, bits))| is_within(address, network, bits));
    }
    let (name, only) = match entry.rsplit_once(':') {
        // An address of IPv6 has a port only behind brackets.
        Some((name, only)) if !name.contains(':') || name.ends_with(']') => (name, only.parse().ok()),
        _ => (entry.as_str(), None),
    };
    if only.is_some_and(|only: u16| only != port) {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(excepted) = name.parse::<IpAddr>() {
        return address == Some(excepted);
    }
    let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
    match name.strip_prefix('.') {
        // Only what is below the domain.
        Some(domain) => !domain.is_empty() && host.ends_with(name),
        None => !name.is_empty() && (host == name || host.ends_with(&format!(".{name}"))),
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let prefix = |address: u128, width: u32| address.checked_shr(width - bits).unwrap_or(0);
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) if bits <= 32 => {
            prefix(address.to_bits().into(), 32) == prefix(network.to_bits().into(), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) if bits <= 128 => {
            prefix(address.to_bits(), 128) == prefix(network.to_bits(), 128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        let get = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Environment(&get).proxy(&server.parse().unwrap())
    }

    #[test]
    fn a_proxy_is_taken_for_what_its_name_says() {
        let all =
            [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "http://p:2"), ("https_proxy", "http://no:3")];
        assert_eq!(proxy("https://hub.example.com:6443", &all).as_deref(), Some("http://s:1"));
        assert_eq!(proxy("http://hub.example.com", &all).as_deref(), Some("http://p:2"));
        assert_eq!(proxy("https://hub.example.com", &[("HTTPS_PROXY", ""), ("http_proxy", "p")]), None);
        assert_eq!(
            proxy("https://a.b", &[("HTTPS_PROXY", "proxy:3128")]).as_deref(),
            Some("http://proxy:3128")
        );
    }

    #[test]
    fn no_proxy_leads_to_this_machine() {
        for server in
            ["https://127.0.0.1:6443", "https://localhost", "https://[::1]:6443", "https://127.9.9.9"]
        {
            assert_eq!(proxy(server, &[("HTTPS_PROXY", "http://p")]), None, "{server}");
        }
    }

    #[test]
    fn exceptions_are_read_as_kubectl_reads_them() {
        let direct = |server: &str, excepted: &str| {
            proxy(&format!("https://{server}"), &[("HTTPS_PROXY", "p"), ("NO_PROXY", excepted)]).is_none()
        };
        for (server, excepted) in [
            ("a.example.com", "*"),
            ("a.example.com", "x, example.com"),
            ("example.com", "EXAMPLE.com"),
            ("a.example.com", ".example.com"),
            ("a.example.com", "*.example.com"),
            ("a.example.com:6443", "example.com:6443"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.1.2.3:6443", "10.0.0.0/8"),
            ("[fd00::1]:6443", "fd00::/8"),
            ("[fd00::1]:6443", "[fd00::1]:6443"),
            ("10.1.2.3", "0.0.0.0/0"),
        ] {
            assert!(direct(server, excepted), "{server} {excepted}");
        }
        for (server, excepted) in [
            ("example.com", ".example.com"),
            ("badexample.com", "example.com"),
            ("a.example.com", "example.com:6443"),
            ("10.1.2.3", "10.1.2"),
            ("11.1.2.3", "10.0.0.0/8"),
            ("a.example.com", ",, .,10.0.0.0/99,fd00::/8"),
            ("10.1.2.3", "fd00::/8"),
        ] {
            assert!(!direct(server, excepted), "{server} {excepted}");
        }
    }
}
