//! Which network addresses a stranger may send us to.
//!
//! The same test is made twice: on an address written in the kubeconfig, and on every address that a host name
//! resolves to at the moment of connecting, because a name may change its mind after it was looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::TrustPolicy;

/// Why `address` must not be connected to, if it must not.
pub(crate) fn forbidden(address: IpAddr, policy: TrustPolicy) -> Option<&'static str> {
    match embedded_v4(address) {
        IpAddr::V4(v4) => forbidden_v4(v4, policy),
        IpAddr::V6(v6) => forbidden_v6(v6, policy),
    }
}

/// Whether `host` is a name that means this machine, whatever the resolver says.
pub(crate) fn is_loopback_name(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

fn forbidden_v4(v4: Ipv4Addr, policy: TrustPolicy) -> Option<&'static str> {
    if v4.is_link_local() {
        // Cloud metadata services live here.
        Some("it is a link-local address")
    } else if v4.octets()[0] == 0 {
        // All of 0/8, of which Linux takes the first for "this machine".
        Some("it is an unspecified address")
    } else if v4.is_loopback() && !policy.allow_loopback {
        Some("it is a loopback address")
    } else if v4.is_multicast() || v4.is_broadcast() {
        Some("it is no address of a single machine")
    } else {
        None
    }
}

fn forbidden_v6(v6: Ipv6Addr, policy: TrustPolicy) -> Option<&'static str> {
    if v6.is_unicast_link_local() {
        Some("it is a link-local address")
    } else if v6.is_unspecified() {
        Some("it is an unspecified address")
    } else if v6.is_loopback() && !policy.allow_loopback {
        Some("it is a loopback address")
    } else if v6.is_multicast() {
        Some("it is no address of a single machine")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped (`::ffff:a.b.c.d`), the old compatible form
/// (`::a.b.c.d`) and the well-known NAT64 prefix (`64:ff9b::/96`) all lead to it.
fn embedded_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, high, low] = v6.segments();
    let carries_v4 = match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => true,
        // `::` and `::1` have the compatible form too, and mean themselves.
        [0, 0, 0, 0, 0, 0] => high != 0,
        _ => false,
    };
    if !carries_v4 {
        return address;
    }
    let [o1, o2] = high.to_be_bytes();
    let [o3, o4] = low.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(o1, o2, o3, o4))
}
