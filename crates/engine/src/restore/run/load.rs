//! How much memory one object takes while it is restored, and how much all of them may take that are on their way.

use kurator_archive::{Limits, SpooledItem};

use crate::weight::weight;

/// What all objects on their way may take, in bytes.
pub(super) const ALL: usize = 24 << 20;
/// What objects of the cluster may take that are compared with those of the backup, in bytes.
pub(super) const COMPARED: usize = 8 << 20;

/// What an object takes until it is created, in bytes: as it is stored, parsed, written and as the server answers. None
/// is larger than [`ALL`].
///
/// # Errors
/// Why it cannot be restored, for its namespace.
pub(super) fn of(item: &SpooledItem) -> Result<usize, String> {
    let SpooledItem { size, json, .. } = item;
    let longest = Limits::default().item;
    if *size > longest {
        return Err(format!("it has {size} bytes, and no API server takes more than {longest}"));
    }
    let load = weight(json) + 3 * json.len();
    if load > ALL {
        return Err(format!(
            "its {size} bytes would take {} MiB of memory, and an object may take {} MiB; make it simpler",
            load >> 20,
            ALL >> 20
        ));
    }
    Ok(load)
}

/// What an object of the cluster takes while it is compared with one of the backup.
///
/// # Errors
/// Why it cannot be compared.
pub(super) fn of_found(json: &[u8]) -> Result<usize, String> {
    // Parsed, and once more what differs.
    let load = 2 * weight(json);
    if load > ALL {
        return Err(format!(
            "it is there already, and to compare it would take {} MiB of memory, of which there are {}; compare it \
             yourself",
            load >> 20,
            ALL >> 20
        ));
    }
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(json: String) -> SpooledItem {
        SpooledItem { namespace: None, name: "x".to_owned(), size: json.len() as u64, json: json.into() }
    }

    #[test]
    fn the_largest_secret_that_a_cluster_stores_is_restored() {
        let data = "A".repeat(3 << 20);
        assert!(of(&item(format!(r#"{{"data":{{"x":"{data}"}}}}"#))).unwrap() < ALL);
    }

    #[test]
    fn a_megabyte_of_nested_maps_is_refused_with_its_size() {
        let maps = vec![r#"{"a":0}"#; 1 << 17].join(",");
        assert_eq!(
            of(&item(format!("[{maps}]"))).unwrap_err(),
            "its 1048577 bytes would take 90 MiB of memory, and an object may take 24 MiB; make it simpler"
        );
    }

    #[test]
    fn an_object_that_was_passed_over_is_refused_with_its_size() {
        let passed = SpooledItem { namespace: None, name: "x".to_owned(), size: 5 << 20, json: Vec::new() };
        assert_eq!(
            of(&passed).unwrap_err(),
            "it has 5242880 bytes, and no API server takes more than 4194304"
        );
    }
}
