//! `/stats/prometheus`: the text format, with Envoy's names and labels.
use super::{
    histogram::{Distribution, QUANTILES},
    sample::{Sample, Samples, Shape},
};
use std::{collections::BTreeMap, fmt::Write as _};

/// Counters, gauges, histograms; each family once.
#[must_use]
pub fn write(samples: &Samples, shape: Shape) -> String {
    let mut out = String::new();
    let plain = |out: &mut String, name: &str, labels: &str, value: &u64| {
        line(out, format_args!("{name}{{{labels}}} {value}"));
    };
    families(&samples.counters, "counter", &mut out, plain);
    families(&samples.gauges, "gauge", &mut out, plain);
    match shape {
        Shape::Summary => families(&samples.histograms, "summary", &mut out, summary),
        Shape::Cumulative | Shape::Disjoint => {
            families(&samples.histograms, "histogram", &mut out, histogram);
        }
    }
    out
}

fn families<T>(
    samples: &[Sample<T>],
    kind: &str,
    out: &mut String,
    write: impl Fn(&mut String, &str, &str, &T),
) {
    let mut families: BTreeMap<String, Vec<(String, &T)>> = BTreeMap::new();
    for one in samples {
        let (bare, tags) = one.bare();
        let labels: Vec<String> = tags.into_iter().map(label).collect();
        families.entry(name(&bare)).or_default().push((labels.join(","), &one.value));
    }
    for (name, members) in families {
        line(out, format_args!("# TYPE {name} {kind}"));
        for (labels, value) in members {
            write(out, &name, &labels, value);
        }
    }
}

fn histogram(out: &mut String, name: &str, labels: &str, seen: &Distribution) {
    let comma = if labels.is_empty() { "" } else { "," };
    for (end, count) in Shape::Cumulative.buckets(seen) {
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{end}\"}} {count}"));
    }
    line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", seen.count));
    sum_and_count(out, name, labels, seen);
}

fn summary(out: &mut String, name: &str, labels: &str, seen: &Distribution) {
    let comma = if labels.is_empty() { "" } else { "," };
    for percent in QUANTILES {
        let value = seen.quantile(percent).unwrap_or(f64::NAN);
        let share = percent / 100.0;
        line(out, format_args!("{name}{{{labels}{comma}quantile=\"{share}\"}} {value}"));
    }
    sum_and_count(out, name, labels, seen);
}

fn sum_and_count(out: &mut String, name: &str, labels: &str, seen: &Distribution) {
    line(out, format_args!("{name}_sum{{{labels}}} {}", seen.sum));
    line(out, format_args!("{name}_count{{{labels}}} {}", seen.count));
}

fn name(bare: &str) -> String {
    format!("envoy_{}", plain(bare))
}

fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' { c } else { '_' }).collect()
}

fn label((tag, value): (&str, &str)) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{}=\"{value}\"", plain(tag))
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    writeln!(out, "{text}").unwrap_or_default();
}
