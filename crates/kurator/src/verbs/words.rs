//! Words that are typed, each read and checked as the hub would check it.

use std::collections::BTreeMap;

use kurator_api::cluster::{ClusterKind, ClusterReference};
use kurator_api::duration::{DurationError, GoDuration};
use kurator_api::names::{MAX_SUBDOMAIN, is_dns_label, is_dns_subdomain};
use kurator_api::selector::{key_problem, value_problem};
use kurator_member::clock::{Clock as _, SystemClock};
use kurator_schedule::refusal;

/// Name of an object on the hub.
pub(crate) fn name(text: &str) -> Result<String, String> {
    if is_dns_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err(match text.len() {
        0 => "it is empty; write a name".to_owned(),
        length if length > MAX_SUBDOMAIN => {
            format!("it is {length} bytes long; use {MAX_SUBDOMAIN} at the most")
        }
        _ => "it is no name of an object; use lower case letters, digits, `-` and `.`, with a letter or digit at both ends"
            .to_owned(),
    })
}

/// Name of a namespace.
pub(crate) fn namespace(text: &str) -> Result<String, String> {
    let why = "it is no name of a namespace; use up to 63 lower case letters, digits and `-`, with a letter or digit at both ends";
    if is_dns_label(text) { Ok(text.to_owned()) } else { Err(why.to_owned()) }
}

/// Two words and what stands between them, as the help names them.
#[derive(Clone, Copy)]
struct Form(&'static str, char, &'static str);

const KEY_VALUE: Form = Form("KEY", '=', "VALUE");
const FROM_TO: Form = Form("FROM", ':', "TO");
const RESOURCE_NAMES: Form = Form("RESOURCE", '=', "NAME,NAME");

/// Two words of this form.
fn pair(Form(first, separator, second): Form, text: &str) -> Result<(String, String), String> {
    match text.split_once(separator) {
        Some((key, value)) if !key.trim().is_empty() && !value.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("write {first}{separator}{second}")),
    }
}

/// A label of an object.
pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(KEY_VALUE, text)?;
    key_problem(&key).or_else(|| value_problem(&value)).map_or(Ok((key, value)), Err)
}

/// An annotation of an object.
pub(crate) fn annotation(text: &str) -> Result<(String, String), String> {
    let (key, value) = pair(KEY_VALUE, text)?;
    key_problem(&key).map_or(Ok((key, value)), Err)
}

/// One element of a list, such as a namespace with `*` or a resource.
pub(crate) fn element(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("one of them is empty; write a name between two commas, or leave the flag out".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Err("no name has a blank in it; write several names with commas between them, and no blanks"
            .to_owned());
    }
    Ok(text.to_owned())
}

/// A namespace, and the one that its content goes to.
pub(crate) fn namespace_mapping(text: &str) -> Result<(String, String), String> {
    let (from, to) = pair(FROM_TO, text)?;
    for one in [&from, &to] {
        namespace(one).map_err(|why| format!("`{one}`: {why}"))?;
    }
    Ok((from, to))
}

/// `pods=ns1/a,ns1/b;persistentvolumes=v`, as velero's flag of this name.
pub(crate) fn ordered_resources(text: &str) -> Result<BTreeMap<String, String>, String> {
    text.split(';')
        .map(|one| pair(RESOURCE_NAMES, one).map_err(|_| "write RESOURCE=NAME,NAME;RESOURCE=NAME".to_owned()))
        .collect()
}

/// A duration as Go writes it, such as `72h`.
pub(crate) fn duration(text: &str) -> Result<GoDuration, String> {
    if text.starts_with("--") {
        return Err(
            "a flag stands where the duration should be; write one such as `72h` before it".to_owned()
        );
    }
    text.parse().map_err(|error: DurationError| error.to_string())
}

/// The longest time to wait.
pub(crate) fn timeout(text: &str) -> Result<GoDuration, String> {
    let timeout = duration(text)?;
    if timeout.is_zero() {
        return Err("nothing ends in no time; write one such as `30m`, leave the flag out to wait as long as it takes, or \
                    leave --wait out too".to_owned());
    }
    Ok(timeout)
}

/// How long something is kept.
pub(crate) fn ttl(text: &str) -> Result<String, String> {
    if duration(text)?.is_zero() {
        return Err("nothing is kept for no time, and to Velero it means 30 days; write those as `720h`, or leave the flag \
                    out".to_owned());
    }
    Ok(text.to_owned())
}

/// A cron expression that some Velero follows.
pub(crate) fn schedule(text: &str) -> Result<String, String> {
    refusal(text, SystemClock.now()).map_or_else(|| Ok(text.to_owned()), Err)
}

/// A cluster: `NAME` of an AttachedCluster, or `KIND/NAME`.
pub(crate) fn cluster(text: &str) -> Result<ClusterReference, String> {
    let (kind, cluster) = match text.split_once('/') {
        Some((kind, name)) => (kind.parse::<ClusterKind>().map_err(|error| error.to_string())?, name),
        None => (ClusterKind::AttachedCluster, text),
    };
    if cluster.is_empty() {
        return Err("write NAME or KIND/NAME".to_owned());
    }
    Ok(ClusterReference::to(kind, &name(cluster)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_attached_unless_its_kind_is_given() {
        assert_eq!(cluster("a").unwrap().kind.as_deref(), Some("AttachedCluster"));
        assert_eq!(cluster("Cluster/a").unwrap().kind.as_deref(), Some("Cluster"));
        assert_eq!(
            cluster("a/").unwrap_err(),
            "kind `a` is not a kind of cluster; use `AttachedCluster` or `Cluster`"
        );
        assert!(cluster("Cluster/A").unwrap_err().starts_with("it is no name of an object; "));
    }

    #[test]
    fn what_is_no_pair_is_told_in_the_words_of_the_help() {
        assert_eq!(namespace_mapping("foo").unwrap_err(), "write FROM:TO");
        assert_eq!(label("a=").unwrap_err(), "write KEY=VALUE");
    }

    #[test]
    fn a_namespace_is_mapped_to_one_that_there_can_be() {
        assert_eq!(namespace_mapping("a:b"), Ok(("a".to_owned(), "b".to_owned())));
        assert!(namespace_mapping("a:B").unwrap_err().starts_with("`B`: it is no name of a namespace; use "));
    }

    #[test]
    fn the_hub_takes_what_is_taken_for_a_label_or_an_annotation() {
        assert!(label("team=shop").is_ok() && annotation("a/b=free text, of any kind").is_ok());
        assert!(label("team=a b").unwrap_err().starts_with("`a b` is no value of a label"));
        assert!(annotation("a b=c").unwrap_err().starts_with("`a b` is no key of a label"));
    }

    #[test]
    fn what_no_object_can_be_called_is_told_with_the_way_out() {
        assert!(name("Shop_1").unwrap_err().contains("use lower case letters, digits, `-` and `.`"));
        assert_eq!(name("").unwrap_err(), "it is empty; write a name");
        assert_eq!(name(&"a".repeat(254)).unwrap_err(), "it is 254 bytes long; use 253 at the most");
    }

    #[test]
    fn a_schedule_is_one_that_the_hub_follows() {
        assert_eq!(schedule("0 2 * * *").as_deref(), Ok("0 2 * * *"));
        for refused in ["nope", "", "0 0 30 2 *"] {
            assert!(schedule(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_is_kept_is_kept_for_some_time() {
        assert_eq!(ttl("72h").as_deref(), Ok("72h"));
        assert!(ttl("0s").unwrap_err().contains("to Velero it means 30 days; write those as `720h`"));
        assert!(ttl("-1h").unwrap_err().starts_with("`-1h` is not a duration: it is negative"));
        assert!(ttl("--wait").unwrap_err().starts_with("a flag stands where the duration should be"));
    }

    #[test]
    fn whoever_waits_waits_for_some_time() {
        assert_eq!(timeout("30m").unwrap().to_string(), "30m0s");
        for none in ["0", "0s"] {
            assert!(
                timeout(none).unwrap_err().starts_with("nothing ends in no time; write one such as `30m`")
            );
        }
    }

    #[test]
    fn a_name_of_a_list_has_no_blanks() {
        assert_eq!(element("deployments.apps").as_deref(), Ok("deployments.apps"));
        for text in ["a b", " a", "a\t"] {
            assert!(element(text).unwrap_err().starts_with("no name has a blank in it"), "{text:?}");
        }
    }

    #[test]
    fn ordered_resources_are_read_as_velero_reads_them() {
        let read = ordered_resources("pods=ns1/a,ns1/b;persistentvolumes=v").unwrap();
        let expected = [("persistentvolumes", "v"), ("pods", "ns1/a,ns1/b")];
        assert!(read.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected));
        assert_eq!(ordered_resources("pods").unwrap_err(), "write RESOURCE=NAME,NAME;RESOURCE=NAME");
    }
}
