//! What the process itself takes, by the names every Prometheus client uses.
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};
use std::{fmt, fs};

/// `USER_HZ`, in which /proc counts processor time: 100 on every architecture of ours.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads /proc at each scrape; a number that cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process;

/// What /proc/self/stat says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Processor time, user and system.
    ticks: u32,
    /// From the machine's start to the process's.
    started_ticks: u64,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name: &str, help: &str, unit: Option<&Unit>, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        let read = |file: &str| fs::read_to_string(file).ok();
        let stat = read("/proc/self/stat").and_then(|text| Stat::parse(&text));
        gauge("process_open_fds", "File descriptors open.", None, open_fds())?;
        let limits = read("/proc/self/limits");
        let max_fds = limits.as_deref().and_then(max_fds);
        gauge("process_max_fds", "File descriptors there may be.", None, max_fds)?;
        let status = read("/proc/self/status");
        let resident = status.as_deref().and_then(resident_bytes);
        gauge("process_resident_memory", "Memory resident.", Some(&Unit::Bytes), resident)?;
        let booted = read("/proc/stat").as_deref().and_then(boot_seconds);
        let started = stat.as_ref().zip(booted).map(|(stat, booted)| stat.started_seconds(booted));
        gauge("process_start_time", "When it started, since 1970.", Some(&Unit::Seconds), started)?;
        let Some(stat) = stat else { return Ok(()) };
        let help = "Processor time, user and system.";
        let kind = MetricType::Counter;
        let metric = encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), kind)?;
        ConstCounter::new(f64::from(stat.ticks) / TICKS_PER_SECOND).encode(metric)
    }
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the command's name in parentheses, which may contain any character;
        // field 3 of proc(5) is the first after it.
        let (_, rest) = text.rsplit_once(") ")?;
        let field = |number: usize| rest.split(' ').nth(number - 3);
        let ticks = |number| field(number)?.parse::<u32>().ok();
        let started_ticks = field(22)?.parse().ok()?;
        Some(Self { ticks: ticks(14)?.saturating_add(ticks(15)?), started_ticks })
    }

    #[expect(clippy::cast_precision_loss, reason = "exact for the first 2 million years of uptime")]
    fn started_seconds(&self, booted: f64) -> f64 {
        booted + self.started_ticks as f64 / TICKS_PER_SECOND
    }
}

fn open_fds() -> Option<f64> {
    // The size of this folder is their number since Linux 6.2, and zero before.
    let size = fs::metadata("/proc/self/fd").ok()?.len();
    let number = match u32::try_from(size).ok()? {
        // One of them reads the folder.
        0 => fs::read_dir("/proc/self/fd").ok()?.count().checked_sub(1)?.try_into().ok()?,
        number => number,
    };
    Some(number.into())
}

/// The soft limit of `Max open files`; nothing when there is none.
fn max_fds(limits: &str) -> Option<f64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse::<u32>().ok().map(f64::from)
}

/// `VmRSS`, whatever the page size is.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u32 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(f64::from(kib) * 1024.0)
}

fn boot_seconds(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.parse::<u32>().ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stat_whatever_the_command_is_called() {
        let stat = "77 (a) b) S 1 77 77 0 -1 4194560 9 8 7 6 150 25 4 3 20 0 5 0 9000 1 2 3";
        assert_eq!(Stat::parse(stat), Some(Stat { ticks: 175, started_ticks: 9000 }));
        assert!((Stat::parse(stat).unwrap().started_seconds(1000.0) - 1090.0).abs() < 1e-9);
        assert_eq!(Stat::parse("77 (a"), None);
    }

    #[test]
    fn reads_limits_memory_and_boot_time() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(max_fds(limits), Some(1024.0));
        assert_eq!(max_fds("Max open files   unlimited   unlimited   files"), None);
        assert_eq!(resident_bytes("VmHWM:\t 9 kB\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(boot_seconds("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
    }

    #[test]
    fn counts_its_own_descriptors() {
        let before = open_fds().unwrap();
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = open_fds().unwrap();
        // Other tests of this process open and close some too.
        assert!(25.0 < after - before, "{before} then {after} with {} more", files.len());
    }
}
