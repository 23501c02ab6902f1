//! Percentages and flags, asked with the runtime and a number by chance.
use culvert_model::http::{
    matcher::{Denominator, Fraction, RuntimeFlag, RuntimeFraction, RuntimeNumber},
    runtime::RuntimeValues,
    value::Value,
};

/// Whether `dice` hits a fraction.
///
/// The runtime may say a fraction, or a number, which is of a hundred (and hits always above it).
#[must_use]
pub fn hits(fraction: &RuntimeFraction, runtime: &RuntimeValues, dice: u64) -> bool {
    current(fraction, runtime).hits(dice)
}

/// The fraction that counts now.
#[must_use]
pub fn current(fraction: &RuntimeFraction, runtime: &RuntimeValues) -> Fraction {
    let found = fraction.key.as_deref().and_then(|key| read(key, runtime));
    found.unwrap_or(fraction.default)
}

/// The fraction that the runtime has under a key.
#[must_use]
pub fn read(key: &str, runtime: &RuntimeValues) -> Option<Fraction> {
    let value = runtime.get(key)?;
    let Value::Struct(fields) = value else {
        return whole(value).map(|n| Fraction::percent(n.min(100)));
    };
    Some(Fraction {
        numerator: fields.get("numerator").and_then(whole)?,
        denominator: denominator(fields.get("denominator"))?,
    })
}

/// Whether a flag is set now.
#[must_use]
pub fn flag(flag: &RuntimeFlag, runtime: &RuntimeValues) -> bool {
    flag.key.as_deref().and_then(|key| runtime.bool(key)).unwrap_or(flag.default)
}

/// What a number is now; one that the runtime has, and that is none of `T`, does not count.
#[must_use]
pub fn number<T: FromRuntime>(number: &RuntimeNumber<T>, runtime: &RuntimeValues) -> T {
    let found = number.key.as_deref().and_then(|key| runtime.number(key)).and_then(T::from_runtime);
    found.unwrap_or(number.default)
}

/// Numbers that a runtime can have.
pub trait FromRuntime: Copy {
    fn from_runtime(number: f64) -> Option<Self>;
}

impl FromRuntime for f64 {
    fn from_runtime(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl FromRuntime for u32 {
    fn from_runtime(number: f64) -> Option<Self> {
        u64::from_runtime(number)?.try_into().ok()
    }
}

impl FromRuntime for u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
    fn from_runtime(number: f64) -> Option<Self> {
        // 2^53: beyond it a double holds no whole numbers one by one.
        ((0.0..=9_007_199_254_740_992.0).contains(&number) && number.fract() == 0.0)
            .then_some(number as Self)
    }
}

fn whole(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => u32::from_runtime(*number),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Struct(_) => None,
    }
}

fn denominator(value: Option<&Value>) -> Option<Denominator> {
    Some(match value {
        None => Denominator::Hundred,
        Some(Value::String(name)) => match &**name {
            "HUNDRED" => Denominator::Hundred,
            "TEN_THOUSAND" => Denominator::TenThousand,
            "MILLION" => Denominator::Million,
            _ => return None,
        },
        Some(Value::Number(n)) => match u32::from_runtime(*n)? {
            0 => Denominator::Hundred,
            1 => Denominator::TenThousand,
            2 => Denominator::Million,
            _ => return None,
        },
        Some(Value::Null | Value::Bool(_) | Value::List(_) | Value::Struct(_)) => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use culvert_model::http::{
        matcher::{Fraction, RuntimeFraction, RuntimeNumber},
        runtime::{RuntimeLayer, RuntimeValues},
        value::Value,
    };

    use super::{hits, number};

    fn runtime(value: Value) -> RuntimeValues {
        let layer = RuntimeLayer {
            name: "l".into(),
            values: Arc::new(BTreeMap::from([("k".into(), value)])),
        };
        RuntimeValues::new(vec![layer])
    }

    #[test]
    fn the_runtime_overrides_with_numbers_and_fractions() {
        let never = RuntimeFraction { default: Fraction::NEVER, key: Some("k".into()) };
        assert!(!hits(&never, &RuntimeValues::default(), 0));
        assert!(hits(&never, &runtime(Value::Number(50.0)), 149));
        assert!(!hits(&never, &runtime(Value::Number(50.0)), 150));
        assert!(hits(&never, &runtime(Value::Number(1000.0)), 99));
        assert!(!hits(&never, &runtime(Value::Bool(true)), 0));
        let millionth = BTreeMap::from([
            ("numerator".into(), Value::Number(1.0)),
            ("denominator".into(), Value::String("MILLION".into())),
        ]);
        let millionth = runtime(Value::Struct(Arc::new(millionth)));
        assert!(hits(&never, &millionth, 1_000_000));
        assert!(!hits(&never, &millionth, 100));
    }

    #[test]
    fn a_number_of_another_kind_does_not_count() {
        let seven = RuntimeNumber { default: 7_u32, key: Some("k".into()) };
        assert_eq!(number(&seven, &runtime(Value::Number(9.0))), 9);
        assert_eq!(number(&seven, &runtime(Value::Number(-9.0))), 7);
        assert_eq!(number(&seven, &runtime(Value::Number(0.5))), 7);
    }
}
