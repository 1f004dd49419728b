//! How values are written in messages for people.

use jiff::Timestamp;

/// RFC 3339, whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Without line breaks.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What Velero says, on one line and without what its plugins' transport and the object store's protocol put around
/// the cause.
pub(crate) fn veleros_words(text: &str) -> String {
    let of_protocol = |part: &&str| {
        let id = part.strip_prefix("RequestID:").or_else(|| part.strip_prefix("HostID:"));
        id.is_some_and(|id| !id.trim().contains(' '))
    };
    let line = one_line(text);
    let said = line.split(", ").filter(|part| !of_protocol(part)).collect::<Vec<_>>().join(", ");
    without_transport(&said)
}

/// Leaves out every `rpc error: code = CODE desc = `.
fn without_transport(text: &str) -> String {
    let mut pieces = text.split("rpc error: code = ");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |said, piece| match piece.split_once(" desc = ") {
        Some((code, rest)) if !code.contains(' ') => said + rest,
        _ => said + "rpc error: code = " + piece,
    })
}

/// `a, b, c and 4 more`.
pub(crate) fn some_of(names: &[String], shown: usize) -> String {
    let listed = names.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(shown) {
        0 => listed,
        more => format!("{listed} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_veleros_words_the_cause_stays() {
        for (said, expected) in [
            (
                "rpc error: code = Unknown desc = operation error S3: ListObjectsV2, https response error StatusCode: 403, \
                 RequestID: 18A0B1, HostID: dd9025ba=, api error SignatureDoesNotMatch: The request signature differs.",
                "operation error S3: ListObjectsV2, https response error StatusCode: 403, api error SignatureDoesNotMatch: \
                 The request signature differs.",
            ),
            (
                "x is unavailable: rpc error: code = Aborted desc = S3: Get, StatusCode: 0, RequestID: , HostID: , request \
                 send failed,\n dial tcp: refused",
                "x is unavailable: S3: Get, StatusCode: 0, request send failed, dial tcp: refused",
            ),
            ("rpc error: code = none of ours", "rpc error: code = none of ours"),
            (
                "RequestID: 1 was refused, HostID: 2: no such host",
                "RequestID: 1 was refused, HostID: 2: no such host",
            ),
            ("no such bucket", "no such bucket"),
        ] {
            assert_eq!(veleros_words(said), expected);
        }
    }
}
