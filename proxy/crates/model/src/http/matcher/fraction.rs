//! Percentages and flags that a runtime key may override.
use std::sync::Arc;

/// `FractionalPercent`: so many of a hundred, of ten thousand, of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: Denominator,
}

/// Of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denominator {
    #[default]
    Hundred,
    TenThousand,
    Million,
}

/// `RuntimeFractionalPercent`: how many, unless the runtime says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFraction {
    pub default: Fraction,
    pub key: Option<Arc<str>>,
}

/// `RuntimeFeatureFlag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeFlag {
    pub default: bool,
    pub key: Option<Arc<str>>,
}

/// `RuntimeUInt32`, `RuntimeDouble`, `RuntimePercent`: a number, unless the runtime says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct RuntimeNumber<T> {
    pub default: T,
    pub key: Option<Arc<str>>,
}

impl Fraction {
    pub const ALWAYS: Self = Self::percent(100);
    pub const NEVER: Self = Self::percent(0);

    #[must_use]
    pub const fn percent(numerator: u32) -> Self {
        Self { numerator, denominator: Denominator::Hundred }
    }

    /// Whether a dice that shows `dice` (any number) hits it, as Envoy decides it: the rest of the
    /// division by the denominator is below the numerator.
    #[must_use]
    pub const fn hits(self, dice: u64) -> bool {
        dice % self.denominator.get() < self.numerator as u64
    }

    /// Between 0 and 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a million at most")]
    pub fn share(self) -> f64 {
        (f64::from(self.numerator) / self.denominator.get() as f64).min(1.0)
    }
}

impl Denominator {
    #[must_use]
    pub const fn get(self) -> u64 {
        match self {
            Self::Hundred => 100,
            Self::TenThousand => 10_000,
            Self::Million => 1_000_000,
        }
    }
}

impl From<Fraction> for RuntimeFraction {
    fn from(default: Fraction) -> Self {
        Self { default, key: None }
    }
}

impl From<bool> for RuntimeFlag {
    fn from(default: bool) -> Self {
        Self { default, key: None }
    }
}

impl<T> From<T> for RuntimeNumber<T> {
    fn from(default: T) -> Self {
        Self { default, key: None }
    }
}

#[cfg(test)]
mod tests {
    use super::{Denominator, Fraction};

    #[test]
    fn a_dice_hits_by_the_rest_of_the_division() {
        let one = Fraction { numerator: 1, denominator: Denominator::TenThousand };
        assert!(one.hits(20_000));
        assert!(!one.hits(20_001));
        assert!((0..1000).all(|dice| Fraction::ALWAYS.hits(dice) && !Fraction::NEVER.hits(dice)));
    }
}
