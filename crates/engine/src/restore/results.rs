//! What a Restore tells: warnings and errors by where they belong, and what became of each object.

use std::collections::BTreeMap;

/// What became of an object, as the restored-resource list writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was created.
    Created,
    /// It was there, and was patched.
    Updated,
    /// It was refused, or it was there and differs.
    Failed,
    /// There was nothing to do.
    Skipped,
}

impl Outcome {
    /// As in the list: `created`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// Where a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The run itself: the store, the archive, the waiting for a namespace.
    Run,
    /// Cluster-scoped objects.
    Cluster,
    /// Objects of a namespace, by the name that they are restored to.
    Namespace(&'a str),
}

impl<'a> Place<'a> {
    /// The namespace, or the cluster if there is none.
    #[must_use]
    pub fn of(namespace: Option<&'a str>) -> Self {
        namespace.filter(|name| !name.is_empty()).map_or(Self::Cluster, Self::Namespace)
    }
}

/// The most that the texts of one kind of messages may hold together, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// Longest message, in bytes; what is longer is cut.
const MAX_MESSAGE: usize = 4 << 10;

/// Messages of one kind, in bounded memory: beyond 4 MiB they are only counted.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    run: Vec<String>,
    cluster: Vec<String>,
    namespaces: BTreeMap<String, Vec<String>>,
    bytes: usize,
    count: u64,
    dropped: u64,
}

impl Messages {
    /// Adds a message.
    pub fn add(&mut self, place: Place<'_>, message: impl Into<String>) {
        let mut message = message.into();
        self.count += 1;
        if message.len() > MAX_MESSAGE {
            message.truncate(message.floor_char_boundary(MAX_MESSAGE));
            message.push('…');
        }
        // What a message costs beside its text: its place in a list.
        let bytes = message.len() + size_of::<String>();
        if self.bytes + bytes > MAX_BYTES {
            self.dropped += 1;
            return;
        }
        self.bytes += bytes;
        match place {
            Place::Run => self.run.push(message),
            Place::Cluster => self.cluster.push(message),
            Place::Namespace(name) => match self.namespaces.get_mut(name) {
                Some(own) => own.push(message),
                None => {
                    self.bytes += name.len() + size_of::<(String, Vec<String>)>();
                    self.namespaces.insert(name.to_owned(), vec![message]);
                }
            },
        }
    }

    /// How many were added, for the status of the Restore.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The messages for the results file: of the run, of cluster-scoped objects, by namespace. The last of the
    /// run's says how many are missing.
    #[must_use]
    pub fn into_parts(self) -> (Vec<String>, Vec<String>, BTreeMap<String, Vec<String>>) {
        let Self { mut run, cluster, namespaces, bytes: _, count: _, dropped } = self;
        if dropped > 0 {
            run.push(format!(
                "{dropped} more are left out of this list: it holds {} MiB at most",
                MAX_BYTES >> 20
            ));
        }
        (run, cluster, namespaces)
    }
}

/// Everything that a Restore tells in its results file.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// What is worth knowing.
    pub warnings: Messages,
    /// What went wrong: one is enough for `PartiallyFailed`.
    pub errors: Messages,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stand_where_they_belong() {
        let mut messages = Messages::default();
        messages.add(Place::Run, "r");
        messages.add(Place::of(None), "c");
        messages.add(Place::of(Some("")), "d");
        messages.add(Place::of(Some("a")), "n");
        messages.add(Place::of(Some("a")), "o");
        assert_eq!(messages.count(), 5);
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let namespaces = [("a".to_owned(), texts(&["n", "o"]))].into();
        assert_eq!(messages.into_parts(), (texts(&["r"]), texts(&["c", "d"]), namespaces));
    }

    #[test]
    fn what_does_not_fit_is_counted_and_told_of() {
        let mut messages = Messages::default();
        for number in 0..2_000 {
            messages.add(Place::Namespace(&format!("n{number}")), "ä".repeat(3_000));
        }
        assert_eq!(messages.count(), 2_000);
        let (run, _, namespaces) = messages.into_parts();
        let kept = namespaces.len();
        assert!((900..1_100).contains(&kept), "{kept}");
        assert!(namespaces.values().flatten().all(|text| text.len() <= MAX_MESSAGE + '…'.len_utf8()));
        assert_eq!(run, [format!("{} more are left out of this list: it holds 4 MiB at most", 2_000 - kept)]);
    }

    #[test]
    fn outcomes_are_written_as_velero_writes_them() {
        let all = [Outcome::Created, Outcome::Updated, Outcome::Failed, Outcome::Skipped];
        assert_eq!(all.map(Outcome::as_str), ["created", "updated", "failed", "skipped"]);
    }
}
