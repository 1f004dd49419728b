//! From what was found to a configuration that may be connected to, or the reason why not.

use kurator_api::reason::Reason;
use kurator_member::kubeconfig::{self, TrustPolicy, TrustedConfig, UntrustedKubeconfig};

use super::observe::Seen;
use crate::text;

/// Why a cluster can't be connected to until somebody edits something.
pub(super) struct Fault {
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Fault {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// A kubeconfig that no client can be made from.
    pub(super) fn kubeconfig(seen: &Seen, error: &(dyn std::error::Error + 'static)) -> Self {
        let place = match seen {
            Seen::Kubeconfig { secret, key, .. } => format!("Secret `{secret}`, key `{key}`: "),
            Seen::NoReference | Seen::NoSecret { .. } | Seen::NoKey { .. } => String::new(),
        };
        Self::new(Reason::KubeconfigInvalid, place + &kurator_member::causes::chain(error))
    }
}

pub(super) fn validate(seen: &Seen, policy: &TrustPolicy) -> Result<TrustedConfig, Fault> {
    match seen {
        Seen::NoReference => Err(Fault::new(
            Reason::KubeconfigSecretMissing,
            "spec.kubeconfig is not set: name the Secret that holds the kubeconfig of this cluster",
        )),
        Seen::NoSecret { secret } => Err(Fault::new(
            Reason::KubeconfigSecretMissing,
            format!(
                "spec.kubeconfig.name: there is no Secret `{secret}` in this namespace; create it or change the name"
            ),
        )),
        Seen::NoKey { secret, key, present } => Err(Fault::new(
            Reason::KubeconfigKeyMissing,
            format!(
                "spec.kubeconfig.key: Secret `{secret}` has no key `{key}`; it has {}",
                if present.is_empty() { "none".to_owned() } else { text::some_of(present, 5) }
            ),
        )),
        Seen::Kubeconfig { secret, key, content } => {
            UntrustedKubeconfig::new(content).trust(policy).map_err(|error| Fault {
                reason: match error.reason() {
                    kubeconfig::Reason::Refused => Reason::KubeconfigRefused,
                    kubeconfig::Reason::Malformed => Reason::KubeconfigInvalid,
                },
                message: format!("Secret `{secret}`, key `{key}`: {}", kurator_member::causes::chain(&error)),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(seen: &Seen) -> Fault {
        match validate(seen, &TrustPolicy { allow_loopback: false }) {
            Ok(_) => panic!("accepted"),
            Err(fault) => fault,
        }
    }

    #[test]
    fn a_missing_key_is_named_together_with_the_keys_that_exist() {
        let seen =
            Seen::NoKey { secret: "m1".into(), key: "value".into(), present: vec!["m1.config".into()] };
        let fault = fault(&seen);
        assert_eq!(fault.reason, Reason::KubeconfigKeyMissing);
        assert_eq!(fault.message, "spec.kubeconfig.key: Secret `m1` has no key `value`; it has m1.config");
    }

    #[test]
    fn k14_garbage_in_a_kubeconfig_is_a_fault_that_names_the_secret() {
        let seen =
            Seen::Kubeconfig { secret: "m1".into(), key: "value".into(), content: vec![0xff, 0x00, b'{'] };
        let fault = fault(&seen);
        assert_eq!(fault.reason, Reason::KubeconfigInvalid);
        assert!(fault.message.starts_with("Secret `m1`, key `value`: "), "{}", fault.message);
    }

    #[test]
    fn k51_a_kubeconfig_that_runs_a_program_is_refused_by_field() {
        let content = b"apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: 'https://192.0.2.1:6443'}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/touch, args: [/tmp/x]}}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
";
        let seen = Seen::Kubeconfig { secret: "m1".into(), key: "value".into(), content: content.to_vec() };
        let fault = fault(&seen);
        assert_eq!(fault.reason, Reason::KubeconfigRefused);
        assert!(fault.message.contains("exec"), "{}", fault.message);
    }
}
