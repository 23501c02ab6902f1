//! What was measured: a table for people, JSON for machines, and the comparison of two runs.
use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A change smaller than this is the noise of a shared machine.
const NOISE: f64 = 0.10;

/// One number, with its peer beside it where there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) goal: String,
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) peer: Option<String>,
    pub(crate) peer_value: Option<f64>,
    /// `value` over `peer_value`.
    pub(crate) ratio: Option<f64>,
    /// The goal in words, such as `≤ 200`; `None` where the number only informs.
    pub(crate) limit: Option<String>,
    pub(crate) met: Option<bool>,
}

/// A goal: of the value itself, or of its ratio to the peer's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Limit {
    AtMost(f64),
    RatioAtLeast(f64),
    RatioAtMost(f64),
}

impl Finding {
    /// A number that stands for itself.
    pub(crate) fn new(goal: &str, what: impl Into<String>, value: f64, unit: &str) -> Self {
        Self {
            goal: goal.to_owned(),
            what: what.into(),
            value,
            unit: unit.to_owned(),
            peer: None,
            peer_value: None,
            ratio: None,
            limit: None,
            met: None,
        }
    }

    /// Puts the number that `peer` reached in the same run beside it.
    pub(crate) fn beside(mut self, peer: &str, value: f64) -> Self {
        self.peer = Some(peer.to_owned());
        self.peer_value = Some(value);
        self.ratio = (value != 0.0).then(|| self.value / value);
        self
    }

    /// Holds the number to a goal; after [`Self::beside`].
    pub(crate) fn held_to(mut self, limit: Limit) -> Self {
        let (words, met) = match limit {
            Limit::AtMost(most) => (format!("≤ {most}"), Some(self.value <= most)),
            Limit::RatioAtLeast(least) => {
                (format!("ratio ≥ {least}"), self.ratio.map(|ratio| ratio >= least))
            }
            Limit::RatioAtMost(most) => {
                (format!("ratio ≤ {most}"), self.ratio.map(|ratio| ratio <= most))
            }
        };
        self.limit = Some(words);
        self.met = met;
        self
    }

    /// By how much this is worse than `old`, as a share; negative when it is better.
    ///
    /// Ratios are compared where there are any: they hold on a machine of any speed.
    fn worse_than(&self, old: &Self) -> Option<f64> {
        let limit = self.limit.as_deref()?;
        let (now, then) = match (self.ratio, old.ratio) {
            (Some(now), Some(then)) => (now, then),
            _ => (self.value, old.value),
        };
        let change = now / then - 1.0;
        change.is_finite().then_some(if limit.contains('≤') { change } else { -change })
    }
}

/// The findings as a table.
pub(crate) fn table(findings: &[Finding]) -> String {
    let mut rows = vec![["goal", "what", "value", "peer", "ratio", "limit", ""].map(str::to_owned)];
    for finding in findings {
        let Finding { goal, what, value, unit, peer, peer_value, ratio, limit, met } = finding;
        rows.push([
            goal.clone(),
            what.clone(),
            format!("{} {unit}", number(*value)),
            match (peer, peer_value) {
                (Some(peer), Some(value)) => format!("{peer} {}", number(*value)),
                _ => String::new(),
            },
            ratio.map(number).unwrap_or_default(),
            limit.clone().unwrap_or_default(),
            met.map_or("", |met| if met { "met" } else { "MISSED" }).to_owned(),
        ]);
    }
    aligned(&rows)
}

/// Findings that are worse than those of an earlier run by more than noise, in words.
pub(crate) fn regressions(now: &[Finding], old: &[Finding]) -> Vec<String> {
    now.iter()
        .filter_map(|finding| {
            let same = |old: &&Finding| old.goal == finding.goal && old.what == finding.what;
            let worse = finding.worse_than(old.iter().find(same)?)?;
            (worse > NOISE).then(|| {
                format!("{} {}: worse by {:.0} %", finding.goal, finding.what, worse * 100.0)
            })
        })
        .collect()
}

/// Writes the findings as JSON.
pub(crate) fn save(findings: &[Finding], file: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(findings)?;
    fs::write(file, text + "\n").with_context(|| file.display().to_string())
}

/// Reads what [`save`] wrote.
pub(crate) fn load(file: &Path) -> Result<Vec<Finding>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let mut text = String::new();
    for row in rows {
        let line: Vec<_> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = width(column).unwrap_or(0);
                format!("{cell:<width$}")
            })
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_of_the_value_or_of_the_ratio() {
        let finding = Finding::new("P6", "connect", 171.0, "ns").held_to(Limit::AtMost(200.0));
        assert_eq!((finding.limit.as_deref(), finding.met), (Some("≤ 200"), Some(true)));
        let finding = Finding::new("P13", "outbound", 9.0, "Gbit/s")
            .beside("envoy", 10.0)
            .held_to(Limit::RatioAtLeast(1.0));
        assert_eq!((finding.ratio, finding.met), (Some(0.9), Some(false)));
    }

    #[test]
    fn worse_has_a_direction_and_better_is_no_regression() {
        let rate = |ratio: f64| {
            Finding::new("P13", "a", ratio, "")
                .beside("envoy", 1.0)
                .held_to(Limit::RatioAtLeast(1.0))
        };
        let cost = |value| Finding::new("P6", "b", value, "ns").held_to(Limit::AtMost(200.0));
        assert!(regressions(&[rate(1.3), cost(100.0)], &[rate(1.0), cost(150.0)]).is_empty());
        assert_eq!(
            regressions(&[rate(1.0), cost(180.0)], &[rate(1.25), cost(150.0)]),
            ["P13 a: worse by 20 %", "P6 b: worse by 20 %"]
        );
    }

    #[test]
    fn what_is_saved_is_what_is_loaded() {
        let finding = Finding::new("P15", "idle", 12.5, "MB").beside("envoy", 40.0);
        let text = serde_json::to_string(&[&finding]).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Finding>>(&text).unwrap(), [finding]);
    }
}
