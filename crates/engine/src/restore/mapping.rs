//! The two ConfigMaps that change names while objects are restored: of StorageClasses and of images.
//!
//! Velero finds them by labels: `velero.io/plugin-config`, and `velero.io/change-storage-class` or
//! `velero.io/change-image-name` with the value `RestoreItemAction`.

use std::collections::{BTreeMap, BTreeSet};

use super::actions::ActionError;

/// Label of each ConfigMap that configures an action.
pub const PLUGIN_CONFIG_LABEL: &str = "velero.io/plugin-config";
/// Label of the ConfigMap that changes StorageClasses; its value is [`ACTION`].
pub const STORAGE_CLASS_LABEL: &str = "velero.io/change-storage-class";
/// Label of the ConfigMap that changes images; its value is [`ACTION`].
pub const IMAGE_LABEL: &str = "velero.io/change-image-name";
/// What configures an action at restore.
pub const ACTION: &str = "RestoreItemAction";

/// The `data` of a ConfigMap, with its name.
pub type Config = (String, BTreeMap<String, String>);

/// The rows of the one ConfigMap there may be; two are an error of each object that they concern, as in Velero.
fn rows(label: &str, found: Vec<Config>) -> Result<BTreeMap<String, String>, ActionError> {
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    if let [_, _, ..] = names[..] {
        let selector = format!("{PLUGIN_CONFIG_LABEL},{label}={ACTION}");
        return Err(ActionError::ManyConfigMaps { selector, names: names.join(" ") });
    }
    Ok(found.into_iter().next().map(|(_, data)| data).unwrap_or_default())
}

/// From the name of a StorageClass in the backup to the one in the cluster.
#[derive(Clone, Debug)]
pub struct StorageClasses {
    rows: Result<BTreeMap<String, String>, ActionError>,
    known: BTreeSet<String>,
}

impl StorageClasses {
    /// From the ConfigMaps with [`STORAGE_CLASS_LABEL`] and the names of the StorageClasses of the cluster.
    #[must_use]
    pub fn new(found: Vec<Config>, known: BTreeSet<String>) -> Self {
        Self { rows: rows(STORAGE_CLASS_LABEL, found), known }
    }

    /// These will be in the cluster too before they are asked for: the Restore brings them, ahead of volumes.
    pub(crate) fn will_know(&mut self, names: impl IntoIterator<Item = String>) {
        let Ok(rows) = &self.rows else { return };
        // Nobody asks for another one, and a backup may hold any number.
        self.known.extend(names.into_iter().filter(|name| rows.values().any(|other| other == name)));
    }

    /// What `class` is changed to; none if it isn't.
    pub(crate) fn changed(&self, class: &str) -> Result<Option<&str>, ActionError> {
        let rows = self.rows.as_ref().map_err(Clone::clone)?;
        match rows.get(class).filter(|_| !class.is_empty()) {
            Some(other) if !self.known.contains(other) => {
                Err(ActionError::NoStorageClass { class: other.clone() })
            }
            other => Ok(other.map(String::as_str)),
        }
    }

    /// Whether there is nothing to change, or why nothing can be.
    pub(crate) fn check(&self) -> Result<(), ActionError> {
        self.rows.as_ref().map(|_| ()).map_err(Clone::clone)
    }
}

impl Default for StorageClasses {
    fn default() -> Self {
        Self::new(Vec::new(), BTreeSet::new())
    }
}

/// From parts of the names of images to what stands there instead.
#[derive(Clone, Debug)]
pub struct Images(Result<Vec<(String, String)>, ActionError>);

impl Images {
    /// From the ConfigMaps with [`IMAGE_LABEL`]. A row's value is `<part>,<other part>`; one of another form is
    /// left out, as in Velero.
    #[must_use]
    pub fn new(found: Vec<Config>) -> Self {
        let pair = |row: &String| {
            let (from, to) = row.split_once(',')?;
            let from = from.trim();
            (!from.is_empty() && !to.is_empty()).then(|| (from.to_owned(), to.trim().to_owned()))
        };
        Self(rows(IMAGE_LABEL, found).map(|rows| rows.values().filter_map(pair).collect()))
    }

    /// What the name of an image is changed to by the first row, in the order of their keys, whose part is in it.
    pub(crate) fn changed(&self, image: &str) -> Result<Option<String>, ActionError> {
        let rows = self.0.as_ref().map_err(Clone::clone)?;
        let row = rows.iter().find(|(from, _)| image.contains(from.as_str()));
        Ok(row.map(|(from, to)| image.replace(from.as_str(), to)))
    }

    /// Why nothing can be changed.
    pub(crate) fn check(&self) -> Result<(), ActionError> {
        self.0.as_ref().map(|_| ()).map_err(Clone::clone)
    }
}

impl Default for Images {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(name: &str, rows: &[(&str, &str)]) -> Config {
        (name.to_owned(), rows.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_part_of_an_image_is_changed_by_the_first_row_that_holds_it() {
        let images = Images::new(vec![config(
            "images",
            &[
                ("1", "1.1.1.1:5000, 2.2.2.2:3000"),
                ("2", "abc:test,edf:test"),
                ("3", "no comma"),
                ("4", "nothing,"),
                ("5", ",everything"),
            ],
        )]);
        for (image, other) in [
            ("1.1.1.1:5000/abc:test", Some("2.2.2.2:3000/abc:test")),
            ("abc:test", Some("edf:test")),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(images.changed(image).unwrap().as_deref(), other, "{image}");
        }
    }

    #[test]
    fn two_config_maps_are_an_error_in_velero_s_words() {
        let classes = StorageClasses::new(vec![config("a", &[]), config("b", &[])], BTreeSet::new());
        assert_eq!(
            classes.changed("fast").unwrap_err().to_string(),
            "found more than one ConfigMap matching label selector \
             \"velero.io/plugin-config,velero.io/change-storage-class=RestoreItemAction\": [a b]"
        );
    }

    #[test]
    fn a_storage_class_has_to_be_in_the_cluster() {
        let classes = StorageClasses::new(
            vec![config("classes", &[("fast", "gold"), ("slow", "lead")])],
            ["gold".to_owned()].into(),
        );
        assert_eq!(classes.changed("fast"), Ok(Some("gold")));
        assert_eq!(classes.changed("other"), Ok(None));
        assert_eq!(
            classes.changed("slow").unwrap_err().to_string(),
            "error getting storage class lead from API: storageclasses.storage.k8s.io \"lead\" not found"
        );
    }

    #[test]
    fn a_storage_class_that_is_restored_too_will_do() {
        let mut classes = StorageClasses::new(vec![config("classes", &[("fast", "gold")])], BTreeSet::new());
        assert!(classes.changed("fast").is_err());
        classes.will_know(["gold".to_owned()]);
        assert_eq!(classes.changed("fast"), Ok(Some("gold")));
    }
}
