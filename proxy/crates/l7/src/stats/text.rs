//! `/stats`: a line for each number.
use super::{
    histogram::{Distribution, QUANTILES},
    number::short,
    sample::{Samples, Shape},
};
use std::fmt::Write as _;

/// Counters and gauges by name, then histograms.
#[must_use]
pub fn write(samples: &Samples, shape: Shape) -> String {
    let Samples { counters, gauges, histograms } = samples;
    let mut plain: Vec<_> = counters.iter().chain(gauges).collect();
    plain.sort_by(|a, b| a.name.cmp(&b.name));
    let mut out = String::new();
    for one in plain {
        line(&mut out, format_args!("{}: {}", one.name, one.value));
    }
    for one in histograms {
        line(&mut out, format_args!("{}: {}", one.name, histogram(&one.value, shape)));
    }
    out
}

/// The first number of each pair is Envoy's of its last interval, which is not kept here.
fn histogram(seen: &Distribution, shape: Shape) -> String {
    if seen.count == 0 {
        return "No recorded values".to_owned();
    }
    let parts: Vec<String> = match shape {
        Shape::Summary => {
            let value = |percent| seen.quantile(percent).unwrap_or_default();
            QUANTILES.iter().map(|q| format!("P{}(nan,{})", short(*q), value(*q))).collect()
        }
        Shape::Cumulative | Shape::Disjoint => {
            let buckets = shape.buckets(seen).into_iter();
            buckets.map(|(end, count)| format!("B{}(0,{count})", short(end))).collect()
        }
    };
    parts.join(" ")
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    writeln!(out, "{text}").unwrap_or_default();
}
