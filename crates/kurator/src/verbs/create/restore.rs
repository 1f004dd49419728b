//! `kurator restore create`.

use clap::Args;
use jiff::Timestamp;
use kurator_api::names::MAX_SUBDOMAIN;
use kurator_api::restore::{Restore, RestorePolicy, RestoreSpec};
use kurator_member::clock::{Clock as _, SystemClock};

use super::super::spec::{FilterFlags, IntoFlags, WhereFlags};
use super::super::words;
use super::named::Named;
use super::{Asked, CreateFlags};

/// Options of `restore create`.
#[derive(Args)]
pub(crate) struct RestoreFlags {
    /// Name of the Restore; if it is left out, the Backup's with the time and some letters
    #[arg(value_name = "NAME", value_parser = words::name)]
    name: Option<String>,

    /// Backup whose content is restored; of a schedule, the last good run of each cluster
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    from_backup: String,

    /// A certain run, by its name in the cluster, as `kurator describe backup` shows it; needs --fleet
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    from_run: Option<String>,

    /// Fleet that is restored into; the Backup's clusters if it is left out
    #[arg(long, value_name = "NAME", value_parser = words::name)]
    fleet: Option<String>,

    #[command(flatten)]
    clusters: WhereFlags,

    #[command(flatten)]
    filter: FilterFlags,

    #[command(flatten)]
    into: IntoFlags,

    #[command(flatten)]
    create: CreateFlags,
}

impl RestoreFlags {
    pub(super) fn asked(self) -> Result<Asked<Restore>, String> {
        if let Some(name @ ("true" | "false")) = self.name.as_deref() {
            return Err(format!(
                "`{name}` would be the name of the Restore; write a flag's value behind `=`, such as \
                 --preserve-nodeports={name}"
            ));
        }
        if self.fleet.is_none() && !self.clusters.is_empty() {
            return Err("--clusters and --cluster-selector need --fleet, whose clusters they are".to_owned());
        }
        if self.fleet.is_none() && self.from_run.is_some() {
            return Err("--from-run needs --fleet, in whose clusters the run lies".to_owned());
        }
        let named = Named {
            // A certain run is reached also when its Backup has gone from the hub.
            backup: self.from_run.is_none().then(|| self.from_backup.clone()),
            fleet: self.fleet.clone(),
            clusters: self.clusters.names("--clusters"),
            retention: Vec::new(),
            schedule: None,
        };
        let policy = RestorePolicy {
            resource_filter: self.filter.of_restore()?,
            namespace_mapping: self.into.namespace_mapping()?,
            preserve_node_ports: self.into.preserve_node_ports(),
            preserve_status: self.into.preserve_status(),
        };
        let name = self.name.unwrap_or_else(|| name(&self.from_backup, SystemClock.now(), rand::random()));
        let spec = RestoreSpec {
            backup_name: self.from_backup,
            backup_name_in_cluster: self.from_run,
            destination: self.fleet.map(|fleet| self.clusters.of(fleet)),
            policy: (policy != RestorePolicy::default()).then_some(policy),
        };
        Ok(Asked { object: Restore::new(&name, spec), named, create: self.create })
    }
}

/// Letters and digits of which no word is made, as the hub's own for names that it makes.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A name for a Restore: the Backup's and the time, as velero's, and letters that tell two of one second apart.
fn name(backup: &str, now: Timestamp, random: [u8; 5]) -> String {
    let letters = random.map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
    let end = format!("-{}-{}", now.strftime("%Y%m%d%H%M%S"), letters.iter().collect::<String>());
    let room = MAX_SUBDOMAIN - end.len();
    let begin = &backup[..backup.floor_char_boundary(room)];
    format!("{}{end}", begin.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use kurator_api::names::is_dns_subdomain;

    use super::*;

    fn named(backup: &str, random: [u8; 5]) -> String {
        name(backup, "2026-11-01T12:00:00Z".parse().unwrap(), random)
    }

    #[test]
    fn two_restores_of_one_second_have_names_of_their_own() {
        assert_eq!(named("shop", [0; 5]), "shop-20261101120000-bbbbb");
        assert_eq!(named("shop", [1, 26, 27, 254, 255]), "shop-20261101120000-c9bpq");
    }

    #[test]
    fn a_name_of_any_backup_is_one_that_the_hub_takes() {
        for backup in ["a".repeat(253), format!("{}.{}", "a".repeat(231), "b".repeat(20))] {
            let name = named(&backup, [7; 5]);
            assert!(is_dns_subdomain(&name), "{name}");
        }
    }
}
