//! The two texts Prometheus reads, and which one is asked for.

/// Which text to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: what everything reads, `promtool` included.
    Prometheus,
    /// `OpenMetrics` 1.0.0: what Prometheus asks for.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for: `OpenMetrics` when named, else the text all can read.
    #[must_use]
    pub fn from_accept(accept: Option<&str>) -> Self {
        let names_open_metrics = |accept: &str| {
            accept.split(',').any(|one| {
                let media_type = one.split(';').next().unwrap_or_default();
                media_type.trim().eq_ignore_ascii_case("application/openmetrics-text")
            })
        };
        if accept.is_some_and(names_open_metrics) { Self::OpenMetrics } else { Self::Prometheus }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The same samples as Prometheus text.
///
/// There a counter is described under its samples' name, `_total` included, where `OpenMetrics`
/// leaves it out; units and the end mark do not exist.
pub(super) fn prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            // Written once the type, which comes next, has said what the name is.
            help = described.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|typed| typed.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, words)) = help.take() {
                text.extend(["# HELP ", name, suffix, " ", words, "\n"]);
            }
            text.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_counters_by_their_full_name() {
        let open_metrics = "# HELP bytes Bytes.\n# TYPE bytes counter\n# UNIT bytes bytes\n\
                            bytes_total{to=\"# TYPE x\"} 1\n# HELP up Is it.\n# TYPE up gauge\n\
                            up 1\n# EOF\n";
        assert_eq!(
            prometheus(open_metrics),
            "# HELP bytes_total Bytes.\n# TYPE bytes_total counter\n\
             bytes_total{to=\"# TYPE x\"} 1\n# HELP up Is it.\n# TYPE up gauge\nup 1\n"
        );
    }

    #[test]
    fn writes_what_is_asked_for() {
        let of = |accept| Format::from_accept(Some(accept));
        // As Prometheus 2.42 asks.
        let prometheus = "application/openmetrics-text;version=1.0.0,\
                          application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(of(prometheus), Format::OpenMetrics);
        assert_eq!(of("text/html, text/plain;q=0.5"), Format::Prometheus);
        assert_eq!(of("*/*"), Format::Prometheus);
        assert_eq!(Format::from_accept(None), Format::Prometheus);
    }
}
