//! What an error says, its causes included.

use std::error::Error;

/// An error with all its causes, on one line; what is said already is not said again.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    parts(error).join(": ")
}

/// The same, one by one. Of an answer of an API server it is the message and the code, where the client shows all fields;
/// of the client's own words, what others than its authors need.
#[must_use]
pub fn parts(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let (dump, answer) = (error.to_string(), answer(error));
        // Below an answer there is only the answer again.
        next = if answer.is_some() { None } else { error.source() };
        let words = answer.unwrap_or_else(|| dump.clone());
        // Whoever repeats the client's error repeats its dump as well.
        parts.iter_mut().for_each(|part| *part = part.replace(&dump, &words));
        if !parts.iter().any(|part| part.contains(&words)) {
            parts.push(words.strip_prefix("ServiceError: ").map(str::to_owned).unwrap_or(words));
        }
    }
    // That the client failed says nothing where its own cause comes next.
    let last = parts.pop();
    parts.retain(|part| !part.starts_with("client error ("));
    parts.extend(last);
    parts
}

fn answer(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref()? {
        kube::Error::Api(status) => Some(format!("{} ({})", status.message, status.code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use kube::runtime::watcher;

    #[test]
    fn an_answer_of_the_server_is_told_in_its_words() {
        let status = Status::failure("storage is (re)initializing", "TooManyRequests").with_code(429);
        let refused = || kube::Error::Api(status.clone().boxed());
        assert_eq!(chain(&refused()), "storage is (re)initializing (429)");
        let broken = watcher::Error::WatchStartFailed(refused());
        assert_eq!(chain(&broken), "failed to start watching object: storage is (re)initializing (429)");
    }
}
