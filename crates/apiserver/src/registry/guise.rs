//! Types that show the objects of another type, under other names for some of their fields.
//!
//! An object is kept once, as one type has it, whichever of them wrote it; what is not named here is the same in both.

use serde_json::Value;

/// How a type shows what is kept as another.
#[derive(Debug)]
pub(crate) struct Guise {
    /// The type that shows it.
    id: &'static str,
    /// The type that it is kept as.
    kept: &'static str,
    /// Fields by what they are called where they are kept, and where they are shown.
    fields: &'static [(&'static str, &'static str)],
}

/// That of a type which shows its objects as they are kept.
static NONE: Guise = Guise { id: "", kept: "", fields: &[] };

static ALL: [Guise; 1] = [Guise {
    id: "events.events.k8s.io",
    kept: "events",
    fields: &[
        ("involvedObject", "regarding"),
        ("message", "note"),
        ("source", "deprecatedSource"),
        ("firstTimestamp", "deprecatedFirstTimestamp"),
        ("lastTimestamp", "deprecatedLastTimestamp"),
        ("count", "deprecatedCount"),
        ("reportingComponent", "reportingController"),
    ],
}];

impl Guise {
    /// That of a core kind.
    pub(super) fn of(id: &str) -> &'static Self {
        ALL.iter().find(|one| one.id == id).unwrap_or(&NONE)
    }

    /// The type as which objects of this one are kept, if that is another.
    pub(super) fn kept(&self) -> Option<&'static str> {
        Some(self.kept).filter(|kept| !kept.is_empty())
    }

    /// Whether objects are shown as they are kept.
    pub(crate) fn is_none(&self) -> bool {
        self.fields.is_empty()
    }

    /// Gives the fields of an object as it is kept the names by which they are shown.
    pub(crate) fn show(&self, object: &mut Value) {
        rename(object, self.fields.iter().map(|(kept, shown)| (*kept, *shown)));
    }

    /// Gives the fields of an object as it is shown the names by which they are kept.
    pub(crate) fn keep(&self, object: &mut Value) {
        rename(object, self.fields.iter().map(|(kept, shown)| (*shown, *kept)));
    }

    /// What a field that is shown is called where it is kept.
    pub(crate) fn kept_name<'a>(&self, shown: &'a str) -> &'a str {
        self.fields.iter().find(|(_, name)| *name == shown).map_or(shown, |(kept, _)| kept)
    }
}

/// The group of a type: what its id has after the plural.
pub(super) fn group_of(id: &str) -> &str {
    id.split_once('.').map_or("", |(_, group)| group)
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Value::Object(fields) = object else { return };
    for (from, to) in names {
        if let Some(value) = fields.remove(from) {
            fields.insert(to.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_is_kept_as_it_was() {
        let kept = json!({"message": "m", "involvedObject": {"name": "a"}, "reason": "R", "source": {}});
        let guise = Guise::of("events.events.k8s.io");
        let mut object = kept.clone();
        guise.show(&mut object);
        assert_eq!(
            object,
            json!({"note": "m", "regarding": {"name": "a"}, "reason": "R", "deprecatedSource": {}})
        );
        guise.keep(&mut object);
        assert_eq!(object, kept);
    }
}
