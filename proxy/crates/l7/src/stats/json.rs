//! `/stats?format=json`.
use super::{
    histogram::{Distribution, QUANTILES},
    sample::{Sample, Samples, Shape},
};
use serde_json::{Value, json};

/// Counters and gauges by name, then one object with all histograms.
#[must_use]
pub fn write(samples: &Samples, shape: Shape, pretty: bool) -> String {
    let Samples { counters, gauges, histograms } = samples;
    let mut plain: Vec<_> = counters.iter().chain(gauges).collect();
    plain.sort_by(|a, b| a.name.cmp(&b.name));
    let plain = plain.into_iter().map(|one| json!({"name": one.name, "value": one.value}));
    let histograms = (!histograms.is_empty()).then(|| match shape {
        Shape::Summary => summary(histograms),
        Shape::Cumulative | Shape::Disjoint => buckets(histograms, shape),
    });
    let all = json!({"stats": plain.chain(histograms).collect::<Value>()});
    if pretty { format!("{all:#}") } else { all.to_string() }
}

fn summary(histograms: &[Sample<Distribution>]) -> Value {
    let values = |seen: &Distribution| -> Value {
        let quantile = |q: &f64| json!({"interval": null, "cumulative": seen.quantile(*q)});
        QUANTILES.iter().map(quantile).collect()
    };
    let each = |one: &Sample<Distribution>| json!({"name": one.name, "values": values(&one.value)});
    json!({"histograms": {
        "supported_quantiles": QUANTILES,
        "computed_quantiles": histograms.iter().map(each).collect::<Value>(),
    }})
}

fn buckets(histograms: &[Sample<Distribution>], shape: Shape) -> Value {
    let buckets = |seen: &Distribution| -> Value {
        let one = |(end, count)| json!({"upper_bound": end, "interval": 0, "cumulative": count});
        shape.buckets(seen).into_iter().map(one).collect()
    };
    let each =
        |one: &Sample<Distribution>| json!({"name": one.name, "buckets": buckets(&one.value)});
    json!({"histograms": histograms.iter().map(each).collect::<Value>()})
}
