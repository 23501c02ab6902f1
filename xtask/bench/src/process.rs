//! What the kernel says about a running process.
use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};

/// The unit of `/proc/PID/stat`: Linux reports a hundred ticks a second on every architecture.
const TICKS: f64 = 100.0;

/// How far two readings of a settled process may be apart, and how often it is asked.
const SETTLED: u64 = 64 * 1024;
const READINGS: usize = 60;

/// Seconds of CPU that a process has used, its threads together.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file).with_context(|| file.clone())?;
    ticks(&text).map(|ticks| ticks / TICKS).with_context(|| format!("{file} is not as expected"))
}

/// User and system time; the name before them may hold anything, so they are counted from its end.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Resident memory in bytes, once it has stopped changing.
pub(crate) fn settled_memory(pid: u32) -> Result<f64> {
    let mut last = memory(pid)?;
    let mut still = 0;
    for _ in 0..READINGS {
        thread::sleep(Duration::from_millis(500));
        let now = memory(pid)?;
        still = if now.abs_diff(last) <= SETTLED { still + 1 } else { 0 };
        last = now;
        if still == 4 {
            break;
        }
    }
    // Kilobytes fit: memory of more than four terabytes is not expected.
    Ok(f64::from(u32::try_from(last / 1024)?) * 1024.0)
}

/// Resident memory in bytes.
fn memory(pid: u32) -> Result<u64> {
    let file = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&file).with_context(|| file.clone())?;
    resident(&text).with_context(|| format!("{file} has no VmRSS"))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_blanks() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 123 1 1";
        assert_eq!(ticks(stat), Some(300.0));
        assert_eq!(ticks("7 (a"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident("VmPeak:\t 9 kB\nVmRSS:\t   17408 kB\n"), Some(17_825_792));
        assert_eq!(resident("VmPeak:\t 9 kB\n"), None);
    }
}
