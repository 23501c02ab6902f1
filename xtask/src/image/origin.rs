//! Which commit an image is of, and when that was.
use std::{env, process::Command};

use anyhow::{Context as _, Result};

use crate::{process, workspace};

/// The commit at hand.
#[derive(Debug)]
pub(super) struct Origin {
    /// Its hash, with `-dirty` when files differ from it.
    pub(super) revision: String,
    /// Seconds since 1970: of the commit, or `SOURCE_DATE_EPOCH`; the time of every file.
    pub(super) time: u64,
}

impl Origin {
    /// Asks git.
    pub(super) fn of_head() -> Result<Self> {
        let git = |args: &[&str]| {
            let mut git = Command::new("git");
            process::stdout(git.current_dir(workspace::root()).args(args))
        };
        let mut revision = git(&["rev-parse", "HEAD"])?.trim().to_owned();
        if !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty() {
            revision.push_str("-dirty");
        }
        let set = env::var_os("SOURCE_DATE_EPOCH").map(|set| set.to_string_lossy().into_owned());
        let time = match set {
            Some(set) => set,
            None => git(&["log", "-1", "--format=%ct"])?,
        };
        let time = time.trim().parse().context("SOURCE_DATE_EPOCH is no number of seconds")?;
        Ok(Self { revision, time })
    }

    /// The time as RFC 3339 writes it.
    pub(super) fn timestamp(&self) -> String {
        let Self { time, .. } = self;
        let (days, second) = (time / 86_400, time % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// The Gregorian date of a day, counted from 1970-01-01.
///
/// Years begin in March here, so that the day that some have more is their last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_everybody_does() {
        for (time, written) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            let origin = Origin { revision: String::new(), time };
            assert_eq!(origin.timestamp(), written);
        }
    }

    #[test]
    fn the_commit_is_found() {
        let origin = Origin::of_head().unwrap();
        let hash = origin.revision.strip_suffix("-dirty").unwrap_or(&origin.revision);
        assert_eq!(hash.len(), 40, "{hash}");
    }
}
