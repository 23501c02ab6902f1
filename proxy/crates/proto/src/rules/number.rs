//! Numbers, durations, counts.
use envoy_types::pb::validate::{DurationRules, EnumRules, RepeatedRules, field_rules::Type};
use prost_reflect::{DynamicMessage, Value};

/// Between what a number must be.
#[derive(Default)]
struct Bounds {
    above: Option<f64>,
    least: Option<f64>,
    below: Option<f64>,
    most: Option<f64>,
    ignore_empty: bool,
}

macro_rules! bounds {
    ($rules:expr) => {
        Bounds {
            above: $rules.gt.map(|bound| bound as f64),
            least: $rules.gte.map(|bound| bound as f64),
            below: $rules.lt.map(|bound| bound as f64),
            most: $rules.lte.map(|bound| bound as f64),
            ignore_empty: $rules.ignore_empty(),
        }
    };
}

/// What is wrong with a number, or with one in a wrapper.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_lossless,
    trivial_numeric_casts,
    reason = "bounds are small, or powers of two"
)]
pub(super) fn check(value: &Value, rules: &Type) -> Option<String> {
    let number = match value {
        Value::Message(wrapper) => wrapper.get_field_by_name("value")?.into_owned(),
        value => value.clone(),
    };
    let number = match number {
        Value::I32(value) => f64::from(value),
        Value::U32(value) => f64::from(value),
        Value::I64(value) => value as f64,
        Value::U64(value) => value as f64,
        Value::F32(value) => f64::from(value),
        Value::F64(value) => value,
        _ => return None,
    };
    let bounds = match rules {
        Type::Float(rules) => bounds!(rules),
        Type::Double(rules) => bounds!(rules),
        Type::Int32(rules) => bounds!(rules),
        Type::Int64(rules) => bounds!(rules),
        Type::Uint32(rules) => bounds!(rules),
        Type::Uint64(rules) => bounds!(rules),
        _ => return None,
    };
    if bounds.ignore_empty && number == 0.0 { None } else { bounds.check(number) }
}

pub(super) fn check_enum(value: i32, rules: &EnumRules) -> Option<String> {
    rules.not_in.contains(&value).then(|| format!("must not be {value} here"))
}

pub(super) fn check_duration(value: &DynamicMessage, rules: &DurationRules) -> Option<String> {
    let (Some(Value::I64(seconds)), Some(Value::I32(nanos))) = (
        value.get_field_by_name("seconds").map(|value| value.into_owned()),
        value.get_field_by_name("nanos").map(|value| value.into_owned()),
    ) else {
        return None;
    };
    #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
    let in_seconds = |seconds: i64, nanos: i32| seconds as f64 + f64::from(nanos) / 1e9;
    let bound = |bound: &Option<envoy_types::pb::google::protobuf::Duration>| {
        bound.as_ref().map(|bound| in_seconds(bound.seconds, bound.nanos))
    };
    let bounds = Bounds {
        above: bound(&rules.gt),
        least: bound(&rules.gte),
        below: bound(&rules.lt),
        most: bound(&rules.lte),
        ignore_empty: false,
    };
    bounds.check(in_seconds(seconds, nanos)).map(|what| format!("{what} seconds"))
}

pub(super) fn check_count(items: &[Value], rules: &RepeatedRules) -> Option<String> {
    let bound = |bound: Option<u64>| bound.and_then(|bound| usize::try_from(bound).ok());
    if rules.ignore_empty() && items.is_empty() {
        return None;
    }
    match (bound(rules.min_items), bound(rules.max_items)) {
        (Some(1), _) if items.is_empty() => Some("empty; needs at least one".to_owned()),
        (Some(least), _) if items.len() < least => Some(format!("needs at least {least}")),
        (_, Some(most)) if items.len() > most => {
            Some(format!("has {}, of which {most} are allowed", items.len()))
        }
        _ if rules.unique() => {
            let mut rest = items.iter().enumerate();
            let twice = rest.find(|(i, item)| items.iter().skip(i + 1).any(|other| other == *item));
            twice.map(|(i, _)| format!("number {i} is there twice"))
        }
        _ => None,
    }
}

impl Bounds {
    fn check(&self, number: f64) -> Option<String> {
        let is = |holds: bool, what: &str, bound: f64| {
            (!holds).then(|| format!("is {number}, must be {what} {bound}"))
        };
        (self.above.and_then(|bound| is(number > bound, "more than", bound)))
            .or_else(|| self.least.and_then(|bound| is(number >= bound, "at least", bound)))
            .or_else(|| self.below.and_then(|bound| is(number < bound, "less than", bound)))
            .or_else(|| self.most.and_then(|bound| is(number <= bound, "at most", bound)))
    }
}
