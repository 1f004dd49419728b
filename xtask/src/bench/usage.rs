//! What a server's processes take, as the kernel counts it.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel counts CPU time for user space in hundredths of a second on every architecture that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Written to `clear_refs`: the peak begins again at what is resident now.
const RESET_PEAK: &str = "5";

/// A server's process, and whatever it starts.
#[derive(Clone, Copy)]
pub(super) struct Process(pub(super) u32);

impl Process {
    /// Begins to measure.
    pub(super) fn begin(self) -> Result<Begun> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, RESET_PEAK).with_context(|| format!("cannot write {path}"))?;
        Ok(Begun { process: self, cpu: self.cpu()? })
    }

    /// What it has in memory now, in KiB.
    pub(super) fn memory(self) -> Result<Memory> {
        let Self(pid) = self;
        let read = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
        };
        let (status, rollup) = (read("status")?, read("smaps_rollup")?);
        let field = |text: &str, name: &str| {
            kib(text, name).with_context(|| format!("/proc/{pid} does not say {name}"))
        };
        Ok(Memory {
            resident: field(&status, "VmRSS:")?,
            peak: field(&status, "VmHWM:")?,
            private: field(&rollup, "Pss_Anon:")?,
        })
    }

    /// CPU time of the process, of those that it started and that run, and of those that it has waited for.
    pub(super) fn cpu(self) -> Result<Duration> {
        let mut all = HashMap::new();
        for entry in fs::read_dir("/proc").context("cannot read /proc")?.flatten() {
            // A process may end between the two looks.
            if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
                && let Ok(stat) = fs::read_to_string(entry.path().join("stat"))
                && let Some(stat) = Stat::parse(&stat)
            {
                all.insert(pid, stat);
            }
        }
        all.get(&self.0).with_context(|| format!("process {} has ended", self.0))?;
        let ticks: u64 =
            all.iter().filter(|(pid, _)| self.started(**pid, &all)).map(|(_, stat)| stat.ticks).sum();
        Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
    }

    fn started(self, mut pid: u32, all: &HashMap<u32, Stat>) -> bool {
        while pid != self.0 {
            match all.get(&pid) {
                Some(stat) if stat.parent != pid => pid = stat.parent,
                _ => return false,
            }
        }
        true
    }
}

/// Memory of one process, in KiB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    pub(super) resident: u64,
    /// Most that was resident.
    pub(super) peak: u64,
    /// Its own: neither files nor shared with others.
    pub(super) private: u64,
}

/// A measurement under way.
pub(super) struct Begun {
    process: Process,
    cpu: Duration,
}

/// What was taken between two moments.
pub(super) struct Taken {
    /// CPU time of the server and of what it started.
    pub(super) cpu: Duration,
    /// Most memory that was resident, in MiB: of the server alone, without what it started.
    pub(super) peak_mib: f64,
}

impl Begun {
    pub(super) fn end(self) -> Result<Taken> {
        let peak = self.process.memory()?.peak;
        let cpu = self.process.cpu()?.saturating_sub(self.cpu);
        Ok(Taken { cpu, peak_mib: peak as f64 / 1024.0 })
    }
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What is used of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    /// In user and kernel mode, own and of children that were waited for.
    ticks: u64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The second field is a name in brackets, which may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
        Some(Self { parent: u32::try_from(number(1)?).ok()?, ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 100 0 0 0 11 12 13 14 20 0 1 0 5";
        let Stat { parent, ticks } = Stat::parse(stat).unwrap();
        assert_eq!((parent, ticks), (3, 50));
    }

    #[test]
    fn the_peak_is_the_high_water_mark() {
        assert_eq!(kib("VmPeak:\t  900 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n", "VmHWM:"), Some(2048));
    }
}
