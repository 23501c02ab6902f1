//! `/stats`, `/stats/prometheus`.
use super::{Admin, Answer, query::Query};
use culvert_l7::stats::{
    json, prometheus as exposition,
    sample::{self, Kind, Samples, Shape},
    text,
};
use regex::Regex;

/// `/stats`.
pub(super) fn answer(admin: &Admin, query: &Query) -> Answer {
    match query.some("format").unwrap_or("text") {
        "prometheus" => prometheus(admin, query),
        format @ ("text" | "json" | "html" | "active-html") => {
            let asked =
                shape(query, Shape::Summary).and_then(|shape| Ok((samples(admin, query)?, shape)));
            match asked {
                Err(said) => Answer::bad(said),
                Ok((samples, shape)) if format == "json" => {
                    Answer::raw_json(json::write(&samples, shape, query.has("pretty")))
                }
                Ok((samples, shape)) => Answer::ok(text::write(&samples, shape)),
            }
        }
        _ => Answer::bad("usage: /stats?format=(html|active-html|json|prometheus|text)\n\n"),
    }
}

/// `/stats/prometheus`.
pub(super) fn prometheus(admin: &Admin, query: &Query) -> Answer {
    let asked =
        shape(query, Shape::Cumulative).and_then(|shape| Ok((samples(admin, query)?, shape)));
    match asked {
        Err(said) => Answer::bad(said),
        Ok((samples, shape)) => Answer::ok(exposition::write(&samples, shape)),
    }
}

fn samples(admin: &Admin, query: &Query) -> Result<Samples, String> {
    admin.numbers.refresh(admin);
    let filter = query.some("filter").map(Regex::new).transpose();
    let filter = filter.map_err(|error| {
        let why = error.to_string();
        format!("Invalid re2 regex: {}", why.lines().last().unwrap_or_default())
    })?;
    let kind = match query.some("type") {
        None | Some("All") => Some(None),
        Some("Counters") => Some(Some(Kind::Counters)),
        Some("Gauges") => Some(Some(Kind::Gauges)),
        Some("Histograms") => Some(Some(Kind::Histograms)),
        // There are none.
        Some("TextReadouts") => None,
        Some(_) => {
            return Err(
                "usage: /stats?type=(All|Counters|Histograms|Gauges|TextReadouts)\n\n".to_owned()
            );
        }
    };
    let Some(kind) = kind else { return Ok(Samples::default()) };
    Ok(admin.around.shared.stats.samples(&sample::Query {
        filter,
        inverted: query.has("invert_filter"),
        used_only: query.has("usedonly"),
        kind,
    }))
}

fn shape(query: &Query, otherwise: Shape) -> Result<Shape, String> {
    match query.some("histogram_buckets") {
        None => Ok(otherwise),
        Some("cumulative") => Ok(Shape::Cumulative),
        Some("disjoint") => Ok(Shape::Disjoint),
        Some("summary" | "none" | "detailed") => Ok(Shape::Summary),
        Some(_) => {
            Err("usage: /stats?histogram_buckets=(summary|cumulative|disjoint|detailed)\n\n"
                .to_owned())
        }
    }
}
