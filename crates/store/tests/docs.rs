//! `docs/object-stores.md` says of each provider what the code does.

use std::collections::BTreeMap;

use kurator_store::{PROVIDERS, Support};

const PAGE: &str = include_str!("../../../docs/object-stores.md");

/// Key, word and text of each row of a section's table.
fn rows(section: &str) -> BTreeMap<String, (String, String)> {
    let cells = |line: &str| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.splitn(3, " | ").map(str::to_owned);
        let key = cells.next()?.trim_end_matches('`').to_owned();
        Some((key, (cells.next()?, cells.next()?)))
    };
    section.lines().filter_map(cells).collect()
}

#[test]
fn the_page_lists_exactly_the_keys_that_the_code_knows() {
    for provider in PROVIDERS {
        let heading = format!("\n## `{}`\n", provider.names[0]);
        let (_, section) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("no section `{heading}`"));
        let section = section.split("\n## ").next().unwrap();
        for name in provider.names {
            assert!(heading.contains(name) || section.contains(&format!("`{name}`")), "{name}");
        }
        let mut rows = rows(section);
        for key in provider.keys {
            let (word, text) =
                rows.remove(key.name).unwrap_or_else(|| panic!("{heading}: no row `{}`", key.name));
            match key.support {
                Support::Honoured => assert_eq!(word, "honoured", "{}", key.name),
                Support::NoEffect => assert_eq!(word, "no effect", "{}", key.name),
                Support::Refused(instead) => {
                    assert_eq!((&*word, &*text), ("refused", instead), "{}", key.name)
                }
            }
        }
        assert!(rows.is_empty(), "{heading}: the code knows nothing of {rows:?}");
    }
}
