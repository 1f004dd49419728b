//! The three ways in which Velero has read cron.

use std::fmt;

/// A cron library of Velero, with its release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// robfig/cron 1.1.0: no time zones.
    Robfig1,
    /// robfig/cron 3.0.1, which Kubernetes CronJobs follow too.
    Robfig3,
    /// netresearch/go-cron 0.15.0: both day fields must fit, ranges wrap, skipped hours are made up for.
    GoCron,
}

impl Dialect {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::Robfig1, Self::Robfig3, Self::GoCron];

    /// The dialect of a Velero server, from a version such as `v1.18.2`. What is no version, such as `main`, counts
    /// as the newest.
    pub fn of_velero(version: &str) -> Self {
        match numbers(version) {
            Some(release) if release < [1, 15, 0] => Self::Robfig1,
            Some(release) if release < [1, 18, 3] => Self::Robfig3,
            Some(_) | None => Self::GoCron,
        }
    }

    /// Whether an expression may begin with `TZ=` or `CRON_TZ=`.
    pub(crate) fn reads_zones(self) -> bool {
        match self {
            Self::Robfig1 => false,
            Self::Robfig3 | Self::GoCron => true,
        }
    }

    /// Whether `*/2` no longer counts as a star.
    pub(crate) fn step_clears_star(self) -> bool {
        match self {
            Self::Robfig1 => false,
            Self::Robfig3 | Self::GoCron => true,
        }
    }

    /// Whether a day that begins at 1:00, or the day after, is searched from its first hour.
    pub(crate) fn mends_midnight(self) -> bool {
        match self {
            Self::Robfig1 => false,
            Self::Robfig3 | Self::GoCron => true,
        }
    }

    /// Whether it is the newest reading: strict about steps, words and length, generous with ranges, 7 and skipped
    /// hours.
    pub(crate) fn is_newest(self) -> bool {
        match self {
            Self::Robfig1 | Self::Robfig3 => false,
            Self::GoCron => true,
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Robfig1 => "Velero up to 1.14",
            Self::Robfig3 => "Velero 1.15 to 1.18.2",
            Self::GoCron => "Velero 1.18.3 and newer",
        })
    }
}

/// Major, minor and patch of a version; a missing minor or patch is 0, what follows the patch is ignored.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let version = version.trim();
    let release = version.strip_prefix('v').unwrap_or(version);
    let release = release.split(['-', '+']).next()?;
    let mut numbers = [0; 3];
    for (slot, text) in numbers.iter_mut().zip(release.split('.')) {
        *slot = text.parse().ok()?;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_velero_names_its_dialect() {
        for (version, dialect) in [
            ("v1.14.1", Dialect::Robfig1),
            ("v0.11.0", Dialect::Robfig1),
            ("1.9", Dialect::Robfig1),
            ("v1.15.0", Dialect::Robfig3),
            ("v1.15", Dialect::Robfig3),
            ("v1.18.2", Dialect::Robfig3),
            ("v1.18.2-rc.1+build", Dialect::Robfig3),
            ("v1.18.3", Dialect::GoCron),
            ("v1.19.0", Dialect::GoCron),
            ("v2", Dialect::GoCron),
            ("main", Dialect::GoCron),
            ("v1.x", Dialect::GoCron),
            ("", Dialect::GoCron),
        ] {
            assert_eq!(Dialect::of_velero(version), dialect, "{version}");
        }
    }
}
