//! Shares of all requests.
use serde::Deserialize;

/// A share of a whole, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "f64")]
pub struct Percent(u32);

/// `percentage` of routes and faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Percentage {
    pub value: Percent,
}

impl Percent {
    pub const ALL: Self = Self(1_000_000);

    /// So many of a million.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// So many of a hundred.
    pub(in crate::object) fn whole(percent: u32) -> Result<Self, String> {
        Self::try_from(f64::from(percent))
    }
}

impl TryFrom<f64> for Percent {
    type Error = String;

    fn try_from(percent: f64) -> Result<Self, String> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{percent} is no percentage: want a number from 0 to 100"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 0 to a million"
        )]
        Ok(Self((percent * 10_000.0).round() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_kept_to_the_millionth() {
        assert_eq!(Percent::try_from(0.1), Ok(Percent(1_000)));
        assert_eq!(Percent::try_from(54.54), Ok(Percent(545_400)));
        assert_eq!(Percent::whole(100), Ok(Percent::ALL));
        for bad in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert!(Percent::try_from(bad).is_err(), "{bad}");
        }
    }
}
